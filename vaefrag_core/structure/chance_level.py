"""The similarity that channels show by chance: on few images, even independent ones seem to share something.

Every image is its own nearest neighbour in both channels of a pair, and that alone makes their coefficients covary. A
channel whose images were shuffled tells as much as before and shares nothing: what others seem to share with it is the
chance level. For independent channels, to lowest order in 1/N, it is

    I(U;V) ≈ [ x_U x_V − y_U y_V ] / ((N − 1) ln 2),   x = mean_i (1/b̄_i − 1),   y² = ½ [mean_i var_j(b_ij) / b̄_i²]²,

the first term from the self-pairs and the second from the curvature of the logarithm. So two numbers per channel,
and four where channels of another kind stand out, fitted to its similarity with some shuffled channels, predict the
level of every pair.

Reference: Vinh, N. X., Epps, J., Bailey, J. (2010). Information theoretic measures for clusterings comparison:
variants, properties, normalization and correction for chance. JMLR 11, 2837-2854.
"""

import math

import numpy as np

from vaefrag_core.array_types import FloatArray, IntArray
from vaefrag_core.artifacts.image_copies import shuffled_images
from vaefrag_core.config import HotspotConfig
from vaefrag_core.measures.channel_states import dead_channels

CLEAR_OF_ACCIDENTS = 2.0  # times what shuffling makes by accident, from which on an eigenvalue means something
LABEL_SHUFFLES = 16  # of a label whose level cannot be fitted: enough to average over
FEWEST_FITTED = 8  # shuffled channels that two factors of a label are fitted by
MAX_SHUFFLED = 24  # channels: enough to average over, a small part of all
CONFUSED_SHARE = 0.1  # of neighbouring means within one σ of each other, from which on a sharp channel confuses images
SATURATION_MARGIN_BITS = 7.0  # a Gaussian channel of so much more than log2 N bits leaves no images to overlap


def shuffled_channels(
    mean: FloatArray, logvar: FloatArray, copy_of: IntArray | None = None, seed: int = 0
) -> tuple[FloatArray, FloatArray, IntArray]:
    """Shuffle the images of some channels, each in its own way.

    Args:
        mean: (C, N), latent units.
        logvar: (C, N), ln σ².
        copy_of: (N,) the position of the first image that each one equals, see `shuffle_images`.
        seed: seed of the shuffles.

    Returns:
        Means and ln σ² (P, N), and the channels (P,) that they are of, spread evenly from the faintest to the sharpest.
        Dead and saturated channels are left out: nothing can be compared with them.

    Example:
        >>> mean, logvar, channels = shuffled_channels(np.array([[0.0, 1.0, 2.0], [5.0, 5.0, 5.0]]), np.zeros((2, 3)))
        >>> np.sort(mean).tolist(), channels.tolist()
        ([[0.0, 1.0, 2.0]], [0])
    """
    # Information of a Gaussian channel with this signal and noise: cheap, and near enough to choose by. Averaged over
    # images, as a few posteriors that are far too wide say nothing of the others.
    noise = np.exp(np.clip(logvar, -80, 80))
    bits = np.log2(1 + mean.var(axis=1)[:, None] / noise).mean(axis=1) / 2
    # Sharp posteriors leave nothing to compare, unless their means are few values: a hard clustering of the images.
    steps = np.diff(np.sort(mean, axis=1), axis=1)
    near = steps < np.sqrt(np.median(noise, axis=1, keepdims=True))
    confused = near.sum(axis=1) > CONFUSED_SHARE * steps.shape[1]
    sharp = bits >= math.log2(mean.shape[1]) + SATURATION_MARGIN_BITS
    usable = ~dead_channels(bits, HotspotConfig().min_bits) & (~sharp | confused)
    order = np.argsort(bits, kind="stable")
    order = order[usable[order]]
    count = min(MAX_SHUFFLED, len(order))
    channels = order[np.linspace(0, len(order) - 1, count).round().astype(np.int64)] if count else order
    return *shuffle_images(mean[channels], logvar[channels], seed, copy_of), channels


