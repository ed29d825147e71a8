"""Intervals of shares, and of their differences, from repeated cross-validation."""

import numpy as np
from scipy.stats import t

from vaefrag_core.array_types import FloatArray
from vaefrag_core.artifacts.recurrence import wilson_interval

COVERAGE = 0.95


def corrected_variance(scores: FloatArray, held_out: float) -> float:
    """Variance of a mean over splits that share most of their images.

    (1/T + n_test/n_train) s²

    Splits of one sample are no independent repeats: s²/T, and quantiles of the scores, say nothing about other images.

    Args:
        scores: (T,) of the splits.
        held_out: share of the images that a split is tested on.

    Reference: Nadeau, C., Bengio, Y. (2003). Inference for the generalization error. Machine Learning 52, 239-281.
    https://doi.org/10.1023/A:1024068626366

    Example:
        >>> round(corrected_variance(np.array([0.0, 1.0]), 0.2), 3)
        0.375
    """
    return float((1 / len(scores) + held_out / (1 - held_out)) * scores.var(ddof=1))


def share_interval(scores: FloatArray, images: int, held_out: float, coverage: float = COVERAGE) -> tuple[float, float]:
    """Interval of a share of images, by Wilson's formula for the number of images that the splits are worth.

    Args:
        scores: (T,) share of each split.
        images: number of different images.
        held_out: share of the images that a split is tested on.
        coverage: of the interval.

    Returns:
        Both ends, between 0 and 1.

    Example:
        >>> low, high = share_interval(np.ones(15), 100, 0.2)
        >>> round(low, 2), high
        (0.93, 1.0)
    """
    share, variance = float(scores.mean()), corrected_variance(scores, held_out)
    # Where all splits agree, their variance is that of so many images, and no less.
    inflation = (1 / len(scores) + held_out / (1 - held_out)) / held_out
    worth = share * (1 - share) / variance if variance > 0 else images / inflation
    low, high = wilson_interval(np.array(share * worth), worth, float(t.ppf((1 + coverage) / 2, len(scores) - 1)))
    return float(low), float(high)


def difference_interval(
    scores: FloatArray, images: int, held_out: float, coverage: float = COVERAGE
) -> tuple[float, float]:
    """Interval of a difference of two shares of the same images.

    One image gained and one lost are added to what was seen, as Agresti and Min do for pairs: where two spaces read all
    images alike, the interval still has a width.

    Args:
        scores: (T,) difference in each split.
        images: number of different images.
        held_out: share of the images that a split is tested on.
        coverage: of the interval.

    Returns:
        Both ends, between −1 and 1.

    Reference: Agresti, A., Min, Y. (2005). Simple improved confidence intervals for comparing matched proportions.
    Statistics in Medicine 24(5), 729-740.

    Example:
        >>> low, high = difference_interval(np.zeros(15), 98, 0.2)
        >>> round(low, 2), round(high, 2)
        (-0.03, 0.03)
    """
    centre = float(scores.mean()) * images / (images + 2)
    error = np.sqrt(corrected_variance(scores, held_out) * images**2 + 2) / (images + 2)
    half = float(t.ppf((1 + coverage) / 2, len(scores) - 1)) * error
    return max(-1.0, float(centre - half)), min(1.0, float(centre + half))


def mean_interval(scores: FloatArray, held_out: float, coverage: float = COVERAGE) -> tuple[float, float]:
    """Interval of the mean of any scores over splits, by Student's t and `corrected_variance`.

    Args:
        scores: (T,) of the splits, two at least.
        held_out: share of the images that a split is tested on.
        coverage: of the interval.

    Returns:
        Both ends.

    Example:
        >>> low, high = mean_interval(np.array([1.0, 2.0, 3.0]), 0.5)
        >>> round(low, 2), round(high, 2)
        (-2.97, 6.97)
    """
    half = float(t.ppf((1 + coverage) / 2, len(scores) - 1)) * float(np.sqrt(corrected_variance(scores, held_out)))
    return float(scores.mean()) - half, float(scores.mean()) + half
