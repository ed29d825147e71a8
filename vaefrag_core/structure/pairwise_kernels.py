"""The inner loops of `pairwise_information`, compiled for the processor at hand and kept on disk.

Imported late, by `pairwise_information` alone: numba takes a second to load. Everything here works in single precision
on rows that were centred and scaled before, and is free of Python's lock, so that threads run side by side.
"""

import math
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from vaefrag_core.measures.numba_compile import compiled

_ONE, _HALF, _EIGHTH = np.float32(1), np.float32(0.5), np.float32(0.125)
_MAX_T, _MAX_SHIFT, _MAX_Q = np.float32(1e30), np.float32(1e18), np.float32(80)  # beyond, the coefficient is 0
# ln 2 in two parts, the first of which multiplies small whole numbers exactly; the series of exp by Horner.
_LOG2_E, _LN2_HIGH, _LN2_LOW = np.float32(1.44269504), np.float32(0.693359375), np.float32(-2.12194440e-4)
_E2, _E3, _E4, _E5, _E6, _E7 = (np.float32(1 / math.factorial(k)) for k in range(2, 8))


def _bits_as_float(context: Any, bits: Any) -> Any:
    """Reinterpret the 32 bits of a whole number as a float, which numba has no function for."""
    del context, bits

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        del context, signature
        return builder.bitcast(arguments[0], ir.FloatType())

    return types.float32(types.int32), generate


def _float_as_bits(context: Any, value: Any) -> Any:
    """Reinterpret a float as the whole number of the same 32 bits."""
    del context, value

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        del context, signature
        return builder.bitcast(arguments[0], ir.IntType(32))

    return types.int32(types.float32), generate


float_of_bits: Any = intrinsic(_bits_as_float)
bits_of_float: Any = intrinsic(_float_as_bits)


def _exponential(q: Any) -> Any:
    """Return a power of two and p with exp(−q) = power (1 + p), for 0 ≤ q ≤ 80: neither part loses what is tiny."""
    n = np.rint(-q * _LOG2_E)
    r = (-q - n * _LN2_HIGH) - n * _LN2_LOW
    p = r * (_ONE + r * (_HALF + r * (_E3 + r * (_E4 + r * (_E5 + r * (_E6 + r * _E7))))))
    return float_of_bits((np.int32(n) + np.int32(127)) << np.int32(23)), p


def _fill_complements(mean: Any, sigma: Any, inverse: Any, image: int, out: Any) -> None:
    """Write 1 − b_ij of one channel, between one image i and every image j.

    With t = cosh(half) − 1 = (σⱼ − σᵢ)² / (2 σᵢ σⱼ) and q = (Δμ)² / (8 σᵢ σⱼ (1 + t)), see
    `vaefrag_core.measures.gaussian`, the coefficient is b = exp(−q) / √(1 + t), and

        1 − b = (1 − 1/√(1+t)) + (1 − exp(−q)) / √(1+t)

    where no term subtracts nearly equal numbers. Written so that a compiler makes vector instructions of it: no
    branch, no call, and an exponential of its own.
    """
    mean_i, sigma_i, inverse_i = mean[image], sigma[image], inverse[image]
    for j in range(mean.shape[0]):
        step = sigma[j] - sigma_i
        # Each factor is formed with one inverse: their product alone could leave the range of single precision.
        t = min((step * inverse[j]) * (step * inverse_i) * _HALF, _MAX_T)
        root = math.sqrt(_ONE + t)
        part = _ONE / (root * (root + _ONE))
        near = (root + _ONE) * part  # 1/√(1+t)
        shift = mean[j] - mean_i
        left = min(abs(shift * inverse[j]), _MAX_SHIFT)
        right = min(abs(shift * inverse_i), _MAX_SHIFT)
        q = min((left * near) * (right * near) * _EIGHTH, _MAX_Q)
        power, p = exponential(q)
        # 1 − exp(−q) = (1 − 2ⁿ) − 2ⁿ p keeps a tiny q
        out[j] = t * part + near * ((_ONE - power) - power * p)


