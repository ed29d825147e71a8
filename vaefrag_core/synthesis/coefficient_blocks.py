"""Bhattacharyya coefficients of many channels, block by block, with arrays alone: pages use it, and never load torch.

`vaefrag_core.measures.gaussian` defines them. The faster version here is of the Bhattacharyya coefficient alone, and
tied to the definition by a test; other divergences are computed by their own formula.
"""

import math
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import local
from typing import TypeVar

import numpy as np

from vaefrag_core.array_types import Float32Array, FloatArray
from vaefrag_core.measures.gaussian import BHATTACHARYYA, DEFAULT_DIVERGENCE, Divergence

Block = Float32Array | FloatArray
Precision = type[np.float32] | type[np.float64]
Task = TypeVar("Task")
Result = TypeVar("Result")

MAX_SINGLE_SIGMA = 1e3  # widest channel, in its narrowest σ, whose differences of means single precision resolves
MAX_SINGLE_LOG_SIGMA = 20.0  # from the middle of a channel: exp(±2·20) is far from the ends of single precision
MAX_LOG_SIGMA = 300.0  # the same of double precision
KEPT_BYTES = 300e6  # of coefficients that are kept: 150 channels on 1,000 images


class CoefficientBlocks:
    """The coefficients b_ij of K channels on N images, computed for one block of images at a time.

    b_ij = √(2 σᵢ σⱼ / (σᵢ² + σⱼ²)) · exp(−(μᵢ−μⱼ)² / (4 (σᵢ² + σⱼ²)))

    Args:
        mean: (K, N), latent units.
        logvar: (K, N), ln σ².
        exact: True for double precision. Otherwise single, unless a channel is so wide, or its variances so unlike,
            that it needs double.
        divergence: what tells images apart; b_ij = exp(−d_ij).
    """

    def __init__(
        self,
        mean: FloatArray,
        logvar: FloatArray,
        *,
        exact: bool = False,
        divergence: Divergence = DEFAULT_DIVERGENCE,
    ) -> None:
        middle = (logvar.max(axis=1, keepdims=True) + logvar.min(axis=1, keepdims=True)) / 2
        log_sigma = np.clip((logvar - middle) / 2, -MAX_LOG_SIGMA, MAX_LOG_SIGMA)
        # Only differences of means count. From the median and in units of the middle σ, they keep their digits.
        scaled = (mean - np.median(mean, axis=1, keepdims=True)) * np.exp(-middle / 2)
        with np.errstate(over="ignore"):  # ∞ is wide
            wide = np.ptp(scaled, axis=1) * np.exp(-log_sigma.min(axis=1)) > MAX_SINGLE_SIGMA
        double = exact or bool(wide.any()) or bool((np.abs(log_sigma) > MAX_SINGLE_LOG_SIGMA).any())
        self.dtype: Precision = np.float64 if double else np.float32
        # Means are halved and variances negative, so that (Δμ/2)² / −(σᵢ² + σⱼ²) is the exponent as it stands.
        self._half_mean = (scaled / 2).astype(self.dtype)
        self._minus_variance = -np.exp(2 * log_sigma).astype(self.dtype)
        self._sigma = np.exp(log_sigma).astype(self.dtype)
        self._buffers = ThreadBuffers()
        self._divergence = divergence
        self._log_variance = (2 * log_sigma).astype(self.dtype)

    @property
    def shape(self) -> tuple[int, int]:
        """K and N."""
        return self._sigma.shape[0], self._sigma.shape[1]

    def fill(self, out: Block, channels: slice, rows: slice, columns: slice) -> Block:
        """Write the coefficients of some channels between some images and others.

        Args:
            out: (channels, rows, columns), overwritten.
            channels: which channels.
            rows: images i.
            columns: images j.

        Returns:
            `out`.
        """

        def pairs(array: Block) -> tuple[Block, Block]:
            return array[channels, rows, None], array[channels, None, columns]

        if self._divergence is not BHATTACHARYYA:
            return self._fill_by_definition(out, channels, rows, columns)
        minus_sum = self._buffers.array("variances", out.shape, self.dtype)
        np.add(*pairs(self._minus_variance), out=minus_sum)
        # What overflows is infinitely far apart, and what underflows tells such a pair apart: its coefficient is 0.
        with np.errstate(over="ignore", under="ignore"):
            power = np.subtract(*pairs(self._half_mean), out=out)
            np.multiply(power, power, out=power)
            np.divide(power, minus_sum, out=power)
            np.exp(power, out=power)
            sigma_i, sigma_j = pairs(self._sigma)
            # σⱼ / (σᵢ² + σⱼ²) first: σᵢ σⱼ alone could underflow where the ratio is 1.
            np.divide(sigma_j, minus_sum, out=minus_sum)
            np.multiply(-2 * sigma_i, minus_sum, out=minus_sum)
            np.sqrt(minus_sum, out=minus_sum)
            np.multiply(power, minus_sum, out=power)
        return out

    def _fill_by_definition(self, out: Block, channels: slice, rows: slice, columns: slice) -> Block:
        """Write coefficients by the formula of the divergence."""

        def pairs(array: Block) -> tuple[Block, Block]:
            return array[channels, rows, None], array[channels, None, columns]

        (mean_i, mean_j), (logvar_i, logvar_j) = pairs(self._half_mean), pairs(self._log_variance)
        with np.errstate(over="ignore", under="ignore"):  # infinitely far apart, as above
            distance = self._divergence.along_dimension(2 * mean_i, logvar_i, 2 * mean_j, logvar_j)
            np.exp(-distance, out=out)
        return out


