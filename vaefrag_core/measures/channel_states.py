"""Channels that cannot be compared: dead ones, which tell next to nothing, and saturated ones, which confuse nothing.

Both are told by the information that a channel carries about N images, between 0 and log2 N bits. Needs no torch.
"""

import math
from typing import Any

import numpy as np

from vaefrag_core.array_types import BoolArray, RealArray

# Information that a channel may lack to the ceiling log2 N and still be called saturated. What it lacks is what its
# posteriors overlap; with less, the similarity of any two channels is that of two lists of all images.
SATURATED_BITS = 0.01


def dead_channels(information_bits: Any, min_bits: float) -> BoolArray:
    """Find the channels that tell the images apart by next to nothing, whose NMI is a ratio of vanishing numbers.

    Args:
        information_bits: (...) I(X;U).
        min_bits: information below which a channel is dead; an analysis takes `HotspotConfig.min_bits`.

    Returns:
        (...) True where a channel is dead.

    Example:
        >>> dead_channels([0.0, 0.5], 0.01).tolist()
        [True, False]
    """
    return np.asarray(np.asarray(information_bits) < min_bits)


def saturated_channels(information_bits: Any, images: int) -> BoolArray:
    """Find the channels that tell every image from every other.

    Each image then overlaps with itself alone. All such channels are one clustering, of as many clusters as images, so
    that their NMI is 1 and their VI 0 whatever their means are, as are those of channels that share nothing.

    Args:
        information_bits: (...) I(X;U).
        images: N.

    Returns:
        (...) True where a channel carries log2 N bits, to a hundredth of a bit.

    Example:
        >>> saturated_channels([1.0, 3.0], 8).tolist()
        [False, True]
    """
    return np.asarray((np.asarray(information_bits) > math.log2(images) - SATURATED_BITS) & (images > 1))


def noise_for_information(mean: RealArray, bits: float) -> float:
    """Find the noise at which a channel carries some information, for the spacing that its means have.

    Solves −(1/N) Σᵢ log2 (1/N) Σⱼ exp(−(μᵢ−μⱼ)² / (8 σ²)) = bits by bisection: the bound of `information_bits` for
    posteriors of one width.

    Args:
        mean: (N,) posterior means, not all equal.
        bits: less than the information of the means without noise, and more than 0.

    Returns:
        ln σ².

    Example:
        >>> round(noise_for_information(np.array([-1.0, 1.0]), 0.5), 2)
        -0.57
    """
    squared = np.square(np.subtract.outer(mean, mean)) / 8
    low, high = np.log(squared[squared > 0].min()) - 8, np.log(squared.max()) + 8
    for _ in range(40):  # each halves the interval
        logvar = (low + high) / 2
        overlap = np.exp(-squared * np.exp(-logvar)).mean(axis=1)
        low, high = (logvar, high) if -np.log2(overlap).mean() > bits else (low, logvar)
    return float((low + high) / 2)
