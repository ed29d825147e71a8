"""The data set `npz`: images and labels from arrays in NumPy's files.

Values are checked before anything is trained: with a Bernoulli loss on grey levels 0…255, or with one NaN, nothing
would be learned.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vaefrag_core.array_types import AnyArray, ImageArray
from vaefrag_core.artifacts.posterior_arrays import as_identifiers
from vaefrag_core.datasets.base import Factor, ImageDataset
from vaefrag_core.datasets.image_cache import (
    IMAGES,
    ImageNotes,
    ImageStatistics,
    ImageWriter,
    cached_images,
    file_versions,
)
from vaefrag_core.datasets.labels import factors_of
from vaefrag_core.datasets.npy_format import StoredArray, find_array, list_arrays
from vaefrag_core.errors import InvalidInputError, MissingDataError

NAME = "npz"
MAX_SIDE = 512  # pixels
_BRIGHT = 128  # some pixel of images in 0…255 is at least so bright


def load_npz_images(path: str | Path) -> ImageDataset:
    """Load the images of an `.npz` or `.npy` file, memory-mapped.

    An `.npz` has `images` (N, H, W), (N, H, W, 1) or (N, H, W, 3), and may have `labels` (N,) or (N, F) with
    `label_names`, and `identifiers`, names of labels that name images. Images of type uint8 have 0…255, others 0…255 or
    0…1; black and white may be 0 and 1 of any type.
    An `.npy` holds the images alone; one of uint8 is mapped without a copy.

    Args:
        path: the file.

    Raises:
        MissingDataError: when there is no such file.
        BrokenFileError: when it cannot be read.
        InvalidInputError: when the images have the wrong shape, or values from which nothing can be learned; when an
            identifier is no label.
    """
    file = Path(path)
    if file.suffix == ".npy":
        if not file.is_file():
            raise MissingDataError(f"There is no file {file}.")
        version: Any = [str(file), file_versions([file], file.parent)]
        stored, relevant = find_array(file), {}
    else:
        checksums = list_arrays(file)
        if "images" not in checksums:
            raise InvalidInputError(
                f"{file}: expected an array named images, got {', '.join(sorted(checksums)) or 'none'}. Name it by"
                " numpy.savez(file, images=…)."
            )
        names = ("images", "labels", "label_names", "identifiers")
        relevant = {name: checksums[name] for name in names if name in checksums}
        version, stored = relevant, find_array(file, "images")
    cached = cached_images(NAME, version, lambda folder: _unpack(stored, relevant, folder))
    return cached.dataset(NAME, str(file))


@dataclass
class _PixelRange:
    """The range of an array's finite values, and the number of images with others, updated part by part."""

    low: float = np.inf
    high: float = -np.inf
    non_finite: int = 0  # images with NaN or infinity

    def update(self, part: AnyArray) -> None:
        if part.dtype.kind == "f":
            finite = np.isfinite(part)
            images = ~finite.reshape(len(part), -1).all(axis=1)
            self.non_finite += int(images.sum())
            part = part[finite]
        if part.size:
            self.low, self.high = min(self.low, float(part.min())), max(self.high, float(part.max()))


def _unpack(stored: StoredArray, beside: Collection[str], folder: Path) -> ImageNotes:
    """Write the images into a folder, and return what the arrays beside them say."""
    shape = _image_shape(stored)
    factors: tuple[Factor, ...] = ()
    if "labels" in beside:
        names = find_array(stored.path, "label_names").read() if "label_names" in beside else None
        texts = None if names is None else np.atleast_1d(names).tolist()
        factors = factors_of(find_array(stored.path, "labels").read(), texts, stored.shape[0])
    identifiers: tuple[str, ...] = ()
    if "identifiers" in beside:
        label_names = tuple(factor.name for factor in factors)
        identifiers = as_identifiers(find_array(stored.path, "identifiers").read(), label_names)
    values = _PixelRange()
    for part in stored.chunks():
        values.update(part)
    to_grey_levels = _grey_level_conversion(stored, values)
    if stored.name == "" and to_grey_levels is None and not stored.fortran and stored.shape[1:] == shape:
        statistics = ImageStatistics()
        for part in stored.chunks():
            statistics.update(part)
        (folder / IMAGES).symlink_to(stored.path.resolve())  # mapped there, without a copy
    else:
        with ImageWriter(folder, shape, stored.shape[0]) as writer:
            for part in stored.chunks():
                writer.write(part if to_grey_levels is None else to_grey_levels(part))
        statistics = writer.statistics
    remarks = statistics.remarks(str(stored.path))
    if stored.dtype == np.uint8 and 1 < values.high < _BRIGHT:
        remarks.append(f"The brightest pixel is {values.high:g} of 255: the images are dark.")
    return ImageNotes(factors, remarks, identifiers=identifiers)


def _image_shape(stored: StoredArray) -> tuple[int, ...]:
    shape = stored.shape
    if stored.dtype.kind not in "buif":
        raise InvalidInputError(f"{stored.path}: expected images of numbers, got type {stored.dtype}.")
    if len(shape) == 4 and shape[1] in (1, 3) and shape[3] not in (1, 3):
        raise InvalidInputError(
            f"{stored.path}: expected images of shape (N, H, W) or (N, H, W, 3), got {shape}, channels first."
            " Reorder them by numpy.moveaxis(images, 1, -1)."
        )
    if not (len(shape) == 3 or (len(shape) == 4 and shape[3] in (1, 3))) or 0 in shape:
        raise InvalidInputError(
            f"{stored.path}: expected images of shape (N, H, W) or (N, H, W, 3), got {shape}."
            " Reorder the axes, and leave no axis empty."
        )
    if max(shape[1:3]) > MAX_SIDE:
        raise InvalidInputError(
            f"{stored.path}: expected images of at most {MAX_SIDE}×{MAX_SIDE} pixels, got {shape[1]}×{shape[2]}. Scale"
            " them down."
        )
    return shape[1:3] if len(shape) == 3 or shape[3] == 1 else shape[1:]


def _grey_level_conversion(stored: StoredArray, values: _PixelRange) -> Callable[[AnyArray], ImageArray] | None:
    """Return the function that turns values into grey levels 0…255; None for values that are grey levels."""
    low, high = values.low, values.high
    if values.non_finite:
        raise InvalidInputError(
            f"{stored.path}: expected finite pixels, got NaN or infinity in {values.non_finite:,} of"
            f" {stored.shape[0]:,} images. Leave those images out, or fill the pixels in."
        )
    if low >= 0 and high <= 1:
        return lambda part: np.rint(part.astype(np.float32) * 255).astype(np.uint8)
    if stored.dtype == np.uint8:
        return None
    if low >= 0 and _BRIGHT <= high <= 255:
        return lambda part: np.rint(part).astype(np.uint8)
    raise InvalidInputError(
        f"{stored.path}: expected pixels in 0…1 or 0…255, got {low:g}…{high:g} of type {stored.dtype}. That is"
        " neither: scale them to 0…1."
    )
