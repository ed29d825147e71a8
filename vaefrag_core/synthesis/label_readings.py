"""Read labels of images from a space, in three ways: by its own overlaps, from single draws, from posterior means."""

from typing import Any, Literal

import numpy as np

from vaefrag_core.array_types import BoolArray, FloatArray, IntArray
from vaefrag_core.measures.gaussian import DEFAULT_DIVERGENCE

Reading = Literal["overlap", "draws", "means"]

READINGS: tuple[Reading, ...] = ("overlap", "draws", "means")
NEIGHBOURS = 10
FARTHEST = -1e300  # log density of what lies infinitely far away: rows of −∞ alone would have no nearest image


def affinities(
    mean: FloatArray, logvar: FloatArray, reading: Reading, draws: int, rng: np.random.Generator
) -> FloatArray:
    """Say how near each image is to every other, as a way of reading has it.

    - `overlap`: −d_ij, the logarithm of the Bhattacharyya coefficient of the two posteriors;
    - `draws`: ln p(uᵢ|xⱼ), the density of a draw of the posterior of image i under that of image j, but for a constant;
    - `means`: −|μᵢ − μⱼ|².

    All three add up over spaces that stand side by side.

    Args:
        mean: (N, d) posterior means.
        logvar: (N, d) ln σ².
        reading: the way.
        draws: R, number of draws of each posterior; without effect on the others.
        rng: of the draws.

    Returns:
        (R, N, N), row i is read, column j is known; R is 1 but for draws. Larger is nearer.
    """
    n = len(mean)
    if reading == "overlap":
        return np.asarray(-DEFAULT_DIVERGENCE.distance(mean, logvar))[None]
    repeats = draws if reading == "draws" else 1
    near = np.zeros((repeats, n, n))
    for d in range(mean.shape[1]):
        known, log_variance = mean[:, d], logvar[:, d]
        if reading == "means":
            near[0] -= np.square(known[:, None] - known)
            continue
        inverse = np.exp(-log_variance / 2)
        for r in range(repeats):
            draw = known + rng.normal(size=n) / inverse
            with np.errstate(over="ignore"):  # infinitely far away
                near[r] -= (np.square((draw[:, None] - known) * inverse) + log_variance) / 2
    return np.maximum(near, FARTHEST)


def class_scores(affinity: FloatArray, classes: FloatArray, reading: Reading) -> FloatArray:
    """Score the classes of images by the images whose classes are known.

    From overlaps and means by a vote of the ten nearest. From a draw by Bayes' rule: the sum over the known images of a
    class of p(u|xⱼ), which is what an observer who knows the channel makes of what it transmits.

    Args:
        affinity: (T, S) of T images that are read with S that are known.
        classes: (S, C) 1 where a known image is of a class.
        reading: the way.

    Returns:
        (T, C) scores; the largest is the class.
    """
    if reading == "draws":
        weight = np.exp(affinity - affinity.max(axis=1, keepdims=True))
        return np.asarray(weight @ classes)
    count = min(NEIGHBOURS, affinity.shape[1])
    nearest = np.argpartition(-affinity, count - 1, axis=1)[:, :count]
    return np.asarray(classes[nearest].sum(axis=1))


def deal_folds(copy_of: IntArray, folds: int, rng: np.random.Generator) -> IntArray:
    """Deal images into folds of nearly equal numbers of different images, copies of one into the same.

    Args:
        copy_of: (N,) the position of the first image that each one equals.
        folds: number of folds.
        rng: of the dealing.

    Returns:
        (N,) fold of each image.
    """
    different, group = np.unique(copy_of, return_inverse=True)
    return np.asarray(rng.permutation(len(different))[group] % folds, dtype=np.int64)


class LabelReader:
    """Labels of N images, dealt into folds: reads those of each fold by the images of the other folds.

    Args:
        codes: (F, N) values of F labels, each numbered from 0.
        folds: (N,) fold of each image.
        reading: the way of reading.
    """

    def __init__(self, codes: IntArray, folds: IntArray, reading: Reading) -> None:
        sizes = codes.max(axis=1) + 1
        self._codes, self._folds, self._reading = codes, folds, reading
        self._ends = np.cumsum(sizes)
        self._starts = self._ends - sizes
        self._classes = np.concatenate([np.eye(size)[row] for size, row in zip(sizes, codes, strict=True)], axis=1)

    def held_out(self, affinity: FloatArray) -> FloatArray:
        """Read the labels of each fold by the images of the others.

        Args:
            affinity: (N, N), see `affinities`.

        Returns:
            (F, folds) share that is read right.
        """
        right = []
        for fold in range(self._folds.max() + 1):
            held_out = self._folds == fold
            right.append(self._read(affinity, np.flatnonzero(held_out), np.flatnonzero(~held_out)).mean(axis=1))
        return np.array(right).T

    def selection(self, affinity: FloatArray) -> FloatArray:
        """Say how well the labels are read among the images of all folds but one, which takes no part in any way.

        Args:
            affinity: (N, N).

        Returns:
            (F, folds) share that is read right without each fold, each other fold held out in turn.
        """
        folds = self._folds.max() + 1
        right = np.zeros((len(self._codes), folds))
        for first in range(folds):
            for second in range(first):
                in_first, in_second = self._folds == first, self._folds == second
                known = np.flatnonzero(~(in_first | in_second))
                for outer, rows in ((first, in_second), (second, in_first)):
                    right[:, outer] += self._read(affinity, np.flatnonzero(rows), known).sum(axis=1)
        return np.asarray(right / np.array([(self._folds != fold).sum() for fold in range(folds)]))

    def _read(self, affinity: FloatArray, rows: Any, known: Any) -> BoolArray:
        """Return (F, rows) True where a label of an image is read right by the known ones."""
        scores = class_scores(affinity[np.ix_(rows, known)], self._classes[known], self._reading)
        read = [scores[:, first:end].argmax(axis=1) for first, end in zip(self._starts, self._ends, strict=True)]
        return np.asarray(np.array(read) == self._codes[:, rows])
