"""Cut recurring groups of channels from their similarities: the rule that says what a hotspot is.

A hotspot is a set of channels

1. of several members: a share of all that are compared, three at least;
2. that share clearly more than chance: the mean similarity of pairs from different members is above a floor, and above
   what independent channels of this very analysis scatter to;
3. that belong together: the two halves into which average linkage divides them share most of what the closer-knit
   half shares inside;
4. and apart from what lies beside them: every pair inside shares more than the hotspot shares, on average, with any
   other hotspot.

Only pairs of different members count. Two channels of one member that are alike are a redundancy of that member, and
tell nothing about what comes back.

Reference: Sokal, R. R., Michener, C. D. (1958). A statistical method for evaluating systematic relationships.
University of Kansas Science Bulletin 38, 1409-1438 (average linkage).
"""

from dataclasses import dataclass

import numpy as np

from vaefrag_core.array_types import BoolArray, FloatArray, IntArray
from vaefrag_core.config import HotspotConfig
from vaefrag_core.structure.similarity_inside import mean_inside

FEWEST_MEMBERS = 3  # two runs that agree may be two accidents; the third is the first confirmation
CLEAR_OF_CHANCE = 5.0  # standard deviations of independent pairs: the mean of many chosen pairs stays below it
FEWEST_NEGATIVE = 10  # similarities below zero from which their spread is estimated


def recurring_groups(similarity: FloatArray, member: IntArray, config: HotspotConfig | None = None) -> list[IntArray]:
    """Find the groups of channels that come back in several members.

    Args:
        similarity: (C, C), symmetric, corrected for chance: 0 on average for channels that share nothing, 1 for equal
            ones. NaN counts as 0.
        member: (C,) member of each channel.
        config: its `member_share`, `cohesion` and `min_similarity`; the defaults when not given.

    Returns:
        The channels of each group, ascending, the largest group first. The order in which channels are listed changes
        nothing, except where two similarities tie exactly.

    Example:
        Two fragments in three members; the seventh channel is like no other:

        >>> similarity = np.zeros((7, 7))
        >>> similarity[:3, :3] = similarity[3:6, 3:6] = 0.8
        >>> [group.tolist() for group in recurring_groups(similarity, np.array([0, 1, 2, 0, 1, 2, 0]))]
        [[0, 1, 2], [3, 4, 5]]
    """
    config = config or HotspotConfig()
    members, place = np.unique(member, return_inverse=True)
    span = required_members(len(members), config)
    if len(members) < span or len(similarity) < span:
        return []
    similarity = np.nan_to_num((similarity + similarity.T) / 2)
    across_members = place[:, None] != place[None, :]
    floor = max(config.min_similarity, CLEAR_OF_CHANCE * chance_spread(similarity, across_members))
    similarity = np.clip(similarity, 0.0, 1.0)
    groups = _cohesive_groups(similarity, across_members, place, span, floor, config.cohesion)
    groups = _separate(groups, similarity, across_members, floor)
    groups = [np.sort(group) for group in groups if len(np.unique(place[group])) >= span]
    return sorted(groups, key=lambda group: (-len(group), int(group[0])))


def required_members(n_members: int, config: HotspotConfig) -> int:
    """Return how many members a hotspot spans at least, of so many that are compared."""
    return max(FEWEST_MEMBERS, int(np.ceil(config.member_share * n_members - 1e-9)))


def chance_spread(similarity: FloatArray, across_members: BoolArray) -> float:
    """Estimate the standard deviation of the similarity of independent channels.

    Corrected similarities scatter around 0 where channels share nothing. What lies below 0 can only be scatter, so its
    root mean square estimates the spread, whatever the pairs that do share something look like.

    Args:
        similarity: (C, C), corrected for chance.
        across_members: (C, C) True where the two channels belong to different members.

    Returns:
        The standard deviation; 0 where too few pairs lie below zero to tell.
    """
    values = similarity[np.triu(across_members, 1)]
    negative = values[values < 0]
    return float(np.sqrt((negative**2).mean())) if len(negative) >= FEWEST_NEGATIVE else 0.0