def shuffle_images(
    mean: FloatArray, logvar: FloatArray, seed: int, copy_of: IntArray | None = None
) -> tuple[FloatArray, FloatArray]:
    """Shuffle the images of channels, each channel in its own way, so that they share nothing any more.

    Args:
        mean: (P, N), latent units.
        logvar: (P, N), ln σ².
        seed: seed of the shuffles.
        copy_of: (N,) the position of the first image that each one equals. Copies stay together: that two images are
            the same is not what channels share. Without it every image is its own.

    Returns:
        Means and ln σ², (P, N).
    """
    copy_of = np.arange(mean.shape[1]) if copy_of is None else copy_of
    shuffle = shuffled_images(copy_of, len(mean), np.random.default_rng(seed))
    return np.take_along_axis(mean, shuffle, axis=1), np.take_along_axis(logvar, shuffle, axis=1)


def shuffled_codes(codes: IntArray, copy_of: IntArray, seed: int = 0) -> IntArray:
    """Shuffle the images of labels, so that they share nothing with any channel any more.

    Args:
        codes: (F, N) their values, numbered.
        copy_of: (N,) equal numbers where images are copies of each other; copies stay together.
        seed: seed of the shuffles.

    Returns:
        (16, F, N).

    Example:
        >>> shuffled_codes(np.array([[0, 0, 1]]), np.arange(3)).sum(axis=2).ravel().tolist() == [1] * LABEL_SHUFFLES
        True
    """
    orders = shuffled_images(copy_of, LABEL_SHUFFLES, np.random.default_rng(seed))
    return np.asarray(codes[:, orders].swapaxes(0, 1))


def chance_factors(nmi: FloatArray, shuffled: IntArray) -> FloatArray:
    """Fit NMI with shuffled channels by a few factors per channel.

    NMI(U,V) ≈ x_U · x_V − y_U · y_V, see `measures.information_terms.level_from_factors`

    Args:
        nmi: (R, P) NMI of every channel or label with every shuffled channel; NaN where undefined.
        shuffled: (P,) rows of the channels that were shuffled.

    Returns:
        (R, 4): two factors x and two factors y; 0 where one is not needed. NaN where NMI is undefined, and everywhere
        when there is no shuffled channel.

    Example:
        >>> chance_factors(np.full((3, 2), 0.25), np.array([0, 1])).round(6) + 0.0
        array([[0.5, 0. , 0. , 0. ],
               [0.5, 0. , 0. , 0. ],
               [0.5, 0. , 0. , 0. ]])
    """
    defined_columns = np.flatnonzero(np.isfinite(nmi[shuffled, np.arange(len(shuffled))]))
    nmi, shuffled = nmi[:, defined_columns], shuffled[defined_columns]
    factors = np.full((len(nmi), 4), np.nan)
    if not len(shuffled):
        return factors
    # The level of these channels among themselves is symmetric but for the accidents of shuffling. Its largest and its
    # lowest eigenvalue make the two terms; Nyström's extension carries them over to all other channels. Where channels
    # of another kind are among them, as of a member that diverged, a third or fourth eigenvalue stands out as well.
    square = nmi[shuffled]
    values, vectors = np.linalg.eigh((square + square.T) / 2)
    accidents = CLEAR_OF_ACCIDENTS * np.linalg.norm((square - square.T) / 2, 2)
    defined = np.isfinite(nmi).all(axis=1)
    factors[defined] = 0.0
    for column, which in enumerate((-1, -2, 0, 1)):
        second = column % 2 == 1
        if second and len(values) < 4:
            continue
        # x² needs a positive and y² a negative eigenvalue; without one, that term is missing.
        signed = values[which] if column < 2 else -values[which]
        if signed > (accidents if second else 0):
            factors[defined, column] = nmi[defined] @ vectors[:, which] / np.sqrt(signed)
    return factors
