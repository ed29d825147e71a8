"""What channels tell together, whichever members and ensembles they come from.

A set of channels is a space: its distances are the sums of its channels' distances, so that its coefficients are their
products. Everything here is worked out with arrays alone, so that a page can ask at every click.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vaefrag_core.array_types import FloatArray
from vaefrag_core.artifacts import Posteriors
from vaefrag_core.artifacts.image_copies import ceiling_name
from vaefrag_core.config import HotspotConfig
from vaefrag_core.errors import InvalidInputError
from vaefrag_core.synthesis.additions import Additions, Growth, MemberSpaces, grow, member_spaces, rank_additions
from vaefrag_core.synthesis.channel_pool import channel_word, checked, label_codes
from vaefrag_core.synthesis.coefficient_blocks import CoefficientBlocks
from vaefrag_core.synthesis.greedy import prefix_bits
from vaefrag_core.synthesis.subset_information import MOST_CHANNELS, joint_sums, shapley_shares

__all__ = [
    "Additions",
    "Combination",
    "Growth",
    "MemberSpaces",
    "combine",
    "grow",
    "joint_information",
    "member_spaces",
    "rank_additions",
]

NEAR_CEILING = 0.9  # of the ceiling: from here on so few images make information an underestimate
MIN_BITS = HotspotConfig().min_bits


@dataclass(frozen=True, eq=False)
class Combination:
    """What a set of k channels tells, and what each of them is worth in it.

    Args:
        channels: flat indices.
        n_images: N.
        joint_bits: I(X;U1..Uk).
        single_bits: (k,) I(X;U) of each.
        marginal_bits: (k,) what the set would lose without each channel: the joint less the joint of the others.
        shapley_bits: (k,) each channel's gain, averaged over all orders of putting the set together; they sum to the
            joint. None for more than 12 channels.
        label_names: F names.
        label_bits: (F,) entropy of each label on the sample.
        label_shared_bits: (F,) I(U_joint; label).
        label_nmi: (F,) NMI of the joint space with each label; NaN where undefined.
        label_vi_bits: (F,) VI.
        ceiling_bits: H(X), log2 N where no image is a copy: no set can tell the images apart by more.
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
    label_nmi: FloatArray
    label_vi_bits: FloatArray
    ceiling_bits: float

    @property
    def sum_bits(self) -> float:
        """What the channels would tell together if no two told the same."""
        return float(self.single_bits.sum())

    @property
    def redundancy_bits(self) -> float:
        """The sum of what each tells less what they tell together: told more than once.

        It can be negative, where channels tell together what none of them tells alone.
        """
        return self.sum_bits - self.joint_bits

    @property
    def ceiling_name(self) -> str:
        """What to call the ceiling: "log2 1,000", or "H(X)" where images are copies."""
        return ceiling_name(self.n_images, self.ceiling_bits)

    @property
    def near_ceiling(self) -> bool:
        """True within a tenth of the ceiling, where information is too low an estimate."""
        return self.n_images > 1 and self.joint_bits > NEAR_CEILING * self.ceiling_bits


def joint_information(posteriors: Posteriors, channels: Sequence[int]) -> float:
    """Information that channels carry together, by adding their distances.

    I(X;U1..Uk) ≥ −(1/N) Σᵢ log2 (1/N) Σⱼ Π_c b^c_ij

    Args:
        posteriors: of C channels on N images.
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
    found = checked(posteriors, channels)
    mean, logvar = posteriors.flat()
    overlaps = CoefficientBlocks(mean[found], logvar[found], exact=True)
    return _not_below_zero(float(prefix_bits(overlaps, [range(len(found))])[0][-1, 0]))


def combine(
    posteriors: Posteriors, channels: Sequence[int], *, min_bits: float = MIN_BITS, shapley: bool = True
) -> Combination:
    """Say what a set of channels tells, and what each of them is worth in it.

    Args:
        posteriors: of C channels on N images; `channel_pool` puts several ensembles side by side.
        channels: flat indices, each once. Their order changes nothing.
        min_bits: below, a channel is dead and does not belong in a set.
        shapley: False leaves Shapley shares out.

    Raises:
        InvalidInputError: for an empty set, what is no channel, a channel named twice, and dead channels.
    """
    found = checked(posteriors, channels)
    mean, logvar = posteriors.flat()
    sums = joint_sums(CoefficientBlocks(mean[found], logvar[found]), label_codes(posteriors), with_subsets=shapley)
    n, ceiling = posteriors.n_images, math.log2(posteriors.n_images)
    single, without = ceiling - sums.single / n, ceiling - sums.without / n
    dead = [c for c, bits in zip(found, single, strict=True) if bits < min_bits]
    if dead:
        word = f"{channel_word(posteriors, dead[0])} tells {single[found.index(dead[0])]:.3f} bits"
        raise InvalidInputError(
            f"Expected channels that tell at least {min_bits:g} bits, got dead ones: {word}. Leave it out."
        )
    joint, twice, within = (ceiling - np.asarray(sum_) / n for sum_ in (sums.joint, sums.twice, sums.within))
    counts = [np.bincount(code)[code] for code in label_codes(posteriors)]
    label = np.array([ceiling - np.log2(count).mean() for count in counts])
    shared = joint + label - within
    # NMI and VI of `vaefrag_core.measures.similarity`; two draws of a label are one.
    scale = (2 * joint - twice) * label
    whole = len(sums.subsets) > 0 and len(found) <= MOST_CHANNELS
    return Combination(
        channels=tuple(found),
        n_images=n,
        joint_bits=_not_below_zero(float(joint)),
        single_bits=single,
        marginal_bits=joint - without,
        shapley_bits=shapley_shares(ceiling - sums.subsets / n) if whole else None,
        label_names=tuple(posteriors.label_names or ()),
        label_bits=label,
        label_shared_bits=shared,
        label_nmi=np.where(scale > 0, shared / np.sqrt(np.where(scale > 0, scale, 1.0)), np.nan),
        label_vi_bits=2 * within - twice - label,
        ceiling_bits=posteriors.input_entropy_bits,
    )


def _not_below_zero(bits: float) -> float:
    """Take the rounding away that lets the information of a constant channel fall below zero."""
    return max(bits, 0.0)
