"""Whether fusing has gained anything, by criteria that no objective has seen: labels, and the order of a ring."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from vaefrag_core.array_types import FloatArray, IntArray
from vaefrag_core.errors import InvalidInputError
from vaefrag_core.measures.gaussian import DEFAULT_DIVERGENCE
from vaefrag_core.synthesis.intervals import difference_interval, share_interval
from vaefrag_core.synthesis.label_bits import label_bits, plain_label_bits
from vaefrag_core.synthesis.label_readings import READINGS, LabelReader, Reading, affinities, deal_folds

FOLDS = 5
REPEATS = 3  # of dealing the images into folds, each with draws of its own
PAIRS = 2  # random pairs of learners in each repeat
FUSED, BEST, ALL, PAIR = "fused space", "best single learner", "all learners side by side", "random pairs of learners"

Space = tuple[FloatArray, FloatArray]


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
    """How well a label is read from spaces, on images that took no part in learning to read it.

    Args:
        label: name of the label.
        reading: the way of reading, "overlap", "draws" or "means".
        chance: share of the commonest value: right for who always names it.
        images: number of different images.
        accuracy: of each space, (T,) shares of the held-out images whose label was read right, over T splits.
    """

    label: str
    reading: Reading
    chance: float
    images: int
    accuracy: Mapping[str, FloatArray]

    def summary(self) -> list[dict[str, Any]]:
        """Return, for each space, the accuracy and what the fused space gains over it, with 95 % intervals."""
        fused, rows = self.accuracy[FUSED], []
        for space, scores in self.accuracy.items():
            gain = fused - scores  # split by split, on the same images
            rows.append(
                {
                    "space": space,
                    "accuracy": float(scores.mean()),
                    "interval": list(share_interval(scores, self.images, 1 / FOLDS)),
                    "gain": float(gain.mean()),
                    "gain_interval": list(difference_interval(gain, self.images, 1 / FOLDS)),
                }
            )
        return rows


def probe_labels(
    fused: Space,
    learners: Sequence[Space],
    labels: Mapping[str, IntArray],
    *,
    copy_of: IntArray | None = None,
    readings: Sequence[Reading] = READINGS,
    repeats: int = REPEATS,
    seed: int = 0,
    on_progress: Callable[[float], None] = lambda share: None,
) -> list[ProbeAccuracy]:
    """Read labels from the fused space, from the best learner, from all learners side by side and from random pairs.

    In each repeat the images are dealt into five folds, copies of an image into the same one; the labels of each fold
    are read by the images of the others. All spaces are read on the same folds. The best single learner is chosen for
    each fold and label anew, by how well it reads the images of the other folds: what is reported of it was not chosen
    on the images that it is reported on.

    Args:
        fused: means and ln σ², each (N, d), of the fused space.
        learners: K spaces of (N, d_k).
        labels: values of each label by its name, (N,) numbered from 0.
        copy_of: (N,) the position of the first image that each one equals; None where no image is a copy.
        readings: the ways of reading, see `label_readings`.
        repeats: how often images are dealt.
        seed: of folds, draws and pairs.
        on_progress: called with the share that is done.

    Returns:
        Accuracies, label by label, and in each by the way of reading.

    Raises:
        InvalidInputError: for a label of one value, and fewer than ten different images.

    Reference: Nadeau, C., Bengio, Y. (2003). Inference for the generalization error. Machine Learning 52, 239-281.
    https://doi.org/10.1023/A:1024068626366
    """
    n = len(fused[0])
    copy_of = np.arange(n) if copy_of is None else copy_of
    different = len(np.unique(copy_of))
    for name, values in labels.items():
        count = len(np.unique(values))
        if count < 2 or different < 2 * FOLDS:
            raise InvalidInputError(
                f"Expected a label of two classes or more, on at least {2 * FOLDS} different images; {name!r} has"
                f" {count} classes on {n} images, {different} of them different."
            )
    if not labels:
        return []
    codes = np.array([np.unique(values, return_inverse=True)[1] for values in labels.values()])
    rng = np.random.default_rng(seed)
    folds = [deal_folds(copy_of, FOLDS, rng) for _ in range(repeats)]
    pairs = [rng.choice(len(learners), 2, replace=False) for _ in range(PAIRS * repeats)]
    by_reading: list[list[ProbeAccuracy]] = []
    for number, reading in enumerate(readings):

        def progress(share: float, number: int = number) -> None:
            on_progress((number + share) / len(readings))

        scores = _read_spaces(fused, learners, codes, folds, pairs, reading, rng, progress)
        shares = [float(np.bincount(row).max() / n) for row in codes]
        by_reading.append(
            [
                ProbeAccuracy(
                    name,
                    reading,
                    shares[f],
                    different,
                    {space: values[:, f].ravel() for space, values in scores.items()},
                )
                for f, name in enumerate(labels)
            ]
        )
    return [probe for of_label in zip(*by_reading, strict=True) for probe in of_label]


def _read_spaces(
    fused: Space,
    learners: Sequence[Space],
    codes: IntArray,
    folds: Sequence[IntArray],
    pairs: Sequence[IntArray],
    reading: Reading,
    rng: np.random.Generator,
    on_progress: Callable[[float], None],
) -> dict[str, FloatArray]:
    """Return of each kind of space, (repeats, F, folds) the share of a fold's labels that was read right."""
    repeats = len(folds)
    readers = [LabelReader(codes, fold, reading) for fold in folds]

    def near(space: Space) -> FloatArray:
        affinity = affinities(*space, reading, repeats, rng)
        return np.broadcast_to(affinity, (repeats, *affinity.shape[1:]))

    def read(affinity: FloatArray) -> FloatArray:
        return np.array([reader.held_out(a) for reader, a in zip(readers, affinity, strict=True)])

    n = codes.shape[1]
    together = np.zeros((repeats if reading == "draws" else 1, n, n))
    best, best_score = np.zeros((repeats, len(codes), FOLDS)), np.full((repeats, len(codes), FOLDS), -1.0)
    for k, learner in enumerate(learners):
        affinity = near(learner)
        together += affinity[: len(together)]
        score = np.array([reader.selection(a) for reader, a in zip(readers, affinity, strict=True)])
        best = np.where(score > best_score, read(affinity), best)
        best_score = np.maximum(score, best_score)
        on_progress((k + 1) / (len(learners) + 1))
    of_pairs = np.zeros(best.shape)
    for p, pair in enumerate(pairs):
        affinity = np.sum([near(learners[int(k)])[p % repeats] for k in pair], axis=0)
        of_pairs[p % repeats] += readers[p % repeats].held_out(affinity) * repeats / len(pairs)
    return {
        FUSED: read(near(fused)),
        BEST: best,
        ALL: read(np.broadcast_to(together, (repeats, n, n))),
        PAIR: of_pairs,
    }


