"""Coefficients of all pairs of posteriors, with their gradient, for fitting a space step by step.

Compiled loops for the Bhattacharyya coefficient: the same numbers as exp(−`bhattacharyya_distance`), without logarithms
and without what autograd would keep of every operation, and so tens of times faster.
"""

import math
from typing import Any

import torch
from torch import Tensor

from vaefrag_core.errors import InvalidInputError
from vaefrag_core.measures.gaussian import BHATTACHARYYA, DEFAULT_DIVERGENCE, Divergence
from vaefrag_core.measures.numba_compile import compiled


def pair_coefficients(mean: Tensor, logvar: Tensor, divergence: Divergence = DEFAULT_DIVERGENCE) -> Tensor:
    """Coefficients of all pairs of diagonal Gaussian posteriors, the fast way where there is one.

    b_ij = exp(−d_ij)

    Differentiable.

    Args:
        mean: (R, N, d) posterior means of R spaces, in latent units, float64, on the CPU.
        logvar: (R, N, d) ln σ².
        divergence: the one that the distances are of.

    Returns:
        (R, N, N) coefficients, symmetric, 1 on the diagonal.

    Example:
        >>> mean = torch.tensor([[[0.0], [4.0]]], dtype=torch.float64)
        >>> pair_coefficients(mean, torch.zeros_like(mean)).log()
        tensor([[[ 0., -2.],
                 [-2.,  0.]]], dtype=torch.float64)
    """
    if divergence is BHATTACHARYYA:
        return bhattacharyya_coefficient(mean, logvar)
    return torch.exp(-divergence.distance(mean, logvar))


def bhattacharyya_coefficient(mean: Tensor, logvar: Tensor) -> Tensor:
    """Bhattacharyya coefficient of all pairs of diagonal Gaussian posteriors: their overlap, 1 where they are equal.

    b_ij = Π_dims √(2 σᵢ σⱼ / (σᵢ² + σⱼ²)) · exp(−Σ_dims (μᵢ−μⱼ)² / (4 (σᵢ² + σⱼ²)))

    Differentiable once. A coefficient below 1e-154 may come out as 0.

    Args:
        mean: (R, N, d) posterior means of R spaces, in latent units, float64, on the CPU.
        logvar: (R, N, d) ln σ², between −650 and 650.

    Returns:
        (R, N, N) coefficients, symmetric, exactly 1 on the diagonal.

    Raises:
        InvalidInputError: when the two shapes differ, do not have three axes, or are not of double precision.

    Example:
        >>> mean = torch.tensor([[[0.0], [4.0]]], dtype=torch.float64)
        >>> bhattacharyya_coefficient(mean, torch.zeros_like(mean)).log()
        tensor([[[ 0., -2.],
                 [-2.,  0.]]], dtype=torch.float64)
    """
    if mean.shape != logvar.shape or mean.ndim != 3 or {mean.dtype, logvar.dtype} != {torch.float64}:
        raise InvalidInputError(
            "Expected mean and logvar of one shape (spaces, images, dimensions) in float64, got"
            f" {tuple(mean.shape)} {mean.dtype} and {tuple(logvar.shape)} {logvar.dtype}."
        )
    coefficient: Tensor = _Coefficient.apply(mean, logvar)  # type: ignore[no-untyped-call]
    return coefficient


class _Coefficient(torch.autograd.Function):
    """The loops below as one differentiable operation."""

    @staticmethod
    def forward(ctx: Any, mean: Tensor, logvar: Tensor) -> Tensor:
        coefficient = mean.new_empty(*mean.shape[:2], mean.shape[1])
        _fill(_rows(mean), _rows((logvar / 2).exp()), coefficient.numpy())
        ctx.save_for_backward(mean, logvar, coefficient)
        return coefficient

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor, Tensor]:
        mean, logvar, coefficient = ctx.saved_tensors
        weight = (slope + slope.mT) * coefficient  # each pair stands in the matrix twice, and ∂b/∂d = −b
        slopes = mean.new_empty(2, *mean.mT.shape)
        _slopes(_rows(mean), _rows(logvar.exp()), weight.numpy(), *slopes.numpy())
        return slopes[0].mT, slopes[1].mT


def _rows(tensor: Tensor) -> Any:
    """Lay the images of each dimension side by side, as the inner loops run: (R, N, d) → (R, d, N)."""
    return tensor.detach().mT.contiguous().numpy()


def _fill(mean: Any, sigma: Any, coefficient: Any) -> None:
    """Write all coefficients, (R, N, N), of (R, d, N) means and σ."""
    spaces, dimensions, images = mean.shape
    for r in range(spaces):
        for i in range(images):
            coefficient[r, i, i] = 1.0
            for j in range(i):
                ratio, distance = 1.0, 0.0  # multiplied and added up over dimensions: one root and one exp per pair
                for k in range(dimensions):
                    s_i, s_j = sigma[r, k, i], sigma[r, k, j]
                    inverse = 1.0 / (s_i * s_i + s_j * s_j)
                    step = mean[r, k, i] - mean[r, k, j]
                    ratio *= 2.0 * s_i * s_j * inverse
                    distance += step * step * inverse
                coefficient[r, i, j] = coefficient[r, j, i] = math.sqrt(ratio) * math.exp(-0.25 * distance)


def _slopes(mean: Any, variance: Any, weight: Any, slope_mean: Any, slope_logvar: Any) -> None:
    """Write the gradient in the means and in ln σ², each (R, d, N), where −∂/∂d_ij is weight_ij, (R, N, N).

    ∂d_ij/∂μᵢ = Δμ / (2 s)  and  ∂d_ij/∂ln σᵢ² = (σᵢ²/s) (½ − Δμ²/(4 s)) − ¼,  s = σᵢ² + σⱼ²
    """
    spaces, dimensions, images = mean.shape
    for r in range(spaces):
        for i in range(images):
            for k in range(dimensions):
                v_i, m_i, of_mean, of_logvar = variance[r, k, i], mean[r, k, i], 0.0, 0.0
                for j in range(images):
                    inverse = 1.0 / (v_i + variance[r, k, j])
                    step = m_i - mean[r, k, j]
                    of_mean += weight[r, i, j] * step * inverse
                    of_logvar += weight[r, i, j] * (v_i * inverse * (0.5 - 0.25 * step * step * inverse) - 0.25)
                slope_mean[r, k, i], slope_logvar[r, k, i] = -0.5 * of_mean, -of_logvar


_fill = compiled(_fill)
# Reordered sums are the price of vector instructions, here alone: the gradient is a sum over all images.
_slopes = compiled(_slopes, {"contract", "reassoc"})
