"""The arrays of a posteriors file, checked: what each may hold, and what is odd about arrays that are allowed.

Letters: N images, M members, D channels of a member, F labels.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from vaefrag_core.array_types import AnyArray, ImageArray, IntArray, RealArray
from vaefrag_core.artifacts.mapped_npz import StoredMap
from vaefrag_core.errors import InvalidInputError

LABEL_KINDS = "biufMmU"  # numbers, dates and text, as numpy calls them
FORGOTTEN_LOGARITHM = 0.5  # share of ln σ² in 0…1, none below, from which on they look like σ²


def as_members(name: str, value: Any) -> list[RealArray]:
    """Return M arrays (N, D_m) of finite floats.

    Args:
        name: "mean" or "logvar".
        value: (M, N, D) numbers, or a sequence of M arrays (N, D_m).

    Raises:
        InvalidInputError: naming the member at fault.
    """
    if not isinstance(value, Iterable):
        value = np.asarray(value)
    if isinstance(value, np.ndarray) and value.ndim == 0:
        raise InvalidInputError(
            f"Expected {name} as numbers of shape (members, images, channels), got a single {value.dtype}."
        )
    members = [array if isinstance(array, StoredMap) else np.asarray(array) for array in value]
    if not members:
        raise InvalidInputError(f"Expected {name} of at least one member, got none.")
    for m, array in enumerate(members):
        if array.ndim != 2 or 0 in array.shape or array.dtype.kind not in "iuf":
            raise InvalidInputError(
                f"Expected {name} as numbers of shape (members, images, channels), got member {m} with shape"
                f" {array.shape} and type {array.dtype}."
            )
    # Single precision stays: members in double would take twice the disk and memory for digits that networks lack.
    floats = [a if a.dtype in (np.float32, np.float64) else _as_float64(a) for a in members]
    for m, array in enumerate(floats):
        if not isinstance(array, StoredMap) and not np.isfinite(array).all():
            raise InvalidInputError(
                f"Expected finite numbers in {name}, got NaN or infinity in member {m}. Leave that member out."
            )
    return floats


def stack(value: Any, members: list[RealArray]) -> RealArray:
    """Return the arrays of M members of as many channels as one, (M, N, D); of a mapped one, as it is.

    Args:
        value: what the members were read from.
        members: M arrays (N, D), as of `as_members`.
    """
    if isinstance(value, np.memmap) and value.dtype == members[0].dtype:
        return value
    return np.stack(members)


def _as_float64(array: AnyArray) -> RealArray:
    with np.errstate(over="ignore"):  # what is too large for it becomes infinite, which is refused
        return array.astype(np.float64)


def check_same_images(mean: Sequence[RealArray], logvar: Sequence[RealArray]) -> None:
    """Check that every mean has its ln σ², and that all members were shown the same images.

    Raises:
        InvalidInputError: when not.
    """
    if [m.shape for m in mean] != [v.shape for v in logvar]:
        raise InvalidInputError(
            f"Expected logvar of the shape of mean, {_shapes(mean)}, got {_shapes(logvar)}. Give ln σ² for every mean."
        )
    counts = sorted({m.shape[0] for m in mean})
    if len(counts) != 1:
        raise InvalidInputError(
            f"Expected all members to see the same images, got {counts} images. Encode one sample with every member."
        )


def check_members_first(mean: Sequence[RealArray], *, labels: Any, images: Any, member_ids: Any) -> None:
    """Check that members stand before images, where another array has as many entries as there seem to be members.

    Raises:
        InvalidInputError: when another array tells that both were swapped; without one, nobody knows.
    """
    # Means alone cannot tell: many members on few images are odd, and allowed. See `oddities`.
    n_members, n_images = len(mean), mean[0].shape[0]
    per_image = [name for name, array in (("labels", labels), ("images", images)) if _length(array) == n_members]
    swapped_ids = _length(member_ids) == n_images
    if n_members != n_images and (per_image or swapped_ids):
        evidence = f"{per_image[0]} of {n_members} images" if per_image else f"{n_images} member ids"
        raise InvalidInputError(
            f"Expected mean and logvar of shape (members, images, channels), got {n_members} members on {n_images}"
            f" images, and {evidence}. Transpose both: np.swapaxes(mean, 0, 1), np.swapaxes(logvar, 0, 1)."
        )


def _length(array: Any) -> int | None:
    return None if array is None or np.ndim(array) == 0 else int(np.shape(array)[0])


def as_member_ids(value: Any, n_members: int) -> IntArray:
    """Return the members' numbers, (M,): 0 … M−1 when not given.

    Raises:
        InvalidInputError: when they are not whole, not distinct, below 0, or not one for each member.
    """
    if value is None:
        return np.arange(n_members)
    numbers = np.asarray(value)
    if numbers.shape != (n_members,):
        raise InvalidInputError(f"Expected {n_members} member ids, got an array of shape {numbers.shape}.")
    if numbers.dtype.kind not in "iuf":
        raise InvalidInputError(
            f"Expected member ids as whole numbers, got type {numbers.dtype}. Leave them out to number members from 0."
        )
    fits = np.isfinite(numbers) & (numbers == np.floor(numbers)) & (numbers >= 0) & (numbers < 2**63)
    if not fits.all():
        raise InvalidInputError(
            f"Expected member ids as whole numbers from 0 on, got {numbers[~fits][0]}. Leave them out to number members"
            " from 0."
        )
    ids = numbers.astype(np.int64)
    distinct, counts = np.unique(ids, return_counts=True)
    if counts.max() > 1:
        raise InvalidInputError(
            f"Expected a member id for each member, got {distinct[counts > 1][0]} more than once. Number them apart, or"
            " leave the ids out."
        )
    return ids


def as_labels(labels: Any, names: Any, n_images: int) -> tuple[AnyArray | None, tuple[str, ...]]:
    """Return the labels, (N, F) numbers or text, and their F names; None and () where there are none.

    Raises:
        InvalidInputError: when the labels are no numbers or text, one for each image, or names are missing or repeated.
    """
    if labels is None:
        return None, ()
    table = _as_text(np.asarray(labels), "labels")
    table = table[:, None] if table.ndim == 1 else table
    if table.ndim != 2 or table.shape[0] != n_images or table.dtype.kind not in LABEL_KINDS:
        raise InvalidInputError(
            f"Expected labels of shape ({n_images},) or ({n_images}, labels), numbers or text, got"
            f" {np.shape(labels)} of type {table.dtype}."
        )
    if table.shape[1] == 0 and not names:
        return None, ()  # of data without labels
    default = ["label"] if table.shape[1] == 1 else [f"label {f}" for f in range(table.shape[1])]
    label_names = as_label_names(default if names is None else names)
    if len(label_names) != table.shape[1]:
        raise InvalidInputError(f"Expected {table.shape[1]} label names, got {len(label_names)}.")
    repeated = sorted({name for name in label_names if label_names.count(name) > 1})
    if repeated:
        raise InvalidInputError(f"Expected label names that differ, got {repeated[0]!r} more than once. Rename one.")
    return table, label_names


def as_label_names(value: Any) -> tuple[str, ...]:
    """Return names of labels as text.

    Raises:
        InvalidInputError: when they are no list of names.
    """
    names = _as_text(np.atleast_1d(np.asarray(value)), "label_names")
    if names.ndim != 1 or names.dtype.kind not in "biufU":
        raise InvalidInputError(
            f"Expected label_names as a list of text, got shape {names.shape} of type {names.dtype}."
        )
    return tuple(str(name) for name in names)


def as_identifiers(value: Any, label_names: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names of the labels that are declared identifiers, in the order of the labels.

    Raises:
        InvalidInputError: when they are no names, or one is no label's.
    """
    if value is None:
        return ()
    named = _as_text(np.atleast_1d(np.asarray(value)), "identifiers")
    if named.ndim != 1 or (named.size and named.dtype.kind != "U"):
        raise InvalidInputError(
            f"Expected identifiers as names of labels, got shape {named.shape} of type {named.dtype}."
        )
    for name in named:
        if name not in label_names:
            raise InvalidInputError(
                f"Expected identifiers among the labels, {', '.join(label_names) or 'of which there are none'}, got"
                f" {str(name)[:40]!r}."
            )
    return tuple(name for name in label_names if name in named)


