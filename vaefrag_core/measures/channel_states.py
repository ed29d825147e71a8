"""Channels that cannot be compared: dead ones, which tell next to nothing, and saturated ones, which confuse nothing.

Both are told by the information that a channel carries about N images, between 0 and log2 N bits. Needs no torch.
"""

import math
from typing import Any

import numpy as np

from vaefrag_core.array_types import BoolArray, FloatArray, RealArray

# Information that a channel may lack to the ceiling log2 N and still be called saturated. What it lacks is what its
# posteriors overlap; with less, the similarity of any two channels is that of two lists of all images.
SATURATED_BITS = 0.01
# On fewer images, an ordinary channel of three or four bits tells all of them apart: that says nothing about it.
MIN_SATURABLE_IMAGES = 16


def dead_channels(information_bits: Any, min_bits: float | FloatArray) -> BoolArray:
    """Find the channels that tell the images apart by next to nothing, whose NMI is a ratio of vanishing numbers.

    Args:
        information_bits: (...) I(X;U).
        min_bits: information below which a channel is dead, one number or (...); an analysis takes
            `HotspotConfig.min_bits`.

    Returns:
        (...) True where a channel is dead.

    Example:
        >>> dead_channels([0.0, 0.5], 0.01).tolist()
        [True, False]
    """
    return np.asarray(np.asarray(information_bits) < min_bits)


def saturated_channels(information_bits: Any, images: int, ceiling_bits: float | None = None) -> BoolArray:
    """Find the channels that tell every image from every other.

    Each image then overlaps with itself alone. All such channels are one clustering, of as many clusters as images, so
    that their NMI is 1 and their VI 0 whatever their means are, as are those of channels that share nothing.

    Args:
        information_bits: (...) I(X;U).
        images: N.
        ceiling_bits: H(X), less than log2 N where images are copies of one another; log2 N without it.

    Returns:
        (...) True where a channel carries H(X), to a hundredth of a bit; never on fewer than 16 images.

    Example:
        >>> saturated_channels([1.0, 5.0], 32).tolist()
        [False, True]
    """
    ceiling = math.log2(images) if ceiling_bits is None else ceiling_bits
    full = np.asarray(information_bits) > ceiling - SATURATED_BITS
    return np.asarray(full & (images >= MIN_SATURABLE_IMAGES))


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