@dataclass(frozen=True, eq=False)
class LinkageTree:
    """The tree of average linkage over C channels: nodes 0 … C−1 are the channels, the last node is the root.

    Args:
        leaves: (C,) channels in the order of the tree; every node is a run of it.
        start: (2C−1,) where the run of each node begins.
        end: (2C−1,) and where it ends.
        children: (C−1, 2) the halves of nodes C, C+1, …
        inside: (2C−1,) mean similarity of the pairs of different members in a node.
        between: (2C−1,) mean similarity of such pairs between its halves.
    """

    leaves: IntArray
    start: IntArray
    end: IntArray
    children: IntArray
    inside: FloatArray
    between: FloatArray

    def channels(self, node: int) -> IntArray:
        """Return the channels of a node."""
        return np.asarray(self.leaves[self.start[node] : self.end[node]])

    def halves(self, node: int) -> list[int]:
        """Return the two nodes that a node was joined from."""
        return [int(child) for child in self.children[node - len(self.leaves)]]


def linkage_tree(similarity: FloatArray, across_members: BoolArray) -> LinkageTree:
    """Join channels by average linkage, and sum up what the pairs of different members share in every node.

    Args:
        similarity: (C, C), symmetric, 0 to 1; C at least 2.
        across_members: (C, C) True where the two channels belong to different members.
    """
    from scipy.cluster.hierarchy import leaves_list, linkage
    from scipy.spatial.distance import squareform

    count = len(similarity)
    distance = 1.0 - similarity
    np.fill_diagonal(distance, 0.0)
    tree = linkage(squareform(distance, checks=False), "average")
    children = tree[:, :2].astype(np.int64)
    # In the order of the leaves every node is a contiguous run, and the pairs that its two halves share are a block:
    # all blocks together are the matrix once.
    leaves = leaves_list(tree).astype(np.int64)
    counted = across_members[np.ix_(leaves, leaves)]
    ordered = np.where(counted, similarity[np.ix_(leaves, leaves)], 0.0)
    start, end = np.zeros((2, 2 * count - 1), dtype=np.int64)
    start[leaves], end[leaves] = np.arange(count), np.arange(1, count + 1)
    total, pairs, between = np.zeros((3, 2 * count - 1))
    for node, (left, right) in enumerate(children, start=count):
        left, right = (left, right) if start[left] < start[right] else (right, left)
        start[node], end[node] = start[left], end[right]
        block = np.s_[start[left] : end[left], start[right] : end[right]]
        shared, number = ordered[block].sum(), np.count_nonzero(counted[block])
        total[node] = total[left] + total[right] + shared
        pairs[node] = pairs[left] + pairs[right] + number
        # Halves of one member are never held against a group: there is no pair that could part them.
        between[node] = shared / number if number else 1.0
    inside = np.divide(total, pairs, out=np.zeros_like(total), where=pairs > 0)
    return LinkageTree(leaves, start, end, children, inside, between)


def highest_inside(similarity: FloatArray, member: IntArray, config: HotspotConfig | None = None) -> float:
    """Return the mean similarity inside the closest-knit group of the tree that spans enough members.

    Of shuffled channels it is what the search for hotspots finds by chance, however many groups it looked at. The rule
    of hotspots, which takes pairs from 0 to 1, says which group that is; its mean is that of the pairs as they are.

    Args:
        similarity: (C, C) as `recurring_groups` takes it.
        member: (C,) member of each channel.
        config: its `member_share`; the defaults when not given.

    Returns:
        The mean; 0 where no group spans enough members.
    """
    place = np.unique(member, return_inverse=True)[1]
    span = required_members(int(place.max(initial=-1)) + 1, config or HotspotConfig())
    if len(similarity) < span:
        return 0.0
    by_rule = np.clip(np.nan_to_num((similarity + similarity.T) / 2), 0.0, 1.0)
    tree = linkage_tree(by_rule, place[:, None] != place[None, :])
    for node in np.argsort(-tree.inside, kind="stable"):
        group = tree.channels(node)
        if len(group) >= span and len(np.unique(place[group])) >= span:
            return mean_inside(similarity[np.ix_(group, group)], place[group])
    return 0.0


