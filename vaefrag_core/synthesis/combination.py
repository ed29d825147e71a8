"""What channels tell together, whichever members and ensembles they come from.

A set of channels is a space: its distances are the sums of its channels' distances, so that its coefficients are their
products. Everything here is computed with arrays alone, fast enough for a page to ask at every click.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vaefrag_core.array_types import FloatArray, IntArray
from vaefrag_core.artifacts import Posteriors
from vaefrag_core.artifacts.image_copies import ceiling_name, entropy_bits
from vaefrag_core.config import HotspotConfig
from vaefrag_core.errors import InvalidInputError
from vaefrag_core.measures.channel_states import dead_channels
from vaefrag_core.measures.information_terms import (
    nmi_from_terms,
    own_bits_floor,
    shared_bits_from_terms,
    vi_from_terms,
)
from vaefrag_core.structure.label_factors import codes_by_images, label_entropy_bits, labels_of
from vaefrag_core.synthesis.additions import (
    Additions,
    GreedySelection,
    MemberInformation,
    member_information,
    own_member_rows,
    rank_additions,
    select_greedily,
)
from vaefrag_core.synthesis.channel_pool import channel_text, validate_channels
from vaefrag_core.synthesis.coefficient_blocks import CoefficientBlocks
from vaefrag_core.synthesis.greedy import prefix_bits
from vaefrag_core.synthesis.set_chance import (
    Channels,
    repeated_bits,
    repeated_label_bits,
    set_bits_above_chance,
    shuffled_joint_bits,
    shuffled_labels,
)
from vaefrag_core.synthesis.subset_information import SubsetLogSums, shapley_shares, subset_log_sums

__all__ = [
    "Additions",
    "Combination",
    "GreedySelection",
    "MemberInformation",
    "combine",
    "joint_information",
    "member_information",
    "own_member_rows",
    "rank_additions",
    "select_greedily",
]

NEAR_CEILING = 0.9  # of the ceiling: beyond it, the images are too few to show how much more there is
MIN_BITS = HotspotConfig().min_bits


@dataclass(frozen=True, eq=False)
class Combination:
    """What a set of k channels tells, and each channel's share of it.

    Args:
        channels: flat indices.
        n_images: N.
        joint_bits: I(X;U1..Uk).
        single_bits: (k,) I(X;U) of each channel.
        marginal_bits: (k,) what the set would lose without each channel: the joint less the joint of the others.
        shapley_bits: (k,) each channel's gain, averaged over all orders of putting the set together; they sum to the
            joint. None for more than 12 channels.
        label_names: F names.
        label_bits: (F,) entropy of each label on the sample.
        label_shared_bits: (F,) I(U_joint; label).
        label_chance_bits: (F,) the same with the images of the label shuffled.
        label_nmi: (F,) NMI of the joint space with each label; NaN where undefined.
        label_corrected_nmi: (F,) NMI counted from the level of chance: 0 on average of what is told of a label that
            nobody knows. NaN where the images are too few to tell.
        label_vi_bits: (F,) VI.
        ceiling_bits: H(X), log2 N where no image is a copy: no set can tell the images apart by more.
        joint_by_chance_bits: what channels of the same information would tell together that share nothing.
    """

    channels: tuple[int, ...]
    n_images: int
    joint_bits: float
    single_bits: FloatArray
    marginal_bits: FloatArray
    shapley_bits: FloatArray | None
    label_names: tuple[str, ...]
    label_bits: FloatArray
    label_shared_bits: FloatArray
    label_chance_bits: FloatArray
    label_nmi: FloatArray
    label_corrected_nmi: FloatArray
    label_vi_bits: FloatArray
    ceiling_bits: float
    joint_by_chance_bits: float

    @property
    def sum_bits(self) -> float:
        """Sum of what each channel tells alone: what all would tell together if no two told the same."""
        return float(self.single_bits.sum())

    @property
    def redundancy_bits(self) -> float:
        """Sum of what each tells less what all tell together: what is told more than once.

        It can be negative, where channels tell together what none of them tells alone.
        """
        return self.sum_bits - self.joint_bits

    @property
    def redundancy_by_chance_bits(self) -> float:
        """What would seem redundant of channels that share nothing, on so few images."""
        return self.sum_bits - self.joint_by_chance_bits

    @property
    def redundancy_above_chance_bits(self) -> float:
        """Redundancy counted from the level of chance; NaN where independent channels, too, tell all images apart."""
        joint, by_chance = np.array(self.joint_bits), np.array(self.joint_by_chance_bits)
        return float(set_bits_above_chance(joint, by_chance, self.ceiling_bits))

    @property
    def ceiling_name(self) -> str:
        """What to call the ceiling: "log2 1,000", or "H(X)" where images are copies."""
        return ceiling_name(self.n_images, self.ceiling_bits)

    @property
    def near_ceiling(self) -> bool:
        """Whether the set is within a tenth of the ceiling, where its information may be far too low."""
        return self.n_images > 1 and self.joint_bits > NEAR_CEILING * self.ceiling_bits


def joint_information(posteriors: Posteriors, channels: Sequence[int]) -> float:
    """Return the information that channels carry together, by adding their distances.

    I(X;U1..Uk) ≥ −(1/N) Σᵢ log2 (1/N) Σⱼ Π_c b^c_ij

    Args:
        posteriors: C channels on N images.
        channels: flat indices, each once, in any order.

    Returns:
        Bits, between 0 and log2 N.

    Raises:
        InvalidInputError: for an empty set, what is no channel, and a channel named twice.

    Example:
        Two channels that split four images in two different ways:

        >>> mean = np.array([[[0.0, 0.0], [0.0, 99.0], [99.0, 0.0], [99.0, 99.0]]])
        >>> posteriors = Posteriors(mean, np.zeros_like(mean))
        >>> round(joint_information(posteriors, [0]), 6), round(joint_information(posteriors, [0, 1]), 6)
        (1.0, 2.0)
    """
    selection = validate_channels(posteriors, channels)
    mean, logvar = posteriors.flat()
    coefficients = CoefficientBlocks(mean[selection], logvar[selection], exact=True)
    return _not_below_zero(float(prefix_bits(coefficients, [range(len(selection))])[0][-1, 0]))


def combine(
    posteriors: Posteriors, channels: Sequence[int], *, min_bits: float | FloatArray = MIN_BITS, shapley: bool = True
) -> Combination:
    """Compute what a set of channels tells, and each channel's share of it.

    Args:
        posteriors: C channels on N images; `channel_pool` puts several ensembles side by side.
        channels: flat indices, each once. Their order changes nothing.
        min_bits: below, a channel is dead and does not belong in a set; one number, or (C,) where thresholds differ.
        shapley: False leaves Shapley shares out.

    Raises:
        InvalidInputError: for an empty set, what is no channel, a channel named twice, and dead channels.
    """
    selection = validate_channels(posteriors, channels)
    mean, logvar = posteriors.flat()
    coefficients = CoefficientBlocks(mean[selection], logvar[selection])
    n, ceiling = posteriors.n_images, math.log2(posteriors.n_images)
    names = tuple(posteriors.label_names or ())
    copy_of, groups = posteriors.image_copies, codes_by_images(labels_of(posteriors))
    whole = next((codes for images, _, codes in groups if images.all()), np.zeros((0, n), dtype=np.int64))
    sums = subset_log_sums(coefficients, _with_shuffles(whole, copy_of), with_subsets=shapley)
    single, others = ceiling - sums.singles / n, ceiling - sums.leave_one_out / n
    least = np.broadcast_to(min_bits, posteriors.n_channels)
    dead = [selection[k] for k in np.flatnonzero(dead_channels(single, least[selection]))]
    if dead:
        word = f"{channel_text(posteriors, dead[0])} tells {single[selection.index(dead[0])]:.3f} bits"
        raise InvalidInputError(
            f"Expected channels that tell at least {least[dead[0]]:g} bits, got dead ones: {word}. Leave it out."
        )
    of_labels = np.full((6, len(names)), np.nan)
    for images, fs, codes in groups:
        # a label that is not known everywhere is compared, like in the matrix, with what the set tells there
        there, part = sums, (mean[selection], logvar[selection])
        if not images.all():
            part = (part[0][:, images], part[1][:, images])
            codes_there = _with_shuffles(codes, copy_of[images])
            there = subset_log_sums(CoefficientBlocks(*part), codes_there, with_subsets=False)
        of_labels[:, fs] = _label_numbers(there, codes, part, copy_of[images])
    label_bits, label_shared_bits, label_chance_bits, label_nmi, label_corrected_nmi, label_vi_bits = of_labels
    joint = ceiling - sums.joint / n
    return Combination(
        channels=tuple(selection),
        n_images=n,
        joint_bits=_not_below_zero(float(joint)),
        single_bits=single,
        marginal_bits=joint - others,
        shapley_bits=shapley_shares(ceiling - sums.subsets / n) if len(sums.subsets) else None,
        label_names=names,
        label_bits=label_bits,
        label_shared_bits=label_shared_bits,
        label_chance_bits=label_chance_bits,
        label_nmi=label_nmi,
        label_corrected_nmi=label_corrected_nmi,
        label_vi_bits=label_vi_bits,
        ceiling_bits=posteriors.input_entropy_bits,
        joint_by_chance_bits=shuffled_joint_bits((mean[selection], logvar[selection]), copy_of),
    )


def _with_shuffles(codes: IntArray, copy_of: IntArray) -> IntArray:
    """Return labels (F, N), and below them their shuffles, (F + S F, N)."""
    return np.concatenate([codes, *shuffled_labels(codes, copy_of)])


def _label_numbers(sums: SubsetLogSums, codes: IntArray, channels: Channels, copy_of: IntArray) -> FloatArray:
    """Compare a set with labels that are known of all images of its sums.

    Args:
        sums: those of the set, with `within_label` over these labels and their shuffles.
        codes: (F, N) their values, numbered.
        channels: means and ln σ² of the set, (k, N) each.
        copy_of: (N,) equal numbers where images are copies of each other.

    Returns:
        (6, F) entropy, I(U_joint; label), the same by chance, NMI, NMI counted from chance, and VI.
    """
    n, ceiling = codes.shape[1], math.log2(codes.shape[1])
    joint, twice, within = (ceiling - np.asarray(s) / n for s in (sums.joint, sums.doubled, sums.within_label))
    label = np.array([label_entropy_bits(code) for code in codes])
    together, *by_chance = within.reshape(-1, len(codes))
    beside = np.mean(by_chance, axis=0)
    shared, own = shared_bits_from_terms(joint, label, together), shared_bits_from_terms(joint, joint, twice)
    most = entropy_bits(np.unique(copy_of, return_inverse=True)[1])
    above = set_bits_above_chance(together, beside, most)
    own_above = (
        repeated_bits(channels, copy_of, most),
        repeated_label_bits(codes, shuffled_labels(codes, copy_of), most),
    )
    scale = np.sqrt(np.maximum(own_above[0] * own_above[1], 0.0))
    corrected = np.divide(above, scale, out=np.full(len(codes), np.nan), where=scale > own_bits_floor(scale, n))
    # two draws of a label are one: what it shares with itself is its entropy
    nmi, vi = nmi_from_terms(shared, own, label, images=n), vi_from_terms(shared, own, label)
    return np.array([label, shared, shared_bits_from_terms(joint, label, beside), nmi, corrected, vi])


def _not_below_zero(bits: float) -> float:
    """Remove the rounding that lets the information of a constant channel fall below zero."""
    return max(bits, 0.0)
