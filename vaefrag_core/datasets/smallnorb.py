"""smallNORB: toys of five kinds seen from 162 directions under six lights, in binary matrices, scaled to 64×64.

A matrix file is a magic number for the type, the number of axes, the length of each axis (three at least), all
little-endian 32-bit numbers, then the values. It may be packed by gzip. Of each stereo pair the first picture is taken.

Reference: LeCun, Huang, Bottou, "Learning methods for generic object recognition with invariance to pose and lighting",
CVPR 2004; scaled as by Locatello et al., "Challenging Common Assumptions in the Unsupervised Learning of Disentangled
Representations", 2019, https://arxiv.org/abs/1811.12359
"""

import gzip
import math
import struct
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BufferedIOBase
from pathlib import Path
from typing import Any

import numpy as np

from vaefrag_core.array_types import AnyArray, IntArray
from vaefrag_core.datasets.archives import Archive
from vaefrag_core.datasets.base import Factor, ImageDataset
from vaefrag_core.datasets.image_cache import ImageNotes, ImageWriter, cached_images, file_versions
from vaefrag_core.datasets.image_files import resize_square
from vaefrag_core.errors import BrokenFileError

SMALLNORB_FACTORS = ("category", "instance", "elevation", "azimuth", "lighting")
SIDE = 64
SPLITS = ("smallnorb-5x46789x9x18x6x2x96x96-training", "smallnorb-5x01235x9x18x6x2x96x96-testing")
_KINDS = ("dat", "cat", "info")
_CATEGORIES = ("animal", "human", "airplane", "truck", "car")
_TYPES: dict[int, np.dtype[Any]] = {0x1E3D4C55: np.dtype("u1"), 0x1E3D4C54: np.dtype("<i4")}
_MAX_AXES, _MAX_SIDE = 8, 1_024
_MOST_ROWS = 1_000_000  # of a split; the published ones have 24,300
_PART = 500  # pairs read at a time
_PIECE_BYTES = 2**24


def _find(folder: Path) -> Sequence[Path]:
    """Find dat, cat and info of the training split, then those of the testing split when all are there."""
    files: list[Path] = []
    for split in SPLITS:
        candidates = [_find_file(folder, f"{split}-{kind}.mat") for kind in _KINDS]
        of_split = [file for file in candidates if file is not None]
        if len(of_split) < len(_KINDS):
            break
        files += of_split
    return files


def _find_file(folder: Path, name: str) -> Path | None:
    return next((file for file in (folder / name, folder / f"{name}.gz") if file.is_file()), None)


SMALLNORB = Archive(
    "smallnorb",
    f"the files {SPLITS[0]}-dat.mat, -cat.mat and -info.mat, packed by gzip or not, and if possible those of testing",
    "https://cs.nyu.edu/~ylclab/data/norb-v1.0-small/",
    _find,
)


def smallnorb(path: str | Path | None = None) -> ImageDataset:
    """Load smallNORB, scaled once and memory-mapped: the training split, and the testing split when it is there.

    Args:
        path: the folder with the files.

    Raises:
        MissingDataError: when they are missing.
        BrokenFileError: when a file is not one of smallNORB; the message names it.
    """
    files = SMALLNORB.files(path)
    cached = cached_images(SMALLNORB.name, file_versions(files, files[0].parent), lambda folder: _unpack(files, folder))
    return cached.dataset(SMALLNORB.name, str(files[0].parent))


def _unpack(files: Sequence[Path], folder: Path) -> ImageNotes:
    splits = [files[first : first + len(_KINDS)] for first in range(0, len(files), len(_KINDS))]
    tables = [_read_table(cat, info) for _, cat, info in splits]
    with ImageWriter(folder, (SIDE, SIDE), sum(map(len, tables))) as writer:
        for (dat, *_), table in zip(splits, tables, strict=True):
            with _open_matrix(dat) as (file, shape, dtype):
                side = shape[-1] if shape else 0
                _expect(dat, shape, dtype, (len(table), 2, side, side), np.dtype("u1"))
                for first in range(0, len(table), _PART):
                    pairs = _read_values(dat, file, (min(_PART, len(table) - first), *shape[1:]), dtype)
                    writer.write(np.stack([resize_square(picture, SIDE) for picture in pairs[:, 0]]))
    remarks = writer.statistics.remarks(str(files[0].parent))
    if len(splits) < len(SPLITS):
        remarks.append("The testing split is not there: its instances of toys are missing.")
    return ImageNotes(_factors(np.concatenate(tables)), remarks)


