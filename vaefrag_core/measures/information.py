"""Information that a channel, or a joint space of channels, carries about which image it was shown.

Reference: Kolchinsky, A., Tracey, B. D. (2017). Estimating mixture entropy with pairwise distances. Entropy
19(7), 361. https://doi.org/10.3390/e19070361
"""

import math

import torch
from torch import Tensor

from vaefrag_core.errors import InvalidInputError


def information_bits(distance: Tensor) -> Tensor:
    """Lower bound of the information that a space carries about its input, from Bhattacharyya distances.

    I(X;U) ≥ −(1/N) Σᵢ log2 (1/N) Σⱼ exp(−d_ij)

    Distances of spaces add: `information_bits(d_u + d_v)` is the information of the joint space I(X;U,V), and
    `information_bits(2 * d_u)` that of two independent draws, I(X;U,U′).

    Args:
        distance: (..., N, N) distances, nats, self-pairs included.

    Returns:
        (...) bits, between 0 and log2 N.

    Raises:
        InvalidInputError: when the last two axes are not square.

    Example:
        Two groups of images that never mix carry one bit:

        >>> apart = torch.tensor([[0.0, torch.inf], [torch.inf, 0.0]])
        >>> information_bits(apart)
        tensor(1.)
    """
    if distance.ndim < 2 or distance.shape[-1] != distance.shape[-2]:
        raise InvalidInputError(f"Expected distances of shape (..., images, images), got {tuple(distance.shape)}.")
    # Keep the diagonal: it caps the bound at log2 N.
    log_mean = torch.logsumexp(-distance, dim=-1) - math.log(distance.shape[-1])
    return -log_mean.mean(dim=-1) / math.log(2)


def information_bits_from_overlap(overlap: Tensor) -> Tensor:
    """The bound of `information_bits`, from coefficients that have been averaged already.

    I(X;U) ≥ −(1/N) Σᵢ log2 b̄_i,  b̄_i = (1/N) Σⱼ b_ij

    Args:
        overlap: (..., N) mean coefficient b̄_i of each image with all images.

    Returns:
        (...) bits.

    Example:
        >>> information_bits_from_overlap(torch.tensor([0.5, 0.5]))
        tensor(1.)
    """
    return -overlap.log2().mean(dim=-1)


def label_distance(codes: Tensor) -> Tensor:
    """Distances of a hard label: 0 between images of equal value, ∞ between others.

    Args:
        codes: (..., N) values of the label.

    Returns:
        (..., N, N) distances in nats, float64, to be used like those of a channel.

    Example:
        >>> label_distance(torch.tensor([3, 3, 7]))[0]
        tensor([0., 0., inf], dtype=torch.float64)
    """
    equal = codes[..., :, None] == codes[..., None, :]
    return torch.where(equal, 0.0, torch.inf).to(torch.float64)