def as_sample_id(value: Any) -> str | None:
    """Return the name of a sample as text; None when not given.

    Raises:
        InvalidInputError: when it is no single text.
    """
    if value is None:
        return None
    text = _as_text(np.asarray(value), "sample_id")
    if text.size != 1 or text.dtype.kind not in "biufU":
        raise InvalidInputError(f"Expected sample_id as one text, got shape {text.shape} of type {text.dtype}.")
    return str(text.reshape(())[()])


def _as_text(array: AnyArray, name: str) -> AnyArray:
    """Decode bytes, as programs write text that know no Unicode arrays."""
    if array.dtype.kind != "S":
        return array
    try:
        return np.char.decode(array, "utf-8")
    except UnicodeDecodeError as error:
        raise InvalidInputError(
            f"Expected {name} as text, got bytes that are not UTF-8 ({error.reason}). Write them with"
            " np.char.decode(array, encoding)."
        ) from error


def as_images(images: Any, n_images: int) -> ImageArray | None:
    """Return the pictures of the sample, (N, H, W) or (N, H, W, 3); None when not given.

    Raises:
        InvalidInputError: when they have another shape or type.
    """
    if images is None:
        return None
    array = np.asarray(images)
    fits = array.ndim == 3 or (array.ndim == 4 and array.shape[3] == 3)
    if not fits or array.shape[0] != n_images or array.dtype != np.uint8:
        raise InvalidInputError(
            f"Expected images of shape ({n_images}, H, W) or ({n_images}, H, W, 3) and type uint8, got"
            f" {array.shape} of type {array.dtype}."
        )
    return array


