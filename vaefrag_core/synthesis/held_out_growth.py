"""Greedy sets on images that did not choose them.

A search takes what looks best on its sample, and part of that is luck. So the sample is split into halves: the set is
grown on one and told on the other, and the other way round, over a few splits.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vaefrag_core.array_types import FloatArray, IntArray
from vaefrag_core.artifacts import Posteriors
from vaefrag_core.artifacts.image_copies import hold_out_images
from vaefrag_core.structure.label_factors import UNLABELLED
from vaefrag_core.synthesis.additions import MIN_BITS, label_codes, live_bits
from vaefrag_core.synthesis.channel_pool import validate_channels
from vaefrag_core.synthesis.coefficient_blocks import CoefficientBlocks
from vaefrag_core.synthesis.greedy import Codes, extended_bits, greedy_order, kept_blocks, prefix_bits
from vaefrag_core.synthesis.intervals import mean_interval

HALF = 0.5  # of the images choose, the others judge
SPLITS = 3  # of either of whose halves one set is grown
FEWEST_IMAGES = 10  # of a half, and of those with a value of the label; on fewer nothing is told


@dataclass(frozen=True, eq=False)
class HeldOutGrowth:
    """Sets grown on halves of the images, on their own half and on the other one.

    A gain is what a set tells more than random sets of the same size on the same images.

    Args:
        n_images: images of a half, the smaller one.
        own_bits: (T, k) bits of the first, the first two, … channels on the images they were chosen from.
        other_bits: (T, k) the same on the other half.
        own_gain: (T, k) gain on the images they were chosen from.
        other_gain: (T, k) gain on the other half: 0 on average where no set is better than another.
    """

    n_images: int
    own_bits: FloatArray
    other_bits: FloatArray
    own_gain: FloatArray
    other_gain: FloatArray

    def other_gain_interval(self, size: int) -> tuple[float, float]:
        """Return the interval of the mean gain on other images, of 95 %, of sets of so many channels."""
        return mean_interval(self.other_gain[:, size - 1], HALF)


def grow_on_halves(
    posteriors: Posteriors,
    size: int,
    *,
    start: Sequence[int] = (),
    label: str | None = None,
    min_bits: float | FloatArray = MIN_BITS,
    information_bits: FloatArray | None = None,
    splits: int = SPLITS,
    draws: int = 20,
    seed: int = 0,
) -> HeldOutGrowth | None:
    """Grow sets as `select_greedily` does on half of the images, and tell what they carry on the other half.

    Copies of an image are on one side.

    Args:
        posteriors: C channels on N images.
        size: channels of the whole set, the start included.
        start: flat indices to begin with; random sets begin with them as well.
        label: name of a label, to grow by what is told about it; otherwise by joint bits.
        min_bits: below, on all images, a channel is dead and is not taken; one number, or (C,).
        information_bits: (C,) information of each channel alone, where it is at hand; computed otherwise.
        splits: of the images; of each, either half chooses once.
        draws: number of random sets.
        seed: of splits and random sets.

    Returns:
        2 × splits sets; None where nothing is chosen, or where images, or those with a value of the label, are too few.

    Raises:
        InvalidInputError: for what is no channel or label.
    """
    selection, codes = validate_channels(posteriors, start, allow_empty=True), label_codes(posteriors, label)
    flat, copy_of = posteriors.flat(), posteriors.image_copies
    bits = live_bits(CoefficientBlocks(*flat), min_bits, information_bits)
    candidates = [c for c in bits if c not in selection]
    size = min(size, len(selection) + len(candidates))
    if size <= len(selection):
        return None
    rng = np.random.default_rng(seed)
    chance = [[*selection, *rng.permutation(candidates)[: size - len(selection)].tolist()] for _ in range(draws)]
    rows: list[FloatArray] = []  # of either half, (4, k) as the fields are ordered
    fewest = len(copy_of)
    for _ in range(splits):
        halves = hold_out_images(copy_of, HALF, int(rng.integers(2**31)))
        if min(_told_of(half, codes) for half in halves) < FEWEST_IMAGES:
            return None
        fewest = min(fewest, *map(len, halves))
        rows += _cross(flat, halves, selection, candidates, size, codes, chance)
    own_bits, other_bits, own_gain, other_gain = np.array(rows).swapaxes(0, 1)
    return HeldOutGrowth(fewest, own_bits, other_bits, own_gain, other_gain)


def _cross(
    channels: tuple[FloatArray, FloatArray],
    halves: tuple[IntArray, IntArray],
    start: Sequence[int],
    candidates: Sequence[int],
    size: int,
    codes: Codes,
    chance: Sequence[Sequence[int]],
) -> list[FloatArray]:
    """Grow a set on each half, and tell both sets and the random ones on both halves: (4, k) of each set."""
    parts = [(kept_blocks(*(part[:, half] for part in channels)), _on(codes, half)) for half in halves]
    grown = []
    for coefficients, values in parts:
        alone = extended_bits(coefficients, (), candidates)[:, 0]
        order = greedy_order(
            coefficients, start, dict(zip(candidates, alone.tolist(), strict=True)), size - len(start), values
        )
        grown.append([*start, *order])
    told = [  # (sets, k) on either half: the one grown there, the one grown on the other, random ones
        np.array([curve[:, -1] for curve in prefix_bits(coefficients, [grown[h], grown[1 - h], *chance], values)])
        for h, (coefficients, values) in enumerate(parts)
    ]
    level = [bits[2:].mean(axis=0) for bits in told]
    return [
        np.array([told[h][0], told[1 - h][1], told[h][0] - level[h], told[1 - h][1] - level[1 - h]]) for h in range(2)
    ]


def _on(codes: Codes, images: IntArray) -> Codes:
    return None if codes is None else codes[images]


def _told_of(images: IntArray, codes: Codes) -> int:
    """Count the images of which something can be told."""
    return len(images) if codes is None else int((codes[images] != UNLABELLED).sum())
