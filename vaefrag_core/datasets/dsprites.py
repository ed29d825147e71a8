"""dSprites: 737,280 white shapes on black, 64×64, of six known causes, in one `.npz` file.

The file's `metadata` is a pickle, and is not read: `latents_classes` and `latents_values` say all that is needed.

Reference: Matthey, Higgins, Hassabis, Lerchner, "dSprites: Disentanglement testing Sprites dataset", 2017,
https://github.com/google-deepmind/dsprites-dataset
"""

import math
from pathlib import Path

import numpy as np

from vaefrag_core.array_types import AnyArray
from vaefrag_core.datasets.archives import Archive, one_file
from vaefrag_core.datasets.base import Factor, ImageDataset
from vaefrag_core.datasets.image_cache import ImageNotes, ImageWriter, keep, stamp
from vaefrag_core.datasets.npy_format import StoredArray, find_array
from vaefrag_core.errors import BrokenFileError

FILE = "dsprites_ndarray_co1sh3sc6or40x32y32_64x64.npz"
DSPRITES = Archive("dsprites", FILE, "https://github.com/google-deepmind/dsprites-dataset", one_file(FILE))
DSPRITES_FACTORS = ("shape", "scale", "orientation", "x", "y")  # besides the colour, which is always white
_SHAPES = {1: "square", 2: "ellipse", 3: "heart"}


def dsprites(path: str | Path | None = None) -> ImageDataset:
    """Give dSprites, unpacked once (3 GB) and memory-mapped.

    Args:
        path: its file, or the folder with it.

    Raises:
        MissingDataError: when it is not there, or the disk has no room.
        BrokenFileError: when it is another file.
    """
    (file,) = DSPRITES.files(path)
    kept = keep(DSPRITES.name, stamp([file], file.parent), lambda folder: _unpack(file, folder))
    return kept.dataset(DSPRITES.name, str(file))


def _unpack(file: Path, folder: Path) -> ImageNotes:
    images, classes, values = (find_array(file, name) for name in ("imgs", "latents_classes", "latents_values"))
    count = images.shape[0] if images.shape else 0
    columns = len(DSPRITES_FACTORS) + 1
    if len(images.shape) != 3 or images.dtype != np.uint8 or not {classes.shape, values.shape} == {(count, columns)}:
        raise BrokenFileError(
            f"{file}: expected imgs (N, 64, 64) of uint8 with latents_classes and latents_values (N, {columns}), got"
            f" {images.shape} of {images.dtype}, {classes.shape} and {values.shape}. That is another file."
        )
    factors = _factors(classes, values)
    with ImageWriter(folder, images.shape[1:], count) as writer:
        for part in images.chunks():
            writer.write(np.where(part > 0, 255, 0).astype(np.uint8))
    return ImageNotes(factors, writer.seen.remarks(str(file)))


def _factors(classes: StoredArray, values: StoredArray) -> list[Factor]:
    numbers, meanings = classes.whole()[:, 1:].T, values.whole()[:, 1:].T
    return [
        _factor(name, column, meaning)
        for name, column, meaning in zip(DSPRITES_FACTORS, numbers, meanings, strict=True)
    ]


def _factor(name: str, numbers: AnyArray, values: AnyArray) -> Factor:
    _, first, codes = np.unique(numbers, return_index=True, return_inverse=True)
    return Factor(name, codes, tuple(_text(name, float(value)) for value in values[first]))


def _text(name: str, value: float) -> str:
    if name == "shape":
        return _SHAPES.get(round(value), f"{value:g}")
    return f"{math.degrees(value):.1f}°" if name == "orientation" else f"{value:.3g}"
