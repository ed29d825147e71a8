"""Shapes3D: 480,000 coloured pictures of a thing in a room, 64×64, of six known causes, in one HDF5 file.

Reference: Burgess, Kim, "3D Shapes Dataset", 2018, https://github.com/google-deepmind/3d-shapes
"""

from pathlib import Path
from typing import Any

import numpy as np

from vaefrag_core.datasets.archives import Archive, single_file
from vaefrag_core.datasets.base import ImageDataset
from vaefrag_core.datasets.image_cache import ImageNotes, ImageWriter, cached_images, file_versions
from vaefrag_core.datasets.labels import factors_of
from vaefrag_core.errors import BrokenFileError, VaefragError

FILE = "3dshapes.h5"
SHAPES3D = Archive("shapes3d", FILE, "https://github.com/google-deepmind/3d-shapes", single_file(FILE), ("h5py", "h5"))
SHAPES3D_FACTORS = ("floor hue", "wall hue", "object hue", "scale", "shape", "orientation")
_PART = 2_000  # images unpacked at a time


def shapes3d(path: str | Path | None = None) -> ImageDataset:
    """Load Shapes3D, unpacked once (6 GB) and memory-mapped.

    Args:
        path: the file, or its folder.

    Raises:
        MissingDataError: when the file or h5py is missing, or the disk has no room.
        BrokenFileError: when it is not the file of Shapes3D.
    """
    # HDF5 compresses in blocks: images drawn in random order would unpack a block for each image.
    (file,) = SHAPES3D.files(path)
    cached = cached_images(SHAPES3D.name, file_versions([file], file.parent), lambda folder: _unpack(file, folder))
    return cached.dataset(SHAPES3D.name, str(file))


def _unpack(file: Path, folder: Path) -> ImageNotes:
    import h5py  # an extra, and slow to import

    try:
        with h5py.File(file, "r") as content:
            return _copy(content, file, folder)
    except VaefragError:
        raise
    except (OSError, KeyError, RuntimeError, ValueError) as error:
        raise BrokenFileError(
            f"{file}: expected an HDF5 file with images and labels, got one that cannot be read ({error})."
            " Fetch it again."
        ) from error


def _copy(content: Any, file: Path, folder: Path) -> ImageNotes:
    images, labels = content["images"], content["labels"]
    fits = len(images.shape) == 4 and images.shape[3] == 3 and labels.shape == (images.shape[0], len(SHAPES3D_FACTORS))
    if not fits or images.dtype != np.uint8:
        raise BrokenFileError(
            f"{file}: expected images (N, 64, 64, 3) of uint8 and labels (N, 6), got {images.shape} of {images.dtype}"
            f" and {labels.shape}. That is another file."
        )
    count = images.shape[0]
    factors = factors_of(labels[:], SHAPES3D_FACTORS, count)
    with ImageWriter(folder, images.shape[1:], count) as writer:
        for first in range(0, count, _PART):
            writer.write(images[first : first + _PART])
    return ImageNotes(factors, writer.statistics.remarks(str(file)))
