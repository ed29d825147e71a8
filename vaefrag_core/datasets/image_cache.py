"""Images that are decoded or unpacked once, and memory-mapped from then on.

    <cache>/datasets/<name>/<key>/images.npy, codes.npy, facts.json

The key is the hash of what the images were made from, so files that have changed are found under another one. The
folder appears whole or not at all; processes that want the same images wait for the one that makes them.
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
from vaefrag_core.config import content_key
from vaefrag_core.datasets.base import Factor, ImageDataset
from vaefrag_core.errors import InvalidInputError, MissingDataError

IMAGES = "images.npy"
FORMAT = 1  # raised when the same files are read in another way
SPARE_BYTES = 2**28  # of the disk, that a data set leaves free


@dataclass(frozen=True)
class ImageNotes:
    """What is known besides the images.

    Args:
        factors: of every image.
        remarks: sentences that whoever trains on them should read.
        files: how each file was read, for those that want to know: name → what was found.
    """

    factors: Sequence[Factor] = ()
    remarks: Sequence[str] = ()
    files: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True, eq=False)
class CachedImages:
    """Images of the cache, memory-mapped, and their notes."""

    images: ImageArray
    notes: ImageNotes

    def dataset(self, name: str, origin: str) -> ImageDataset:
        """Give them as a data set."""
        notes = self.notes
        return ImageDataset(name, self.images, notes.factors, origin, remarks=notes.remarks, report=notes.files)


class Inspection:
    """Looks at all images of a data set, part by part, for what would train to nothing."""

    def __init__(self) -> None:
        self.count = self.constant = 0
        self._first: ImageArray | None = None
        self._differ = False

    def see(self, images: ImageArray) -> None:
        """Look at (n, H, W) or (n, H, W, 3) images."""
        if not len(images):
            return
        flat = images.reshape(len(images), -1)
        if self._first is None:
            self._first = flat[0].copy()
        self.count += len(flat)
        self.constant += int((flat.min(axis=1) == flat.max(axis=1)).sum())
        self._differ = self._differ or bool((flat != self._first).any())

    def remarks(self, name: str) -> list[str]:
        """Say what is odd about the images seen.

        Args:
            name: what to call them.

        Raises:
            InvalidInputError: when they hold nothing that could be learned.
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
    """Writes images one after the other into `images.npy`, without knowing how many there will be.

    Args:
        folder: where the file goes.
        shape: (H, W) or (H, W, 3) of an image.
        most: images that may come; the disk must have room for so many.

    Raises:
        MissingDataError: when the disk has no room.
    """

    def __init__(self, folder: Path, shape: Sequence[int], most: int) -> None:
        self.shape, self.seen = tuple(int(n) for n in shape), Inspection()
        needed, free = most * math.prod(self.shape), shutil.disk_usage(folder).free
        if needed + SPARE_BYTES > free:
            raise MissingDataError(
                f"The unpacked images need {needed / 2**30:.1f} GiB in {folder.parent}, where {free / 2**30:.1f} are"
                " free. Make room, or set XDG_CACHE_HOME to another disk."
            )
        self._file: BinaryIO = (folder / IMAGES).open("w+b")
        self._start = self._header(most)

    def write(self, images: ImageArray) -> None:
        """Append (n, *shape) images."""
        images = np.ascontiguousarray(images, dtype=np.uint8).reshape(-1, *self.shape)
        self.seen.see(images)
        self._file.write(images.tobytes())

    def __enter__(self) -> "ImageWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._file:
            if kind is None:
                end = self._header(self.seen.count)
                assert end == self._start, "numpy leaves room in the header for a longer first axis"

    def _header(self, count: int) -> int:
        self._file.seek(0)
        facts = {"descr": "|u1", "fortran_order": False, "shape": (count, *self.shape)}
        np.lib.format.write_array_header_1_0(self._file, facts)
        return self._file.tell()


def home(name: str) -> Path:
    """Give the folder where files of a data set are looked for and kept, whether it exists or not."""
    return Path(platformdirs.user_cache_dir("vaefrag")) / "datasets" / name


def stamp(files: Sequence[Path], root: Path) -> list[tuple[str, int, int]]:
    """Tell files apart from others, and from themselves before a change, without reading them."""
    return [(str(file.relative_to(root)), file.stat().st_size, file.stat().st_mtime_ns) for file in files]


def keep(name: str, made_from: Any, make: Callable[[Path], ImageNotes]) -> CachedImages:
    """Give images from the cache, making them when they are not there.

    Args:
        name: of the data set.
        made_from: JSON content that names the files and how they are read.
        make: puts IMAGES into a folder, such as by an `ImageWriter`, and gives the notes.

    Raises:
        MissingDataError: when the cache cannot be written.
    """
    folder = home(name) / content_key([FORMAT, made_from])
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{folder}.lock"):
            found = _read(folder)
            if found is None:
                shutil.rmtree(folder, ignore_errors=True)
                _make(folder, make)
                found = _read(folder)
    except OSError as error:
        if isinstance(error, MissingDataError):
            raise
        raise MissingDataError(
            f"The images of {name!r} cannot be unpacked into {folder.parent} ({error.strerror or error})."
            " Make room there, or set XDG_CACHE_HOME to another folder."
        ) from error
    assert found is not None, "what was just written can be read"
    return found


def _make(folder: Path, make: Callable[[Path], ImageNotes]) -> None:
    temporary = Path(tempfile.mkdtemp(prefix=".new-", dir=folder.parent))
    try:
        notes = make(temporary)
        facts = {
            "factors": [{"name": factor.name, "levels": factor.levels} for factor in notes.factors],
            "remarks": list(notes.remarks),
            "files": list(notes.files),
        }
        np.save(temporary / "codes.npy", np.array([factor.codes for factor in notes.factors], dtype=np.int64))
        (temporary / "facts.json").write_text(json.dumps(facts, indent=1), encoding="utf-8")
        temporary.rename(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _read(folder: Path) -> CachedImages | None:
    """Read what is there; None when it is not, or not whole."""
    try:
        images = np.load(folder / IMAGES, mmap_mode="r", allow_pickle=False)
        codes = np.load(folder / "codes.npy", allow_pickle=False)
        facts = json.loads((folder / "facts.json").read_text(encoding="utf-8"))
        factors = [Factor(f["name"], c, tuple(f["levels"])) for f, c in zip(facts["factors"], codes, strict=True)]
        files = [(name, found) for name, found in facts["files"]]
    except (OSError, ValueError, KeyError):
        return None
    return CachedImages(images, ImageNotes(tuple(factors), tuple(facts["remarks"]), tuple(files)))
