"""What spaces tell about labels, in bits beyond what they would show of a label that is shuffled."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.stats import t

from vaefrag_core.array_types import FloatArray, IntArray
from vaefrag_core.artifacts.image_copies import shuffled_images
from vaefrag_core.structure.label_factors import label_entropy_bits
from vaefrag_core.synthesis.intervals import COVERAGE
from vaefrag_core.synthesis.label_readings import deal_folds

BLOCKS = 20  # of images, each left out in turn for the standard error
SHUFFLES = 20  # of the label, for what no label would show


@dataclass(frozen=True)
class LabelBits:
    """What a space tells about a label.

    Args:
        bits: I(U;label) beyond chance.
        interval: of `bits`, both ends, with a coverage of 95 %.
        chance_bits: the mean that shuffled labels show, already taken off.
        entropy_bits: of the label, the most there is to tell.
    """

    bits: float
    interval: tuple[float, float]
    chance_bits: float
    entropy_bits: float


def label_bits(
    coefficient: FloatArray, labels: Mapping[str, IntArray], copy_of: IntArray, seed: int = 0
) -> dict[str, LabelBits]:
    """Compute what a space tells about labels: I(U;L) = I(X;U) + H(L) − I(X;U,L), less that of shuffled labels.

    (1/N) Σᵢ log2 ( N Σⱼ∈class(i) b_ij / (n_class(i) Σⱼ b_ij) )

    The interval is of the jackknife over twenty blocks of images.

    Args:
        coefficient: (N, N) Bhattacharyya coefficients of the space.
        labels: values of each label by its name, (N,) numbered from 0.
        copy_of: (N,) the position of the first image that each one equals; copies are left out together.
        seed: of shuffles and blocks.

    Returns:
        Bits of each label.

    Example:
        >>> hard = np.kron(np.eye(2), np.ones((50, 50)))
        >>> told = label_bits(hard, {"half": np.repeat([0, 1], 50)}, np.arange(100))["half"]
        >>> round(told.bits + told.chance_bits, 6)
        1.0
    """
    rng = np.random.default_rng(seed)
    blocks = deal_folds(copy_of, min(BLOCKS, len(np.unique(copy_of))), rng)
    told = {}
    for name, values in labels.items():
        codes = np.unique(values, return_inverse=True)[1]
        classes = np.eye(codes.max() + 1)[codes]
        within = coefficient @ classes
        plain = _bits(within, classes)
        left_out = []
        for block in range(blocks.max() + 1):
            out, stay = blocks == block, blocks != block
            left_out.append(_bits(within[stay] - coefficient[np.ix_(stay, out)] @ classes[out], classes[stay]))
        count = len(left_out)
        error = float(np.sqrt((count - 1) / count * np.square(np.array(left_out) - np.mean(left_out)).sum()))
        orders = shuffled_images(copy_of, SHUFFLES, rng)
        chance = float(np.mean([_bits(coefficient @ classes[order], classes[order]) for order in orders]))
        half = float(t.ppf((1 + COVERAGE) / 2, count - 1)) * error
        bits = plain - chance
        told[name] = LabelBits(bits, (bits - half, bits + half), chance, label_entropy_bits(codes))
    return told


def plain_label_bits(coefficient: FloatArray, codes: IntArray) -> float:
    """Return I(U;label) without any correction, bits.

    Args:
        coefficient: (N, N) Bhattacharyya coefficients of the space.
        codes: (N,) values of the label, numbered from 0.
    """
    classes = np.eye(codes.max() + 1)[codes]
    return _bits(coefficient @ classes, classes)


def _bits(within: FloatArray, classes: FloatArray) -> float:
    """Return I(U;label) from (N, C) sums of coefficients with the images of each class, and (N, C) classes."""
    own = (within * classes).sum(axis=1)
    size = classes.sum(axis=0) @ classes.T
    return float(np.log2(len(classes) * own / (size * within.sum(axis=1))).mean())
