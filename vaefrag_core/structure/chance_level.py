"""The similarity that channels show by chance: on few images, even independent ones seem to share something.

Every image is its own nearest neighbour in both channels of a pair, and that alone makes their coefficients covary. A
channel whose images were shuffled tells as much as before and shares nothing: what others seem to share with it is the
chance level. For independent channels, to lowest order in 1/N, it is

    I(U;V) ≈ [ x_U x_V − y_U y_V ] / ((N − 1) ln 2),   x = mean_i (1/b̄_i − 1),   y² = ½ [mean_i var_j(b_ij) / b̄_i²]²,

the first term from the self-pairs and the second from the curvature of the logarithm. So two numbers per channel,
fitted to its similarity with some shuffled channels, predict the level of every pair.

Reference: Vinh, N. X., Epps, J., Bailey, J. (2010). Information theoretic measures for clusterings comparison:
variants, properties, normalization and correction for chance. JMLR 11, 2837-2854.
"""

import math

import numpy as np

from vaefrag_core.array_types import FloatArray, IntArray
from vaefrag_core.config import HotspotConfig
from vaefrag_core.measures.channel_states import dead_channels

MAX_SHUFFLED = 24  # channels: enough to average over, a small part of all
SATURATION_MARGIN_BITS = 7.0  # a Gaussian channel of so much more than log2 N bits leaves no images to overlap


def shuffled_channels(mean: FloatArray, logvar: FloatArray, seed: int = 0) -> tuple[FloatArray, FloatArray, IntArray]:
    """Shuffle the images of some channels, each in its own way.

    Args:
        mean: (C, N), latent units.
        logvar: (C, N), ln σ².
        seed: seed of the shuffles.

    Returns:
        Means and ln σ² (P, N), and the channels (P,) that they are of, spread evenly from the faintest to the sharpest.
        Dead and saturated channels are left out: nothing can be compared with them.

    Example:
        >>> mean, logvar, channels = shuffled_channels(np.array([[0.0, 1.0, 2.0], [5.0, 5.0, 5.0]]), np.zeros((2, 3)))
        >>> np.sort(mean).tolist(), channels.tolist()
        ([[0.0, 1.0, 2.0]], [0])
    """
    # Information of a Gaussian channel with this signal and noise: cheap, and near enough to choose by.
    signal, noise = mean.var(axis=1), np.exp(np.clip(logvar, -80, 80)).mean(axis=1)
    bits = np.log2(1 + signal / noise) / 2
    usable = ~dead_channels(bits, HotspotConfig().min_bits) & (bits < math.log2(mean.shape[1]) + SATURATION_MARGIN_BITS)
    order = np.argsort(bits, kind="stable")
    order = order[usable[order]]
    count = min(MAX_SHUFFLED, len(order))
    channels = order[np.linspace(0, len(order) - 1, count).round().astype(np.int64)] if count else order
    images = np.tile(np.arange(mean.shape[1]), (count, 1))
    shuffle = np.random.default_rng(seed).permuted(images, axis=1)
    shuffled_mean, shuffled_logvar = (np.take_along_axis(array[channels], shuffle, axis=1) for array in (mean, logvar))
    return shuffled_mean, shuffled_logvar, channels


def chance_factors(nmi: FloatArray, shuffled: IntArray) -> FloatArray:
    """Fit NMI with shuffled channels by two factors per channel.

    NMI(U,V) ≈ x_U x_V − y_U y_V

    Args:
        nmi: (R, P) NMI of every channel or label with every shuffled channel; NaN where undefined.
        shuffled: (P,) rows of the channels that were shuffled.

    Returns:
        (R, 2) factors x and y. NaN where NMI is undefined, and everywhere when there is no shuffled channel.

    Example:
        >>> chance_factors(np.full((3, 2), 0.25), np.array([0, 1])).round(6) + 0.0
        array([[0.5, 0. ],
               [0.5, 0. ],
               [0.5, 0. ]])
    """
    defined_columns = np.flatnonzero(np.isfinite(nmi[shuffled, np.arange(len(shuffled))]))
    nmi, shuffled = nmi[:, defined_columns], shuffled[defined_columns]
    factors = np.full((len(nmi), 2), np.nan)
    if not len(shuffled):
        return factors
    # The level of these channels among themselves is symmetric but for the accidents of shuffling. Its largest and its
    # lowest eigenvalue make the two terms; Nyström's extension carries them over to all other channels.
    values, vectors = np.linalg.eigh((nmi[shuffled] + nmi[shuffled].T) / 2)
    defined = np.isfinite(nmi).all(axis=1)
    factors[defined] = 0.0
    for column, which in ((0, -1), (1, 0)):
        # x² needs a positive and y² a negative eigenvalue; without one, that term is missing.
        if (values[which] > 0) == (column == 0) and values[which] != 0:
            factors[defined, column] = nmi[defined] @ vectors[:, which] / np.sqrt(abs(values[which]))
    return factors
