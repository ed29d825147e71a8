"""The similarity that channels show by chance: on few images, even independent ones seem to share something.

Every image is its own nearest neighbour in both channels of a pair, and that alone makes their coefficients
covary. A channel whose images were dealt anew tells as much and shares nothing: what others seem to share with it
is the level of chance. Of independent channels, to lowest order in 1/N, it is

    I(U;V) ≈ [ x_U x_V − y_U y_V ] / ((N − 1) ln 2),   x = mean_i (1/b̄_i − 1),   y² = ½ [mean_i var_j(b_ij) / b̄_i²]²,

the first term of the self-pairs and the second of the logarithm's curvature. So two numbers per channel, fitted to a
panel of dealt channels, tell the level of every pair.

Reference: Vinh, N. X., Epps, J., Bailey, J. (2010). Information theoretic measures for clusterings comparison:
variants, properties, normalization and correction for chance. JMLR 11, 2837-2854.
"""

import numpy as np

from vaefrag_core.array_types import FloatArray, IntArray

PANEL = 24  # channels that are dealt: enough to average over, a small part of all
FAINT_BITS = 0.01  # what tells less than this makes a poor panel


def dealt_panel(mean: FloatArray, logvar: FloatArray, seed: int = 0) -> tuple[FloatArray, FloatArray, IntArray]:
    """Deal the images of some channels anew, each in its own way.

    Args:
        mean: (C, N), latent units.
        logvar: (C, N), ln σ².
        seed: of the dealing.

    Returns:
        Means and ln σ² (P, N), and which channels they were (P,): from the faintest to the sharpest.
    """
    # Information of a Gaussian channel with this signal and noise: near enough to choose by.
    signal, noise = mean.var(axis=1), np.exp(np.clip(logvar, -80, 80)).mean(axis=1)
    bits = np.log2(1 + signal / noise) / 2
    order = np.argsort(bits, kind="stable")
    order = order[bits[order] > FAINT_BITS]
    count = min(PANEL, len(order))
    chosen = order[np.linspace(0, len(order) - 1, count).round().astype(np.int64)] if count else order
    deal = np.random.default_rng(seed).permuted(np.tile(np.arange(mean.shape[1]), (count, 1)), axis=1)
    return np.take_along_axis(mean[chosen], deal, axis=1), np.take_along_axis(logvar[chosen], deal, axis=1), chosen


def chance_factors(nmi: FloatArray, chosen: IntArray) -> FloatArray:
    """Fit NMI with dealt channels by two factors per channel.

    Args:
        nmi: (R, P) of every channel or label with every dealt channel; NaN where undefined.
        chosen: (P,) rows that the dealt channels were before.

    Returns:
        (R, 2) factors x and y: a pair's level of chance is x_U x_V − y_U y_V. NaN where NMI is undefined, and
        everywhere when there is no panel.
    """
    telling = np.flatnonzero(np.isfinite(nmi[chosen, np.arange(len(chosen))]))
    nmi, chosen = nmi[:, telling], chosen[telling]
    factors = np.full((len(nmi), 2), np.nan)
    if not len(chosen):
        return factors
    # A panel's level with itself is symmetric but for the accidents of dealing. Its largest and its lowest eigenvalue
    # make the two terms; Nyström's extension gives them to channels outside the panel.
    values, vectors = np.linalg.eigh((nmi[chosen] + nmi[chosen].T) / 2)
    defined = np.isfinite(nmi).all(axis=1)
    factors[defined] = 0.0
    for column, which in ((0, -1), (1, 0)):
        if (values[which] > 0) == (column == 0) and values[which] != 0:
            factors[defined, column] = nmi[defined] @ vectors[:, which] / np.sqrt(abs(values[which]))
    return factors