class KeptBlocks(CoefficientBlocks):
    """The same coefficients, worked out once where they fit into memory: for sets that are put together step by step.

    Args:
        mean: (K, N), as of `CoefficientBlocks`.
        logvar: (K, N).
        blocks: rows and columns of the blocks that will be asked for; others are computed at every call.
    """

    def __init__(self, mean: FloatArray, logvar: FloatArray, blocks: Sequence[tuple[slice, slice]]) -> None:
        super().__init__(mean, logvar)
        self._kept: dict[tuple[int, int, int, int], Block] = {}
        pairs = sum((rows.stop - rows.start) * (columns.stop - columns.start) for rows, columns in blocks)
        if len(mean) * pairs * np.dtype(self.dtype).itemsize > KEPT_BYTES:
            return

        def work_out(block: tuple[slice, slice]) -> Block:
            rows, columns = block
            out = np.empty((len(mean), rows.stop - rows.start, columns.stop - columns.start), dtype=self.dtype)
            for channel in range(len(mean)):
                CoefficientBlocks.fill(self, out[channel : channel + 1], slice(channel, channel + 1), rows, columns)
            return out

        self._kept = {
            _ends(*block): kept for block, kept in zip(blocks, map_threads(work_out, list(blocks)), strict=True)
        }

    def fill(self, out: Block, channels: slice, rows: slice, columns: slice) -> Block:
        """Write the coefficients of some channels between some images and others; see `CoefficientBlocks.fill`."""
        kept = self._kept.get(_ends(rows, columns))
        if kept is None:
            return super().fill(out, channels, rows, columns)
        np.copyto(out, kept[channels])
        return out


def _ends(rows: slice, columns: slice) -> tuple[int, int, int, int]:
    return rows.start, rows.stop, columns.start, columns.stop


class ThreadBuffers:
    """Named arrays of each thread, filled again and again: fresh memory costs more than the arithmetic done in it."""

    def __init__(self) -> None:
        self._local = local()

    def array(self, name: str, shape: tuple[int, ...], dtype: Precision) -> Block:
        """Return the calling thread's array of a name, with whatever it holds.

        Args:
            name: one of the few that a caller uses, each for one type of numbers.
            shape: of the array.
            dtype: type of its numbers.
        """
        size = math.prod(shape)
        buffer = getattr(self._local, name, None)
        if buffer is None or buffer.size < size:
            buffer = np.empty(size, dtype=dtype)
            setattr(self._local, name, buffer)
        return np.asarray(buffer[:size].reshape(shape))


def map_threads(function: Callable[[Task], Result], tasks: list[Task]) -> list[Result]:
    """Call a function for every task on all cores.

    Returns:
        The results in order; they do not depend on the number of cores.
    """
    from threadpoolctl import threadpool_limits

    if len(tasks) == 1:
        return [function(tasks[0])]
    # Each thread multiplies alone: BLAS must not bring threads of its own.
    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(os.cpu_count() or 1) as threads:
        return list(threads.map(function, tasks))
