"""Information and similarity of all pairs of channels, streamed over the images.

For one image i, the coefficients b_ij of all channels form a (C, N) array, and Σⱼ b^U_ij b^V_ij for every
pair is its Gram matrix: N matrix products do all pairs, and no channel's N×N distances are ever stored.

Two things keep single precision exact enough. The products are made of the centred complements
1 − b_ij − mean, whose Gram matrix is the covariance cov_i(U,V) itself, so that a channel that tells almost
nothing apart keeps its digits. And because

    I(U;V) = (1/N) Σᵢ log2 [ 1 + cov_i(U,V) / (b̄_i^U b̄_i^V) ],   b̄_i = (1/N) Σⱼ b_ij,

the shared information is summed directly, never as a difference of large numbers. The ratios of several
images are multiplied in double precision before one logarithm is taken.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vaefrag_core.artifacts import ChannelMatrix, Posteriors
from vaefrag_core.structure.factors import label_codes

Progress = Callable[[int, int], None]


def compare_channels(
    posteriors: Posteriors, *, device: str | torch.device = "cpu", on_progress: Progress | None = None
) -> ChannelMatrix:
    """Compare every channel with every other, and with every label.

    Args:
        posteriors: of M members on N images.
        device: where the products are computed.
        on_progress: called with images done and N; an exception that it raises ends the work.

    Returns:
        Information, NMI and VI as `vaefrag_core.measures` defines them; NMI is NaN where a channel tells
        nothing apart. Memory: (C, N) and (C, C) arrays.

    Reference:
        Murphy, K. A., Dillavou, S., Bassett, D. S. (2024). https://arxiv.org/abs/2405.21042
    """
    mean, logvar = posteriors.flat()
    # Only differences within a channel count. Taken from its centre, they keep their digits in single precision.
    level = logvar.mean(axis=1, keepdims=True)
    rows = _Rows(
        mean=torch.tensor(mean - mean.mean(axis=1, keepdims=True), dtype=torch.float32, device=device),
        logvar=torch.tensor(logvar - level, dtype=torch.float32, device=device),
        level=torch.tensor(level, dtype=torch.float32, device=device),
        codes=torch.tensor(label_codes(posteriors.labels, posteriors.n_images), device=device),
    )
    information, shared = _stream(rows, on_progress)
    nmi, vi_bits = _normalize(information, shared)
    count = posteriors.n_channels
    return ChannelMatrix(
        channel_names=posteriors.channel_names,
        information_bits=information[:count],
        information_twice_bits=(2 * information - shared.diagonal())[:count],
        nmi=nmi[:count, :count],
        vi_bits=vi_bits[:count, :count],
        n_images=posteriors.n_images,
        label_names=tuple(posteriors.label_names or ()),
        label_bits=information[count:],
        label_nmi=nmi[:count, count:],
        label_vi_bits=vi_bits[:count, count:],
    )


@dataclass(frozen=True)
class _Rows:
    """The R = C + F rows that are compared: channels, then labels."""

    mean: Tensor  # (C, N), centred
    logvar: Tensor  # (C, N), centred
    level: Tensor  # (C, 1), what was taken from logvar
    codes: Tensor  # (F, N)

    @property
    def shape(self) -> tuple[int, int]:
        return len(self.mean) + len(self.codes), self.mean.shape[1]

    def complements(self, image: int, out: Tensor) -> None:
        """Write 1 − b_ij of every row for one image i: (R, N).

        With half = (ln σᵢ² − ln σⱼ²)/2, the distance is (Δμ)²/(8 s²) + ½ ln cosh(half); see
        `vaefrag_core.measures.gaussian`. Here ln cosh(half) = ln(1 + 2 sinh²(half/2)) directly: beyond
        |half| = 80 the coefficient is 0 in any precision.
        """
        count = len(self.mean)
        half = ((self.logvar - self.logvar[:, image, None]) / 2).clamp_(-80, 80)
        log_cosh = half.mul(0.5).sinh_().square_().mul_(2).log1p_()
        log_s2 = self.logvar.add(self.logvar[:, image, None]).div_(2).add_(self.level).add_(log_cosh)
        scaled = (self.mean - self.mean[:, image, None]).mul_(log_s2.mul_(-0.5).exp_()).square_().div_(8)
        torch.expm1(scaled.add_(log_cosh, alpha=0.5).neg_(), out=out[:count])
        out[:count].neg_()
        out[count:] = (self.codes != self.codes[:, image, None]).to(out.dtype)


def _stream(rows: _Rows, on_progress: Progress | None) -> tuple[Any, Any]:
    """Information (R,) and shared information (R, R) in bits, float64."""
    count, n_images = rows.shape
    device = rows.mean.device
    complement = torch.empty(count, n_images, device=device)
    covariance = torch.empty(count, count, device=device)
    product = torch.zeros(count, count, dtype=torch.float64, device=device)  # of the ratios, less 1
    shared = torch.zeros_like(product)
    log_mean = torch.zeros(count, dtype=torch.float64, device=device)
    # Each ratio lies between 1/N and N: as many as cannot leave the range of a double share one logarithm.
    together = max(1, int(300 / math.log10(max(n_images, 10))))
    for image in range(n_images):
        rows.complements(image, complement)
        average = complement.mean(dim=1, dtype=torch.float64)
        coefficient = 1 - average  # b̄_i, at least 1/N
        log_mean += coefficient.log2()
        complement -= average.float()[:, None]
        complement /= coefficient.float()[:, None]
        torch.mm(complement, complement.T, out=covariance)
        excess = covariance.double().div_(n_images).clamp_(min=1 / n_images - 1)
        product.addcmul_(product, excess).add_(excess)  # (1 + product)(1 + excess) − 1: keeps what is far below 1
        if (image + 1) % together == 0 or image + 1 == n_images:
            shared += product.log1p_()
            product.zero_()
        if on_progress is not None and (image + 1) % 16 == 0:
            on_progress(image + 1, n_images)
    if on_progress is not None:
        on_progress(n_images, n_images)
    return (-log_mean / n_images).cpu().numpy(), (shared / (n_images * math.log(2))).cpu().numpy()


def _normalize(information: Any, shared: Any) -> tuple[Any, Any]:
    """Turn shared information into NMI and VI, both (R, R)."""
    own = shared.diagonal()
    informative = own > 1e-20  # below: zero but for rounding in the inputs
    scale = np.sqrt(np.where(informative, own, np.nan))
    nmi = shared / np.outer(scale, scale)
    # 2 I(X;U,V) − I(X;U,U′) − I(X;V,V′) with each joint written as a sum of singles minus what is shared
    vi_bits = own[:, None] + own[None, :] - 2 * shared
    np.fill_diagonal(vi_bits, 0.0)
    return nmi, vi_bits
