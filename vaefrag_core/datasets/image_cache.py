"""The cache of data sets whose images are decoded or unpacked once, and memory-mapped from then on.

    <cache>/datasets/<name>/<key>/images.npy, codes.npy, facts.json

The key is the hash of the source files' version, so that files that have changed get another folder. A folder appears
whole or not at all; processes that need the same images wait for the one that builds them.
"""

import json
import math
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import numpy as np
import platformdirs
from filelock import FileLock

from vaefrag_core.array_types import ImageArray
from vaefrag_core.artifacts.zip_limits import read_json
from vaefrag_core.config import content_key
from vaefrag_core.datasets.base import Factor, ImageDataset
from vaefrag_core.errors import InvalidInputError, MissingDataError

IMAGES = "images.npy"
FORMAT = 1  # to be raised when the same files are read in another way
SPARE_BYTES = 2**28  # left free on the disk


@dataclass(frozen=True)
class ImageNotes:
    """What a data set says about its images.

    Args:
        factors: the properties known of every image.
        remarks: sentences that whoever trains on the images should read.
        files: the name of each source file and how it was read.
        identifiers: names of factors that name images rather than tell something of them.
    """

    factors: Sequence[Factor] = ()
    remarks: Sequence[str] = ()
    files: Sequence[tuple[str, str]] = ()
    identifiers: Sequence[str] = ()


@dataclass(frozen=True, eq=False)
class CachedImages:
    """Memory-mapped images of the cache, and their notes."""

    images: ImageArray
    notes: ImageNotes

    def dataset(self, name: str, origin: str) -> ImageDataset:
        """Return the images and notes as a data set."""
        notes = self.notes
        return ImageDataset(
            name,
            self.images,
            notes.factors,
            origin,
            remarks=notes.remarks,
            report=notes.files,
            identifiers=notes.identifiers,
        )


class ImageStatistics:
    """Counts, part by part, the images of a data set from which nothing can be learned."""

    def __init__(self) -> None:
        self.count = self.constant = 0
        self._first: ImageArray | None = None
        self._differ = False

    def update(self, images: ImageArray) -> None:
        """Count more images, (n, H, W) or (n, H, W, 3)."""
        if not len(images):
            return
        flat = images.reshape(len(images), -1)
        if self._first is None:
            self._first = flat[0].copy()
        self.count += len(flat)
        self.constant += int((flat.min(axis=1) == flat.max(axis=1)).sum())
        self._differ = self._differ or bool((flat != self._first).any())

    def remarks(self, name: str) -> list[str]:
        """Return sentences about what is odd about the images.

        Args:
            name: the source of the images, for messages.

        Raises:
            InvalidInputError: when nothing can be learned from them.
        """
        if self.count < 2:
            raise InvalidInputError(f"Expected at least 2 images in {name}, got {self.count}. Add images.")
        if not self._differ:
            raise InvalidInputError(
                f"Expected different images in {name}, got {self.count:,} that are identical. Check how they were made."
            )
        if self.constant == self.count:
            raise InvalidInputError(
                f"Expected images in {name} that show something, got {self.count:,} of one constant grey level each."
                " Check how they were made."
            )
        are = "is" if self.constant == 1 else "are"
        return (
            [f"{self.constant:,} of {self.count:,} images {are} constant, of one grey level."] if self.constant else []
        )


