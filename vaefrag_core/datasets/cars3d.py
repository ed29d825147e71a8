"""Cars3D: models of cars seen from 24 sides at 4 heights, a `.mat` file for each car, scaled to 64×64.

Reference: Reed, Zhang, Zhang, Lee, "Deep Visual Analogy-Making", NeurIPS 2015; scaled as by Locatello et al.,
"Challenging Common Assumptions in the Unsupervised Learning of Disentangled Representations", 2019,
https://arxiv.org/abs/1811.12359
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from vaefrag_core.array_types import ImageArray
from vaefrag_core.datasets.archives import Archive
from vaefrag_core.datasets.base import Factor, ImageDataset
from vaefrag_core.datasets.image_cache import ImageNotes, ImageWriter, keep, stamp
from vaefrag_core.datasets.image_files import scaled
from vaefrag_core.errors import BrokenFileError

CARS3D_FACTORS = ("elevation", "azimuth", "object")
AZIMUTHS, ELEVATIONS = 24, 4
SIDE = 64
_ARRAY = f"im (128, 128, 3, {AZIMUTHS}, {ELEVATIONS}) of uint8"


def _find(folder: Path) -> Sequence[Path]:
    for place in (folder / "data" / "cars", folder / "cars", folder):
        files = sorted(place.glob("*.mat"))
        if files:
            return files
    return []


CARS3D = Archive(
    "cars3d",
    "the folder data/cars with its .mat files, out of nips2015-analogy-data.tar.gz",
    "http://www.scottreed.info/files/nips2015-analogy-data.tar.gz",
    _find,
)


def cars3d(path: str | Path | None = None) -> ImageDataset:
    """Give Cars3D, scaled once and memory-mapped; with 183 cars, 17,568 images.

    Args:
        path: the folder of the unpacked archive, or the one with the `.mat` files.

    Raises:
        MissingDataError: when they are not there.
        BrokenFileError: naming a file that is another.
    """
    files = CARS3D.files(path)
    kept = keep(CARS3D.name, stamp(files, files[0].parent), lambda folder: _unpack(files, folder))
    return kept.dataset(CARS3D.name, str(files[0].parent))


def _unpack(files: Sequence[Path], folder: Path) -> ImageNotes:
    views = AZIMUTHS * ELEVATIONS
    with ImageWriter(folder, (SIDE, SIDE, 3), len(files) * views) as writer:
        for file in files:
            writer.write(np.stack([scaled(view, SIDE) for view in _views(file)]))
    azimuth, elevation = np.divmod(np.tile(np.arange(views), len(files)), ELEVATIONS)
    factors = (
        Factor("elevation", elevation, tuple(str(level) for level in range(ELEVATIONS))),
        Factor("azimuth", azimuth, tuple(f"{turn * 360 // AZIMUTHS}°" for turn in range(AZIMUTHS))),
        Factor("object", np.repeat(np.arange(len(files)), views), tuple(file.stem for file in files)),
    )
    return ImageNotes(factors, writer.seen.remarks(str(files[0].parent)))


def _views(file: Path) -> ImageArray:
    """Read the (96, H, W, 3) views of a car, the elevation running fastest."""
    from scipy.io import loadmat  # slow to import, and needed only here

    try:
        array = loadmat(file, variable_names=["im"])["im"]
    except Exception as error:  # a damaged file surfaces as whatever its reader trips over
        raise BrokenFileError(
            f"{file}: expected a .mat file with {_ARRAY}, got one that cannot be read ({error}). Unpack it again."
        ) from error
    if array.ndim != 5 or array.shape[2:] != (3, AZIMUTHS, ELEVATIONS) or array.dtype != np.uint8:
        raise BrokenFileError(
            f"{file}: expected {_ARRAY}, got {array.shape} of {array.dtype}. Leave only the cars' files there."
        )
    views: ImageArray = array.transpose(3, 4, 0, 1, 2).reshape(-1, *array.shape[:3])
    return views
