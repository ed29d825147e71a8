"""How far apart two Gaussian posteriors are.

Reference: Bhattacharyya, A. (1943). On a measure of divergence between two statistical populations defined
by their probability distributions. Bulletin of the Calcutta Mathematical Society 35, 99-109.
"""

import torch
from torch import Tensor

from vaefrag_core.errors import InvalidInputError


def bhattacharyya_distance(mean: Tensor, logvar: Tensor) -> Tensor:
    """Bhattacharyya distance between all pairs of diagonal Gaussian posteriors.

    d_ij = Σ_dims [ (μᵢ−μⱼ)² / (8 s²) + ½ ln s² − ¼ (ln σᵢ² + ln σⱼ²) ],  s² = (σᵢ² + σⱼ²) / 2

    The coefficient exp(−d_ij) is the overlap of the two posteriors: 1 when they are equal, 0 when no draw
    could come from both.

    Args:
        mean: (..., N, d) posterior means, in latent units.
        logvar: (..., N, d) ln σ².

    Returns:
        (..., N, N) distances in nats, symmetric, zero on the diagonal, never negative. Distances of a joint
        space are the sums of those of its parts.

    Raises:
        InvalidInputError: when the two shapes differ, or have fewer than two axes.

    Example:
        >>> bhattacharyya_distance(torch.tensor([[0.0], [4.0]]), torch.zeros(2, 1))
        tensor([[0., 2.],
                [2., 0.]])
    """
    if mean.shape != logvar.shape or mean.ndim < 2:
        raise InvalidInputError(
            f"Expected mean and logvar of one shape (..., images, dimensions), got {tuple(mean.shape)} and"
            f" {tuple(logvar.shape)}."
        )
    total = mean.new_zeros(*mean.shape[:-1], mean.shape[-2])  # (..., N, N)
    for m, v in zip(mean.unbind(-1), logvar.unbind(-1), strict=True):  # one dimension at a time: N² memory, not N²·d
        total = total + _distance_1d(m, v)
    return total


def _distance_1d(mean: Tensor, logvar: Tensor) -> Tensor:
    """Distances along one dimension: (..., N) → (..., N, N).

    Written with half = (ln σᵢ² − ln σⱼ²)/2, of which ½ ln s² − ¼(ln σᵢ² + ln σⱼ²) = ½ ln cosh(half): no
    difference of large logarithms, so nearly equal posteriors keep their tiny distance, and no variance is
    ever exponentiated alone, so ln σ² of ±80 neither overflows nor vanishes.
    """
    half = (logvar[..., :, None] - logvar[..., None, :]) / 2
    mean_logvar = (logvar[..., :, None] + logvar[..., None, :]) / 2
    # s² = exp(mean_logvar)·cosh(half), and (Δμ)²/s² is formed as a square so that it cannot overflow early.
    log_cosh = _log_cosh(half)
    scaled = (mean[..., :, None] - mean[..., None, :]) * torch.exp(-(mean_logvar + log_cosh) / 2)
    return scaled.square() / 8 + log_cosh / 2


def _log_cosh(x: Tensor) -> Tensor:
    """Logarithm of cosh x, exact near 0 (where it is x²/2) and far out (where it is |x| − ln 2)."""
    size = x.abs()
    far = size + torch.log1p(torch.exp(-2 * size)) - torch.log(torch.tensor(2.0, dtype=x.dtype, device=x.device))
    near_x = torch.where(size < 1, x, torch.zeros_like(x))  # keeps the gradient of the unused branch finite
    near = torch.log1p(2 * torch.sinh(near_x / 2).square())
    return torch.where(size < 1, near, far)
