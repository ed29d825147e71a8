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


def repeated_bits(
    channels: Channels, spaces: Sequence[Sequence[int]], copy_of: IntArray, ceiling_bits: float
) -> FloatArray:
    """Hold what two draws of each of some spaces share against chance.

    Args:
        channels: means and ln σ² of all channels, (C, N) each.
        spaces: flat indices of each of M spaces.
        copy_of: (N,) as in `shuffled_joint_bits`.
        ceiling_bits: H(X).

    Returns:
        (M,) s(space, space′), bits; NaN where the images are too few to tell.
    """
    beside = [[*space, *(len(channels[0]) + c for c in space)] for space in spaces]
    twice = _joint_bits(CoefficientBlocks(*channels), [[*space, *space] for space in spaces])
    return set_bits_above_chance(twice, _joint_bits(_with_shuffled(channels, copy_of, 0), beside), ceiling_bits)


def carried_share(
    channels: Channels,
    spaces: Sequence[Sequence[int]],
    selection: Sequence[int],
    joint: FloatArray,
    repeated: FloatArray,
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
        repeated: (M,) as `repeated_bits` returns it.
        copy_of: (N,) as in `shuffled_joint_bits`.
        ceiling_bits: H(X).

    Returns:
        (M,) bits of the shuffled set together with each space; (M,) shares, 0 on average of independent spaces and 1 of
        a set that holds the space. NaN where the images are too few to tell.
    """
    shuffles = int(np.clip(CARRIED_IMAGES // len(copy_of), 1, MAX_SHUFFLES))
    shuffled = [len(channels[0]) + c for c in selection]
    drawn = [space_bits(_with_shuffled(channels, copy_of, seed), spaces, shuffled)[1] for seed in range(shuffles)]
    by_chance = np.mean(drawn, axis=0)
    above = set_bits_above_chance(joint, by_chance, ceiling_bits)
    return by_chance, np.divide(above, repeated, out=np.full(len(spaces), np.nan), where=repeated > 0)


def _with_shuffled(channels: Channels, copy_of: IntArray, seed: int) -> CoefficientBlocks:
    """Return all channels, and after them the same ones with their images shuffled together."""
    (order,) = shuffled_images(copy_of, 1, np.random.default_rng(seed))
    return CoefficientBlocks(*(np.concatenate([part, part[:, order]]) for part in channels))


def _joint_bits(coefficients: CoefficientBlocks, spaces: Sequence[Sequence[int]]) -> FloatArray:
    return space_bits(coefficients, spaces, [])[0][:, 0]


def _too_near(joint_by_chance: FloatArray, ceiling_bits: float) -> BoolArray:
    return np.asarray(np.exp2(joint_by_chance - ceiling_bits) > 1 - 1 / MAX_SET_GAIN)


def _shuffles(n_images: int) -> int:
    return int(np.clip(SHUFFLED_IMAGES // n_images, 1, MAX_SHUFFLES))
