"""Standard errors over the choice of images, of all channels and of all hotspots: the influences of `measures`, fast.

For one image i, the ratios r_ij = b_ij / b̄_i of all channels are a (C, N) array, as in `pairwise_information`. All that
an image does to the information of a channel, or to a mean over many pairs of channels, are sums of such ratios over i:
no channel's N×N coefficients, and no pair's influences, are ever stored.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from vaefrag_core.array_types import Float32Array, FloatArray, IntArray
from vaefrag_core.artifacts import ChannelMatrix, Hotspots, NmiInside, Posteriors
from vaefrag_core.measures.gaussian import BHATTACHARYYA, DEFAULT_DIVERGENCE, Divergence
from vaefrag_core.measures.sampling_error import standard_error
from vaefrag_core.structure.pairwise_information import Rows, ratios_of_images
from vaefrag_core.structure.similarity_inside import similarity_inside, weights_of_pairs

STEP = 1e-5  # of central differences, in bits and in NMI
MAX_CHANNELS_AT_ONCE = 64  # whose ratios stay in a core's cache


def information_errors(mean: FloatArray, logvar: FloatArray, divergence: Divergence = DEFAULT_DIVERGENCE) -> FloatArray:
    """Standard error of the information of every channel, over the choice of images.

    See `vaefrag_core.measures.sampling_error`.

    Args:
        mean: (C, N), latent units.
        logvar: (C, N), ln σ².
        divergence: the one that tells images apart.

    Returns:
        (C,) bits.

    Example:
        >>> information_errors(np.array([[0.0, 0.0, 100.0]]), np.zeros((1, 3))).round(3).tolist()
        [0.574]
    """
    count, n_images = mean.shape
    errors = np.zeros(count)
    for first in range(0, count, MAX_CHANNELS_AT_ONCE):
        part = slice(first, first + MAX_CHANNELS_AT_ONCE)
        own, taken = np.zeros((2, *mean[part].shape))
        for image, ratio in _images(mean[part], logvar[part], divergence):
            own[:, image] = np.log2(ratio[:, image])  # b_ii = 1, so that this is −log2 b̄_i
            ratio[:, image] = 0.0
            taken += ratio
        errors[part] = standard_error(own - taken / (n_images * math.log(2)))
    return errors


def corrected_nmi_inside(posteriors: Posteriors, matrix: ChannelMatrix, hotspots: Hotspots) -> NmiInside:
    """Work out the corrected NMI inside every hotspot, with its standard error over the choice of images.

    The error is that of the mean over pairs, whose channels and images are the same: errors of single pairs do not
    average out. It counts that the level of chance was estimated on the same images.

    Args:
        posteriors: of C channels on N images.
        matrix: the comparison of these channels.
        hotspots: G hotspots, found in the matrix.

    Returns:
        Corrected NMI over the pairs of different members, see `similarity_inside`, and its errors. It takes about twice
        as long as comparing the channels of each hotspot among themselves.
    """
    mean, logvar = posteriors.flat()
    groups = [np.array(group.channels) for group in hotspots.groups]
    influences = [_influence_inside(mean[group], logvar[group], matrix, group) for group in groups]
    return NmiInside(
        similarity_inside(matrix, groups, "nmi"),
        np.array([float(standard_error(influence)) for influence in influences]),
    )


def _influence_inside(mean: FloatArray, logvar: FloatArray, matrix: ChannelMatrix, channels: IntArray) -> FloatArray:
    """Return the influence of every image on the mean corrected NMI of some channels, (N,).

    The mean is a function T of what pairs share, S_uv = I(U;V) with I(U;U′) on the diagonal, of the information of each
    channel, and of two numbers per channel that the level of chance is made of, X = meanᵢ 1/b̄_i and
    Y = meanᵢ varⱼ(b_ij) / b̄_i². With the slopes W = ∂T/∂S and ρ_i = meanⱼ r^U_ij r^V_ij, what goes by S is

        φ_k = Σ_uv W_uv { log2 ρ_k + (1/N) Σ_{i≠k} [ r^U_ik r^V_ik / ρ_i − r^U_ik − r^V_ik ] / ln 2 }
    """
    n_images = mean.shape[1]
    slopes = _slopes(matrix, channels)
    single = (slopes.shared.sum(axis=1) * 2 + slopes.bits)[:, None].astype(np.float32)
    own, taken = np.zeros((2, n_images))
    own_x, own_y, taken_x, taken_y = np.zeros((4, *mean.shape))
    for image, ratio in _images(mean, logvar, DEFAULT_DIVERGENCE):
        product = np.asarray(ratio @ ratio.T, dtype=np.float64) / n_images  # ρ
        square = product.diagonal()
        inverse = ratio[:, image].copy()  # b_ii = 1, so that r_ii is 1 / b̄_i
        own[image] = (slopes.shared * np.log2(product)).sum() + slopes.bits @ np.log2(inverse)
        own_x[:, image], own_y[:, image] = inverse, square - 1
        ratio[:, image] = 0.0
        weighted = (slopes.shared / product).astype(np.float32) @ ratio
        taken += np.einsum("kj,kj->j", ratio, weighted - single)
        taken_x -= ratio * inverse[:, None]
        taken_y += ratio * (ratio - 2 * square[:, None].astype(np.float32))
    influence = own + taken / (n_images * math.log(2))
    # X − 1 and Y are what the factors of chance are roots of; without a level of chance both slopes are 0.
    for by_log, value, of_others in ((slopes.log_x, own_x - 1, taken_x), (slopes.log_y, own_y, taken_y)):
        influence += (by_log / np.maximum(value.mean(axis=1), 1e-12)) @ (value + of_others / n_images)
    return np.asarray(influence)


@dataclass(frozen=True, eq=False)
class _Slopes:
    """How the mean corrected NMI of K channels changes with what it is made of.

    Args:
        shared: (K, K) with what a pair shares, on the diagonal with what two draws of one channel share.
        bits: (K,) with the information of each channel.
        log_x: (K,) with ln (X − 1), which the factors of chance x_u ∝ (X − 1) / √S_uu are made of, see `chance_level`.
        log_y: (K,) with ln Y, likewise y_u ∝ Y / √S_uu.
    """

    shared: FloatArray
    bits: FloatArray
    log_x: FloatArray
    log_y: FloatArray


def _slopes(matrix: ChannelMatrix, channels: IntArray) -> _Slopes:
    """Differentiate the mean corrected NMI of K channels, by central differences, whatever its formula is."""
    count, every = len(channels), np.arange(len(channels))
    share = weights_of_pairs(matrix.corrected_similarity("nmi", channels), matrix.member[channels])
    nmi = np.where(share > 0, np.asarray(matrix.nmi, dtype=np.float64)[np.ix_(channels, channels)], 0.0)
    small = replace(matrix.subset(channels), nmi=nmi)

    def slope(**moved: tuple[FloatArray, FloatArray]) -> FloatArray:
        down, up = (
            replace(small, **dict[str, Any](zip(moved, side, strict=True)))
            for side in zip(*moved.values(), strict=True)
        )
        change = up.corrected_similarity("nmi", every) - down.corrected_similarity("nmi", every)
        return np.asarray(share * np.where(share > 0, change, 0.0) / (2 * STEP))

    def ends(values: FloatArray, index: tuple[int, ...]) -> tuple[FloatArray, FloatArray]:
        step = np.zeros_like(values)
        step[index] = STEP
        return values - step, values + step

    by_nmi = slope(nmi=(nmi - STEP, nmi + STEP))
    by_bits, by_twice = np.zeros((2, count))
    by_factors = np.zeros_like(small.chance)
    for c in range(count):
        by_bits[c] = slope(information_bits=ends(small.information_bits, (c,))).sum()
        by_twice[c] = slope(information_twice_bits=ends(small.information_twice_bits, (c,))).sum()
        for factor in range(by_factors.shape[1] if len(by_factors) else 0):
            by_factors[c, factor] = slope(chance=ends(small.chance, (c, factor))).sum()
    # NMI = S_uv / √(S_uu S_vv), and I(X;U,U′) = 2 I(X;U) − S_uu
    own = 2 * small.information_bits - small.information_twice_bits
    # The factors x of a channel grow and shrink together, and so do its factors y: see `level_from_factors`.
    by_logs = np.nan_to_num(by_factors * small.chance)
    log_x, log_y = (half.sum(axis=1) for half in np.hsplit(by_logs, 2)) if len(by_logs) else np.zeros((2, count))
    shared = by_nmi / np.sqrt(np.outer(own, own))
    np.fill_diagonal(shared, -by_twice - ((by_nmi * nmi).sum(axis=1) + (log_x + log_y) / 2) / own)
    return _Slopes(shared, by_bits + 2 * by_twice, log_x, log_y)


def _images(mean: FloatArray, logvar: FloatArray, divergence: Divergence) -> Iterator[tuple[int, Float32Array]]:
    """Yield every image i with the ratios r_ij of all channels, (C, N), which may be overwritten."""
    rows = Rows(mean, logvar, np.zeros((0, mean.shape[1]), dtype=np.int64), divergence=divergence)
    if divergence is BHATTACHARYYA:
        yield from ratios_of_images(rows)
        return
    for image in range(mean.shape[1]):
        here = (mean[:, image, None], logvar[:, image, None])
        coefficient = np.exp(-divergence.along_dimension(*here, mean, logvar))
        yield image, (coefficient / coefficient.mean(axis=1, keepdims=True)).astype(np.float32)
