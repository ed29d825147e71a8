"""Which channel to add to a set next, sets grown greedily, and what whole members tell beside a set."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vaefrag_core.array_types import BoolArray, FloatArray, IntArray
from vaefrag_core.artifacts import Posteriors
from vaefrag_core.config import HotspotConfig
from vaefrag_core.errors import InvalidInputError
from vaefrag_core.measures.channel_states import dead_channels
from vaefrag_core.structure.label_factors import labels_of
from vaefrag_core.synthesis.carried_share import MemberRows, carried_share, member_rows
from vaefrag_core.synthesis.channel_pool import validate_channels
from vaefrag_core.synthesis.coefficient_blocks import CoefficientBlocks
from vaefrag_core.synthesis.greedy import extended_bits, greedy_order, kept_blocks, prefix_bits, space_bits

MIN_BITS = HotspotConfig().min_bits


@dataclass(frozen=True, eq=False)
class Additions:
    """Channels ranked by what a set gains from each.

    Args:
        channels: (A,) flat indices, the best first; without those of the set and the dead.
        gain_bits: (A,) gain in joint information; in I(U_joint; label) when ranked by a label.
        joint_bits: (A,) information of the set with the channel.
        label_bits: (A,) I(U_joint; label) of the set with the channel; empty without a label.
    """

    channels: IntArray
    gain_bits: FloatArray
    joint_bits: FloatArray
    label_bits: FloatArray


@dataclass(frozen=True, eq=False)
class GreedySelection:
    """A set grown greedily, beside random sets.

    Args:
        channels: flat indices of the channels added, in order; without those of the start.
        bits: (k,) information of the set channel by channel, the start included: bits[j] belongs to j + 1 channels.
        random_bits: (draws, k) the same of random sets of live channels; as long as there are channels for.
    """

    channels: tuple[int, ...]
    bits: FloatArray
    random_bits: FloatArray


@dataclass(frozen=True, eq=False)
class MemberInformation:
    """What the whole latent space of every member tells, and what it shares with a set.

    What is shared is worked out on all images where these and the channels are few, and on some otherwise.

    Args:
        bits: (M,) I(X;U) of all channels of a member; I(U;label) when compared with a label.
        shared_bits: (M,) I(U_set; U_member); empty without a set.
        chance_bits: (M,) the same with the images of the set shuffled: what independent spaces show; empty
            without a set.
        carried: (M,) share of what a member tells that the set tells above chance: 0 on average of independent spaces,
            1 of a set that holds the member. NaN where the images are too few to tell, and of a member that tells
            nothing; empty without a set.
        carried_left_out: (M, B) the same without each of some blocks of images; empty without a set.
    """

    bits: FloatArray
    shared_bits: FloatArray
    chance_bits: FloatArray
    carried: FloatArray
    carried_left_out: FloatArray

    @property
    def carried_mean(self) -> float:
        """The mean of `carried` over the members of which it can be told; NaN of none."""
        return float(self.carried[self._told].mean()) if self._told.any() else math.nan

    @property
    def carried_error(self) -> float:
        """Standard error of the mean over images, by the jackknife; NaN where nothing can be told."""
        if not self._told.any():
            return math.nan
        left_out = self.carried_left_out[self._told].mean(axis=0)
        count = len(left_out)
        return float(np.sqrt((count - 1) / count * np.square(left_out - left_out.mean()).sum()))

    @property
    def _told(self) -> BoolArray:
        return np.isfinite(self.carried) & np.isfinite(self.carried_left_out).all(axis=1)


def rank_additions(
    posteriors: Posteriors,
    channels: Sequence[int],
    *,
    label: str | None = None,
    min_bits: float | FloatArray = MIN_BITS,
    information_bits: FloatArray | None = None,
) -> Additions:
    """Rank all live channels by what a set gains from each.

    Args:
        posteriors: C channels on N images.
        channels: flat indices of the set; () ranks channels alone.
        label: name of a label, to rank by the gain in what the set tells about it; otherwise by joint bits.
        min_bits: below, a channel is dead and is left out; one number, or (C,) where thresholds differ.
        information_bits: (C,) information of each channel alone, where it is at hand; computed otherwise.

    Raises:
        InvalidInputError: for what is no channel or label, and a channel named twice.
    """
    selection, codes = validate_channels(posteriors, channels, allow_empty=True), label_codes(posteriors, label)
    coefficients = CoefficientBlocks(*posteriors.flat())
    candidates = [c for c in live_bits(coefficients, min_bits, information_bits) if c not in selection]
    before = prefix_bits(coefficients, [selection], codes)[0][-1, -1] if selection else 0.0
    extended = extended_bits(coefficients, selection, candidates, codes)
    gain = extended[:, -1] - before
    order = np.argsort(-gain, kind="stable")  # of equals, the one of the smaller index first
    return Additions(
        channels=np.array(candidates, dtype=np.int64)[order],
        gain_bits=gain[order],
        joint_bits=extended[order, 0],
        label_bits=extended[order, 1] if label is not None else np.zeros(0),
    )


def select_greedily(
    posteriors: Posteriors,
    size: int,
    *,
    start: Sequence[int] = (),
    label: str | None = None,
    min_bits: float | FloatArray = MIN_BITS,
    information_bits: FloatArray | None = None,
    draws: int = 20,
    seed: int = 0,
) -> GreedySelection:
    """Grow a set by the best channel again and again, beside random sets of the same sizes.

    Args:
        posteriors: C channels on N images.
        size: channels of the whole set, the start included.
        start: flat indices to begin with.
        label: name of a label, to grow by what is told about it; otherwise by joint bits.
        min_bits: below, a channel is dead and is not taken; one number, or (C,) where thresholds differ.
        information_bits: (C,) information of each channel alone, where it is at hand; computed otherwise.
        draws: number of random sets.
        seed: of the random sets.

    Raises:
        InvalidInputError: for a size below 1 or below that of the start, and what is no channel or label.
    """
    selection, codes = validate_channels(posteriors, start, allow_empty=True), label_codes(posteriors, label)
    if size < max(1, len(selection)):
        raise InvalidInputError(f"Expected a size of at least {max(1, len(selection))}, got {size}.")
    coefficients = kept_blocks(*posteriors.flat())
    candidates = live_bits(coefficients, min_bits, information_bits)
    if not candidates and not selection:
        raise InvalidInputError("No channel is live, so there is none to choose. Train with a smaller β or more steps.")
    added = greedy_order(coefficients, selection, candidates, size - len(selection), codes)
    whole = [*selection, *added]
    rng = np.random.default_rng(seed)
    random_sets = [rng.permutation(list(candidates))[: len(whole)].tolist() for _ in range(draws)]
    curves = [curve[:, -1] for curve in prefix_bits(coefficients, [whole, *random_sets], codes)]
    length = min(map(len, curves))  # a start of dead channels makes the set larger than there are live ones
    return GreedySelection(tuple(added), curves[0], np.array([curve[:length] for curve in curves[1:]]))


def member_information(
    posteriors: Posteriors,
    channels: Sequence[int] = (),
    *,
    label: str | None = None,
    min_bits: float | FloatArray = 0.0,
    information_bits: FloatArray | None = None,
    members: MemberRows | None = None,
) -> MemberInformation:
    """Return what each member's whole space tells, and how much of it a set carries.

    Args:
        posteriors: M members.
        channels: flat indices of a set; with none, nothing is shared.
        label: name of a label, to return what is told about it.
        min_bits: channels that tell less, one number or (C,), are left out: they take time and change nothing that is
            seen.
        information_bits: (C,) information of each channel alone; needed to leave some out.
        members: what `own_member_rows` returns for the same; worked out where it is needed and not given.

    Raises:
        InvalidInputError: for what is no channel or label, and a channel named twice.
    """
    selection, codes = validate_channels(posteriors, channels, allow_empty=True), label_codes(posteriors, label)
    spaces, flat = _spaces(posteriors, min_bits, information_bits), posteriors.flat()
    if not selection:
        bits, _ = space_bits(CoefficientBlocks(*flat), spaces, selection, codes)
        none = np.zeros(0)
        return MemberInformation(bits[:, -1], none, none, none, np.zeros((0, 0)))
    if members is None:
        members = own_member_rows(posteriors, min_bits=min_bits, information_bits=information_bits)
    bits = members.bits
    if label is not None:
        bits = space_bits(CoefficientBlocks(*flat), spaces, (), codes)[0][:, 1]
    shared = carried_share(flat, spaces, selection, members, posteriors.image_copies, posteriors.input_entropy_bits)
    return MemberInformation(bits, shared.shared_bits, shared.chance_bits, shared.shares, shared.shares_left_out.T)


def own_member_rows(
    posteriors: Posteriors, *, min_bits: float | FloatArray = 0.0, information_bits: FloatArray | None = None
) -> MemberRows:
    """Return what members have of their own, which no set changes.

    Args:
        posteriors: M members.
        min_bits: as of `member_information`.
        information_bits: as of `member_information`.
    """
    spaces = _spaces(posteriors, min_bits, information_bits)
    return member_rows(posteriors.flat(), spaces, posteriors.image_copies)


def _spaces(
    posteriors: Posteriors, min_bits: float | FloatArray, information_bits: FloatArray | None
) -> list[list[int]]:
    """Return the flat indices of each member's channels, dead ones left out where their bits are known."""
    ends = np.cumsum(posteriors.channels_of_member)
    spaces = [list(range(end - width, end)) for end, width in zip(ends, posteriors.channels_of_member, strict=True)]
    if information_bits is None:
        return spaces
    live = ~dead_channels(information_bits, min_bits)
    return [[c for c in space if live[c]] for space in spaces]


def live_bits(
    coefficients: CoefficientBlocks, min_bits: float | FloatArray, information_bits: FloatArray | None
) -> dict[int, float]:
    """Return the channels that are not dead, with the bits of each alone."""
    bits = information_bits
    if bits is None:
        bits = extended_bits(coefficients, (), range(coefficients.shape[0]))[:, 0]
    return {int(c): float(bits[c]) for c in np.flatnonzero(~dead_channels(bits, min_bits))}


def label_codes(posteriors: Posteriors, label: str | None) -> IntArray | None:
    """Return the numbered values of a label, (N,); None without one."""
    if label is None:
        return None
    names = posteriors.label_names
    if label not in names:
        raise InvalidInputError(f"There is no label {label[:40]!r}: there is {', '.join(names) or 'none'}.")
    column = labels_of(posteriors)[names.index(label)]
    if column.identifier:
        raise InvalidInputError(f"Label {label} {column.names_images}: rank by another label, or by bits.")
    if column.labelled.sum() < 2:
        raise InvalidInputError(
            f"Label {label} is known of {column.labelled.sum()} of {posteriors.n_images:,} images: it takes two to tell"
            " anything apart. Rank by another label, or by bits."
        )
    return column.codes
