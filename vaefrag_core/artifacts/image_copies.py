"""Images of a sample that are copies of one another, and the entropy that is left: the ceiling of all information.

No channel tells copies apart. With n_k copies of the k-th distinct image, no channel carries more than

    H(X) = −Σ_k (n_k / N) log2 (n_k / N)   bits, which is log2 N where no image is a copy.
"""

import hashlib
import math
from collections.abc import Iterable, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from vaefrag_core.array_types import BoolArray, IntArray, RealArray

Evidence = Literal["images", "posteriors", "declared"]

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


def copies_message(copy_of: IntArray, evidence: Evidence = "images") -> str | None:
    """Return what a reader of the results should know about copies; None without any.

    Args:
        copy_of: (N,) as of `entropy_bits`.
        evidence: how copies are known: by their pixels, by their posteriors, or by what a file says.
    """
    copies, n_images = count_copies(copy_of), len(copy_of)
    if not copies:
        return None
    are, have = ("is", "has") if copies == 1 else ("are", "have")
    how = {
        "images": f"{are} identical, pixel for pixel, to an earlier one of the fingerprint sample",
        "posteriors": f"{have} in every channel the posteriors of an earlier one, as copies have",
        "declared": f"{are}, as their file says, the same as an earlier one",
    }
    return (
        f"{copies:,} of {n_images:,} images {how[evidence]}. No channel can tell them apart: the most that can be"
        f" measured is {entropy_bits(copy_of):.2f} bits, not log2 {n_images:,} = {math.log2(n_images):.2f}."
    )


def hold_out_images(copy_of: IntArray, share: float, seed: int) -> tuple[IntArray, IntArray]:
    """Split images into those to learn from and those to test on; copies of an image are on one side.

    Args:
        copy_of: (N,) as of `entropy_bits`.
        share: of the distinct images that are held out, rounded down.
        seed: of the split.

    Returns:
        Positions of the images to learn from and of those held out, in the order of the draw; copies follow each other.

    Example:
        >>> learn, test = hold_out_images(np.array([0, 1, 0, 1]), 0.5, seed=0)
        >>> sorted([sorted(learn.tolist()), sorted(test.tolist())])
        [[0, 2], [1, 3]]
    """
    distinct, group = np.unique(copy_of, return_inverse=True)
    order = np.random.default_rng(seed).permutation(len(distinct))
    place = np.argsort(order)[group]
    held_out = place < int(share * len(distinct))
    ranked = np.argsort(place, kind="stable")
    return ranked[~held_out[ranked]], ranked[held_out[ranked]]


def shuffled_images(copy_of: IntArray, count: int, rng: np.random.Generator) -> IntArray:
    """Draw orders of the images, copies of one staying together: that two are the same is not what spaces share.

    Args:
        copy_of: (N,) equal numbers where images are copies of each other.
        count: orders.
        rng: of the shuffles.

    Returns:
        (count, N) the image that takes each place.

    Example:
        >>> order = shuffled_images(np.array([0, 1, 0]), 1, np.random.default_rng(0))[0]
        >>> bool(order[0] == order[2])
        True
    """
    _, first, group = np.unique(copy_of, return_index=True, return_inverse=True)
    return np.asarray(rng.permuted(np.tile(first, (count, 1)), axis=1)[:, group])


def ceiling_name(n_images: int, ceiling_bits: float) -> str:
    """Return what to call a ceiling: "log2 1,000" of 1,000 images, or "H(X)" where some are copies."""
    return f"log2 {n_images:,}" if ceiling_bits == math.log2(n_images) else "H(X)"


def equal_images(images: Iterable[NDArray[np.generic]]) -> IntArray:
    """Find images of equal content.

    Args:
        images: (N, …), or N images one after the other.

    Returns:
        (N,) the position of the first image that each one equals.
    """
    first: dict[bytes, int] = {}
    # By digest, so that a memory-mapped sample is read once and never held.
    digests = (hashlib.sha256(np.ascontiguousarray(image).tobytes()).digest() for image in images)
    return np.array([first.setdefault(digest, i) for i, digest in enumerate(digests)], dtype=np.int64)


def copies_by_images(
    images: NDArray[np.generic],
    mean: Sequence[RealArray],
    logvar: Sequence[RealArray],
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
    same_picture = equal_images(images)
    copy_of = same_picture.copy()
    rows = np.flatnonzero(copy_of != np.arange(len(copy_of)))
    if not len(rows):
        return copy_of
    told_apart = np.zeros(len(rows), dtype=bool)
    for member_mean, member_logvar in zip(mean, logvar, strict=True):
        told_apart |= _told_apart(member_mean, member_logvar, rows, copy_of[rows])
    # Of those that differ from the first of their picture, only exact equals are copies of each other.
    copy_of[rows[told_apart]] = rows[told_apart]
    return _refine(copy_of, rows[told_apart], mean, logvar, same=same_picture)


def copies_by_posteriors(mean: Sequence[RealArray], logvar: Sequence[RealArray]) -> IntArray:
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


def _told_apart(mean: RealArray, logvar: RealArray, rows: IntArray, others: IntArray) -> BoolArray:
    """Return whether a channel of a member tells each of some images from another one, (R,)."""
    first, second = logvar[rows].astype(np.float64), logvar[others].astype(np.float64)
    shift = np.square(mean[rows].astype(np.float64) - mean[others])
    # The Bhattacharyya distance, its variances relative to the second, lest they vanish where ln σ² is very low.
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        ratio = (np.exp(first - second) + 1) / 2
        distance = np.where(shift > 0, shift / (8 * ratio * np.exp(second)), 0.0)
        distance += np.log(ratio) / 2 - (first - second) / 4
    apart: BoolArray = np.any(~(distance <= -math.log(SAME_COEFFICIENT)), axis=1)  # NaN counts as apart
    return apart


def _refine(
    copy_of: IntArray,
    rows: IntArray,
    mean: Sequence[RealArray],
    logvar: Sequence[RealArray],
    *,
    same: IntArray,
) -> IntArray:
    """Make some images copies of the first of them that has the same number in `same` and the same posteriors."""
    codes = same[rows]
    for array in (*mean, *logvar):
        _, codes, counts = np.unique(codes, return_inverse=True, return_counts=True)
        shared = counts[codes] > 1  # an image that stands alone needs no further comparison
        rows, codes = rows[shared], codes[shared]
        if not len(rows):
            return copy_of
        # Rows as single values, which sort far faster than column by column; adding 0 makes −0 and 0 the same bytes.
        table = np.ascontiguousarray(array[rows] + 0)
        _, values = np.unique(table.view(f"V{table.shape[1] * table.itemsize}")[:, 0], return_inverse=True)
        codes = codes * (values.max() + 1) + values
    _, first, codes = np.unique(codes, return_index=True, return_inverse=True)
    copy_of[rows] = rows[first][codes]
    return copy_of
