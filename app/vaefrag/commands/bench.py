"""`vaefrag bench measures`: the speed of comparing channels, against simpler ways that are timed in the same run."""

import resource
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vaefrag import terminal
from vaefrag_core.measures.gaussian import bhattacharyya_distance
from vaefrag_core.measures.information import information_bits
from vaefrag_core.structure.compared_rows import Rows
from vaefrag_core.structure.pairwise_information import shared_bits, shared_bits_by_torch

SIZES = ((200, 300), (500, 1000))
LARGE = (5000, 300)
GROWTH_CHANNELS, GROWTH_IMAGES = (100, 200, 400, 800), (150, 300, 600, 1200)
SAMPLE_OF_PAIRS = 10
MOST_PRODUCTS = 1000


def bench_measures(
    sizes: tuple[tuple[int, int], ...], *, repeats: int, threads: int | None, growth: bool
) -> dict[str, Any]:
    """Time the comparison of all pairs of channels against two simpler ways.

    When something fails or is interrupted, the sizes before it are shown.

    Args:
        sizes: channels and images of each row of the table.
        repeats: turns of everything; the least time counts, as others may use the machine.
        threads: None for as many as torch uses.
        growth: whether the exponents in channels and in images are fitted, too.

    Returns:
        JSON content: a row per size, and the exponents.
    """
    threads = threads or torch.get_num_threads()
    terminal.print_message("Compiling, or reading what was compiled before …")
    shared_bits(_random_channels(8, 8), threads=threads)
    rows: list[dict[str, Any]] = []
    result: dict[str, Any] = {"threads": threads, "repeats": repeats, "rows": rows}
    try:
        for channels, images in sizes:
            terminal.print_message(f"{channels:,} channels on {images:,} images …")
            rows.append(_row(channels, images, repeats, threads))
        if growth:
            terminal.print_message("Growth …")
            exponent_in_channels = _exponent([(c, 300) for c in GROWTH_CHANNELS], 0, repeats, threads)
            exponent_in_images = _exponent([(200, n) for n in GROWTH_IMAGES], 1, repeats, threads)
            result |= {"exponent_in_channels": exponent_in_channels, "exponent_in_images": exponent_in_images}
    except BaseException:
        if rows:
            show_measures(result)
        raise
    return result


def show_measures(result: dict[str, Any]) -> None:
    """Show the result as a table."""
    columns = ["channels", "images", "seconds", "Gram form", "loop", "GFLOP/s", "product", "peak MB"]
    rows = [
        [
            f"{row['channels']:,}",
            f"{row['images']:,}",
            f"{row['seconds']:.3f}",
            f"{row['gram_ratio']:.1f} ×",
            f"{row['loop_ratio']:,.0f} ×",
            f"{row['gflops']:.0f}",
            f"{row['product_gflops']:.0f}",
            f"{row['peak_megabytes']:,.0f}",
        ]
        for row in result["rows"]
    ]
    terminal.show_table(columns, rows, right=columns)
    terminal.print_message(
        f"{result['threads']} threads; the least of {result['repeats']} turns each.\n"
        "Gram form: one whole matrix product per image.\n"
        "Loop: all distances kept, one joint information per pair; timed on"
        f" {SAMPLE_OF_PAIRS} pairs and extrapolated.\n"
        "GFLOP/s: of what is needed, each pair counted once; product: of one plain matrix product."
    )
    if "exponent_in_channels" in result:
        terminal.print_message(
            f"Time grows with channels^{result['exponent_in_channels']:.2f} (at 300 images) and with"
            f" images^{result['exponent_in_images']:.2f} (of 200 channels)."
        )


