"""Information that all pairs of channels share, streamed over the images.

For one image i, the coefficients b_ij of all channels form a (C, N) array, and Σⱼ b^U_ij b^V_ij for every
pair is its Gram matrix: N matrix products compare all pairs, and no channel's N×N distances are ever stored.

Two things keep single precision exact enough. The products are of the centred complements
1 − b_ij − mean, whose Gram matrix is the covariance cov_i(U,V) itself, so that a channel that tells almost
nothing apart keeps its digits. And because

    I(U;V) = (1/N) Σᵢ log2 [ 1 + cov_i(U,V) / (b̄_i^U b̄_i^V) ],   b̄_i = (1/N) Σⱼ b_ij,

the shared information is summed directly, never as a difference of large numbers. The ratios of many images
are multiplied in double precision before one logarithm is taken.

On a CPU the loops are those of `pairwise_kernels`: the upper triangle of pairs is cut into blocks
that fit the cache and that threads take one by one. How it is cut does not depend on how many threads there are,
so neither does a result, to the last bit. Other devices, and divergences that have no kernel, are left to torch.
"""

import math
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import pairwise

import numpy as np
import torch

from vaefrag_core.array_types import Float32Array, FloatArray
from vaefrag_core.measures.gaussian import BHATTACHARYYA
from vaefrag_core.structure.compared_rows import Progress, Rows

Task = Callable[[], None]
Block = tuple[int, int, int, int]  # rows u0 … u1 against rows v0 … v1

MAX_BLOCK_ROWS = 256  # a block of products, and the rows that make it, stay in a core's cache
MAX_SLICE_IMAGES = 16  # multiplied in one go: enough work for a thread to be worth its start
MAX_RATIO_BYTES = 64e6  # of the ratios of one slice of images and of the next
MAX_SPREAD_SIGMA = 1e3  # of the means of a channel; beyond, single precision would blur what lies close together
MAX_GAP_SIGMA = 40.0  # between neighbouring means, in the largest σ: across, coefficients are below exp(−200)
MAX_LOG_SIGMA = 80.0  # from the middle of its channel; beyond, coefficients are 0 in any precision
MAX_TASK_ROWS = 32  # that one thread fills before it looks for other work


def shared_bits(
    rows: Rows, *, device: str | torch.device = "cpu", threads: int | None = None, on_progress: Progress | None = None
) -> tuple[FloatArray, FloatArray]:
    """Compute the information of every row, and what every pair of rows shares.

    I(X;U) = −(1/N) Σᵢ log2 b̄_i^U,   I(U;V) = (1/N) Σᵢ log2 [ 1 + cov_i(U,V) / (b̄_i^U b̄_i^V) ]

    Args:
        rows: R rows on N images.
        device: where it is computed.
        threads: CPU threads, by default as many as torch uses. The result does not depend on it.
        on_progress: called with images done and N; an exception that it raises ends the work.

    Returns:
        I(X;U) (R,) and I(U;V) (R, R) in bits; the diagonal is I(U;U′). Pairs that were left out are NaN.
    """
    on_progress = on_progress or (lambda done, n_images: None)
    if torch.device(device).type == "cpu" and rows.divergence is BHATTACHARYYA:
        return _shared_bits_by_kernels(rows, threads or torch.get_num_threads(), on_progress)
    return shared_bits_by_torch(rows, torch.device(device), on_progress)


def ratios_of_images(rows: Rows) -> Iterator[tuple[int, Float32Array]]:
    """Yield, image by image, how much more alike each image is to it than images are on average.

    r_ij = b_ij / b̄_i

    Args:
        rows: C channels on N images, by the Bhattacharyya coefficient.

    Yields:
        The image i, and its ratios (C, N); an array of the caller's own until the next one.
    """
    from vaefrag_core.structure import pairwise_kernels

    count, n_images = rows.shape
    mean, sigma, inverse = _single_precision_rows(rows)
    length = int(min(MAX_SLICE_IMAGES, n_images))
    complements = np.empty((length, count, n_images), dtype=np.float32)
    log_mean, own = np.zeros((2, count))
    for first in range(0, n_images, length):
        images = (first, min(first + length, n_images))
        pairwise_kernels.fill_ratios(mean, sigma, inverse, rows.codes, images, (0, count), complements, log_mean, own)
        np.subtract(1, complements, out=complements)
        for image in range(*images):
            yield image, complements[image - first]


