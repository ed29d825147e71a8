"""Divergences of Gaussian posteriors: how unlike what a space says of two images is.

Everything that compares images takes its distances from a `Divergence` of this module: from `DEFAULT_DIVERGENCE` unless
it is handed another. Faster versions of the Bhattacharyya formula stand in `bhattacharyya_coefficient`, in
`structure.pairwise_kernels` and in `synthesis.coefficient_blocks`; tests tie each of them to the formula here. A
divergence that has no faster version is worked out by its own formula everywhere.

Reference: Bhattacharyya, A. (1943). On a measure of divergence between two statistical populations defined
by their probability distributions. Bulletin of the Calcutta Mathematical Society 35, 99-109.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from vaefrag_core.errors import InvalidInputError
from vaefrag_core.measures.array_namespace import Numbers, array_namespace


@dataclass(frozen=True)
class Divergence:
    """A divergence of Gaussians that adds up over independent dimensions.

    Args:
        name: for people.
        along_dimension: (mean_i, logvar_i, mean_j, logvar_j) → distance in nats, element by element, of Gaussians in
            one dimension; for arrays and tensors. It is symmetric, 0 of equal ones, never negative, and stays the same
            when both are shifted or stretched together: only then is a channel compared by what it tells apart.
    """

    name: str
    along_dimension: Callable[[Any, Any, Any, Any], Any]

    def distance(self, mean: Numbers, logvar: Numbers) -> Numbers:
        """Compare all pairs of diagonal Gaussian posteriors.

        d_ij = Σ_dims d(𝒩(μᵢ, σᵢ²), 𝒩(μⱼ, σⱼ²))

        Args:
            mean: (..., N, d) posterior means, in latent units.
            logvar: (..., N, d) ln σ².

        Returns:
            (..., N, N) distances in nats, symmetric, zero on the diagonal. Distances of a joint space are the sums of
            those of its parts.

        Raises:
            InvalidInputError: when the two shapes differ, or have fewer than two axes.
        """
        if mean.shape != logvar.shape or mean.ndim < 2:
            raise InvalidInputError(
                f"Expected mean and logvar of one shape (..., images, dimensions), got {tuple(mean.shape)} and"
                f" {tuple(logvar.shape)}."
            )
        zeros = array_namespace(mean).zeros
        total: Numbers = zeros((*mean.shape[:-1], mean.shape[-2]), dtype=mean.dtype, device=mean.device)
        for d in range(mean.shape[-1]):  # one dimension at a time: N² memory, not N²·d
            m, v = mean[..., d], logvar[..., d]
            total = total + self.along_dimension(m[..., :, None], v[..., :, None], m[..., None, :], v[..., None, :])
        return total


def bhattacharyya_distance(mean: Numbers, logvar: Numbers) -> Numbers:
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
        >>> import torch
        >>> bhattacharyya_distance(torch.tensor([[0.0], [4.0]]), torch.zeros(2, 1))
        tensor([[0., 2.],
                [2., 0.]])
    """
    return BHATTACHARYYA.distance(mean, logvar)


def _bhattacharyya(mean_i: Numbers, logvar_i: Numbers, mean_j: Numbers, logvar_j: Numbers) -> Numbers:
    """Bhattacharyya distance along one dimension.

    Written with half = (ln σᵢ² − ln σⱼ²)/2, of which ½ ln s² − ¼(ln σᵢ² + ln σⱼ²) = ½ ln cosh(half): no
    difference of large logarithms, so nearly equal posteriors keep their tiny distance, and no variance is
    ever exponentiated alone, so ln σ² of ±80 neither overflows nor vanishes.
    """
    xp = array_namespace(mean_i)
    half = (logvar_i - logvar_j) / 2
    mean_logvar = (logvar_i + logvar_j) / 2
    # s² = exp(mean_logvar)·cosh(half), and (Δμ)²/s² is formed as a square so that it cannot overflow early.
    log_cosh = _log_cosh(half)
    scaled = (mean_i - mean_j) * xp.exp(-(mean_logvar + log_cosh) / 2)
    distance: Numbers = xp.square(scaled) / 8 + log_cosh / 2
    return distance


def _log_cosh(x: Numbers) -> Numbers:
    """Logarithm of cosh x, exact near 0 (where it is x²/2) and far out (where it is |x| − ln 2)."""
    xp = array_namespace(x)
    size = xp.abs(x)
    far = size + xp.log1p(xp.exp(-2 * size)) - math.log(2)
    near_x = xp.where(size < 1, x, xp.zeros_like(x))  # keeps the gradient of the unused branch finite
    near = xp.log1p(2 * xp.square(xp.sinh(near_x / 2)))
    log_cosh: Numbers = xp.where(size < 1, near, far)
    return log_cosh


BHATTACHARYYA = Divergence("Bhattacharyya", _bhattacharyya)

DIVERGENCES = (BHATTACHARYYA,)  # each is held to the contract of `Divergence` by the tests
DEFAULT_DIVERGENCE = BHATTACHARYYA
