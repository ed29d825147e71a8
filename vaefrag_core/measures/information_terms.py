"""NMI and VI from three terms: what two spaces share, and what two draws of each share. For arrays and for tensors.

This is the one place where similarity is normalized, and where what is shared is counted from the level of chance.
`similarity` works the terms out from distances; the streams and block sums that are faster take NMI and VI from here.

Reference: Murphy, K. A., Dillavou, S., Bassett, D. S. (2024). Comparing the information content of
probabilistic representation spaces. https://arxiv.org/abs/2405.21042
"""

import math

import numpy as np

from vaefrag_core.array_types import FloatArray
from vaefrag_core.measures.array_namespace import Numbers, array_namespace

# What chance adds is taken off by so much at most: nearer to the ceiling, the error of the level would be blown up.
MAX_GAIN = 8.0


def shared_bits_from_terms(single_a: Numbers, single_b: Numbers, joint: Numbers) -> Numbers:
    """Mutual information of two spaces, or of two draws of one.

    I(U;V) = I(X;U) + I(X;V) − I(X;U,V)

    Args:
        single_a: (...) I(X;U), bits.
        single_b: (...) I(X;V), bits.
        joint: (...) I(X;U,V), bits; with I(X;U,U′) and twice the same single, I(U;U′).

    Returns:
        (...) bits.
    """
    return single_a + single_b - joint


def nmi_from_terms(shared: Numbers, own_a: Numbers, own_b: Numbers, *, images: int) -> Numbers:
    """Generalized normalized mutual information.

    NMI(U,V) = I(U;V) / √( I(U;U′) I(V;V′) )

    Args:
        shared: (...) I(U;V), bits.
        own_a: I(U;U′), bits, of a shape that broadcasts.
        own_b: I(V;V′), likewise.
        images: N.

    Returns:
        (...) NMI; NaN, undefined, where a space's own information is below `own_bits_floor`.

    Example:
        >>> import numpy as np
        >>> nmi_from_terms(np.array([1.0, 0.0]), np.array([2.0, 0.0]), np.array([2.0, 1.0]), images=4)
        array([0.5, nan])
    """
    where = array_namespace(shared).where
    floor = own_bits_floor(shared, images)
    defined_a, defined_b = own_a > floor, own_b > floor
    # Replaced before the root is taken: the gradient of an unused branch that is NaN would spoil that of all others.
    scale = (where(defined_a, own_a, 1.0) * where(defined_b, own_b, 1.0)) ** 0.5
    nmi: Numbers = where(defined_a & defined_b, shared / scale, math.nan)
    return nmi


def own_bits_floor(bits: Numbers, images: int) -> float:
    """Return the own information I(U;U′) below which a space tells no images apart, in bits.

    It is a difference of sums of log2 N bits at most, so that what is left of it for a constant space is rounding: a
    few units of the last place of log2 N. So small a value is no denominator.

    Args:
        bits: numbers of the precision that was worked in.
        images: N.
    """
    return 16 * float(array_namespace(bits).finfo(bits.dtype).eps) * max(1.0, math.log2(images))


def vi_from_terms(shared: Numbers, own_a: Numbers, own_b: Numbers) -> Numbers:
    """Generalized variation of information.

    VI(U,V) = 2 I(X;U,V) − I(X;U,U′) − I(X;V,V′) = I(U;U′) + I(V;V′) − 2 I(U;V)

    Args:
        shared: (...) I(U;V), bits.
        own_a: I(U;U′), bits, of a shape that broadcasts.
        own_b: I(V;V′), likewise.

    Returns:
        (...) bits.
    """
    return own_a + own_b - 2 * shared


def bits_above_chance(
    joint: FloatArray, joint_by_chance: FloatArray, ceiling_bits: float, *, max_gain: float = MAX_GAIN
) -> FloatArray:
    """What spaces share beyond what independent ones of the same information would show on so few images.

    s = log2 [ ( 2^−J − 2^−H ) / ( 2^−J₀ − 2^−H ) ]

    Every image is its own nearest neighbour, which alone makes 2^−J at least 2^−H. Taken off from both, what is left is
    the share of *other* images that a posterior of the joint space overlaps, as it is and by chance.

    Args:
        joint: (...) J = I(X;U,V), or of more spaces, bits.
        joint_by_chance: J₀, the same after the images of each were shuffled, of a shape that broadcasts.
        ceiling_bits: H(X), log2 N without copies.
        max_gain: by which the slope ds/dJ is limited; without a limit it is 1 / (1 − 2^(J₀−H)).

    Returns:
        (...) bits: 0 where J = J₀; J₀ − J where both are far below the ceiling. Below 0 it mirrors what is above.

    Example:
        Two pairs of independent halves of eight images, and a half with itself:

        >>> bits_above_chance(np.array([2.0, 1.0]), np.array([2.0, 2.0]), 3.0).round(3).tolist()
        [0.0, 1.585]
    """
    room = -np.expm1(np.minimum(joint_by_chance - ceiling_bits, 0.0) * math.log(2))  # 1 − 2^(J₀−H)
    gain = 1 / np.maximum(room, 1 / max_gain)
    above = np.asarray(joint_by_chance - joint)
    bits: FloatArray = np.sign(above) * np.log1p(gain * np.expm1(np.abs(above) * math.log(2))) / math.log(2)
    return bits


def level_from_factors(factors: FloatArray, others: FloatArray) -> FloatArray:
    """NMI that spaces which share nothing show on so few images, from factors of each.

    NMI₀(U,V) = x_U · x_V − y_U · y_V, and never below 0

    Args:
        factors: (K, 2 T), T factors x and as many y, see `structure.chance_level`.
        others: (L, 2 T), likewise.

    Returns:
        (K, L); NaN where a factor is.

    Example:
        >>> level_from_factors(np.array([[0.5, 0.1]]), np.array([[0.4, 0.0], [0.1, 0.6]])).round(3).tolist()
        [[0.2, 0.0]]
    """
    half = factors.shape[1] // 2
    level = factors[:, :half] @ others[:, :half].T - factors[:, half:] @ others[:, half:].T
    return np.asarray(np.maximum(level, 0.0))


def above_chance(value: FloatArray, chance: FloatArray) -> FloatArray:
    """Correct similarity for chance.

    (value − chance) / (1 − chance)

    Args:
        value: (...) similarity, 1 of equal spaces.
        chance: (...) what independent spaces show.

    Returns:
        (...) 0 on average of independent spaces, 1 of equal ones; NaN where chance is 1, or undefined.

    Example:
        >>> above_chance(np.array([0.6, 1.0]), np.array([0.2, 1.0])).round(6).tolist()
        [0.5, nan]
    """
    room = 1 - chance
    return np.asarray(np.divide(value - chance, room, out=np.full_like(room, math.nan), where=room > 1e-9))
