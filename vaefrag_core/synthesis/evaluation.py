"""Whether fusing has gained anything, by criteria that no objective has seen: labels, and the order of a ring."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vaefrag_core.array_types import AnyArray, FloatArray
from vaefrag_core.errors import InvalidInputError

ProbeKind = Literal["neighbours", "linear"]

NEIGHBOURS = 10
HELD_OUT = 0.3  # share of the images on which a classifier is tested
FUSED, BEST, ALL, PAIRS = "fused space", "best single learner", "all learners side by side", "random pairs of learners"


def ring_discontinuity(mean: FloatArray) -> float:
    """Return how unevenly a space lays out a closed ring of images: 1 when perfectly even, large where it is torn.

    The largest over the 90th-percentile distance of neighbours, the last and the first included.

    Args:
        mean: (N, d) posterior means, in the order of the ring.

    Returns:
        1 or more; ∞ when nine in ten neighbours lie on one spot and others do not.

    Raises:
        InvalidInputError: with fewer than three images, which make no ring.

    Example:
        >>> angle = np.arange(100) / 100 * 2 * np.pi
        >>> round(ring_discontinuity(np.stack([np.cos(angle), np.sin(angle)], axis=1)), 6)
        1.0
        >>> round(ring_discontinuity(angle[:, None]), 6)
        99.0
    """
    if mean.ndim != 2 or len(mean) < 3:
        raise InvalidInputError(f"Expected means of a ring of three images or more, (N, d), got {mean.shape}.")
    distance = np.linalg.norm(mean - np.roll(mean, -1, axis=0), axis=1)
    # Not the mean, which a single wide tear would raise: the tear would hide itself.
    typical = float(np.quantile(distance, 0.9))
    if typical == 0:
        return float("inf") if distance.max() > 0 else 1.0
    return float(distance.max()) / typical


@dataclass(frozen=True, eq=False)
class ProbeAccuracy:
    """How well a label is predicted from spaces, on images that the classifier was not trained on.

    Args:
        label: name of the label.
        kind: the classifier, "neighbours" or "linear".
        accuracy: of each space, (T,) shares of held-out images that were classified right, over T repeats.
    """

    label: str
    kind: ProbeKind
    accuracy: Mapping[str, FloatArray]

    def summary(self) -> list[dict[str, Any]]:
        """Return mean and 95 % of the repeats for each space, and for what the fused space gains over it."""
        fused = self.accuracy[FUSED]
        rows = []
        for space, values in self.accuracy.items():
            gain = fused - values  # repeat by repeat, on the same images
            rows.append(
                {
                    "space": space,
                    "accuracy": float(values.mean()),
                    "interval": np.quantile(values, [0.025, 0.975]).tolist(),
                    "gain": float(gain.mean()),
                    "gain_interval": np.quantile(gain, [0.025, 0.975]).tolist(),
                }
            )
        return rows


def probe_label(
    fused: FloatArray,
    learners: Sequence[FloatArray],
    classes: AnyArray,
    *,
    label: str = "label",
    kind: ProbeKind = "neighbours",
    repeats: int = 10,
    seed: int = 0,
) -> ProbeAccuracy:
    """Predict a label from the fused space, from the best learner, from all side by side and from random pairs.

    In each repeat three in ten images of each class are held out; a classifier is trained on the others. All spaces
    are tested on the same images. The best single learner is the one that does best on the held-out images themselves,
    over all repeats: what the fused space gains over it is rather too little than too much.

    Args:
        fused: (N, d) posterior means of the fused space.
        learners: K arrays (N, d_k) of posterior means.
        classes: (N,) the label; a class of fewer than two images is left out.
        label: name of the label.
        kind: the classifier; "neighbours", a vote of the ten nearest; "linear", logistic regression on standardized
            means.
        repeats: T, each with other images held out.
        seed: of what is held out, and of the pairs.

    Returns:
        Accuracy of each space in each repeat.

    Raises:
        InvalidInputError: when fewer than two classes are left, or images are too few to hold some out.
    """
    from sklearn.model_selection import StratifiedShuffleSplit

    values, codes, counts = np.unique(np.asarray(classes), return_inverse=True, return_counts=True)
    usable = np.flatnonzero(counts[codes] >= 2)  # a class needs an image to train on and one to test on
    held_out = int(np.ceil(HELD_OUT * len(usable)))
    n_classes = int((counts >= 2).sum())
    if n_classes < 2 or min(held_out, len(usable) - held_out) < n_classes:
        raise InvalidInputError(
            f"Expected a label of two classes or more, and images enough to hold some of each out; {label!r} has"
            f" {len(values)} classes on {len(codes)} images."
        )
    codes = codes[usable]
    spaces = [np.asarray(space, dtype=np.float64)[usable] for space in (fused, *learners)]
    rng = np.random.default_rng(seed)
    splits = StratifiedShuffleSplit(repeats, test_size=held_out, random_state=int(rng.integers(2**31)))
    scores = np.zeros((len(spaces), repeats))
    together, pairs = np.zeros(repeats), np.zeros(repeats)
    for t, (train, test) in enumerate(splits.split(codes[:, None], codes)):
        split = _Split(codes, train, test)
        scores[:, t] = [_accuracy(space, split, kind) for space in spaces]
        together[t] = _accuracy(np.concatenate(spaces[1:], axis=1), split, kind)
        pair = rng.choice(len(learners), 2, replace=False)
        pairs[t] = _accuracy(np.concatenate([spaces[1 + k] for k in pair], axis=1), split, kind)
    best = int(scores[1:].mean(axis=1).argmax())
    return ProbeAccuracy(label, kind, {FUSED: scores[0], BEST: scores[1 + best], ALL: together, PAIRS: pairs})


class _Split(NamedTuple):
    """Numbered classes of all images, and the rows to train and to test on."""

    codes: NDArray[np.intp]
    train: NDArray[np.intp]
    test: NDArray[np.intp]


def _accuracy(space: FloatArray, split: _Split, kind: ProbeKind) -> float:
    """Return the share of test images that a classifier trained on the others gets right."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    classifier: Any = KNeighborsClassifier(min(NEIGHBOURS, len(split.train)))
    if kind == "linear":
        classifier = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1_000))
    classifier.fit(space[split.train], split.codes[split.train])
    return float(classifier.score(space[split.test], split.codes[split.test]))
