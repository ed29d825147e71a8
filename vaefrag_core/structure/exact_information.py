"""Information that all pairs of channels share, by integration: no bound, and linear in the number of images.

With the posteriors of a channel written on a grid (`measures.posterior_grid`), Φ^U_ig = p(u_g|xᵢ) du_g,

    p(u) = meanᵢ Φ^U        p(u,v) = Φ^Uᵀ Φ^V / N
    I(X;U) = −Σ p(u) log2 [p(u)/du] − meanᵢ log2 (σᵢ √2πe)        I(U;V) = Σ p(u,v) log2 [ p(u,v) / (p(u) p(v)) ]

so that all pairs are one product of matrices. I(U;U′) is its diagonal, and a label is a channel whose grid is its
values. Each pair of tiles (`posterior_tiles`) is one task for one thread, which writes the posteriors of some images at
a time and adds up their products.
"""

import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from threading import Event

import numpy as np

from vaefrag_core.array_types import BoolArray, FloatArray, IntArray
from vaefrag_core.measures.posterior_grid import SPACING, posterior_grid
from vaefrag_core.structure.compared_rows import Progress, Rows
from vaefrag_core.structure.posterior_tiles import SLICE_IMAGES, Grid, Tile, cut_tiles, lay_grid, slices

CHECKED_CHANNELS = 8  # that are integrated on a grid twice as fine as well
NOTHING_BITS = 1e-5  # below which an integral cannot be told from 0

# Two tiles, with p(u) of their columns, and an event that ends the work → I(U;V) of their rows, bits.
Comparison = Callable[[Tile, Tile, FloatArray, FloatArray, Event], FloatArray]


@dataclass(frozen=True, eq=False)
class ExactBits:
    """What R rows tell, and share, by integration.

    Args:
        information: (R,) I(X;U), bits.
        shared: (R, R) I(U;V), bits; I(U;U′) on the diagonal. NaN for pairs that were left out.
        error_bits: largest change, of some rows, on grids twice as fine.
        widened: (C,) True where narrow posteriors had to count as wider: these channels tell more than is said here.
    """

    information: FloatArray
    shared: FloatArray
    error_bits: float
    widened: BoolArray


def exact_bits(
    rows: Rows,
    *,
    ceiling_bits: float | None = None,
    threads: int = 1,
    on_progress: Progress | None = None,
    compare: Comparison | None = None,
) -> ExactBits:
    """Integrate what every row tells, and what every pair of rows shares.

    Args:
        rows: C channels and F labels on N images.
        ceiling_bits: H(X); log2 N without it.
        threads: CPU threads. The result does not depend on it.
        on_progress: called with images done and N, as pairs of tiles are done; an exception that it raises ends the
            work.
        compare: compares two tiles; by default on the CPU.

    Returns:
        Bits, within a few 1e-5 of the integrals. A channel that tells every image from every other shares with each
        row all that it tells. Memory: 60 MB for each thread and (R, R) arrays, beside the rows themselves.
    """
    from threadpoolctl import threadpool_limits

    count, n_images = rows.shape
    ceiling = math.log2(n_images) if ceiling_bits is None else ceiling_bits
    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(threads) as pool:  # each thread multiplies alone
        grids = list(pool.map(lambda c: lay_grid(rows.mean[c], rows.logvar[c], ceiling), range(len(rows.mean))))
        full = np.array([grid.tells_all for grid in grids] + [False] * len(rows.codes), dtype=bool)
        usable = np.flatnonzero(~full)
        information, shared = np.full(count, ceiling), np.full((count, count), np.nan)
        marginals: list[FloatArray] = [np.zeros(0)] * count
        for row, (bits, marginal) in zip(usable, pool.map(lambda r: _alone(rows, r, grids), usable), strict=True):
            information[row], marginals[row] = bits, marginal
        tasks = _tasks(rows, usable, grids)
        _compare_all(tasks, marginals, shared, pool, on_progress or (lambda done, n: None), compare or compare_tiles)
        error = _integration_error(rows, usable, grids, information, shared)
    shared[full] = information
    shared[:, full] = information[:, None]
    nothing = shared.diagonal() < NOTHING_BITS
    shared[nothing], shared[:, nothing] = 0.0, 0.0
    own = shared.diagonal().copy()
    for group in rows.skipped_groups:
        shared[group, group] = np.nan
    np.fill_diagonal(shared, own)
    information[nothing & (information < NOTHING_BITS)] = 0.0
    return ExactBits(information, shared, error, np.array([grid.widened for grid in grids], dtype=bool))


def compare_tiles(first: Tile, second: Tile, p_first: FloatArray, p_second: FloatArray, ended: Event) -> FloatArray:
    """Integrate what each row of one tile shares with each of another, on the CPU.

    Args:
        first: of K rows and G columns.
        second: of L rows and H columns.
        p_first: (G,) mean of each column over the images.
        p_second: (H,) likewise.
        ended: set when nobody wants the result any more.

    Returns:
        (K, L) bits.
    """
    from vaefrag_core.structure.exact_kernels import sum_terms

    n_images = first.source.shape[1]
    columns = np.empty((2, SLICE_IMAGES * max(first.n_columns, second.n_columns)), dtype=np.float32)
    product, part = np.zeros((2, first.n_columns, second.n_columns), dtype=np.float32)
    for images in slices(n_images):
        if ended.is_set():
            break
        length = images[1] - images[0]
        left, right = (
            buffer[: length * tile.n_columns].reshape(length, tile.n_columns)
            for buffer, tile in zip(columns, (first, second), strict=True)
        )
        first.write(images, left)
        if second is first:
            right = left
        else:
            second.write(images, right)
        np.matmul(left.T, right, out=part)
        product += part
    block = np.empty((len(first.rows), len(second.rows)))
    inverse_first, inverse_second = (_inverse(p).astype(np.float32) for p in (p_first, p_second))
    sum_terms(product, n_images, inverse_first, inverse_second, first.edges, second.edges, block)
    return bits_of_terms(block, (first, p_first), (second, p_second))


