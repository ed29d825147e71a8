"""Which run to publish: what each member holds of the hotspots, which one stands for all, and which ones stand apart.

Everything is read from a stored analysis: similarity of channels, hotspots, and what members held out showed.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from vaefrag_core.array_types import BoolArray, FloatArray, IntArray
from vaefrag_core.artifacts import ChannelMatrix, Hotspots
from vaefrag_core.config import HotspotConfig
from vaefrag_core.structure.hotspots import comparable_channels
from vaefrag_core.structure.member_outliers import member_outliers

NEAREST_COPIES = 3  # channels of other members that are listed for each channel
ChannelState = Literal["in a hotspot", "in none", "dead", "saturated", "diverged"]


@dataclass(frozen=True)
class MemberRecord:
    """What a member holds.

    Args:
        member: its number.
        held: numbers of the hotspots that it holds, as the other members show them.
        lacking: numbers of those that it does not.
        agreement: mean corrected NMI of its channels with the channels of other members in the hotspots that it holds,
            by its best channel in each; NaN where it holds none.
        medoid_nmi: mean corrected NMI of these channels with the medoids, those hotspots aside whose medoid is its own;
            NaN where none is left.
        vi_bits: mean VI of these channels with the channels of other members in the hotspots, bits.
        live_channels: channels that are not dead.
        sum_bits: the sum of their information, bits.
        p_value: how often a member of no special standing shares as little; 1 where it cannot be told.
        outlier: whether it shares clearly and significantly less with the hotspots than the others do.
        diverged: whether its training diverged: its channels are compared with nothing, and it is no outlier.
    """

    member: int
    held: tuple[int, ...]
    lacking: tuple[int, ...]
    agreement: float
    medoid_nmi: float
    vi_bits: float
    live_channels: int
    sum_bits: float
    p_value: float
    outlier: bool
    diverged: bool


@dataclass(frozen=True)
class ChannelRecord:
    """Where a channel belongs.

    Args:
        channel: its flat index.
        hotspot: number of its hotspot; None when it is in none.
        state: why it is in none, if so.
        copies: flat indices of the channels of other members that are most like it, each of another member, the most
            alike first.
        copies_nmi: corrected NMI with them.
    """

    channel: int
    hotspot: int | None
    state: ChannelState
    copies: tuple[int, ...]
    copies_nmi: tuple[float, ...]


@dataclass(frozen=True)
class Certificate:
    """What an ensemble's runs repeat, and which one to publish.

    Args:
        members: a record of each member.
        channels: a record of each channel, by flat index.
        consensus: number of the member that stands best for the ensemble; None where there is no hotspot.
        testable: whether there are enough hotspots and members to tell an outlier at all.
    """

    members: tuple[MemberRecord, ...]
    channels: tuple[ChannelRecord, ...]
    consensus: int | None
    testable: bool

    @property
    def outliers(self) -> tuple[int, ...]:
        """Numbers of the members that share significantly less than the others."""
        return tuple(record.member for record in self.members if record.outlier)


def certify(matrix: ChannelMatrix, hotspots: Hotspots, config: HotspotConfig) -> Certificate:
    """Say what each member holds of the hotspots, and which member stands best for the ensemble.

    The consensus member is the one that holds the most hotspots, outliers aside; among equals the one whose channels
    are most like the other members' in the same hotspots, by mean corrected NMI, and then by mean VI.

    Args:
        matrix: of C channels of M members.
        hotspots: found in it.
        config: how they were found.

    Example:
        >>> from vaefrag_core.structure.hotspots import find_hotspots
        >>> nmi = np.kron(np.eye(2), np.full((3, 3), 0.9)) + 0.01
        >>> np.fill_diagonal(nmi, 1.0)
        >>> names = np.array([(m, d) for d in range(2) for m in range(3)])
        >>> matrix = ChannelMatrix(names, np.ones(6), np.ones(6), nmi, 1 - nmi, n_images=100)
        >>> certify(matrix, find_hotspots(matrix), HotspotConfig()).members[1].held
        (0, 1)
    """
    live = comparable_channels(matrix, config)
    # Where chance was not worked out, NMI is taken as it is; see `corrected_similarity`.
    nmi = np.nan_to_num(matrix.corrected_similarity("nmi", live))
    members = np.unique(matrix.member)
    shared, best = _shared_with_hotspots(nmi, live, matrix, hotspots, members)
    # Below the least similarity of a hotspot lies chance, which differs with the number of a member's channels.
    tried = np.flatnonzero(~np.isin(members, matrix.diverged))
    test = member_outliers(np.where(shared > config.min_similarity, shared, 0.0)[tried], config.cohesion)
    p_values, outlier = np.ones(len(members)), np.zeros(len(members), dtype=bool)
    p_values[tried], outlier[tried] = test.p_values, test.outlier
    holds = _holds(matrix, hotspots, members)
    position = np.full(matrix.n_channels, -1)
    position[live] = np.arange(len(live))
    records = []
    for row, member in enumerate(members):
        held = np.flatnonzero(holds[:, row])
        own_live = (matrix.member == member) & ~hotspots.dead
        records.append(
            MemberRecord(
                member=int(member),
                held=tuple(held.tolist()),
                lacking=tuple(np.flatnonzero(~holds[:, row]).tolist()),
                agreement=_mean(shared[row, held]),
                medoid_nmi=_mean(_with_medoids(nmi, position, best[row, held], held, int(member), matrix, hotspots)),
                vi_bits=_mean(_vi_with_others(best[row, held], held, int(member), matrix, hotspots)),
                live_channels=int(own_live.sum()),
                sum_bits=float(matrix.information_bits[own_live].sum()),
                p_value=float(p_values[row]),
                outlier=bool(outlier[row]),
                diverged=int(member) in matrix.diverged,
            )
        )
    return Certificate(
        members=tuple(records),
        channels=_channel_records(nmi, live, matrix, hotspots),
        consensus=_consensus(records),
        testable=test.testable,
    )


def _shared_with_hotspots(
    nmi: FloatArray, live: IntArray, matrix: ChannelMatrix, hotspots: Hotspots, members: IntArray
) -> tuple[FloatArray, IntArray]:
    """Return what each member's best channel shares with the other members' channels of each hotspot, and which it is.

    Returns:
        (M, G) mean corrected NMI, 0 at least, and flat indices; −1 of a member without a live channel.
    """
    labels, member = hotspots.labels[live], matrix.member[live]
    shared = np.zeros((len(members), len(hotspots.groups)))
    best = np.full(shared.shape, -1, dtype=np.int64)
    for row, number in enumerate(members):
        own = np.flatnonzero(member == number)
        if not len(own):
            continue
        for group in range(len(hotspots.groups)):
            others = np.flatnonzero((labels == group) & (member != number))
            if not len(others):
                continue
            with_others = nmi[np.ix_(own, others)].mean(axis=1)
            shared[row, group] = max(float(with_others.max()), 0.0)
            best[row, group] = live[own[with_others.argmax()]]
    return shared, best


def _holds(matrix: ChannelMatrix, hotspots: Hotspots, members: IntArray) -> BoolArray:
    """Return which members hold each hotspot, (G, M): as the others show it; in earlier results, by their channels."""
    recurrence = hotspots.recurrence
    holds = np.zeros((len(hotspots.groups), len(members)), dtype=bool)
    if recurrence is not None:  # members without a live channel were not asked
        holds[:, np.searchsorted(members, recurrence.members)] = recurrence.holds
        return holds
    for group in hotspots.groups:
        holds[group.number] = np.isin(members, matrix.member[list(group.channels)])
    return holds


def _with_medoids(
    nmi: FloatArray,
    position: IntArray,
    channels: IntArray,
    held: IntArray,
    member: int,
    matrix: ChannelMatrix,
    hotspots: Hotspots,
) -> FloatArray:
    medoids = np.array([hotspots.groups[group].medoid for group in held], dtype=np.int64)
    counts = (channels >= 0) & (matrix.member[medoids] != member) & (position[medoids] >= 0)
    return np.asarray(nmi[position[channels[counts]], position[medoids[counts]]])


def _vi_with_others(
    channels: IntArray, held: IntArray, member: int, matrix: ChannelMatrix, hotspots: Hotspots
) -> FloatArray:
    values = []
    for channel, group in zip(channels, held, strict=True):
        others = [c for c in hotspots.groups[group].channels if matrix.member[c] != member]
        if channel >= 0 and others:
            values.append(float(np.asarray(matrix.vi_bits[channel])[others].mean()))
    return np.array(values)


def _consensus(records: list[MemberRecord]) -> int | None:
    candidates = [record for record in records if record.held and not record.outlier]
    if not candidates:
        return None

    def rank(record: MemberRecord) -> tuple[float, ...]:
        return (-len(record.held), -np.nan_to_num(record.agreement), np.nan_to_num(record.vi_bits), record.member)

    return min(candidates, key=rank).member


def _channel_records(
    nmi: FloatArray, live: IntArray, matrix: ChannelMatrix, hotspots: Hotspots
) -> tuple[ChannelRecord, ...]:
    member = matrix.member[live]
    row_of = {int(channel): row for row, channel in enumerate(live)}
    saturated = matrix.saturated
    records = []
    for channel in range(matrix.n_channels):
        row, number = row_of.get(channel), int(hotspots.labels[channel])
        state: ChannelState = "in none" if number < 0 else "in a hotspot"
        copies: list[int] = []
        if row is None and hotspots.dead[channel]:
            state = "dead"
        elif row is None:
            state = "saturated" if saturated[channel] else "diverged"
        else:
            copies = _nearest_of_members(nmi[row], member, int(member[row]))
        records.append(
            ChannelRecord(
                channel=channel,
                hotspot=number if number >= 0 else None,
                state=state,
                copies=tuple(int(live[c]) for c in copies),
                copies_nmi=tuple(float(nmi[row, c]) for c in copies),
            )
        )
    return tuple(records)


def _nearest_of_members(nmi: FloatArray, member: IntArray, own: int) -> list[int]:
    """Return the most similar channel of each of the members that come nearest, the most similar first."""
    nearest: list[int] = []
    seen = {own}
    for candidate in np.argsort(-nmi, kind="stable"):
        if int(member[candidate]) in seen:
            continue
        seen.add(int(member[candidate]))
        nearest.append(int(candidate))
        if len(nearest) == NEAREST_COPIES:
            break
    return nearest


def _mean(values: FloatArray) -> float:
    return float(values.mean()) if len(values) else float("nan")
