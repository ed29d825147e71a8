"""What sets of channels show by chance: the images of one side are shuffled against those of the other.

Shuffling leaves what each side tells and destroys what they share. What sets share is then counted from there, see
`bits_above_chance`.
"""

from collections.abc import Sequence

import numpy as np

from vaefrag_core.array_types import BoolArray, FloatArray, IntArray
from vaefrag_core.artifacts.image_copies import shuffled_images
from vaefrag_core.measures.information_terms import bits_above_chance
from vaefrag_core.structure.chance_level import shuffle_images
from vaefrag_core.synthesis.coefficient_blocks import CoefficientBlocks
from vaefrag_core.synthesis.greedy import prefix_bits, space_bits

MAX_SET_GAIN = 100.0  # a level of several shuffles is known so well that more can be taken off than of single channels
SHUFFLED_IMAGES = 4_000  # over all shuffles: the level is a mean over images, and on many one shuffle will do
MAX_SHUFFLES = 16
CARRIED_IMAGES = 1_000  # likewise of what is carried, which is a mean over members as well, and takes far longer

Channels = tuple[FloatArray, FloatArray]


def set_bits_above_chance(joint: FloatArray, joint_by_chance: FloatArray, ceiling_bits: float) -> FloatArray:
    """Return what the parts of sets share above chance, (...) bits.

    Args:
        joint: (...) bits of all parts together.
        joint_by_chance: (...) the same with the parts' images shuffled.
        ceiling_bits: H(X).

    Returns:
        (...) bits; NaN where shuffled parts, too, tell every image from nearly every other, so that there is nothing to
        hold against.
    """
    above = bits_above_chance(joint, joint_by_chance, ceiling_bits, max_gain=MAX_SET_GAIN)
    return np.where(_too_near(joint_by_chance, ceiling_bits), np.nan, above)


def shuffled_joint_bits(channels: Channels, copy_of: IntArray) -> float:
    """Return what channels tell together that share nothing: each one's images are shuffled in its own way.

    Args:
        channels: means and ln σ², (K, N) each.
        copy_of: (N,) the position of the first image that each one equals; copies stay together.

    Returns:
        Bits, the mean over shuffles.
    """
    every = range(len(channels[0]))
    blocks = [CoefficientBlocks(*shuffle_images(*channels, seed, copy_of)) for seed in range(_shuffles(len(copy_of)))]
    return float(np.mean([prefix_bits(block, [every])[0][-1, 0] for block in blocks]))


def carried_share(
    channels: Channels,
    spaces: Sequence[Sequence[int]],
    selection: Sequence[int],
    joint: FloatArray,
    copy_of: IntArray,
    ceiling_bits: float,
) -> tuple[FloatArray, FloatArray]:
    """Hold what a set shares with each of some spaces against chance.

    share = s(set, space) / s(space, space′), the second of two draws of the space

    Args:
        channels: means and ln σ² of all channels, (C, N) each.
        spaces: flat indices of each of M spaces.
        selection: flat indices of the set.
        joint: (M,) bits of the set together with each space.
        copy_of: (N,) as in `shuffled_joint_bits`.
        ceiling_bits: H(X).

    Returns:
        (M,) bits of the shuffled set together with each space; (M,) shares, 0 on average of independent spaces and 1 of
        a set that holds the space. NaN where the images are too few to tell.
    """
    count, shuffles = len(channels[0]), int(np.clip(CARRIED_IMAGES // len(copy_of), 1, MAX_SHUFFLES))
    by_chance = np.zeros(len(spaces))
    doubled = [list(space) for space in spaces]
    for seed in range(shuffles):
        (order,) = shuffled_images(copy_of, 1, np.random.default_rng(seed))
        both = CoefficientBlocks(*(np.concatenate([part, part[:, order]]) for part in channels))
        by_chance += space_bits(both, spaces, [count + c for c in selection])[1] / shuffles
        if seed == 0:  # takes longest
            twice_by_chance = _joint_bits(both, [[*space, *(count + c for c in space)] for space in doubled])
    twice = _joint_bits(CoefficientBlocks(*channels), [space + space for space in doubled])
    above = set_bits_above_chance(joint, by_chance, ceiling_bits)
    own = set_bits_above_chance(twice, twice_by_chance, ceiling_bits)
    return by_chance, np.divide(above, own, out=np.full(len(spaces), np.nan), where=own > 0)


def _joint_bits(coefficients: CoefficientBlocks, spaces: Sequence[Sequence[int]]) -> FloatArray:
    return space_bits(coefficients, spaces, [])[0][:, 0]


def _too_near(joint_by_chance: FloatArray, ceiling_bits: float) -> BoolArray:
    return np.asarray(np.exp2(joint_by_chance - ceiling_bits) > 1 - 1 / MAX_SET_GAIN)


def _shuffles(n_images: int) -> int:
    return int(np.clip(SHUFFLED_IMAGES // n_images, 1, MAX_SHUFFLES))
