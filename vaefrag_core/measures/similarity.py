"""How alike two spaces are: normalized mutual information and variation of information, for soft clusterings.

Reference: Murphy, K. A., Dillavou, S., Bassett, D. S. (2024). Comparing the information content of
probabilistic representation spaces. https://arxiv.org/abs/2405.21042
"""

from torch import Tensor

from vaefrag_core.measures.information import information_bits
from vaefrag_core.measures.information_terms import nmi_from_terms, shared_bits_from_terms, vi_from_terms


def mutual_information_bits(distance_a: Tensor, distance_b: Tensor) -> Tensor:
    """Mutual information of two spaces: what both tell alike.

    I(U;V) = I(X;U) + I(X;V) − I(X;U,V)

    Args:
        distance_a: (..., N, N) distances of U, nats.
        distance_b: (..., N, N) distances of V, on the same images.

    Returns:
        (...) bits. Of a space with itself, I(U;U′): the part of a draw that a second draw repeats.

    Example:
        >>> import torch
        >>> apart = torch.tensor([[0.0, torch.inf], [torch.inf, 0.0]])
        >>> mutual_information_bits(apart, torch.zeros(2, 2))
        tensor(0.)
    """
    singles = information_bits(distance_a), information_bits(distance_b)
    return shared_bits_from_terms(*singles, information_bits(distance_a + distance_b))


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
        >>> import torch
        >>> apart = torch.tensor([[0.0, torch.inf], [torch.inf, 0.0]])
        >>> nmi(apart, apart)
        tensor(1.)
        >>> nmi(apart, torch.zeros(2, 2))
        tensor(nan)
    """
    return nmi_from_terms(*_terms(distance_a, distance_b), images=distance_a.shape[-1])


def variation_of_information(distance_a: Tensor, distance_b: Tensor) -> Tensor:
    """Generalized variation of information: what each of two spaces tells that the other does not.

    VI(U,V) = 2 I(X;U,V) − I(X;U,U′) − I(X;V,V′)

    Args:
        distance_a: (..., N, N) distances of U, nats.
        distance_b: (..., N, N) distances of V, on the same images.

    Returns:
        (...) bits; 0 of a space with itself.

    Example:
        >>> import torch
        >>> apart = torch.tensor([[0.0, torch.inf], [torch.inf, 0.0]])
        >>> variation_of_information(apart, torch.zeros(2, 2))
        tensor(1.)
    """
    return vi_from_terms(*_terms(distance_a, distance_b))


def _terms(distance_a: Tensor, distance_b: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """I(U;V), I(U;U′) and I(V;V′), bits."""
    pairs = ((distance_a, distance_b), (distance_a, distance_a), (distance_b, distance_b))
    shared, own_a, own_b = (mutual_information_bits(*pair) for pair in pairs)
    return shared, own_a, own_b
