"""The inner loop of `exact_information`, compiled. Imported late, by it alone: numba takes a second to load."""

import math
from typing import Any

import numpy as np

from vaefrag_core.measures.numba_compile import compiled
from vaefrag_core.structure.pairwise_kernels import exponential

# Beyond, a posterior counts as exp(−40): 4e-18 adds nothing to any sum, and products of two stay normal numbers, which
# single precision multiplies far faster than denormal ones.
_MAX_Q = 40.0
_HALF = 0.5


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
                power, p = exponential(np.float32(min(z * z * _HALF, _MAX_Q)))
                row[g] = np.float32(weights[g] * factor) * (power + power * p)


fill_posteriors = compiled(_fill_posteriors, {"contract", "nnan", "ninf", "nsz"})
