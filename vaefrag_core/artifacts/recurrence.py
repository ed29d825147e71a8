"""Which members hold each hotspot, and how likely a new member is to hold it.

Reference: Wilson, E. B. (1927). Probable inference, the law of succession, and statistical inference. Journal of the
American Statistical Association 22(158), 209-212.
"""

from dataclasses import dataclass

import numpy as np

from vaefrag_core.array_types import BoolArray, FloatArray, IntArray

Z95 = 1.959964  # standard normal quantile of a two-sided interval of 95 %


@dataclass(frozen=True, eq=False)
class Recurrence:
    """Which members hold each of G hotspots, each judged by the others.

    Args:
        members: (M,) the members' numbers.
        holds: (G, M) True where the member has a channel that belongs to the hotspot as the others show it.
    """

    members: IntArray
    holds: BoolArray

    @property
    def probability(self) -> FloatArray:
        """(G,) share of the held-out members that hold the hotspot."""
        return np.asarray(self.holds.mean(axis=1))

    @property
    def interval(self) -> FloatArray:
        """(G, 2) lower and upper end of Wilson's 95 % interval of that probability."""
        return wilson_interval(self.holds.sum(axis=1), self.holds.shape[1])

    def lacking(self, hotspot: int) -> IntArray:
        """Return the numbers of the members that lack a hotspot."""
        return np.asarray(self.members[~self.holds[hotspot]])


def wilson_interval(successes: IntArray | FloatArray, trials: float, z: float = Z95) -> FloatArray:
    """Return the interval of a probability from successes in so many trials, of 95 % by default.

    Args:
        successes: (G,) 0 to `trials`.
        trials: above 0; fractions of trials count as such.
        z: quantile of its ends, in standard errors.

    Returns:
        (G, 2) lower and upper end.

    Example:
        >>> wilson_interval(np.array([0, 5, 10]), 10).round(2).tolist()
        [[0.0, 0.28], [0.24, 0.76], [0.72, 1.0]]
    """
    share = np.asarray(successes) / trials
    scale = 1 + z**2 / trials
    centre = (share + z**2 / (2 * trials)) / scale
    half = z / scale * np.sqrt(share * (1 - share) / trials + z**2 / (4 * trials**2))
    return np.stack([np.maximum(centre - half, 0.0), np.minimum(centre + half, 1.0)], axis=-1)
