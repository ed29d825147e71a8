"""What all pairs of channels share, streamed over the images.

For one image i, the coefficients b_ij of all channels form a (C, N) array, and Σⱼ b^U_ij b^V_ij for every
pair is its Gram matrix: N matrix products do all pairs, and no channel's N×N distances are ever stored.

Two things keep single precision exact enough. The products are made of the centred complements
1 − b_ij − mean, whose Gram matrix is the covariance cov_i(U,V) itself, so that a channel that tells almost
nothing apart keeps its digits. And because

    I(U;V) = (1/N) Σᵢ log2 [ 1 + cov_i(U,V) / (b̄_i^U b̄_i^V) ],   b̄_i = (1/N) Σⱼ b_ij,

the shared information is summed directly, never as a difference of large numbers. The ratios of many images
are multiplied in double precision before one logarithm is taken.

On a CPU the loops are those of `pairwise_kernels`: the upper triangle of pairs is cut into blocks
that fit the cache and that threads take one by one. How it is cut does not depend on how many threads there are,
so neither does a result, to the last bit. Other devices are left to torch.
"""

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vaefrag_core.array_types import FloatArray, IntArray

Progress = Callable[[int, int], None]
Task = Callable[[], None]
Block = tuple[int, int, int, int]  # rows u0 … u1 against rows v0 … v1

BLOCK_ROWS = 256  # a block of products, and the rows that make it, stay in a core's cache
IMAGES_AT_ONCE = 16  # whose ratios are multiplied at a time: enough that what each thread does is worth its start
RATIOS_BYTES = 64e6  # of those and of the next images', at most
WIDE_SIGMA = 1e3  # beyond, single precision would blur what lies near by
DESERT_SIGMA = 40.0  # of the largest σ: across, coefficients are below exp(−200)
ROWS_OF_A_TASK = 32  # that one thread fills before it looks for other work


@dataclass(frozen=True)
class Rows:
    """The R = C + F rows that are compared: channels, then labels.

    Args:
        mean: (C, N), latent units.
        logvar: (C, N), ln σ².
        codes: (F, N) of the labels.
        known: pairs among the first so many rows are not wanted.
        across: nor are those among the others: what is left is the rectangle between both.
    """

    mean: FloatArray
    logvar: FloatArray
    codes: IntArray
    known: int = 0
    across: bool = False

    @property
    def shape(self) -> tuple[int, int]:
        """R and N."""
        return len(self.mean) + len(self.codes), self.mean.shape[1]

    @property
    def unwanted(self) -> tuple[slice, ...]:
        """Ranges of rows whose pairs among themselves are not wanted."""
        return (slice(0, self.known), *((slice(self.known, None),) if self.across else ()))

    @property
    def images_together(self) -> int:
        """How many images' ratios share a logarithm: each lies between 1/N and N, and a double ends at 1e±308."""
        return max(1, int(300 / math.log10(max(self.shape[1], 10))))


def shared_bits(
    rows: Rows, *, device: str | torch.device = "cpu", threads: int | None = None, on_progress: Progress | None = None
) -> tuple[FloatArray, FloatArray]:
    """Give the information of every row, and what every pair shares.

    Args:
        rows: R rows on N images.
        device: where it is computed.
        threads: on a CPU; as many as torch uses when not given. The result does not depend on it.
        on_progress: called with images done and N; an exception that it raises ends the work.

    Returns:
        I(X;U) (R,) and I(U;V) (R, R) in bits; the diagonal is I(U;U′). Pairs that are not wanted are NaN.
    """
    on_progress = on_progress or (lambda done, n_images: None)
    if torch.device(device).type == "cpu":
        return _by_kernels(rows, threads or torch.get_num_threads(), on_progress)
    return shared_bits_by_torch(rows, torch.device(device), on_progress)


