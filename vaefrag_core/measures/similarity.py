"""How alike two spaces are: normalized mutual information and variation of information, for soft clusterings.

Reference: Murphy, K. A., Dillavou, S., Bassett, D. S. (2024). Comparing the information content of
probabilistic representation spaces. https://arxiv.org/abs/2405.21042
"""

import math

import torch
from torch import Tensor

from vaefrag_core.measures.information import information_bits


def mutual_information_bits(distance_a: Tensor, distance_b: Tensor) -> Tensor:
    """What two spaces tell alike: I(U;V) = I(X;U) + I(X;V) − I(X;U,V).

    Args:
        distance_a: (..., N, N) distances of U, nats.
        distance_b: (..., N, N) distances of V, on the same images.

    Returns:
        (...) bits. Of a space with itself, I(U;U′): the part of a draw that a second draw repeats.
    """
    single = information_bits(distance_a) + information_bits(distance_b)
    return single - information_bits(distance_a + distance_b)


def nmi(distance_a: Tensor, distance_b: Tensor) -> Tensor:
    """Generalized normalized mutual information.

    NMI(U,V) = I(U;V) / √( I(U;U′) I(V;V′) )

    It is 1 of a space with itself. It may exceed 1, exactly and not by rounding: a rare, certain factor and
    its noisy copy share more than the copy's own draws repeat.

    Args:
        distance_a: (..., N, N) distances of U, nats.
        distance_b: (..., N, N) distances of V, on the same images.

    Returns:
        (...) NMI; NaN, undefined, where a space tells no images apart.

    Example:
        >>> apart = torch.tensor([[0.0, torch.inf], [torch.inf, 0.0]])
        >>> nmi(apart, apart)
        tensor(1.)
        >>> nmi(apart, torch.zeros(2, 2))
        tensor(nan)
    """
    own_a = mutual_information_bits(distance_a, distance_a)
    own_b = mutual_information_bits(distance_b, distance_b)
    return normalized(mutual_information_bits(distance_a, distance_b), own_a, own_b, images=distance_a.shape[-1])


def normalized(shared: Tensor, own_a: Tensor, own_b: Tensor, *, images: int) -> Tensor:
    """NMI from its parts: I(U;V), I(U;U′) and I(V;V′), in bits, on so many images; NaN where it is undefined."""
    # A constant space's own information is zero but for rounding; so small a value is not a denominator.
    floor = 16 * torch.finfo(shared.dtype).eps * max(1.0, math.log2(images))
    defined = (own_a > floor) & (own_b > floor)
    scale = torch.sqrt(torch.where(defined, own_a * own_b, 1.0))
    return torch.where(defined, shared / scale, torch.nan)


def variation_of_information(distance_a: Tensor, distance_b: Tensor) -> Tensor:
    """Generalized variation of information: what each of two spaces tells that the other does not.

    VI(U,V) = 2 I(X;U,V) − I(X;U,U′) − I(X;V,V′)

    Args:
        distance_a: (..., N, N) distances of U, nats.
        distance_b: (..., N, N) distances of V, on the same images.

    Returns:
        (...) bits; 0 of a space with itself.

    Example:
        >>> apart = torch.tensor([[0.0, torch.inf], [torch.inf, 0.0]])
        >>> variation_of_information(apart, torch.zeros(2, 2))
        tensor(1.)
    """
    joint = information_bits(distance_a + distance_b)
    return variation(joint, information_bits(2 * distance_a), information_bits(2 * distance_b))


def variation(joint: Tensor, twice_a: Tensor, twice_b: Tensor) -> Tensor:
    """VI from its parts: I(X;U,V), I(X;U,U′) and I(X;V,V′), in bits."""
    return 2 * joint - twice_a - twice_b