def as_copies(copy_of: Any, n_images: int) -> IntArray | None:
    """Return the position of the first image that each one equals, (N,); None when not given.

    Raises:
        InvalidInputError: when these are no such positions.
    """
    if copy_of is None:
        return None
    array = np.asarray(copy_of)
    if array.shape != (n_images,) or array.dtype.kind not in "iu":
        raise InvalidInputError(
            f"Expected copy_of as ({n_images},) whole numbers, got shape {array.shape} of type {array.dtype}."
            " Leave it out when it is not known."
        )
    positions = array.astype(np.int64)
    inside = ((positions >= 0) & (positions <= np.arange(n_images))).all()
    if not inside or (positions[positions] != positions).any():
        raise InvalidInputError(
            "Expected copy_of to name, for each image, the position of the first image that it equals, or its own, got"
            " positions that are none. Leave it out when it is not known."
        )
    return positions


def oddities(mean: Sequence[RealArray], logvar: Sequence[RealArray]) -> tuple[str, ...]:
    """Return what is allowed and yet likely a mistake, a sentence each.

    Args:
        mean: M arrays (N, D_m).
        logvar: M arrays (N, D_m).

    Example:
        >>> oddities([np.zeros((2, 1))], [np.full((2, 1), -4.0)])[0][:30]
        'There are two images: all chan'
    """
    sentences = []
    n_members, n_images = len(mean), len(mean[0])
    if n_images == 2:
        sentences.append(
            "There are two images: all channels that tell them apart are the same on them. Encode a larger sample."
        )
    if n_members > n_images:
        sentences.append(
            f"There are {n_members} members on {n_images} images. If it is {n_images} members on {n_members} images,"
            " transpose: np.swapaxes(mean, 0, 1), np.swapaxes(logvar, 0, 1)."
        )
    values = np.concatenate([array.ravel() for array in logvar])
    # Of all zeros the maximum is 0: ln σ² of posteriors that equal the prior, and no variances.
    if values.min() >= 0 < values.max() and np.mean(values <= 1) > FORGOTTEN_LOGARITHM:
        sentences.append(
            f"No logvar is below 0, and {np.mean(values <= 1):.0%} lie in 0…1, as variances do. If these are σ², give"
            " np.log of them."
        )
    return tuple(sentences)


def _shapes(members: Sequence[RealArray]) -> str:
    shapes = {array.shape for array in members}
    return f"{len(members)} × {' | '.join(map(str, sorted(shapes)))}"
