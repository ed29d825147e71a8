"""How many members it takes until the hotspots settle: what is found among fewer of them, in the same similarities.

A curve that still climbs at its end says that more members would show more; one that is flat, that they would not.
"""

from collections.abc import Callable

import numpy as np

from vaefrag_core.array_types import FloatArray, IntArray
from vaefrag_core.artifacts import ChannelMatrix, Hotspots, MemberCurve
from vaefrag_core.artifacts.stability import RETURNED
from vaefrag_core.config import HotspotConfig
from vaefrag_core.structure.hotspot_groups import FEWEST_MEMBERS, recurring_groups
from vaefrag_core.structure.hotspots import comparable_channels

CHOICES = 20  # of as many members
MOST_POINTS = 16  # of the curve: of many members it is drawn at some


def member_curve(
    matrix: ChannelMatrix,
    hotspots: Hotspots,
    config: HotspotConfig,
    *,
    choices: int = CHOICES,
    seed: int = 0,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> MemberCurve:
    """Look for hotspots among 3, 4, … M members, chosen at random.

    A hotspot of all members counts as refound when a group found shares at least half with it,

        |A ∩ B| / |A ∪ B| ≥ 0.5,    A the hotspot's channels of the members chosen, B the group,

    and each group refinds one hotspot at most.

    Args:
        matrix: the comparison of C channels.
        hotspots: G hotspots, found in it.
        config: how they were found.
        choices: of as many members.
        seed: of the choices.
        on_progress: called with points of the curve done and all of them.

    Returns:
        P points; none of fewer than three members with live channels.
    """
    live = comparable_channels(matrix, config)
    similarity, member = matrix.corrected_similarity(config.measure, live), matrix.member[live]
    members = np.unique(member)
    sizes = _sizes(len(members))
    hotspots_among, refound = np.zeros((2, len(sizes), choices), dtype=np.int64)
    rng = np.random.default_rng(seed)
    for point, size in enumerate(sizes):
        for choice in range(choices):
            if choice and size == len(members):  # there is but one choice of all members
                hotspots_among[point], refound[point] = hotspots_among[point, 0], refound[point, 0]
                break
            among = np.flatnonzero(np.isin(member, rng.permutation(members)[:size]))
            groups = recurring_groups(similarity[np.ix_(among, among)], member[among], config)
            hotspots_among[point, choice] = len(groups)
            refound[point, choice] = _refound([live[among[group]] for group in groups], hotspots, live[among])
        on_progress(point + 1, len(sizes))
    return MemberCurve(sizes, hotspots_among, refound)


def _sizes(n_members: int) -> IntArray:
    if n_members < FEWEST_MEMBERS:
        return np.zeros(0, dtype=np.int64)
    count = min(MOST_POINTS, n_members - FEWEST_MEMBERS + 1)
    return np.unique(np.linspace(FEWEST_MEMBERS, n_members, count).round().astype(np.int64))


def _refound(groups: list[IntArray], hotspots: Hotspots, among: IntArray) -> int:
    """Count the hotspots that are among groups of some channels."""
    jaccard: FloatArray = np.zeros((len(hotspots.groups), len(groups)))
    for g, hotspot in enumerate(hotspots.groups):
        remaining = np.intersect1d(np.array(hotspot.channels), among)
        for k, group in enumerate(groups):
            common = len(np.intersect1d(remaining, group, assume_unique=True))
            jaccard[g, k] = common / max(len(remaining) + len(group) - common, 1)
    # Two disjoint hotspots may each share exactly half with a group; it still refinds one.
    return int(
        min(np.count_nonzero((jaccard >= RETURNED).any(axis=1)), np.count_nonzero((jaccard >= RETURNED).any(axis=0)))
    )
