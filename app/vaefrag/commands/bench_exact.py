"""`vaefrag bench exact`: the speed of exact information, beside the bound and beside a plain matrix product.

Both stand in the table for what the machine can do at the time: it may have other work.
"""

from typing import Any

import numpy as np
import torch

from vaefrag import terminal
from vaefrag.commands.bench import product_seconds, seconds_of
from vaefrag_core.structure.compared_rows import Rows
from vaefrag_core.structure.exact_information import exact_bits
from vaefrag_core.structure.pairwise_information import shared_bits
from vaefrag_core.structure.posterior_tiles import Tile, lay_grid

SIZES = ((500, 1_000), (500, 3_000), (500, 10_000))
QUICK = ((100, 300),)
LARGE = ((500, 60_000), (5_000, 1_000))
MOST_BY_BOUND = 1_000  # images; of more, the bound takes minutes
PRODUCT_COLUMNS, PRODUCT_IMAGES = 4_096, 4_096  # of the plain product that says what the machine reaches


def bench_exact(sizes: tuple[tuple[int, int], ...], *, repeats: int, threads: int | None) -> dict[str, Any]:
    """Time exact information of all pairs of channels.

    Args:
        sizes: channels and images of each row of the table.
        repeats: turns of everything; the least time counts. Of what takes a minute or more there is one.
        threads: None for as many as torch uses.

    Returns:
        JSON content: a row per size.
    """
    threads = threads or torch.get_num_threads()
    terminal.print_message("Compiling, or reading what was compiled before …")
    exact_bits(_ordinary_channels(2, 8))
    shared_bits(_ordinary_channels(2, 8), threads=threads)
    rows = []
    for channels, images in sizes:
        terminal.print_message(f"{channels:,} channels on {images:,} images …")
        rows.append(_row(channels, images, repeats, threads))
    return {"threads": threads, "repeats": repeats, "rows": rows}


def show_exact(result: dict[str, Any]) -> None:
    """Show the result as a table."""
    columns = ["channels", "images", "columns", "seconds", "bound, s", "GFLOP/s", "product", "share"]
    rows = [
        [
            f"{row['channels']:,}",
            f"{row['images']:,}",
            f"{row['columns']:,}",
            f"{row['seconds']:.2f}",
            "–" if row["bound_seconds"] is None else f"{row['bound_seconds']:.2f}",
            f"{row['gflops']:.0f}",
            f"{row['product_gflops']:.0f}",
            f"{row['gflops'] / row['product_gflops']:.0%}",
        ]
        for row in result["rows"]
    ]
    terminal.show_table(columns, rows, right=columns)
    terminal.print_message(
        f"{result['threads']} threads; the least of {result['repeats']} turns each.\n"
        "Columns: points of all grids together, one σ apart.\n"
        "Bound: the other estimator, on the same channels.\n"
        "GFLOP/s: of the products that are needed, each pair of columns counted once; product: of one plain product of"
        f" {PRODUCT_COLUMNS:,} × {PRODUCT_COLUMNS:,} on {PRODUCT_IMAGES:,} images, single precision."
    )


def _row(channels: int, images: int, repeats: int, threads: int) -> dict[str, Any]:
    rows = _ordinary_channels(channels, images)
    grids = [lay_grid(mean, logvar, np.inf) for mean, logvar in zip(rows.mean, rows.logvar, strict=True)]
    columns = Tile.of(rows, np.arange(channels), grids, stride=2).n_columns
    exact: list[float] = []
    bound: list[float] = []
    product: list[float] = []
    while not exact or (len(exact) < repeats and min(exact) < 60):
        exact.append(seconds_of(lambda: exact_bits(rows, threads=threads)))
        product.append(product_seconds(PRODUCT_COLUMNS, PRODUCT_IMAGES))
        if images <= MOST_BY_BOUND and channels <= 1_000:
            bound.append(seconds_of(lambda: shared_bits(rows, threads=threads)))
    return {
        "channels": channels,
        "images": images,
        "columns": columns,
        "seconds": min(exact),
        "bound_seconds": min(bound) if bound else None,
        "gflops": columns * (columns + 1) * images / min(exact) / 1e9,
        "product_gflops": 2 * PRODUCT_COLUMNS**2 * PRODUCT_IMAGES / min(product) / 1e9,
    }


def _ordinary_channels(channels: int, images: int) -> Rows:
    """Make channels of two bits whose σ vary like those of a trained ensemble: some 40 points each."""
    rng = np.random.default_rng(0)
    mean, logvar = rng.normal(size=(channels, images)), rng.normal(-2, 0.3, size=(channels, images))
    return Rows(mean, logvar, np.zeros((0, images), dtype=np.int64))
