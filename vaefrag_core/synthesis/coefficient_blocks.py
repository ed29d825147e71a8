"""Bhattacharyya coefficients of many channels, block by block, with arrays alone: pages use it, and never load torch.

`vaefrag_core.measures.gaussian` says what they mean; a test ties the two.
"""

import math
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import local
from typing import Any, TypeVar

import numpy as np

from vaefrag_core.array_types import AnyArray, FloatArray

Part = TypeVar("Part")
Result = TypeVar("Result")

WIDE_SIGMA = 1e3  # beyond, single precision would blur what lies near by
MOST_LOG_SIGMA = 20.0  # from the middle of its channel; farther off, no coefficient is left to tell


class CoefficientBlocks:
    """The coefficients b_ij of K channels on N images, filled in where they are wanted.

    b_ij = √(2 σᵢ σⱼ / (σᵢ² + σⱼ²)) · exp(−(μᵢ−μⱼ)² / (4 (σᵢ² + σⱼ²)))

    Args:
        mean: (K, N), latent units.
        logvar: (K, N), ln σ².
        exact: in double precision. Otherwise in single, unless a channel is so wide that it needs double.
    """

    def __init__(self, mean: FloatArray, logvar: FloatArray, *, exact: bool = False) -> None:
        middle = (logvar.max(axis=1, keepdims=True) + logvar.min(axis=1, keepdims=True)) / 2
        log_sigma = np.clip((logvar - middle) / 2, -MOST_LOG_SIGMA, MOST_LOG_SIGMA)
        # in units of the middle σ, from the median: only differences count, and so they keep their digits
        # halved, and variances negative: so their ratio is the exponent itself
        scaled = (mean - np.median(mean, axis=1, keepdims=True)) * np.exp(-middle / 2)
        wide = bool((np.ptp(scaled, axis=1) > WIDE_SIGMA).any())
        self.dtype: type[Any] = np.float64 if exact or wide else np.float32
        self._half_mean = (scaled / 2).astype(self.dtype)
        self._minus_variance = -np.exp(2 * log_sigma).astype(self.dtype)
        self._sigma = np.exp(log_sigma).astype(self.dtype)
        self._memory = Memory()

    @property
    def shape(self) -> tuple[int, int]:
        """K and N."""
        return self._sigma.shape[0], self._sigma.shape[1]

    def fill(self, out: AnyArray, channels: slice, rows: slice, columns: slice) -> AnyArray:
        """Write the coefficients of some channels between some images and others.

        Args:
            out: (channels, rows, columns), written and given back.
            channels: which channels.
            rows: images i.
            columns: images j.
        """

        def both(array: AnyArray) -> tuple[AnyArray, AnyArray]:
            return array[channels, rows, None], array[channels, None, columns]

        minus_sum = self._memory.array("variances", out.shape, self.dtype)
        np.add(*both(self._minus_variance), out=minus_sum)
        with np.errstate(over="ignore", under="ignore"):  # what overflows is ∞ far apart: no coefficient is left
            power = np.subtract(*both(self._half_mean), out=out)
            np.multiply(power, power, out=power)
            np.divide(power, minus_sum, out=power)
            np.exp(power, out=power)
            sigma_i, sigma_j = both(self._sigma)
            np.divide(sigma_j, minus_sum, out=minus_sum)
            np.multiply(-2 * sigma_i, minus_sum, out=minus_sum)
            np.sqrt(minus_sum, out=minus_sum)
            np.multiply(power, minus_sum, out=power)
        return out


class Memory:
    """Arrays that each thread keeps and fills again: fresh memory costs more than the arithmetic done in it."""

    def __init__(self) -> None:
        self._held = local()

    def array(self, name: str, shape: tuple[int, ...], dtype: Any) -> AnyArray:
        """Give the calling thread's array of a name, with whatever it holds."""
        size = math.prod(shape)
        held = getattr(self._held, name, None)
        if held is None or held.size < size:
            held = np.empty(size, dtype=dtype)
            setattr(self._held, name, held)
        return np.asarray(held[:size].reshape(shape))


def side_by_side(task: Callable[[Part], Result], parts: list[Part]) -> list[Result]:
    """Do a task for every part on all cores, and give the results in order: they do not depend on the cores."""
    from threadpoolctl import threadpool_limits

    if len(parts) == 1:
        return [task(parts[0])]
    # Each thread multiplies alone: BLAS must not bring threads of its own.
    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        return list(pool.map(task, parts))
