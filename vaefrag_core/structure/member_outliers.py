"""Which members are less like the others than chance explains: a permutation test over members.

What each member shares with each hotspot is set beside what the others share with it. Were no member set apart, a value
that one member has could as well be another's, hotspot by hotspot. So the values of every hotspot are dealt anew among
the members, again and again, and the lowest mean of any member is noted: the member that had the lowest one is an
outlier when few deals reach it, and when it shares clearly less than the middle member does.

Reference: Westfall, P. H., Young, S. S. (1993). Resampling-based multiple testing. Wiley (the lowest of all members is
held against the lowest of every deal, members found are set aside, and the others tried again).
"""

from dataclasses import dataclass

import numpy as np

from vaefrag_core.array_types import BoolArray, FloatArray

LEVEL = 0.04  # share of ensembles in which a member may be called an outlier though none is
MOST_VALUES = 1_000_000  # dealt at once
FEWEST_MEMBERS = 3  # the middle of two says nothing


@dataclass(frozen=True, eq=False)
class MemberOutliers:
    """What the test says of M members.

    Args:
        p_values: (M,) how often the lowest mean of a deal reaches the member's own; 1 where it cannot be told.
        outlier: (M,) True where that is rare and the member shares clearly less than the middle one.
        testable: whether a member that shares nothing at all could have been called an outlier.
    """

    p_values: FloatArray
    outlier: BoolArray
    testable: bool


def member_outliers(shared: FloatArray, cohesion: float, *, deals: int = 1_999, seed: int = 0) -> MemberOutliers:
    """Find the members that share less with the hotspots than chance explains.

    p = (1 + deals whose lowest mean reaches the member's) / (1 + deals)

    Args:
        shared: (M, G) what each member shares with each of G hotspots: corrected similarity, 0 to 1.
        cohesion: share of the middle member's mean below which a mean is clearly lower, 0 to 1.
        deals: how often values are dealt anew.
        seed: of the deals.

    Returns:
        The outliers. With no more than one hotspot, or two members, there is none.

    Example:
        Four hotspots, five members; the last one shares nothing:

        >>> shared = np.full((5, 4), 0.8)
        >>> shared[4] = 0.0
        >>> member_outliers(shared, 0.6).outlier.tolist()
        [False, False, False, False, True]
    """
    members, hotspots = shared.shape
    p_values, outlier = np.ones(members), np.zeros(members, dtype=bool)
    # A member alone in sharing nothing has the lowest value of every hotspot in one deal of M^(G − 1).
    testable = members >= FEWEST_MEMBERS and hotspots > 1 and members ** (1.0 - hotspots) <= LEVEL
    rng = np.random.default_rng(seed)
    rest = np.arange(members)
    while len(rest) >= FEWEST_MEMBERS and hotspots > 1:
        means = shared[rest].mean(axis=1)
        lowest = _lowest_means(shared[rest], deals, rng)
        reached = (lowest[:, None] <= means + 1e-12).sum(axis=0)
        # No member set aside before may have a higher one: a p-value counts for all that were tried up to it.
        p_values[rest] = np.maximum((1 + reached) / (1 + deals), p_values[outlier].max(initial=0.0))
        worst = int(means.argmin())
        if p_values[rest[worst]] > LEVEL or means[worst] > cohesion * np.median(np.delete(means, worst)):
            break
        outlier[rest[worst]] = True
        rest = np.delete(rest, worst)
    return MemberOutliers(p_values, outlier, testable)


def _lowest_means(shared: FloatArray, deals: int, rng: np.random.Generator) -> FloatArray:
    """Deal the values of each column anew among the rows, and return the lowest mean of a row in each deal."""
    lowest = []
    for start in range(0, deals, at_once := max(1, MOST_VALUES // shared.size)):
        copies = np.broadcast_to(shared, (min(at_once, deals - start), *shared.shape))
        lowest.append(rng.permuted(copies, axis=1).mean(axis=2).min(axis=1))
    return np.concatenate(lowest)
