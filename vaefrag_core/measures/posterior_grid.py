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
SIGMA_TOLERANCE = 0.005  # of the logarithm of the least σ
STEP = 0.25  # of the Runge-Kutta method, in t: halving it changes integrals by 1e-7 bits


def posterior_grid(mean: FloatArray, sigma: FloatArray, spacing: float = SPACING) -> tuple[FloatArray, FloatArray]:
    """Lay the grid of one channel.

    Args:
        mean: (N,) posterior means.
        sigma: (N,) posterior standard deviations in the same units, above 0, none narrower than `least_sigma`.
        spacing: of the points, in the σ of the narrowest posteriors around.

    Returns:
        The points (G,), ascending, and their weights du (G,).

    Raises:
        ValueError: when it takes more than twice `MAX_POINTS` at a spacing of 1.

    Example:
        >>> points, weights = posterior_grid(np.zeros(3), np.ones(3))
        >>> len(points), round(float(np.exp(-(points**2) / 2) @ weights / math.sqrt(2 * math.pi)), 6)
        (11, 1.0)
    """
    # the walk that chose the least σ was coarser: this one may take a little more points
    grid = _grid(mean, sigma, spacing, math.ceil(2 * MAX_POINTS / spacing))
    if grid is None:
        raise ValueError(f"expected posteriors that {MAX_POINTS:,} points can resolve; widen them by least_sigma")
    return grid


def resolved_grid(mean: FloatArray, sigma: FloatArray, spacing: float) -> tuple[FloatArray, FloatArray] | None:
    """Lay the grid of one channel, where it takes no more than `MAX_POINTS` at a spacing of 1.

    Args:
        mean: (N,) posterior means.
        sigma: (N,) posterior standard deviations in the same units, above 0.
        spacing: of the points, in the σ of the narrowest posteriors around.

    Returns:
        The points (G,) and their weights du (G,); None when narrow posteriors have to be widened, by `least_sigma`.
    """
    return _grid(mean, sigma, spacing, math.ceil(MAX_POINTS / spacing))


def least_sigma(mean: FloatArray, sigma: FloatArray, max_points: int = MAX_POINTS) -> float:
    """Return what the narrowest posteriors of a channel have to be widened to, for a grid of so many points at most.

    Args:
        mean: (N,) posterior means.
        sigma: (N,) posterior standard deviations in the same units, above 0.
        max_points: largest size of the grid at a spacing of 1.

    Returns:
        A standard deviation, half a percent or less above the least that will do.

    Example:
        >>> mean, sigma = np.array([0.0, 500.0, 1000.0]), np.full(3, 1e-3)
        >>> least = least_sigma(mean, sigma, max_points=50)
        >>> len(posterior_grid(mean, np.full(3, least))[0])
        50
    """
    low, high = math.log(float(sigma.min())), math.log(float(sigma.max()) + float(np.ptp(mean)))
    while high - low > SIGMA_TOLERANCE:
        middle = (low + high) / 2
        fits = _grid(mean, np.maximum(sigma, math.exp(middle)), SPACING, max_points, SPACING) is not None
        low, high = (low, middle) if fits else (middle, high)
    return math.exp(high)


def _grid(
    mean: FloatArray, sigma: FloatArray, spacing: float, most: int, step: float = STEP
) -> tuple[FloatArray, FloatArray] | None:
    """Lay a grid by steps of so much; None when it would take more than `most` points."""
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
    count = lay_points(start, stop, spacing, max(1, round(spacing / step)), np.array(intervals), points, rho)
    return (points[:count], spacing / rho[:count]) if count <= most else None