def blocks(count: int, n_first: int = 0, *, across: bool = False) -> list[Block]:
    """Cut the pairs u ≤ v of rows into blocks, those that take longest first.

    A block on the diagonal is one square, of which BLAS computes half.

    Args:
        count: R rows.
        n_first: pairs among the first so many rows are left out.
        across: leave out pairs among the others as well.
    """
    most = min(MAX_BLOCK_ROWS, max(1, -(-count // 2)))  # of few rows, too, more than one thread gets some
    first, others = _ranges(0, n_first, most), _ranges(n_first, count, most)
    cut: list[Block] = []
    for position, (v0, v1) in enumerate(others):
        cut.extend((u0, u1, v0, v1) for u0, u1 in first + ([] if across else others[: position + 1]))
    return sorted(cut, key=lambda b: ((b[0] - b[1]) * (b[3] - b[2]) * (1 if b[0] == b[2] else 2), b))


def _ranges(start: int, stop: int, most: int) -> list[tuple[int, int]]:
    """Cut a range into equal parts of at most `most`."""
    parts = -(-(stop - start) // most)
    edges = [start + (stop - start) * k // parts for k in range(parts + 1)] if parts else []
    return list(pairwise(edges))


def _shared_bits_by_kernels(rows: Rows, threads: int, on_progress: Progress) -> tuple[FloatArray, FloatArray]:
    from threadpoolctl import threadpool_limits

    from vaefrag_core.structure import pairwise_kernels

    count, n_images = rows.shape
    mean, sigma, inverse = _single_precision_rows(rows)
    per_logarithm = rows.images_per_logarithm
    most = MAX_RATIO_BYTES // (2 * 4 * max(count, 1) * n_images)  # two buffers, four bytes each
    length = int(min(MAX_SLICE_IMAGES, per_logarithm, n_images, max(1, most)))
    # Two buffers: while the ratios of one slice are multiplied, threads that run out of blocks fill those of the next.
    buffers = np.empty((2, length, count, n_images), dtype=np.float32)
    log_mean, own = np.zeros((2, count))
    product, shared = np.zeros((2, count, count))  # products less 1
    pairs = blocks(count, rows.n_first, across=rows.across)

    def fill(images: tuple[int, int], part: tuple[int, int]) -> None:
        ratios = buffers[images[0] // length % 2]
        pairwise_kernels.fill_ratios(mean, sigma, inverse, rows.codes, images, part, ratios, log_mean, own)

    def multiply(images: tuple[int, int], block: Block) -> None:
        u0, u1, v0, v1 = block
        covariance = np.empty((u1 - u0, v1 - v0), dtype=np.float32)
        for ratio in buffers[images[0] // length % 2, : images[1] - images[0]]:
            np.dot(ratio[u0:u1], ratio[v0:v1].T, out=covariance)  # on the diagonal BLAS does half
            pairwise_kernels.multiply_in(covariance, n_images, product[u0:u1, v0:v1])

    def accumulate(block: Block) -> None:
        pairwise_kernels.accumulate_logs(product, block, shared)

    def fill_tasks(images: tuple[int, int]) -> list[Task]:
        return [partial(fill, images, part) for part in _ranges(0, count, MAX_TASK_ROWS)]

    slices = [(first, min(first + length, n_images)) for first in range(0, n_images, length)]
    multiplied = 0  # images in the products
    # Each thread multiplies alone: BLAS must not bring threads of its own.
    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(threads) as pool:
        _run_all(pool, fill_tasks(slices[0]))
        for images, following in zip(slices, [*slices[1:], None], strict=True):
            # The small tasks last: they keep every thread busy to the end.
            products = [partial(multiply, images, block) for block in pairs]
            _run_all(pool, products + (fill_tasks(following) if following else []))
            multiplied += images[1] - images[0]
            if not following or multiplied + length > per_logarithm:
                _run_all(pool, [partial(accumulate, block) for block in pairs])
                multiplied = 0
            on_progress(images[1], n_images)
    for u in range(count):
        shared[u + 1 :, u] = shared[u, u + 1 :]
    for group in rows.skipped_groups:
        shared[group, group] = np.nan
    np.fill_diagonal(shared, own)
    shared /= n_images * math.log(2)
    return -log_mean / n_images, shared


def _run_all(pool: ThreadPoolExecutor, tasks: list[Task]) -> None:
    """Run all tasks in threads, started in order, and wait for the last; raise what one of them raises."""
    for _ in pool.map(lambda task: task(), tasks):
        pass


def _single_precision_rows(rows: Rows) -> tuple[Float32Array, Float32Array, Float32Array]:
    """Return means, σ and 1/σ of the channels, (C, N) each, in units of the middle σ of each channel.

    Only differences within a channel count. Taken from its middle, they keep their digits; and where a channel's σ
    hardly varies, so do those of σ − 1, which stand in for σ.
    """
    mean, log_sigma = _in_units_of_sigma(rows.mean, rows.logvar)
    wide = np.flatnonzero(np.ptp(mean, axis=1) > MAX_SPREAD_SIGMA)
    mean[wide] = _without_gaps(mean[wide], MAX_GAP_SIGMA * np.exp(log_sigma[wide].max(axis=1, keepdims=True)))
    narrow = np.abs(log_sigma).max(axis=1, keepdims=True) < 0.5
    sigma = np.where(narrow, np.expm1(log_sigma), np.exp(log_sigma))
    first, second, third = (_as_single(array) for array in (mean, sigma, np.exp(-log_sigma)))
    return first, second, third


def _in_units_of_sigma(mean: FloatArray, logvar: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return means and ln σ of each channel, in units of its middle σ.

    Means are taken from where half of all precision (1/σ²) lies below: near it single precision keeps most digits, and
    the narrowest posteriors need them most. One that is alone needs no more of them than the gap beside it.
    """
    middle = (logvar.max(axis=1, keepdims=True) + logvar.min(axis=1, keepdims=True)) / 2
    log_sigma = np.clip((logvar - middle) / 2, -MAX_LOG_SIGMA, MAX_LOG_SIGMA)
    order = np.argsort(mean, axis=1, kind="stable")
    gaps = np.diff(np.take_along_axis(mean, order, axis=1), axis=1) * np.exp(-middle / 2)
    beside = np.pad(gaps, ((0, 0), (1, 1)), constant_values=np.inf)
    nearest = np.minimum(beside[:, :-1], beside[:, 1:])  # ∞ of a single image
    scale = np.maximum(np.take_along_axis(np.exp(log_sigma), order, axis=1), np.where(np.isinf(nearest), 0, nearest))
    precision = (scale**-2.0).cumsum(axis=1)
    half = (precision < precision[:, -1:] / 2).sum(axis=1, keepdims=True)
    origin = np.take_along_axis(mean, np.take_along_axis(order, half, axis=1), axis=1)
    return (mean - origin) * np.exp(-middle / 2), log_sigma


def _as_single(array: FloatArray) -> Float32Array:
    """Round to single precision; what is beyond its range moves to a quarter of it, so that differences stay finite."""
    largest = float(np.finfo(np.float32).max) / 4
    return np.ascontiguousarray(np.clip(array, -largest, largest), dtype=np.float32)


def _without_gaps(mean: FloatArray, max_gap: FloatArray) -> FloatArray:
    """Narrow the gaps between neighbouring means, which leaves the images on either side as unlike as can be told.

    Args:
        mean: (W, N), in units of the channel's σ, 0 where digits count most.
        max_gap: (W, 1), in these units.

    Returns:
        (W, N) means in the same order along the line, of which single precision resolves more.
    """
    narrowed = np.empty_like(mean)
    for row, means, gap in zip(narrowed, mean, max_gap, strict=True):
        order = np.argsort(means)
        steps = np.minimum(np.diff(means[order]), gap)
        origin = int(np.abs(means[order]).argmin())  # summed from here outwards: what lies near it keeps its digits
        left, right = -np.cumsum(steps[:origin][::-1])[::-1], np.cumsum(steps[origin:])
        row[order] = np.concatenate([left, [0.0], right])
    return narrowed


def shared_bits_by_torch(
    rows: Rows, device: torch.device, on_progress: Progress, *, report_every: int = 16
) -> tuple[FloatArray, FloatArray]:
    """Compute the same with whole-array operations, for any divergence and any device.

    Args:
        rows: R rows on N images.
        device: where it is computed.
        on_progress: called with images done and N.
        report_every: images between two calls.

    Returns:
        I(X;U) (R,) and I(U;V) (R, R) in bits, as `shared_bits` does.
    """
    count, n_images = rows.shape

    scaled, log_sigma = _in_units_of_sigma(rows.mean, rows.logvar)  # a divergence is the same in any unit
    mean, logvar = (torch.tensor(_as_single(array), device=device) for array in (scaled, 2 * log_sigma))
    codes = torch.tensor(rows.codes, device=device)
    complement = torch.empty(count, n_images, device=device)
    covariance = torch.empty(count, count, device=device)
    product = torch.zeros(count, count, dtype=torch.float64, device=device)  # of the ratios, less 1
    shared = torch.zeros_like(product)
    log_mean = torch.zeros(count, dtype=torch.float64, device=device)
    for image in range(n_images):
        distance = rows.divergence.along_dimension(mean[:, image, None], logvar[:, image, None], mean, logvar)
        torch.expm1(-distance, out=complement[: len(mean)])  # b − 1, without the cancellation of exp(−d) − 1
        complement[: len(mean)].neg_()
        complement[len(mean) :] = (codes != codes[:, image, None]).to(complement.dtype)
        average = complement.mean(dim=1, dtype=torch.float64)
        overlap = 1 - average  # b̄_i, at least 1/N
        log_mean += overlap.log2()
        complement -= average.float()[:, None]
        complement /= overlap.float()[:, None]
        torch.mm(complement, complement.T, out=covariance)
        excess = covariance.double().div_(n_images).clamp_(min=1 / n_images - 1)
        product.addcmul_(product, excess).add_(excess)  # (1 + product)(1 + excess) − 1: keeps what is far below 1
        if (image + 1) % rows.images_per_logarithm == 0 or image + 1 == n_images:
            shared += product.log1p_()
            product.zero_()
        if (image + 1) % report_every == 0 or image + 1 == n_images:
            on_progress(image + 1, n_images)
    own = shared.diagonal().clone()
    for group in rows.skipped_groups:
        shared[group, group] = torch.nan
    shared.diagonal().copy_(own)
    return (-log_mean / n_images).cpu().numpy(), (shared / (n_images * math.log(2))).cpu().numpy()