def _read_table(cat: Path, info: Path) -> IntArray:
    """Read the (N, 5) numbers: category, instance, elevation, azimuth, lighting."""
    columns = []
    for path, width in ((cat, 1), (info, 4)):
        with _open_matrix(path) as (file, shape, dtype):
            count = shape[0] if shape else 0
            _expect(path, shape, dtype, (count,) if width == 1 else (count, width), np.dtype("<i4"))
            columns.append(_read_values(path, file, (count, width), dtype))
    if len(columns[0]) != len(columns[1]):
        raise BrokenFileError(f"{info}: expected {len(columns[0]):,} rows, as in {cat.name}, got {len(columns[1]):,}.")
    return np.concatenate(columns, axis=1).astype(np.int64)


def _factors(table: IntArray) -> list[Factor]:
    factors = []
    for name, column in zip(SMALLNORB_FACTORS, table.T, strict=True):
        values, codes = np.unique(column, return_inverse=True)
        factors.append(Factor(name, codes, tuple(_level_name(name, int(value)) for value in values)))
    return factors


def _level_name(name: str, value: int) -> str:
    if name == "category" and 0 <= value < len(_CATEGORIES):
        return _CATEGORIES[value]
    if name == "elevation":  # nine, every 5° from 30°
        return f"{30 + 5 * value}°"
    return f"{10 * value}°" if name == "azimuth" else str(value)  # azimuths are counted in tens of degrees


@contextmanager
def _open_matrix(path: Path) -> Iterator[tuple[BufferedIOBase, tuple[int, ...], np.dtype[Any]]]:
    """Open a matrix file and read its head."""
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            magic, axes = struct.unpack("<II", file.read(8))
            if magic not in _TYPES or not 1 <= axes <= _MAX_AXES:
                raise BrokenFileError(
                    f"{path}: expected a binary matrix of bytes or whole numbers, beginning 55 4c 3d 1e or 54 4c 3d 1e,"
                    f" got one beginning {struct.pack('<I', magic).hex(' ')}. Fetch it again."
                )
            lengths = struct.unpack(f"<{max(3, axes)}I", file.read(4 * max(3, axes)))
            yield file, lengths[:axes], _TYPES[magic]
    except (OSError, EOFError, zlib.error, struct.error) as error:
        raise BrokenFileError(
            f"{path}: expected a whole binary matrix, got one that cannot be read ({error}). Fetch it again."
        ) from error


def _expect(
    path: Path,
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
    expected_shape: tuple[int, ...],
    expected_dtype: np.dtype[Any],
) -> None:
    if shape and shape[0] > _MOST_ROWS:
        raise BrokenFileError(
            f"{path}: expected at most {_MOST_ROWS:,} rows, got {shape[0]:,} by its head. That is another file."
        )
    # Rows are as many as the data set has; the axes behind them are sides of pictures, or columns.
    if shape != expected_shape or dtype != expected_dtype or not all(1 <= length <= _MAX_SIDE for length in shape[1:]):
        raise BrokenFileError(
            f"{path}: expected a matrix {expected_shape} of {expected_dtype}, got {shape} of {dtype}. That is another"
            " file."
        )


def _read_values(path: Path, file: BufferedIOBase, shape: tuple[int, ...], dtype: np.dtype[Any]) -> AnyArray:
    n_bytes = math.prod(shape) * dtype.itemsize
    data = bytearray()
    # Piece by piece: a damaged head may promise more than fits into memory, which one read would set aside at once.
    while len(data) < n_bytes and (piece := file.read(min(_PIECE_BYTES, n_bytes - len(data)))):
        data += piece
    if len(data) != n_bytes:
        raise BrokenFileError(f"{path}: expected {n_bytes:,} more bytes, as its head says, got {len(data):,}.")
    return np.frombuffer(data, dtype=dtype).reshape(shape)
