"""Whether fusing has gained anything, by judges that no objective has seen."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from vaefrag_core.array_types import AnyArray, FloatArray
from vaefrag_core.errors import InvalidInputError

ProbeKind = Literal["neighbours", "linear"]

NEIGHBOURS = 10
HELD_OUT = 0.3  # of the images, on which a probe is judged
FUSED, BEST, ALL, PAIRS = "fused space", "best single learner", "all learners side by side", "random pairs of learners"


def continuity(mean: FloatArray) -> float:
    """How evenly a space lays out a closed ring of images: 1 when it does perfectly, large where it is torn.

    The largest over the 90th-percentile distance of neighbours, the last and the first included.

    Args:
        mean: (N, d) posterior means, in the order of the ring.

    Returns:
        1 or more; ∞ when nine in ten neighbours lie on one spot and others do not.

    Raises:
        InvalidInputError: with fewer than three images, which make no ring.

    Example:
        >>> angle = np.arange(100) / 100 * 2 * np.pi
        >>> round(continuity(np.stack([np.cos(angle), np.sin(angle)], axis=1)), 6)
        1.0
        >>> round(continuity(angle[:, None]), 6)
        99.0
    """
    if mean.ndim != 2 or len(mean) < 3:
        raise InvalidInputError(f"Expected means of a ring of three images or more, (N, d), got {mean.shape}.")
    distance = np.linalg.norm(mean - np.roll(mean, -1, axis=0), axis=1)
    usual = float(np.quantile(distance, 0.9))
    if usual == 0:
        return float("inf") if distance.max() > 0 else 1.0
    return float(distance.max()) / usual


@dataclass(frozen=True, eq=False)
class Probe:
    """How well a label is read from spaces, on images that the reader was not shown.

    Args:
        label: its name.
        kind: "neighbours" or "linear".
        accuracy: of each space, (T,) shares of held-out images that were read right, over T repeats.
    """

    label: str
    kind: ProbeKind
    accuracy: Mapping[str, FloatArray]

    def summary(self) -> list[dict[str, Any]]:
        """Give mean and 95 % of the repeats for each space, and for what the fused space gains over it."""
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


def probe(
    fused: FloatArray,
    learners: Sequence[FloatArray],
    classes: AnyArray,
    *,
    label: str = "label",
    kind: ProbeKind = "neighbours",
    repeats: int = 10,
    seed: int = 0,
) -> Probe:
    """Read a label from the fused space, from the best learner, from all side by side and from random pairs.

    In each repeat three in ten images are held out, as many of each class; a reader learns from the others. All
    spaces are asked for the same images. The best single learner is the one that does best on the held-out images
    themselves, over all repeats: what the fused space gains over it is rather too little than too much.

    Args:
        fused: (N, d) posterior means of the fused space.
        learners: K arrays (N, d_k) of posterior means.
        classes: (N,) the label; a class of fewer than two images is left out.
        label: its name.
        kind: "neighbours", a vote of the ten nearest; "linear", logistic regression on standardized means.
        repeats: T, each with other images held out.
        seed: of what is held out, and of pairs.

    Returns:
        Accuracies of each space in each repeat.

    Raises:
        InvalidInputError: when fewer than two classes are left, or images are too few to hold some out.
    """
    from sklearn.model_selection import StratifiedShuffleSplit

    values, codes, counts = np.unique(np.asarray(classes), return_inverse=True, return_counts=True)
    kept = np.flatnonzero(counts[codes] >= 2)
    held_out = int(np.ceil(HELD_OUT * len(kept)))
    count = int((counts >= 2).sum())
    if count < 2 or min(held_out, len(kept) - held_out) < count:
        raise InvalidInputError(
            f"Expected a label of two classes or more, and images enough to hold some of each out; {label!r} has"
            f" {len(values)} classes on {len(codes)} images."
        )
    codes = codes[kept]
    spaces = [np.asarray(space, dtype=np.float64)[kept] for space in (fused, *learners)]
    rng = np.random.default_rng(seed)
    splits = StratifiedShuffleSplit(repeats, test_size=held_out, random_state=int(rng.integers(2**31)))
    scores = np.zeros((len(spaces), repeats))
    everything, pairs = np.zeros(repeats), np.zeros(repeats)
    for t, (shown, hidden) in enumerate(splits.split(codes[:, None], codes)):

        def read(space: FloatArray, shown: Any = shown, hidden: Any = hidden) -> float:
            return _accuracy(space, codes, shown, hidden, kind)

        scores[:, t] = [read(space) for space in spaces]
        everything[t] = read(np.concatenate(spaces[1:], axis=1))
        pair = rng.choice(len(learners), 2, replace=False)
        pairs[t] = read(np.concatenate([spaces[1 + k] for k in pair], axis=1))
    best = int(scores[1:].mean(axis=1).argmax())
    return Probe(label, kind, {FUSED: scores[0], BEST: scores[1 + best], ALL: everything, PAIRS: pairs})


def _accuracy(space: FloatArray, codes: AnyArray, shown: Any, hidden: Any, kind: ProbeKind) -> float:
    from sklearn.linear_model import LogisticRegression
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    reader: Any = KNeighborsClassifier(min(NEIGHBOURS, len(shown)))
    if kind == "linear":
        reader = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1_000))
    reader.fit(space[shown], codes[shown])
    return float(reader.score(space[hidden], codes[hidden]))