def mean_between_members(similarity: FloatArray, member: IntArray, group: IntArray) -> float:
    """Average the similarity of the pairs of different members in a group, as the rule of hotspots takes it.

    Args:
        similarity: (C, C), symmetric, 0 to 1.
        member: (C,) member of each channel.
        group: the channels of the group.

    Returns:
        0 to 1; 1 where there is no such pair.
    """
    counted = member[group][:, None] != member[group][None, :]
    return float(similarity[np.ix_(group, group)][counted].mean()) if counted.any() else 1.0


def _cohesive_groups(
    similarity: FloatArray, across_members: BoolArray, place: IntArray, span: int, floor: float, cohesion: float
) -> list[IntArray]:
    """Walk down the tree from its root and stop at the first nodes whose halves belong together."""
    tree = linkage_tree(similarity, across_members)
    groups: list[IntArray] = []
    open_nodes = [2 * len(similarity) - 2]
    while open_nodes:
        node = open_nodes.pop()
        channels = tree.channels(node)
        if len(np.unique(place[channels])) < span:
            continue
        left, right = tree.halves(node)
        if tree.inside[node] > floor and tree.between[node] >= cohesion * max(tree.inside[[left, right]]):
            groups.append(channels)
        else:
            open_nodes += [left, right]
    return groups


def _separate(
    groups: list[IntArray], similarity: FloatArray, across_members: BoolArray, floor: float
) -> list[IntArray]:
    """Take channels out until every pair inside a group shares more than the group does with any other.

    The worst violation is mended first, wherever it is, so that the order of the groups does not matter. What a group
    shares with another below the floor is chance, and parts nothing.
    """
    member_of = np.zeros((len(similarity), len(groups)))  # (C, G), 1 where the channel is in the group
    for g, group in enumerate(groups):
        member_of[group, g] = 1.0
    to_group = similarity @ member_of  # (C, G) summed similarity of each channel to each group
    weakest = {g: _weakest_pair(group, similarity, across_members) for g, group in enumerate(groups)}
    while weakest:
        sizes = np.maximum(member_of.sum(axis=0), 1.0)
        between = (member_of.T @ to_group) / np.outer(sizes, sizes)
        np.fill_diagonal(between, 0.0)
        beside = between.max(axis=1, initial=0.0)
        excess = {g: beside[g] - least for g, (least, _) in weakest.items() if beside[g] > floor / 2}
        worst = max(excess, key=lambda g: excess[g], default=None)
        if worst is None or excess[worst] < 0:
            break
        channel = weakest[worst][1]
        member_of[channel, worst] = 0.0
        to_group[:, worst] -= similarity[:, channel]
        remaining = np.flatnonzero(member_of[:, worst])
        weakest[worst] = _weakest_pair(remaining, similarity, across_members)
    return [np.flatnonzero(column).astype(np.int64) for column in member_of.T]


def _weakest_pair(group: IntArray, similarity: FloatArray, across_members: BoolArray) -> tuple[float, int]:
    """Return the least similarity in a group, and that one of the two channels which shares less with the rest."""
    square = np.ix_(group, group)
    inside = np.where(across_members[square], similarity[square], np.nan)
    if np.isnan(inside).all():
        return np.inf, -1
    one, other = np.unravel_index(np.nanargmin(inside), inside.shape)
    sums = np.nansum(inside[[one, other]], axis=1)
    return float(inside[one, other]), int(group[one if sums[0] < sums[1] else other])
