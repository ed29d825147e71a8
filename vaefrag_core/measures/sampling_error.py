"""How far a measure would move on other images: its standard error over the choice of the fingerprint sample.

A measure averages, over images, the logarithm of an average over images. What one image moves it by is its influence:
by its own logarithm, and by its part in the averages of all others. Influences of images drawn independently add up, so
that their spread is the spread of the measure. What images do to it in pairs cannot be told from influences; where that
counts, on few images of rich channels, errors come out too large rather than too small (Efron and Stein, 1981).

The error is of the measure's expectation on so many images. That information cannot exceed log2 N, and that
independent channels seem to share something, is the same on any other sample of the size: no error knows of it.

References:
    Hampel, F. R. (1974). The influence curve and its role in robust estimation. Journal of the American Statistical
    Association 69(346), 383-393. https://doi.org/10.1080/01621459.1974.10482962
    Efron, B., Stein, C. (1981). The jackknife estimate of variance. Annals of Statistics 9(3), 586-596.
    https://doi.org/10.1214/aos/1176345462
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from vaefrag_core.array_types import FloatArray
from vaefrag_core.errors import InvalidInputError
from vaefrag_core.measures.information_terms import own_bits_floor, shared_bits_from_terms


def information_influence(coefficient: FloatArray) -> FloatArray:
    """Influence of every image on the information of a space.

    φ_k = −log2 b̄_k − (1/N) Σ_{i≠k} b_ik / (b̄_i ln 2),  b̄_i = (1/N) Σⱼ b_ij

    The first term is the image's own, the second what it takes from all others by being like them. Its pair with itself
    is no part of the second: an image that is drawn in its place is its own neighbour, too.

    Args:
        coefficient: (..., N, N) Bhattacharyya coefficients, symmetric, 1 on the diagonal.

    Returns:
        (..., N) bits, but for a constant.

    Raises:
        InvalidInputError: when the last two axes are not square.

    Example:
        Of three images, the two that are alike tell less each:

        >>> information_influence(np.array([[1.0, 1, 0], [1, 1, 0], [0, 0, 1]])).round(2).tolist()
        [-0.14, -0.14, 1.58]
    """
    if coefficient.ndim < 2 or coefficient.shape[-1] != coefficient.shape[-2]:
        raise InvalidInputError(f"Expected coefficients of shape (..., images, images), got {coefficient.shape}.")
    n_images = coefficient.shape[-1]
    overlap = coefficient.mean(axis=-1)
    taken = (
        np.einsum("...ij,...i->...j", coefficient, 1 / overlap) - np.diagonal(coefficient, axis1=-2, axis2=-1) / overlap
    )
    return np.asarray(-np.log2(overlap) - taken / (n_images * math.log(2)))


def standard_error(influence: FloatArray) -> Any:
    """Standard error of a measure from the influences of the images it was taken on.

    √( Σ_k (φ_k − φ̄)² / (N (N − 1)) )

    Args:
        influence: (..., N) in the unit of the measure; constants do not matter.

    Returns:
        (...) in the unit of the measure; NaN of a single image.

    Example:
        >>> float(standard_error(np.array([0.0, 2.0])))
        1.0
    """
    n_images = influence.shape[-1]
    return influence.std(axis=-1, ddof=1) / math.sqrt(n_images) if n_images > 1 else influence[..., 0] * math.nan


@dataclass(frozen=True)
class PairErrors:
    """Standard errors of what two channels or spaces U and V tell.

    Args:
        bits: of I(X;U) and of I(X;V).
        joint_bits: of I(X;U,V).
        shared_bits: of I(U;V).
        nmi: of NMI(U,V); NaN where that is undefined.
        vi_bits: of VI(U,V).
    """

    bits: tuple[float, float]
    joint_bits: float
    shared_bits: float
    nmi: float
    vi_bits: float


def pair_errors(coefficient_a: FloatArray, coefficient_b: FloatArray) -> PairErrors:
    """Standard errors of information, NMI and VI of two spaces, over the choice of images.

    Influences follow the measures: those of sums are sums, and

        φ(NMI) = [ φ(I(U;V)) − ½ I(U;V) ( φ(I(U;U′)) / I(U;U′) + φ(I(V;V′)) / I(V;V′) ) ] / √( I(U;U′) I(V;V′) )

    Args:
        coefficient_a: (N, N) Bhattacharyya coefficients of U.
        coefficient_b: (N, N) those of V, on the same images.

    Example:
        >>> halves = np.kron(np.eye(2), np.ones((2, 2)))
        >>> pair_errors(halves, halves).nmi
        0.0
    """
    single_a, single_b, joint, twice_a, twice_b = (
        _bits_and_influence(coefficient)
        for coefficient in (
            coefficient_a,
            coefficient_b,
            coefficient_a * coefficient_b,
            coefficient_a**2,
            coefficient_b**2,
        )
    )
    # Row 0 is the value, the others are influences: what holds for a sum holds for all of them.
    return pair_errors_from_influences(
        single_a,
        single_b,
        shared_bits_from_terms(single_a, single_b, joint),
        shared_bits_from_terms(single_a, single_a, twice_a),
        shared_bits_from_terms(single_b, single_b, twice_b),
    )


def pair_errors_from_influences(
    single_a: FloatArray, single_b: FloatArray, shared: FloatArray, own_a: FloatArray, own_b: FloatArray
) -> PairErrors:
    """Standard errors of a pair, from what each image does to its terms.

    Args:
        single_a: (1 + N,) I(X;U), then the influence of every image on it, bits.
        single_b: (1 + N,) of I(X;V).
        shared: (1 + N,) of I(U;V).
        own_a: (1 + N,) of I(U;U′).
        own_b: (1 + N,) of I(V;V′).
    """
    nmi_error = math.nan
    if min(own_a[0], own_b[0]) > own_bits_floor(shared, len(shared) - 1):
        scale = math.sqrt(own_a[0] * own_b[0])
        nmi = (shared[1:] - shared[0] / 2 * (own_a[1:] / own_a[0] + own_b[1:] / own_b[0])) / scale
        nmi_error = float(standard_error(nmi))
    return PairErrors(
        bits=(float(standard_error(single_a[1:])), float(standard_error(single_b[1:]))),
        joint_bits=float(standard_error((single_a + single_b - shared)[1:])),
        shared_bits=float(standard_error(shared[1:])),
        nmi=nmi_error,
        vi_bits=float(standard_error(own_a[1:] + own_b[1:] - 2 * shared[1:])),
    )


def _bits_and_influence(coefficient: FloatArray) -> FloatArray:
    """Return information and the influence of every image on it, (1 + N,), bits."""
    bits = -np.log2(coefficient.mean(axis=-1)).mean()
    return np.concatenate([[bits], information_influence(coefficient)])
