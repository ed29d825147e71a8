"""The walk of OPTICS through points whose distances are known: scikit-learn's, without its checks at every step.

Those checks cost a hundred times the walk itself, and stability by resampling walks hundreds of times.

Reference: Ankerst, M., Breunig, M. M., Kriegel, H.-P., Sander, J. (1999). OPTICS: ordering points to identify
the clustering structure. SIGMOD Record 28(2), 49-60.
"""

import numpy as np

from vaefrag_core.array_types import FloatArray, IntArray

DIGITS = np.finfo(np.float64).precision  # that scikit-learn rounds to, so that ties are the same


def optics_walk(distance: FloatArray, min_samples: int) -> tuple[IntArray, FloatArray, IntArray]:
    """Visit all points, always the one nearest to those visited before.

    A point is reached at max(core distance of the one it is reached from, distance to it), the core distance being
    that of the `min_samples`-th nearest, the point itself counted.

    Args:
        distance: (L, L), symmetric, zero on the diagonal.
        min_samples: 2 to L.

    Returns:
        The order of the visits (L,), and by point: reachability (L,), ∞ for the first, and predecessor (L,), −1 for
        the first.

    Example:
        >>> order, reachability, _ = optics_walk(np.abs(np.subtract.outer([0.0, 5.0, 1.0], [0.0, 5.0, 1.0])), 2)
        >>> order.tolist(), reachability.tolist()
        ([0, 2, 1], [inf, 4.0, 1.0])
    """
    count = len(distance)
    core = np.around(np.partition(distance, min_samples - 1, axis=1)[:, min_samples - 1], DIGITS)
    reachability, predecessor = np.full(count, np.inf), np.full(count, -1, dtype=np.int64)
    order, left = np.zeros(count, dtype=np.int64), np.ones(count, dtype=bool)
    for visit in range(count):
        waiting = np.flatnonzero(left)
        point = waiting[np.argmin(reachability[waiting])]
        order[visit], left[point] = point, False
        reached = np.around(np.maximum(distance[point], core[point]), DIGITS)
        nearer = left & (reached < reachability)
        reachability[nearer], predecessor[nearer] = reached[nearer], point
    return order, reachability, predecessor
