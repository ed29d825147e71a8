"""The inner loops of `posterior_grid`, compiled. Imported late, by it alone: numba takes a second to load."""

import math
from typing import Any

from vaefrag_core.measures.numba_compile import compiled

_FALL = 4.0  # distance from an interval, in its w, at which points stand √2 times as far apart
_FAR = 36.0  # beyond, ln(1 + exp(x)) is x, or 0, to the last bit


def _above(x: float) -> float:
    """Smooth maximum of x and 0: ln(1 + exp(x))."""
    if x > _FAR:
        return x
    return math.log1p(math.exp(x)) if x > -_FAR else 0.0


_above = compiled(_above)


def _density(u: float, intervals: Any) -> float:
    """dt/du at a point.

    Args:
        u: the point.
        intervals: (K, 3) width w, first and last mean of each.
    """
    total = 0.0
    for k in range(intervals.shape[0]):
        width, first, last = intervals[k, 0], intervals[k, 1], intervals[k, 2]
        distance = (_above((u - last) / width) + _above((first - u) / width)) / _FALL
        square = width * width * (1 + distance * distance)
        total += 1 / (square * square)
    return math.sqrt(math.sqrt(total))


_density = compiled(_density)


def _lay_points(start: float, stop: float, spacing: float, steps: int, intervals: Any, points: Any, rho: Any) -> int:
    """Write points that are equally spaced in t, from start until one is beyond stop.

    Args:
        start: the first point.
        stop: to be passed.
        spacing: in t.
        steps: of the Runge-Kutta method, from one point to the next.
        intervals: (K, 3), see `_density`.
        points: (G,), written.
        rho: (G,), dt/du at each of them, written.

    Returns:
        Number of points; G when they did not suffice.
    """
    u, step = start, spacing / steps
    for g in range(points.shape[0]):
        points[g], rho[g] = u, _density(u, intervals)
        if u >= stop:
            return g + 1
        for _ in range(steps):
            first = 1 / _density(u, intervals)
            second = 1 / _density(u + step / 2 * first, intervals)
            third = 1 / _density(u + step / 2 * second, intervals)
            fourth = 1 / _density(u + step * third, intervals)
            u += step / 6 * (first + 2 * second + 2 * third + fourth)
    return int(points.shape[0])


lay_points = compiled(_lay_points)
