"""Grids on which the posteriors of one channel are written down, as fine as their widths ask for.

The trapezoid rule converges exponentially for Gaussians: points one σ apart integrate what is made of them to a few
1e-6 (Trefethen and Weideman, 2014). But σ varies from image to image, and points everywhere as close as the narrowest
posterior asks for could be millions. So points are equally spaced in a coordinate t that runs fast where narrow
posteriors are, and slowly elsewhere:

    dt/du = [ Σ_k ρ_k(u)⁴ ]^¼        ρ_k(u) = 1 / ( w_k √(1 + (d_k(u)/4)²) )

with k the intervals of means whose σ lie within one octave from w_k on, and d_k the distance from the interval in units
of w_k. The map from u to t is smooth, so that the rule converges in t as it does in u.

Reference: Trefethen, L. N., Weideman, J. A. C. (2014). The exponentially convergent trapezoidal rule. SIAM Review 56,
385-458.
"""

import math

import numpy as np

from vaefrag_core.array_types import FloatArray

SPACING = 1.0  # of points, in the σ of the narrowest posteriors around; at 1.2, some integrals err by 2e-4 bits
MAX_POINTS = 1_024  # of a channel at that spacing
REACH_SIGMA = 6.0  # of each posterior that a grid covers; 5 would cost 1e-5 bits
MAX_GAP_SIGMA = 8.0  # between neighbouring means of one interval, in its w
BISECTIONS = 30  # of the logarithm of the least σ


def posterior_grid(mean: FloatArray, sigma: FloatArray, spacing: float = SPACING) -> tuple[FloatArray, FloatArray]:
    """Lay the grid of one channel.

    Args:
        mean: (N,) posterior means.
        sigma: (N,) posterior standard deviations in the same units, above 0, as `resolved_sigma` gives them.
        spacing: of the points, in the σ of the narrowest posteriors around.

    Returns:
        The points (G,), ascending, and their weights du (G,).

    Example:
        >>> points, weights = posterior_grid(np.zeros(3), np.ones(3))
        >>> len(points), round(float(np.exp(-(points**2) / 2) @ weights / math.sqrt(2 * math.pi)), 6)
        (11, 1.0)
    """
    # a walk as fine as this stays below twice the points that the least σ was chosen by
    grid = _grid(mean, sigma, spacing, math.ceil(2 * MAX_POINTS / spacing))
    if grid is None:
        raise ValueError(f"expected posteriors that {MAX_POINTS:,} points can resolve; widen them by resolved_sigma")
    return grid


def resolved_sigma(mean: FloatArray, sigma: FloatArray, max_points: int = MAX_POINTS) -> FloatArray:
    """Widen the narrowest posteriors of a channel, as little as it takes for its grid to have so many points at most.

    Args:
        mean: (N,) posterior means.
        sigma: (N,) posterior standard deviations in the same units, above 0.
        max_points: largest size of the grid at a spacing of 1.

    Returns:
        (N,) standard deviations; the ones given, where they need no widening.

    Example:
        >>> resolved_sigma(np.arange(5.0), np.full(5, 0.1)).tolist()
        [0.1, 0.1, 0.1, 0.1, 0.1]
    """
    if _grid(mean, sigma, SPACING, max_points) is not None:
        return sigma
    low, high = math.log(float(sigma.min())), math.log(float(sigma.max()) + float(np.ptp(mean)))
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        fits = _grid(mean, np.maximum(sigma, math.exp(middle)), SPACING, max_points) is not None
        low, high = (low, middle) if fits else (middle, high)
    return np.maximum(sigma, math.exp(high))


def _grid(mean: FloatArray, sigma: FloatArray, spacing: float, most: int) -> tuple[FloatArray, FloatArray] | None:
    """Lay a grid; None when it would take more than `most` points."""
    from vaefrag_core.measures.grid_kernels import lay_points

    narrowest = float(sigma.min())
    octave = np.floor(np.log2(sigma / narrowest)).astype(np.int64)
    intervals: list[tuple[float, float, float]] = []
    for k in np.unique(octave):
        width = narrowest * 2.0**k
        sorted_mean = np.sort(mean[octave == k])
        gaps = np.flatnonzero(np.diff(sorted_mean) > MAX_GAP_SIGMA * width)
        if len(gaps) * MAX_GAP_SIGMA > most * spacing:
            return None  # each gap takes so much of t at least
        firsts, lasts = np.concatenate([[0], gaps + 1]), np.concatenate([gaps, [len(sorted_mean) - 1]])
        intervals += [(width, sorted_mean[i], sorted_mean[j]) for i, j in zip(firsts, lasts, strict=True)]
    start, stop = float((mean - REACH_SIGMA * sigma).min()), float((mean + REACH_SIGMA * sigma).max())
    points, rho = np.empty((2, most + 1))
    count = lay_points(start, stop, spacing, np.array(intervals), points, rho)
    return (points[:count], spacing / rho[:count]) if count <= most else None
