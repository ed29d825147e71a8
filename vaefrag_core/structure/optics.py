"""The OPTICS ordering of points with given distances: scikit-learn's, without its checks at every step.

Those checks cost a hundred times the ordering itself, and stability by resampling needs hundreds of orderings.

Reference: Ankerst, M., Breunig, M. M., Kriegel, H.-P., Sander, J. (1999). OPTICS: ordering points to identify
the clustering structure. SIGMOD Record 28(2), 49-60.
"""

import numpy as np

from vaefrag_core.array_types import FloatArray, IntArray

DIGITS = np.finfo(np.float64).precision  # scikit-learn rounds to these: only so are ties broken alike


def optics_walk(
    distance: FloatArray, min_samples: int, group: IntArray | None = None
) -> tuple[IntArray, FloatArray, IntArray]:
    """Visit all points, always the one that is nearest to those visited before.

    A point is reached at max(core distance of the one it is reached from, distance to it); the core distance of a point
    is that to its `min_samples`-th nearest, the point itself counted.

    Args:
        distance: (L, L) distances, symmetric, zero on the diagonal.
        min_samples: number of neighbours that make a core, 2 to L.
        group: (L,) the group of each point, −1 for none. A group that the walk has entered is visited to its end before
            the walk goes on, so that groups are contiguous in the order. Without it nothing holds the walk.

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
    order, unvisited = np.zeros(count, dtype=np.int64), np.ones(count, dtype=bool)
    group = np.full(count, -1) if group is None else group
    entered = -1
    for visit in range(count):
        rest_of_group = unvisited & (group == entered) if entered >= 0 else unvisited
        candidates = np.flatnonzero(rest_of_group if rest_of_group.any() else unvisited)
        point = candidates[np.argmin(reachability[candidates])]
        order[visit], unvisited[point], entered = point, False, group[point]
        reached = np.around(np.maximum(distance[point], core[point]), DIGITS)
        nearer = unvisited & (reached < reachability)
        reachability[nearer], predecessor[nearer] = reached[nearer], point
    return order, reachability, predecessor
