"""Images of a sample that are copies of one another, and the entropy that is left: the ceiling of all information.

No channel tells copies apart. With n_k copies of the k-th distinct image, no channel carries more than

    H(X) = −Σ_k (n_k / N) log2 (n_k / N)   bits, which is log2 N where no image is a copy.
"""

import hashlib
import math
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.int64]

# Copies that were encoded in different batches, or on a GPU, differ by rounding: far less than this share of overlap.
SAME_COEFFICIENT = 0.999


def entropy_bits(copy_of: IntArray) -> float:
    """Return the entropy of the distribution over distinct images, bits.

    Args:
        copy_of: (N,) the position of the first image that each one equals; its own where it is the first.

    Example:
        >>> entropy_bits(np.array([0, 1, 2, 2]))
        1.5
    """
    counts = np.bincount(copy_of)
    counts = counts[counts > 0]
    n_images = len(copy_of)
    if len(counts) == n_images:
        return math.log2(n_images)  # to the last bit what is said of samples without copies
    return max(0.0, float(-(counts / n_images * np.log2(counts / n_images)).sum()))


def count_copies(copy_of: IntArray) -> int:
    """Return the number of images that equal an earlier one."""
    return int((copy_of != np.arange(len(copy_of))).sum())


def copies_message(copy_of: IntArray, *, seen: bool = True) -> str | None:
    """Return what a reader of the results should know about copies; None without any.

    Args:
        copy_of: (N,) as of `entropy_bits`.
        seen: whether the images themselves were compared, and not their posteriors.
    """
    copies, n_images = count_copies(copy_of), len(copy_of)
    if not copies:
        return None
    one = copies == 1
    how = (
        f"{'is' if one else 'are'} identical, pixel for pixel, to an earlier one of the fingerprint sample."
        if seen
        else f"{'has' if one else 'have'} in every channel the posteriors of an earlier one, as copies have."
    )
    return (
        f"{copies:,} of {n_images:,} images {how} No channel can tell them apart: the most that can be measured is"
        f" {entropy_bits(copy_of):.2f} bits, not log2 {n_images:,} = {math.log2(n_images):.2f}."
    )


def ceiling_name(n_images: int, ceiling_bits: float) -> str:
    """Return what to call a ceiling: "log2 1,000" of 1,000 images, or "H(X)" where some are copies."""
    return f"log2 {n_images:,}" if ceiling_bits == math.log2(n_images) else "H(X)"


def equal_images(images: NDArray[np.generic]) -> IntArray:
    """Find images of equal content.

    Args:
        images: (N, …).

    Returns:
        (N,) the position of the first image that each one equals.
    """
    first: dict[bytes, int] = {}
    # By digest, so that a memory-mapped sample is read once and never held.
    digests = (hashlib.sha256(np.ascontiguousarray(image).tobytes()).digest() for image in images)
    return np.array([first.setdefault(digest, i) for i, digest in enumerate(digests)], dtype=np.int64)


def copies_by_images(
    images: NDArray[np.generic],
    mean: Sequence[NDArray[np.floating]],
    logvar: Sequence[NDArray[np.floating]],
) -> IntArray:
    """Find equal images that no channel tells apart.

    Pictures may be smaller than what the networks saw: where posteriors differ, they were different images.

    Args:
        images: (N, …).
        mean: M arrays (N, D_m).
        logvar: M arrays (N, D_m), ln σ².

    Returns:
        (N,) the position of the first image that each one equals.
    """
    copy_of = equal_images(images)
    rows = np.flatnonzero(copy_of != np.arange(len(copy_of)))
    if not len(rows):
        return copy_of
    told_apart = np.zeros(len(rows), dtype=bool)
    for member_mean, member_logvar in zip(mean, logvar, strict=True):
        told_apart |= _told_apart(member_mean, member_logvar, rows, copy_of[rows])
    # Of those that differ from the first of their picture, only exact equals are copies of each other.
    copy_of[rows[told_apart]] = rows[told_apart]
    return _refine(copy_of, rows[told_apart], mean, logvar, same=equal_images(images))


def copies_by_posteriors(mean: Sequence[NDArray[np.floating]], logvar: Sequence[NDArray[np.floating]]) -> IntArray:
    """Find images whose posteriors are identical in every channel; none where these are most of all images.

    Encoders give different images different numbers. Channels that give most images the numbers of another one sort
    them into a few groups, and say nothing about copies.

    Args:
        mean: M arrays (N, D_m).
        logvar: M arrays (N, D_m), ln σ².

    Returns:
        (N,) the position of the first image that each one equals.
    """
    every = np.arange(len(mean[0]), dtype=np.int64)
    copy_of = _refine(every.copy(), every, mean, logvar, same=np.zeros_like(every))
    return copy_of if 2 * count_copies(copy_of) <= len(copy_of) else every


def _told_apart(
    mean: NDArray[np.floating], logvar: NDArray[np.floating], rows: IntArray, others: IntArray
) -> NDArray[np.bool_]:
    """Return whether a channel of a member tells each of some images from another one, (R,)."""
    first, second = logvar[rows].astype(np.float64), logvar[others].astype(np.float64)
    shift = np.square(mean[rows].astype(np.float64) - mean[others])
    # The Bhattacharyya distance, its variances relative to the second, lest they vanish where ln σ² is very low.
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        ratio = (np.exp(first - second) + 1) / 2
        distance = np.where(shift > 0, shift / (8 * ratio * np.exp(second)), 0.0)
        distance += np.log(ratio) / 2 - (first - second) / 4
    apart: NDArray[np.bool_] = np.any(~(distance <= -math.log(SAME_COEFFICIENT)), axis=1)  # NaN counts as apart
    return apart


def _refine(
    copy_of: IntArray,
    rows: IntArray,
    mean: Sequence[NDArray[np.floating]],
    logvar: Sequence[NDArray[np.floating]],
    *,
    same: IntArray,
) -> IntArray:
    """Make some images copies of the first of them that has the same number in `same` and the same posteriors."""
    codes = same[rows]
    for column in _columns(mean, logvar):
        _, codes, counts = np.unique(codes, return_inverse=True, return_counts=True)
        shared = counts[codes] > 1  # an image that stands alone needs no other column
        rows, codes = rows[shared], codes[shared]
        if not len(rows):
            return copy_of
        _, values = np.unique(column[rows], return_inverse=True)
        codes = codes * (values.max() + 1) + values
    _, first, codes = np.unique(codes, return_index=True, return_inverse=True)
    copy_of[rows] = rows[first][codes]
    return copy_of


def _columns(
    mean: Sequence[NDArray[np.floating]], logvar: Sequence[NDArray[np.floating]]
) -> Iterable[NDArray[np.floating]]:
    for arrays in zip(mean, logvar, strict=True):
        for array in arrays:
            yield from array.T
