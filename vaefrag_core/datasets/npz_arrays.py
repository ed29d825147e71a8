"""The data set `npz`: images and labels as arrays of a file of NumPy.

What is wrong with the values is said before anything is trained: a Bernoulli loss on grey levels 0…255, or one NaN,
would train to nothing.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vaefrag_core.array_types import AnyArray, ImageArray
from vaefrag_core.datasets.base import Factor, ImageDataset
from vaefrag_core.datasets.image_cache import IMAGES, ImageNotes, ImageWriter, Inspection, keep, stamp
from vaefrag_core.datasets.labels import factors_of
from vaefrag_core.datasets.npy_format import StoredArray, find_array, list_arrays
from vaefrag_core.errors import InvalidInputError, MissingDataError

NAME = "npz"
MAX_SIDE = 512  # pixels
_BRIGHT = 128  # of images in 0…255 some pixel is at least so bright


def arrays(path: str | Path) -> ImageDataset:
    """Give the images of an `.npz` or `.npy` file, memory-mapped.

    An `.npz` has `images` (N, H, W), (N, H, W, 1) or (N, H, W, 3), and may have `labels` (N,) or (N, F) with
    `label_names`. Images of type uint8 have 0…255, others 0…255 or 0…1; black and white may be 0 and 1 of any type.
    An `.npy` holds the images alone; one of uint8 is mapped where it lies.

    Args:
        path: the file.

    Raises:
        MissingDataError: when there is no such file.
        BrokenFileError: when it cannot be read.
        InvalidInputError: when the images have another shape, or values from which nothing can be learned.
    """
    file = Path(path)
    if file.suffix == ".npy":
        if not file.is_file():
            raise MissingDataError(f"There is no file {file}.")
        made_from: Any = [str(file), stamp([file], file.parent)]
        stored, unread = find_array(file), {}
    else:
        found = list_arrays(file)
        if "images" not in found:
            raise InvalidInputError(
                f"{file}: expected an array named images, got {', '.join(sorted(found)) or 'none'}. Name it by"
                " numpy.savez(file, images=…)."
            )
        unread = {name: found[name] for name in ("images", "labels", "label_names") if name in found}
        made_from, stored = unread, find_array(file, "images")
    kept = keep(NAME, made_from, lambda folder: _unpack(stored, "labels" in unread, "label_names" in unread, folder))
    return kept.dataset(NAME, str(file))


@dataclass
class _Values:
    """What the pixels of an array are like: gathered part by part."""

    low: float = np.inf
    high: float = -np.inf
    bad: int = 0

    def add(self, part: AnyArray) -> None:
        if part.dtype.kind == "f":
            finite = np.isfinite(part)
            images = ~finite.reshape(len(part), -1).all(axis=1)
            self.bad += int(images.sum())
            part = part[finite]
        if part.size:
            self.low, self.high = min(self.low, float(part.min())), max(self.high, float(part.max()))


def _unpack(stored: StoredArray, with_labels: bool, with_names: bool, folder: Path) -> ImageNotes:
    shape = _image_shape(stored)
    factors: tuple[Factor, ...] = ()
    if with_labels:
        names = find_array(stored.path, "label_names").whole() if with_names else None
        texts = None if names is None else [str(name) for name in np.atleast_1d(names)]
        factors = factors_of(find_array(stored.path, "labels").whole(), texts, stored.shape[0])
    values = _Values()
    for part in stored.chunks():
        values.add(part)
    to_levels = _scale(stored, values)
    if stored.name == "" and to_levels is None and not stored.fortran and stored.shape[1:] == shape:
        seen = Inspection()
        for part in stored.chunks():
            seen.see(part)
        (folder / IMAGES).symlink_to(stored.path.resolve())  # mapped where it lies
    else:
        with ImageWriter(folder, shape, stored.shape[0]) as writer:
            for part in stored.chunks():
                writer.write(part if to_levels is None else to_levels(part))
        seen = writer.seen
    remarks = seen.remarks(str(stored.path))
    if stored.dtype == np.uint8 and 1 < values.high < _BRIGHT:
        remarks.append(f"The brightest pixel is {values.high:g} of 255: the images are dark.")
    return ImageNotes(factors, remarks)


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


def _scale(stored: StoredArray, values: _Values) -> Callable[[AnyArray], ImageArray] | None:
    """Say how values become grey levels 0…255; None of those that are."""
    low, high = values.low, values.high
    if values.bad:
        raise InvalidInputError(
            f"{stored.path}: expected finite pixels, got NaN or infinity in {values.bad:,} of {stored.shape[0]:,}"
            " images. Leave those images out, or fill the pixels in."
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