class ImageWriter:
    """Writes images one after the other into `images.npy`; their number may turn out smaller than expected.

    Args:
        folder: the folder of the file.
        shape: the shape of an image, (H, W) or (H, W, 3).
        max_images: the largest possible number of images; the disk must have room for them.

    Raises:
        MissingDataError: when the disk has no room.
    """

    def __init__(self, folder: Path, shape: Sequence[int], max_images: int) -> None:
        self.shape, self.statistics = tuple(int(n) for n in shape), ImageStatistics()
        needed, free = max_images * math.prod(self.shape), shutil.disk_usage(folder).free
        if needed + SPARE_BYTES > free:
            raise MissingDataError(
                f"The unpacked images need {needed / 2**30:.1f} GiB in {folder.parent}, where {free / 2**30:.1f} are"
                " free. Make room, or set XDG_CACHE_HOME to another disk."
            )
        self._file: BinaryIO = (folder / IMAGES).open("w+b")
        self._data_offset = self._write_header(max_images)

    def write(self, images: ImageArray) -> None:
        """Append (n, *shape) images."""
        images = np.ascontiguousarray(images, dtype=np.uint8).reshape(-1, *self.shape)
        self.statistics.update(images)
        self._file.write(images.tobytes())

    def __enter__(self) -> "ImageWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._file:
            if kind is None:
                # The header is written anew with the true number of images, in place: the data must not move.
                offset = self._write_header(self.statistics.count)
                assert offset == self._data_offset, "numpy leaves room in the header for a longer first axis"

    def _write_header(self, count: int) -> int:
        self._file.seek(0)
        header = {"descr": "|u1", "fortran_order": False, "shape": (count, *self.shape)}
        np.lib.format.write_array_header_1_0(self._file, header)
        return self._file.tell()


def cache_folder(name: str) -> Path:
    """Return the folder of a data set in the cache, whether it exists or not."""
    return Path(platformdirs.user_cache_dir("vaefrag")) / "datasets" / name


def file_versions(files: Sequence[Path], root: Path) -> list[tuple[str, int, int]]:
    """Return name, size and time of change of each file, which differ once a file has changed."""
    return [(str(file.relative_to(root)), file.stat().st_size, file.stat().st_mtime_ns) for file in files]


def cached_images(name: str, version: Any, build: Callable[[Path], ImageNotes]) -> CachedImages:
    """Load images from the cache, building them first if they are not in it.

    Args:
        name: the data set's name.
        version: JSON content that identifies the source files and how they are read.
        build: writes IMAGES into a folder, such as by an `ImageWriter`, and returns the notes.

    Raises:
        MissingDataError: when the cache cannot be written.
    """
    folder = cache_folder(name) / content_key([FORMAT, version])
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{folder}.lock"):  # two members' processes may start on the same new data set
            cached = _read_cache(folder)
            if cached is None:
                shutil.rmtree(folder, ignore_errors=True)
                _build(folder, build)
                cached = _read_cache(folder)
    except OSError as error:
        if isinstance(error, MissingDataError):
            raise
        raise MissingDataError(
            f"The images of {name!r} cannot be unpacked into {folder.parent} ({error.strerror or error})."
            " Make room there, or set XDG_CACHE_HOME to another folder."
        ) from error
    assert cached is not None, "what was just written can be read"
    return cached


def _build(folder: Path, build: Callable[[Path], ImageNotes]) -> None:
    temporary = Path(tempfile.mkdtemp(prefix=".new-", dir=folder.parent))
    try:
        notes = build(temporary)
        facts = {
            "factors": [{"name": factor.name, "levels": factor.levels} for factor in notes.factors],
            "remarks": list(notes.remarks),
            "files": list(notes.files),
            "identifiers": list(notes.identifiers),
        }
        np.save(temporary / "codes.npy", np.array([factor.codes for factor in notes.factors], dtype=np.int64))
        (temporary / "facts.json").write_text(json.dumps(facts, indent=1), encoding="utf-8")
        temporary.rename(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _read_cache(folder: Path) -> CachedImages | None:
    """Read a folder of the cache; None when it is missing or damaged."""
    try:
        images = np.load(folder / IMAGES, mmap_mode="r", allow_pickle=False)
        codes = np.load(folder / "codes.npy", allow_pickle=False)
        facts = read_json(folder / "facts.json")
        factors = [Factor(f["name"], c, tuple(f["levels"])) for f, c in zip(facts["factors"], codes, strict=True)]
        files = [(name, outcome) for name, outcome in facts["files"]]
        identifiers = tuple(facts.get("identifiers", ()))  # caches of files without are older than the field
    except (OSError, ValueError, KeyError, TypeError):  # whatever a damaged file, or other JSON, makes of it
        return None
    return CachedImages(images, ImageNotes(tuple(factors), tuple(facts["remarks"]), tuple(files), identifiers))
