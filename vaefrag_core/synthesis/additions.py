"""Which channel to add next, how a set grows, and how it stands beside chance and whole members."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vaefrag_core.array_types import FloatArray, IntArray
from vaefrag_core.artifacts import Posteriors
from vaefrag_core.config import HotspotConfig
from vaefrag_core.errors import InvalidInputError
from vaefrag_core.synthesis.channel_pool import checked, label_codes
from vaefrag_core.synthesis.coefficient_blocks import CoefficientBlocks
from vaefrag_core.synthesis.greedy import added_bits, greedy_order, prefix_bits, space_bits

MIN_BITS = HotspotConfig().min_bits


@dataclass(frozen=True, eq=False)
class Additions:
    """Channels ranked by what a set gains from each.

    Args:
        channels: (A,) flat indices, the best first; without those of the set and the dead.
        gain_bits: (A,) in joint information; in I(U_joint; label) when a label was given.
        joint_bits: (A,) of the set with the channel.
        label_bits: (A,) I(U_joint; label) of the set with the channel; empty without a label.
    """

    channels: IntArray
    gain_bits: FloatArray
    joint_bits: FloatArray
    label_bits: FloatArray


@dataclass(frozen=True, eq=False)
class Growth:
    """A set grown greedily, beside random ones.

    Args:
        channels: flat indices in the order in which they were added, after those of the start.
        bits: (k,) of the start and the channels added: bits[j] belongs to j + 1 channels in all.
        random_bits: (draws, k) the same of random sets of live channels.
    """

    channels: tuple[int, ...]
    bits: FloatArray
    random_bits: FloatArray


@dataclass(frozen=True, eq=False)
class MemberSpaces:
    """The whole latent space of every member beside a set.

    Args:
        bits: (M,) I(X;U) of all channels of a member; I(U;label) when a label was given.
        shared_bits: (M,) I(U_set; U_member); empty when no set was given.
    """

    bits: FloatArray
    shared_bits: FloatArray


def rank_additions(
    posteriors: Posteriors,
    channels: Sequence[int],
    *,
    label: str | None = None,
    min_bits: float = MIN_BITS,
    information_bits: FloatArray | None = None,
) -> Additions:
    """Rank all live channels by what a set gains from each.

    Args:
        posteriors: of C channels on N images.
        channels: flat indices of the set; () ranks channels alone.
        label: name of a label: rank by the gain in what the set tells about it. Otherwise by joint bits.
        min_bits: below, a channel is dead and is left out.
        information_bits: (C,) of each channel alone, where known already; worked out otherwise.

    Raises:
        InvalidInputError: for what is no channel or label, and a channel named twice.
    """
    chosen, codes = checked(posteriors, channels, empty=True), _codes(posteriors, label)
    overlaps = CoefficientBlocks(*posteriors.flat())
    candidates = [c for c in _live(overlaps, min_bits, information_bits) if c not in chosen]
    before = prefix_bits(overlaps, [chosen], codes)[0][-1, -1] if chosen else 0.0
    found = added_bits(overlaps, chosen, candidates, codes)
    gain = found[:, -1] - before
    order = np.argsort(-gain, kind="stable")
    return Additions(
        channels=np.array(candidates, dtype=np.int64)[order],
        gain_bits=gain[order],
        joint_bits=found[order, 0],
        label_bits=found[order, 1] if label is not None else np.zeros(0),
    )


def grow(
    posteriors: Posteriors,
    size: int,
    *,
    start: Sequence[int] = (),
    label: str | None = None,
    min_bits: float = MIN_BITS,
    information_bits: FloatArray | None = None,
    draws: int = 20,
    seed: int = 0,
) -> Growth:
    """Add the best channel again and again, and set random sets of the same sizes beside it.

    Args:
        posteriors: of C channels on N images.
        size: of the whole set, the start included.
        start: flat indices to begin with.
        label: name of a label, to grow by what is told about it; otherwise by joint bits.
        min_bits: below, a channel is dead and is not taken.
        information_bits: (C,) of each channel alone, where known already; worked out otherwise.
        draws: random sets.
        seed: of their channels.

    Raises:
        InvalidInputError: for a size below 1 or below that of the start, and what is no channel or label.
    """
    chosen, codes = checked(posteriors, start, empty=True), _codes(posteriors, label)
    if size < max(1, len(chosen)):
        raise InvalidInputError(f"Expected a size of at least {max(1, len(chosen))}, got {size}.")
    overlaps = CoefficientBlocks(*posteriors.flat())
    candidates = _live(overlaps, min_bits, information_bits)
    if not candidates and not chosen:
        raise InvalidInputError("No channel is live, so there is none to choose. Train with a smaller β or more steps.")
    added = greedy_order(overlaps, chosen, candidates, size - len(chosen), codes)
    whole = [*chosen, *added]
    rng = np.random.default_rng(seed)
    randoms = [rng.permutation(list(candidates))[: len(whole)].tolist() for _ in range(draws)]
    curves = [curve[:, -1] for curve in prefix_bits(overlaps, [whole, *randoms], codes)]
    length = min(map(len, curves))
    return Growth(tuple(added), curves[0], np.array([curve[:length] for curve in curves[1:]]))


def member_spaces(
    posteriors: Posteriors,
    channels: Sequence[int] = (),
    *,
    label: str | None = None,
    min_bits: float = 0.0,
    information_bits: FloatArray | None = None,
) -> MemberSpaces:
    """Give what each member's whole space tells, and how much of it a set carries.

    Args:
        posteriors: of M members.
        channels: flat indices of a set; with none, nothing is shared.
        label: name of a label, to give what is told about it.
        min_bits: channels that tell less are left out: they take time and change nothing that is seen.
        information_bits: (C,) of each channel alone; needed to leave some out.

    Raises:
        InvalidInputError: for what is no channel or label, and a channel named twice.
    """
    chosen, codes = checked(posteriors, channels, empty=True), _codes(posteriors, label)
    ends = np.cumsum(posteriors.channels_of_member)
    spaces = [list(range(end - width, end)) for end, width in zip(ends, posteriors.channels_of_member, strict=True)]
    if information_bits is not None:
        spaces = [[c for c in space if information_bits[c] >= min_bits] for space in spaces]
    overlaps = CoefficientBlocks(*posteriors.flat())
    bits, joint = space_bits(overlaps, spaces, chosen, codes)
    if not chosen:
        return MemberSpaces(bits[:, -1], np.zeros(0))
    own = prefix_bits(overlaps, [chosen])[0][-1, 0]
    return MemberSpaces(bits[:, -1], bits[:, 0] + own - joint)


def _live(overlaps: CoefficientBlocks, min_bits: float, information_bits: FloatArray | None) -> dict[int, float]:
    """Give the channels that tell enough, with what each tells alone."""
    known = added_bits(overlaps, (), range(overlaps.shape[0]))[:, 0] if information_bits is None else information_bits
    return {int(c): float(known[c]) for c in np.flatnonzero(known >= min_bits)}


def _codes(posteriors: Posteriors, label: str | None) -> IntArray | None:
    if label is None:
        return None
    names = tuple(posteriors.label_names or ())
    if label not in names:
        raise InvalidInputError(f"There is no label {label[:40]!r}: there is {', '.join(names) or 'none'}.")
    return np.asarray(label_codes(posteriors)[names.index(label)])
