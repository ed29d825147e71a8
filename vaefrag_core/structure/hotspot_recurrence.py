"""How likely a hotspot is to come back in a new member: each member in turn is held out, and asked whether it holds it.

The hotspots are looked for among the other members, and a member that had no say in finding one is a fair trial of it.
Of more than twenty members, several are held out at a time.
"""

from collections.abc import Sequence

import numpy as np

from vaefrag_core.array_types import FloatArray, IntArray
from vaefrag_core.artifacts import ChannelMatrix, Hotspots, Recurrence
from vaefrag_core.config import HotspotConfig
from vaefrag_core.structure.hotspot_groups import mean_between_members, recurring_groups
from vaefrag_core.structure.hotspots import comparable_channels

SAME = 0.5  # Jaccard index from which on a group found without a member is taken for the hotspot
FOLDS = 20  # groups in which members are held out at most: one by one up to 20 members


def hotspot_recurrence(matrix: ChannelMatrix, hotspots: Hotspots, config: HotspotConfig) -> Recurrence:
    """Hold out each member of an analysis in turn; see `member_recurrence`.

    Args:
        matrix: of C channels.
        hotspots: G hotspots, found in the matrix.
        config: how they were found.
    """
    in_matrix = np.zeros(matrix.n_channels, dtype=np.int64)
    live = comparable_channels(matrix, config)
    in_matrix[live] = np.arange(len(live))
    groups = [in_matrix[np.array(group.channels)] for group in hotspots.groups]
    return member_recurrence(matrix.corrected_similarity(config.measure, live), matrix.member[live], groups, config)


def member_recurrence(
    similarity: FloatArray, member: IntArray, groups: Sequence[IntArray], config: HotspotConfig | None = None
) -> Recurrence:
    """Hold out members in turn, and look whether they hold the hotspots that the others show.

    A member holds a hotspot when one of its channels is more like this one than like any other, and shares with its
    channels, on average, as large a part of what they share among themselves as the rule asks of two halves that belong
    together.

    Args:
        similarity: (C, C), symmetric, corrected for chance, as `recurring_groups` takes it.
        member: (C,) member of each channel.
        groups: the channels of each of G hotspots, as `recurring_groups` found them among all members.
        config: the one that it used.

    Returns:
        For every hotspot and member whether it holds it. Where the others alone do not show the hotspot, the hotspot
        without the member's channels stands in.
    """
    config = config or HotspotConfig()
    similarity = np.clip(np.nan_to_num((similarity + similarity.T) / 2), 0.0, 1.0)
    members = np.unique(member)
    holds = np.zeros((len(groups), len(members)), dtype=bool)
    for fold in range(min(FOLDS, len(members))):
        held_out = members[fold::FOLDS]
        others, own = np.flatnonzero(~np.isin(member, held_out)), np.flatnonzero(np.isin(member, held_out))
        found_without = recurring_groups(similarity[np.ix_(others, others)], member[others], config)
        candidates = [others[group] for group in found_without]
        to_groups = np.zeros((len(own), len(groups)))  # mean similarity of each channel held out
        inside = np.full(len(groups), np.inf)
        for row, group in enumerate(groups):
            remaining = np.setdiff1d(group, own)
            reference = max(candidates, key=lambda candidate: _jaccard(candidate, remaining), default=remaining)
            if _jaccard(reference, remaining) < SAME:
                reference = remaining
            if not len(reference):
                continue  # all of it is held out: nothing is left to belong to
            inside[row] = mean_between_members(similarity, member, reference)
            to_groups[:, row] = similarity[np.ix_(own, reference)].mean(axis=1)
        # A channel belongs to the hotspot it is most like, and to no other: neighbouring hotspots share something too.
        for channel, row in enumerate(to_groups.argmax(axis=1) if len(groups) else ()):
            column = np.searchsorted(members, member[own[channel]])
            holds[row, column] |= to_groups[channel, row] >= config.cohesion * inside[row]
    return Recurrence(members.astype(np.int64), holds)


def _jaccard(one: IntArray, other: IntArray) -> float:
    common = len(np.intersect1d(one, other, assume_unique=True))
    return common / max(len(one) + len(other) - common, 1)
