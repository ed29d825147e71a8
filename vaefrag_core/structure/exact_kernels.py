"""The inner loops of `exact_information`, compiled. Imported late, by it alone: numba takes a second to load."""

import math
from typing import Any

import numpy as np

from vaefrag_core.measures.numba_compile import compiled
from vaefrag_core.structure.pairwise_kernels import bits_of_float, exponential, float_of_bits
from vaefrag_core.structure.posterior_tiles import MAX_EXPONENT

_HALF = 0.5
_ROOT_HALF_BITS = np.int32(0x3F3504F3)  # of √½ in single precision
_ONE, _TWO, _LN2, _LEAST = np.float32(1), np.float32(2), np.float32(math.log(2)), np.float32(1e-37)
_L3, _L5, _L7, _L9 = (np.float32(1 / k) for k in (3, 5, 7, 9))


def _fill_posteriors(
    mean: Any, logvar: Any, least_sigma: Any, rows: Any, points: Any, weights: Any, edges: Any, images: Any, out: Any
) -> None:
    """Write the share of some posteriors at every point of their channels' grids.

    Φ_ig = w_g exp(−(u_g − μᵢ)² / 2 σᵢ²) / (σᵢ √2π)

    Args:
        mean: (C, N), latent units.
        logvar: (C, N), ln σ².
        least_sigma: (C,) that narrower posteriors count as.
        rows: (K,) the channels.
        points: (G,) the grids of these channels, one after the other.
        weights: (G,) du at each point.
        edges: (K + 1,) where the grid of each begins and ends.
        images: first image and the one after the last.
        out: (images, G) float32, written.
    """
    for k in range(rows.shape[0]):
        c = rows[k]
        for i in range(images[0], images[1]):
            inverse = 1 / max(math.exp(logvar[c, i] * _HALF), least_sigma[c])
            factor = inverse / math.sqrt(2 * math.pi)
            row = out[i - images[0]]
            for g in range(edges[k], edges[k + 1]):
                z = (points[g] - mean[c, i]) * inverse
                power, p = exponential(np.float32(min(z * z * _HALF, MAX_EXPONENT)))
                row[g] = np.float32(weights[g] * factor) * (power + power * p)


fill_posteriors = compiled(_fill_posteriors, {"contract", "nnan", "ninf", "nsz"})


def _logarithm(x: Any) -> Any:
    """Natural logarithm of a normal number in single precision.

    With x = 2ᵉ m and m between √½ and √2, ln m = 2 artanh s = 2 (s + s³/3 + s⁵/5 + …) for s = (m − 1) / (m + 1).
    """
    bits = bits_of_float(x)
    exponent = (bits - _ROOT_HALF_BITS) >> np.int32(23)
    m = float_of_bits(bits - (exponent << np.int32(23)))
    s = (m - _ONE) / (m + _ONE)
    square = s * s
    series = _ONE + square * (_L3 + square * (_L5 + square * (_L7 + square * _L9)))
    return np.float32(exponent) * _LN2 + _TWO * s * series


_logarithm = compiled(_logarithm, {"contract", "nnan", "ninf", "nsz"})


def _sum_terms(
    product: Any, images: int, inverse_first: Any, inverse_second: Any, first: Any, second: Any, out: Any
) -> None:
    """Add up p(u,v) ( ln [p(u,v) / (p(u) p(v))] − 1 ) over the columns of each pair of rows, in nats.

    Args:
        product: (G, H) float32, N times p(u,v).
        images: N.
        inverse_first: (G,) float32, 1 / p(u).
        inverse_second: (H,) float32, 1 / p(v).
        first: (K + 1,) where the columns of each row of the first tile begin and end.
        second: (L + 1,) likewise of the second tile.
        out: (K, L), written.
    """
    scale = np.float32(1 / images)
    for k in range(first.shape[0] - 1):
        out[k] = 0.0
        for g in range(first[k], first[k + 1]):
            for n in range(second.shape[0] - 1):
                total = np.float32(0)  # of some forty terms of one sign and size: double precision would change nothing
                for h in range(second[n], second[n + 1]):
                    p = product[g, h] * scale
                    ratio = max(p * inverse_first[g] * inverse_second[h], _LEAST)
                    total += p * (_logarithm(ratio) - _ONE)
                out[k, n] += np.float64(total)


sum_terms = compiled(_sum_terms, {"contract", "reassoc", "nnan", "ninf", "nsz"})
