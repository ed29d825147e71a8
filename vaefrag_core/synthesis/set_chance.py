"""What sets of channels show by chance: the images of one side are shuffled against those of the other.

Shuffling leaves what each side tells and destroys what they share. What sets share is then counted from there, see
`bits_above_chance`.
"""

import numpy as np

from vaefrag_core.array_types import BoolArray, FloatArray, IntArray
from vaefrag_core.artifacts.image_copies import shuffled_images
from vaefrag_core.measures.information_terms import bits_above_chance
from vaefrag_core.structure.chance_level import shuffle_images
from vaefrag_core.structure.label_factors import label_entropy_bits
from vaefrag_core.synthesis.coefficient_blocks import CoefficientBlocks
from vaefrag_core.synthesis.greedy import prefix_bits, space_bits

MAX_SET_GAIN = 100.0  # a level of several shuffles is known so well that more can be taken off than of single channels
SHUFFLED_IMAGES = 4_000  # over all shuffles: the level is a mean over images, and on many one shuffle will do
MAX_SHUFFLES = 16

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


def shuffled_labels(codes: IntArray, copy_of: IntArray) -> IntArray:
    """Shuffle the images of labels, copies of one together.

    Args:
        codes: (F, N) their values, numbered.
        copy_of: (N,) as in `shuffled_joint_bits`.

    Returns:
        (S, F, N), as many shuffles as are averaged over.
    """
    orders = shuffled_images(copy_of, _shuffles(len(copy_of)), np.random.default_rng(0))
    return np.asarray(codes[:, orders].swapaxes(0, 1))


def repeated_label_bits(codes: IntArray, shuffled: IntArray, ceiling_bits: float) -> FloatArray:
    """Hold what labels share with themselves, their entropy, against chance.

    Args:
        codes: (F, N) their values, numbered.
        shuffled: (S, F, N) as `shuffled_labels` returns them.
        ceiling_bits: H(X).

    Returns:
        (F,) s(L, L), bits: two draws of a label are one.
    """
    entropy = np.array([label_entropy_bits(code) for code in codes])
    sizes = codes.max(axis=1, initial=0) + 1
    both = [[label_entropy_bits(c * k + o) for c, o, k in zip(codes, other, sizes, strict=True)] for other in shuffled]
    return bits_above_chance(entropy, np.mean(both, axis=0), ceiling_bits, max_gain=MAX_SET_GAIN)


def repeated_bits(channels: Channels, copy_of: IntArray, ceiling_bits: float) -> float:
    """Hold what two draws of a set share against chance.

    Args:
        channels: means and ln σ² of the set, (K, N) each.
        copy_of: (N,) as in `shuffled_joint_bits`.
        ceiling_bits: H(X).

    Returns:
        s(U, U′), bits; NaN where the images are too few to tell.
    """
    twice = CoefficientBlocks(*(np.concatenate([part, part]) for part in channels))
    (order,) = shuffled_images(copy_of, 1, np.random.default_rng(0))
    beside = CoefficientBlocks(*(np.concatenate([part, part[:, order]]) for part in channels))
    every = [range(2 * len(channels[0]))]
    joint, by_chance = (space_bits(blocks, every, ())[0][0] for blocks in (twice, beside))
    return float(set_bits_above_chance(joint, by_chance, ceiling_bits)[0])


def _too_near(joint_by_chance: FloatArray, ceiling_bits: float) -> BoolArray:
    return np.asarray(np.exp2(joint_by_chance - ceiling_bits) > 1 - 1 / MAX_SET_GAIN)


def _shuffles(n_images: int) -> int:
    return int(np.clip(SHUFFLED_IMAGES // n_images, 1, MAX_SHUFFLES))