def blocks(count: int, known: int = 0, *, across: bool = False) -> list[Block]:
    """Cut the pairs u ≤ v, without those of two known rows, into blocks; those that take longest first.

    Across, pairs of two rows that are not known are left out as well. A block on the diagonal is one square, of
    which BLAS computes half.
    """
    most = min(BLOCK_ROWS, max(1, -(-count // 2)))  # of few rows, too, more than one thread has some
    old, new = _ranges(0, known, most), _ranges(known, count, most)
    found: list[Block] = []
    for position, (v0, v1) in enumerate(new):
        found.extend((u0, u1, v0, v1) for u0, u1 in old + ([] if across else new[: position + 1]))
    return sorted(found, key=lambda b: ((b[0] - b[1]) * (b[3] - b[2]) * (1 if b[0] == b[2] else 2), b))


def _ranges(start: int, stop: int, most: int) -> list[tuple[int, int]]:
    """Cut a range into equal parts of at most so many."""
    parts = -(-(stop - start) // most)
    edges = [start + (stop - start) * k // parts for k in range(parts + 1)] if parts else []
    return list(pairwise(edges))


def _by_kernels(rows: Rows, threads: int, on_progress: Progress) -> tuple[FloatArray, FloatArray]:
    from threadpoolctl import threadpool_limits

    from vaefrag_core.structure import pairwise_kernels

    count, n_images = rows.shape
    mean, sigma, inverse = _in_units_of_sigma(rows.mean, rows.logvar, pairwise_kernels.FARTHEST_SIGMA)
    together = rows.images_together
    most = RATIOS_BYTES // (2 * 4 * max(count, 1) * n_images)  # held twice, four bytes each
    at_once = int(min(IMAGES_AT_ONCE, together, n_images, max(1, most)))
    held = np.empty((2, at_once, count, n_images), dtype=np.float32)  # ratios: of these images, and of the next
    log_mean, own = np.zeros((2, count))
    product, shared = np.zeros((2, count, count))  # products less 1
    cut = blocks(count, rows.known, across=rows.across)

    def fill(images: tuple[int, int], part: tuple[int, int]) -> None:
        ratios = held[images[0] // at_once % 2]
        pairwise_kernels.fill(mean, sigma, inverse, rows.codes, images, part, ratios, log_mean, own)

    def multiply(images: tuple[int, int], block: Block) -> None:
        u0, u1, v0, v1 = block
        covariance = np.empty((u1 - u0, v1 - v0), dtype=np.float32)
        for ratio in held[images[0] // at_once % 2, : images[1] - images[0]]:
            np.dot(ratio[u0:u1], ratio[v0:v1].T, out=covariance)  # on the diagonal BLAS does half
            pairwise_kernels.fold(covariance, n_images, product[u0:u1, v0:v1])

    def settle(block: Block) -> None:
        pairwise_kernels.settle(product, block, shared)

    def fills(images: tuple[int, int]) -> list[Task]:
        return [partial(fill, images, part) for part in _ranges(0, count, ROWS_OF_A_TASK)]

    slices = [(first, min(first + at_once, n_images)) for first in range(0, n_images, at_once)]
    multiplied = 0  # images in the products
    # Each thread multiplies alone: BLAS must not bring threads of its own.
    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(threads) as pool:
        _do(pool, fills(slices[0]))
        for images, following in zip(slices, [*slices[1:], None], strict=True):
            # The small tasks last: they keep every thread busy to the end.
            _do(pool, [partial(multiply, images, block) for block in cut] + (fills(following) if following else []))
            multiplied += images[1] - images[0]
            if not following or multiplied + at_once > together:
                _do(pool, [partial(settle, block) for block in cut])
                multiplied = 0
            on_progress(images[1], n_images)
    for u in range(count):
        shared[u + 1 :, u] = shared[u, u + 1 :]
    for part in rows.unwanted:
        shared[part, part] = np.nan
    np.fill_diagonal(shared, own)
    shared /= n_images * math.log(2)
    return -log_mean / n_images, shared


def _do(pool: ThreadPoolExecutor, tasks: list[Task]) -> None:
    """Let the threads do all tasks, the first of them first; gives back when all are done."""
    for _ in pool.map(lambda task: task(), tasks):
        pass


def _in_units_of_sigma(mean: FloatArray, logvar: FloatArray, farthest: float) -> tuple[Any, Any, Any]:
    """Give means, σ and 1/σ in single precision, in units of the middle σ of each channel.

    Only differences within a channel count. Taken from its middle, they keep their digits; and where a channel's σ
    hardly varies, so do those of σ − 1, which stand in for σ.
    """
    middle = (logvar.max(axis=1, keepdims=True) + logvar.min(axis=1, keepdims=True)) / 2
    log_sigma = np.clip((logvar - middle) / 2, -farthest, farthest)
    largest = float(np.finfo(np.float32).max) / 4
    scaled = (mean - np.median(mean, axis=1, keepdims=True)) * np.exp(-middle / 2)
    wide = np.flatnonzero(np.ptp(scaled, axis=1) > WIDE_SIGMA)
    scaled[wide] = _without_deserts(scaled[wide], DESERT_SIGMA * np.exp(log_sigma[wide].max(axis=1, keepdims=True)))
    narrow = np.abs(log_sigma).max(axis=1, keepdims=True) < 0.5
    sigma = np.where(narrow, np.expm1(log_sigma), np.exp(log_sigma))
    arrays = (np.clip(scaled, -largest, largest), sigma, np.exp(-log_sigma))
    first, second, third = (np.ascontiguousarray(array, dtype=np.float32) for array in arrays)
    return first, second, third


def _without_deserts(mean: FloatArray, most: FloatArray) -> FloatArray:
    """Shorten stretches without a mean to the most given: images on either side stay as unlike as can be told."""
    order = np.argsort(mean, axis=1)
    steps = np.minimum(np.diff(np.take_along_axis(mean, order, axis=1), axis=1), most)
    middle = mean.shape[1] // 2  # summed from here outwards, so that what lies near it keeps its digits
    left, right = -np.cumsum(steps[:, :middle][:, ::-1], axis=1)[:, ::-1], np.cumsum(steps[:, middle:], axis=1)
    shorter = np.empty_like(mean)
    np.put_along_axis(shorter, order, np.concatenate([left, np.zeros_like(most), right], axis=1), axis=1)
    return shorter


def shared_bits_by_torch(
    rows: Rows, device: torch.device, on_progress: Progress, *, report_every: int = 16
) -> tuple[FloatArray, FloatArray]:
    """Do the same with whole-array operations: for devices that do many at once, and as a second opinion."""
    count, n_images = rows.shape
    level = rows.logvar.mean(axis=1, keepdims=True)

    def single(array: FloatArray) -> Tensor:
        return torch.tensor(array, dtype=torch.float32, device=device)

    mean, logvar = single(rows.mean - rows.mean.mean(axis=1, keepdims=True)), single(rows.logvar - level)
    level, codes = single(level), torch.tensor(rows.codes, device=device)
    complement = torch.empty(count, n_images, device=device)
    covariance = torch.empty(count, count, device=device)
    product = torch.zeros(count, count, dtype=torch.float64, device=device)  # of the ratios, less 1
    shared = torch.zeros_like(product)
    log_mean = torch.zeros(count, dtype=torch.float64, device=device)
    for image in range(n_images):
        _complements(mean, logvar, level, image, out=complement[: len(mean)])
        complement[len(mean) :] = (codes != codes[:, image, None]).to(complement.dtype)
        average = complement.mean(dim=1, dtype=torch.float64)
        coefficient = 1 - average  # b̄_i, at least 1/N
        log_mean += coefficient.log2()
        complement -= average.float()[:, None]
        complement /= coefficient.float()[:, None]
        torch.mm(complement, complement.T, out=covariance)
        excess = covariance.double().div_(n_images).clamp_(min=1 / n_images - 1)
        product.addcmul_(product, excess).add_(excess)  # (1 + product)(1 + excess) − 1: keeps what is far below 1
        if (image + 1) % rows.images_together == 0 or image + 1 == n_images:
            shared += product.log1p_()
            product.zero_()
        if (image + 1) % report_every == 0 or image + 1 == n_images:
            on_progress(image + 1, n_images)
    own = shared.diagonal().clone()
    for part in rows.unwanted:
        shared[part, part] = torch.nan
    shared.diagonal().copy_(own)
    return (-log_mean / n_images).cpu().numpy(), (shared / (n_images * math.log(2))).cpu().numpy()


def _complements(mean: Tensor, logvar: Tensor, level: Tensor, image: int, out: Tensor) -> None:
    """Write 1 − b_ij of every channel for one image i: (C, N).

    With half = (ln σᵢ² − ln σⱼ²)/2, the distance is (Δμ)²/(8 s²) + ½ ln cosh(half); see
    `vaefrag_core.measures.gaussian`. Here ln cosh(half) = ln(1 + 2 sinh²(half/2)) directly: beyond
    |half| = 80 the coefficient is 0 in any precision.
    """
    half = ((logvar - logvar[:, image, None]) / 2).clamp_(-80, 80)
    log_cosh = half.mul(0.5).sinh_().square_().mul_(2).log1p_()
    log_s2 = logvar.add(logvar[:, image, None]).div_(2).add_(level).add_(log_cosh)
    scaled = (mean - mean[:, image, None]).mul_(log_s2.mul_(-0.5).exp_()).square_().div_(8)
    torch.expm1(scaled.add_(log_cosh, alpha=0.5).neg_(), out=out)
    out.neg_()