def label_information(
    fused: Space,
    learners: Sequence[Space],
    labels: Mapping[str, IntArray],
    *,
    copy_of: IntArray | None = None,
    seed: int = 0,
) -> list[dict[str, Any]]:
    """Compute what the fused space, the best learner and all learners side by side tell about labels.

    The best learner is the one that shows most of the label: what is said of it is rather too much than too little.

    Args:
        fused: means and ln σ², each (N, d), of the fused space.
        learners: K spaces of (N, d_k).
        labels: values of each label by its name, (N,) numbered from 0.
        copy_of: (N,) the position of the first image that each one equals; None where no image is a copy.
        seed: of the shuffled labels.

    Returns:
        Of each label and space, JSON content: `label`, `space`, and the fields of `LabelBits`.
    """
    copy_of = np.arange(len(fused[0])) if copy_of is None else copy_of
    together = np.zeros((len(fused[0]), len(fused[0])))
    best: dict[str, tuple[float, int]] = {}
    for k, (mean, logvar) in enumerate(learners):
        distance = DEFAULT_DIVERGENCE.distance(mean, logvar)
        together += distance
        for name, codes in labels.items():
            best[name] = max(best.get(name, (-np.inf, k)), (plain_label_bits(np.exp(-distance), codes), k))
    by_space = {
        FUSED: label_bits(np.exp(-DEFAULT_DIVERGENCE.distance(*fused)), labels, copy_of, seed),
        BEST: {
            name: label_bits(
                np.exp(-DEFAULT_DIVERGENCE.distance(*learners[best[name][1]])), {name: codes}, copy_of, seed
            )[name]
            for name, codes in labels.items()
        },
        ALL: label_bits(np.exp(-together), labels, copy_of, seed),
    }
    return [
        {"label": name, "space": space, **asdict(bits[name])} for name in labels for space, bits in by_space.items()
    ]