def _row(channels: int, images: int, repeats: int, threads: int) -> dict[str, Any]:
    rows = _random_channels(channels, images)
    streamed: list[float] = []
    gram: list[float] = []
    loop: list[float] = []
    product: list[float] = []
    peak = 0.0
    for turn in range(repeats):
        if turn == 0:
            _forget_peak()  # that of compiling, which happens once on a machine
        streamed.append(seconds_of(lambda: shared_bits(rows, threads=threads)))
        if turn == 0:
            peak = _peak_megabytes()  # before the others add to it
        gram.append(_gram_seconds(rows))
        loop.append(_loop_seconds(rows))
        product.append(product_seconds(channels, images))
    best = min(streamed)
    return {
        "channels": channels,
        "images": images,
        "seconds": best,
        "gram_seconds": min(gram),
        "gram_ratio": min(gram) / best,
        "loop_seconds": min(loop),
        "loop_ratio": min(loop) / best,
        "gflops": channels * (channels + 1) * images**2 / best / 1e9,
        "product_gflops": 2 * channels**2 * images / min(product) / 1e9,
        "peak_megabytes": peak,
    }


def _random_channels(channels: int, images: int) -> Rows:
    rng = np.random.default_rng(0)
    return Rows(
        rng.normal(size=(channels, images)),
        rng.normal(-2, 1, size=(channels, images)),
        np.zeros((0, images), dtype=np.int64),
    )


def _gram_seconds(rows: Rows) -> float:
    """Time the Gram form; of many channels on some of the images, each of which costs the same."""
    images = rows.shape[1]
    part = images if rows.shape[0] <= 1000 else 4

    def stop(done: int, n_images: int) -> None:
        del n_images
        if done >= part:
            raise StopIteration

    def run() -> None:
        try:
            shared_bits_by_torch(rows, torch.device("cpu"), stop, report_every=min(part, 16))
        except StopIteration:
            return

    return seconds_of(run) * images / part


def _loop_seconds(rows: Rows) -> float:
    """Time the plain loop on a sample: distances of a channel once, then one joint information per pair."""
    count = rows.shape[0]
    few = [torch.tensor(array[:SAMPLE_OF_PAIRS])[..., None] for array in (rows.mean, rows.logvar)]
    distance = bhattacharyya_distance(few[0], few[1])
    channel = seconds_of(lambda: bhattacharyya_distance(few[0][0], few[1][0]))

    def pairs() -> None:
        for k in range(SAMPLE_OF_PAIRS):
            information_bits(distance[k] + distance[k - 1])

    return count * channel + count * (count + 1) / 2 * seconds_of(pairs) / SAMPLE_OF_PAIRS


def product_seconds(channels: int, images: int) -> float:
    """Time one plain matrix product of all channels on so many images, single precision."""
    matrix = torch.randn(channels, images)
    out = torch.empty(channels, channels)
    # One small product is too quick to be timed; thousands of the smallest tell no more.
    count = min(max(1, int(2e10 / (2 * channels**2 * images))), MOST_PRODUCTS)

    def products() -> None:
        for _ in range(count):
            torch.mm(matrix, matrix.T, out=out)

    return seconds_of(products) / count


def _exponent(sizes: list[tuple[int, int]], axis: int, repeats: int, threads: int) -> float:
    """Fit the power of the channels (axis 0) or images (axis 1) with which the time grows."""
    seconds = []
    for channels, images in sizes:
        compare = partial(shared_bits, _random_channels(channels, images), threads=threads)
        seconds.append(min(seconds_of(compare) for _ in range(repeats)))
    grown = [size[axis] for size in sizes]
    return float(np.polyfit(np.log(grown), np.log(seconds), 1)[0])


def seconds_of(work: Callable[[], Any]) -> float:
    """Time a piece of work once, seconds."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _forget_peak() -> None:
    """Reset the count of the most memory held, where the system can (Linux)."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def _peak_megabytes() -> float:
    """Return the most memory that this process has held, its libraries included."""
    with suppress(OSError, StopIteration):
        lines = Path("/proc/self/status").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1e3
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1e6 if sys.platform == "darwin" else 1e3)
