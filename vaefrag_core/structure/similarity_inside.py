"""What the channels of a hotspot share among themselves: the mean over its pairs of different members.

Channels of one member that are alike tell nothing about what comes back, so that their pairs do not count. Pairs count
as they are, below 0 and above 1 as well, so that the mean is 0 on average where channels share nothing; pairs whose
similarity is undefined are left out.
"""

from collections.abc import Sequence

import numpy as np

from vaefrag_core.array_types import FloatArray, IntArray, RealArray
from vaefrag_core.artifacts import ChannelMatrix
from vaefrag_core.config import Measure


def weights_of_pairs(values: RealArray, member: IntArray) -> FloatArray:
    """Return the weight of each pair of K channels in the mean inside them.

    Args:
        values: (K, K) of every pair; NaN where it is undefined.
        member: (K,) member of each channel.

    Returns:
        (K, K), the same for each defined pair of different members, 0 elsewhere; their sum is 1, or 0 without any.

    Example:
        >>> weights_of_pairs(np.eye(3), np.array([0, 0, 1])).tolist()
        [[0.0, 0.0, 0.25], [0.0, 0.0, 0.25], [0.25, 0.25, 0.0]]
    """
    counted = (member[:, None] != member[None, :]) & np.isfinite(values)
    return np.asarray(counted / max(int(counted.sum()), 1))


def mean_inside(values: RealArray, member: IntArray) -> float:
    """Average what pairs of K channels have, over those of different members.

    Args:
        values: (K, K) of every pair; NaN where it is undefined.
        member: (K,) member of each channel.

    Returns:
        The mean; NaN where there is no such pair.

    Example:
        >>> mean_inside(np.array([[1.0, 0.9, 0.2], [0.9, 1.0, 0.4], [0.2, 0.4, 1.0]]), np.array([0, 0, 1]))
        0.3
    """
    weights = weights_of_pairs(values, member)
    return float(np.where(weights > 0, weights * values, 0.0).sum()) if weights.any() else float("nan")


def similarity_inside(
    matrix: ChannelMatrix, groups: Sequence[Sequence[int] | IntArray], measure: Measure
) -> FloatArray:
    """Average the corrected similarity inside groups of channels.

    Args:
        matrix: of C channels.
        groups: flat indices of the channels of each of G groups.
        measure: of similarity.

    Returns:
        (G,) 0 on average of independent channels, 1 of equal ones; NaN where a group has no pair that counts.
    """
    inside = []
    for group in groups:
        channels = np.asarray(group, dtype=np.int64)
        inside.append(mean_inside(matrix.corrected_similarity(measure, channels), matrix.member[channels]))
    return np.array(inside)