def _total(row: Any) -> float:
    total = 0.0
    for j in range(row.shape[0]):
        total += np.float64(row[j])
    return total


def _total_square(row: Any) -> float:
    total = 0.0
    for j in range(row.shape[0]):
        total += np.float64(row[j]) * np.float64(row[j])
    return total


def _scale(row: Any, shift: Any, factor: Any) -> None:
    for j in range(row.shape[0]):
        row[j] = row[j] * factor - shift


# Reordered sums are the price of vector instructions; the order is the same on every run.
exponential = compiled(_exponential, {"contract", "nnan", "ninf", "nsz"})
_fill_complements = compiled(_fill_complements, {"contract", "nnan", "ninf", "nsz"})
_total = compiled(_total, {"contract", "reassoc"})
_total_square = compiled(_total_square, {"contract", "reassoc"})
_scale = compiled(_scale, {"contract"})


def _fill_ratios(
    mean: Any, sigma: Any, inverse: Any, codes: Any, images: Any, rows: Any, out: Any, log_mean: Any, own: Any
) -> None:
    """Write the ratios (b̄_i − b_ij) / b̄_i of some rows and images, and add up their logarithms.

    Args:
        mean: (C, N) float32, centred and in units of the channel's middle σ.
        sigma: (C, N) float32, in the same units, less any constant of the channel.
        inverse: (C, N) float32, 1/σ in those units.
        codes: (F, N) int64, the numbered values of the labels.
        images: first image and the one after the last.
        rows: first row and the one after the last, of C + F.
        out: (images, C + F, N) float32, written.
        log_mean: (C + F,) float64, to which Σᵢ log2 b̄_i is added.
        own: (C + F,) float64, to which Σᵢ ln (1 + cov_i(U,U) / b̄_i²) is added.
    """
    count = mean.shape[0]
    n_images = out.shape[2]
    for c in range(rows[0], rows[1]):
        for i in range(images[0], images[1]):
            row = out[i - images[0], c]
            if c < count:
                _fill_complements(mean[c], sigma[c], inverse[c], i, row)
            else:
                code = codes[c - count]
                for j in range(n_images):
                    row[j] = _ONE if code[j] != code[i] else np.float32(0)
            average = _total(row) / n_images
            factor = 1 / (1 - average)
            _scale(row, np.float32(average * factor), np.float32(factor))
            log_mean[c] += math.log2(1 - average)
            own[c] += math.log1p(_total_square(row) / n_images)


def _multiply_in(covariance: Any, n_images: int, product: Any) -> None:
    """Multiply the ratios of one image, 1 + cov_i(U,V) / (b̄_i^U b̄_i^V), into the products of a block of pairs.

    Args:
        covariance: (U, V) float32, N times cov_i / (b̄_i b̄_i).
        n_images: N.
        product: (U, V) float64, changed in place; stored less 1, so that what is far below 1 is not lost.
    """
    inverse = 1 / n_images
    lowest = inverse - 1  # each ratio is at least 1/N exactly; rounding must not take it to 0
    for u in range(covariance.shape[0]):
        for v in range(covariance.shape[1]):
            excess = max(np.float64(covariance[u, v]) * inverse, lowest)
            product[u, v] += excess + product[u, v] * excess  # (1 + product)(1 + excess) − 1


def _accumulate_logs(product: Any, block: Any, shared: Any) -> None:
    """Add the logarithms of a block's products to what its pairs share, in nats, and start the products anew."""
    u0, u1, v0, v1 = block
    for u in range(u0, u1):
        for v in range(v0, v1):
            shared[u, v] += math.log1p(product[u, v])
            product[u, v] = 0.0


fill_ratios = compiled(_fill_ratios)
multiply_in = compiled(_multiply_in, {"contract"})
accumulate_logs = compiled(_accumulate_logs)