def bits_of_terms(terms: FloatArray, first: tuple[Tile, FloatArray], second: tuple[Tile, FloatArray]) -> FloatArray:
    """Return what rows share, from Σ p(u,v) ( ln r − 1 ) with r = p(u,v) / (p(u) p(v)).

    Σ p(u) p(v), a product of sums, is added: what rounding does to p(u,v) then cancels where r is 1.

    Args:
        terms: (K, L) nats, of K rows with L.
        first: the tile of the K rows, and p(u) of its columns.
        second: likewise of the L rows.

    Returns:
        (K, L) bits.
    """
    totals = [np.add.reduceat(p, tile.edges[:-1]) for tile, p in (first, second)]
    return np.asarray((terms + np.outer(*totals)) / math.log(2))


def _inverse(values: FloatArray) -> FloatArray:
    return np.divide(1, values, out=np.zeros_like(values), where=values > 0)


def _alone(rows: Rows, row: int, grids: list[Grid]) -> tuple[float, FloatArray]:
    """Return I(X;U) of one row, bits, and p(u) on every second point of its grid."""
    tile = Tile.of(rows, np.array([row]), grids, stride=1)
    mean = _column_means(tile)
    density = mean * _inverse(tile.weights) if len(tile.weights) else mean
    bits = (
        -(mean * np.log(np.where(density > 0, density, 1))).sum() - tile.posterior_entropies()[0].mean()
    ) / math.log(2)
    return max(float(bits), 0.0), 2 * mean[::2] if len(tile.weights) else mean


def _column_means(tile: Tile) -> FloatArray:
    n_images, total = tile.source.shape[1], np.zeros(tile.n_columns)
    columns = np.empty((SLICE_IMAGES, tile.n_columns), dtype=np.float32)
    for images in slices(n_images):
        part = columns[: images[1] - images[0]]
        tile.write(images, part)
        total += part.sum(axis=0, dtype=np.float64)
    return np.asarray(total / n_images)


def _tasks(rows: Rows, usable: IntArray, grids: list[Grid]) -> list[tuple[Tile, Tile]]:
    """List the pairs of tiles to compare, those that take longest first."""
    first, others = usable[usable < rows.n_first], usable[usable >= rows.n_first]
    first_tiles, other_tiles = cut_tiles(rows, first, grids), cut_tiles(rows, others, grids)
    tasks = [(u, v) for u in first_tiles for v in other_tiles]
    # Two draws of one channel are compared in any case, by themselves where its group is not.
    alone = list(first)
    if rows.across:
        alone += list(others)
    else:
        tasks += [(u, v) for k, u in enumerate(other_tiles) for v in other_tiles[k:]]
    tasks += [(tile, tile) for tile in (Tile.of(rows, np.array([row]), grids, stride=2) for row in alone)]
    return sorted(tasks, key=lambda pair: -pair[0].n_columns * pair[1].n_columns)


def _compare_all(
    tasks: Sequence[tuple[Tile, Tile]],
    marginals: Sequence[FloatArray],
    shared: FloatArray,
    pool: ThreadPoolExecutor,
    on_progress: Progress,
    compare: Comparison,
) -> None:
    """Compare all pairs of tiles and write what their rows share into (R, R) bits."""
    ended = Event()

    def work(first: Tile, second: Tile) -> FloatArray:
        p_first, p_second = (np.concatenate([marginals[row] for row in tile.rows]) for tile in (first, second))
        return compare(first, second, p_first, p_second, ended)

    sizes = {pool.submit(work, *pair): pair for pair in tasks}
    total, done = sum(u.n_columns * v.n_columns for u, v in tasks), 0
    try:
        for future in as_completed(sizes):
            first, second = sizes[future]
            block = future.result()
            shared[np.ix_(first.rows, second.rows)] = block
            shared[np.ix_(second.rows, first.rows)] = block.T
            done += first.n_columns * second.n_columns
            n_images = first.source.shape[1]
            on_progress(n_images * done // total, n_images)
    except BaseException:
        ended.set()
        for future in sizes:
            future.cancel()
        raise


def _integration_error(
    rows: Rows, usable: IntArray, grids: list[Grid], information: FloatArray, shared: FloatArray
) -> float:
    """Integrate some channels on grids twice as fine, and return the largest change, bits."""
    channels = usable[usable < len(rows.mean)]
    channels = channels[np.linspace(0, len(channels) - 1, min(CHECKED_CHANNELS, len(channels))).round().astype(int)]
    if not len(channels):
        return 0.0
    finer = list(grids)
    for c in channels:
        sigma = np.maximum(np.exp(rows.logvar[c] / 2), grids[c].least_sigma)
        finer[c] = Grid(*posterior_grid(rows.mean[c], sigma, SPACING / 4), grids[c].least_sigma)
    change = max(abs(_alone(rows, c, finer)[0] - information[c]) for c in channels)
    tile = Tile.of(rows, channels, grids, stride=1)
    p = _column_means(tile)
    compared = shared[np.ix_(channels, channels)]
    known = np.isfinite(compared)
    return float(max(change, np.abs(compare_tiles(tile, tile, p, p, Event()) - compared)[known].max()))
