"""Arrays in NumPy's own files, read row by row: they may be larger than memory. Nothing is unpickled."""

import math
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from vaefrag_core.array_types import AnyArray
from vaefrag_core.errors import BrokenFileError, InvalidInputError, MissingDataError

CHUNK_BYTES = 2**24
SMALL_BYTES = 2**30  # of an array that is read whole: labels
_DAMAGE = (OSError, KeyError, ValueError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error)


@dataclass(frozen=True)
class StoredArray:
    """An array of a file.

    Args:
        path: the file, `.npy` or `.npz`.
        name: within an `.npz`; "" in an `.npy`.
        shape: of the array.
        dtype: of its values.
        fortran: whether columns come first.
    """

    path: Path
    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    fortran: bool

    def chunks(self) -> Iterator[AnyArray]:
        """Give the array part by part along its first axis.

        Raises:
            BrokenFileError: when the file ends early or is damaged.
        """
        row_bytes = math.prod(self.shape[1:]) * self.dtype.itemsize
        rows = max(1, CHUNK_BYTES // max(1, row_bytes))
        with _opened(self.path, self.name) as file:
            _header(file)
            if self.fortran or not self.shape:  # rare, and no part of it stands together
                yield _filled(file, self.shape[::-1], self.dtype, self).transpose()
                return
            for first in range(0, self.shape[0], rows):
                count = min(rows, self.shape[0] - first)
                yield _filled(file, (count, *self.shape[1:]), self.dtype, self)

    def whole(self) -> AnyArray:
        """Give all of a small array."""
        if math.prod(self.shape) * self.dtype.itemsize > SMALL_BYTES:
            raise InvalidInputError(f"{self.path}: expected a small array {self.name!r}, got shape {self.shape}.")
        parts = list(self.chunks())
        return parts[0] if len(parts) == 1 else np.concatenate([np.zeros((0, *self.shape[1:]), self.dtype), *parts])


def list_arrays(path: Path) -> dict[str, tuple[int, int]]:
    """Name the arrays of an `.npz` file: size and checksum of each.

    Raises:
        MissingDataError: when there is no such file.
        BrokenFileError: when it is no `.npz` file.
    """
    if not path.is_file():
        raise MissingDataError(f"There is no file {path}.")
    try:
        with zipfile.ZipFile(path) as archive:
            infos = [info for info in archive.infolist() if info.filename.endswith(".npy")]
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise BrokenFileError(
            f"{path}: expected an .npz file as numpy.savez writes it, got one that cannot be read ({error})."
            " Write it again."
        ) from error
    return {info.filename.removesuffix(".npy"): (info.file_size, info.CRC) for info in infos}


def find_array(path: Path, name: str = "") -> StoredArray:
    """Read the head of an array.

    Args:
        path: an `.npz`, or an `.npy` when no name is given.
        name: of the array.

    Raises:
        BrokenFileError: when there is no such array, or none that can be read.
        InvalidInputError: when it holds pickled objects.
    """
    with _opened(path, name) as file:
        shape, fortran, dtype = _header(file)
    if dtype.hasobject or dtype.names is not None:
        raise InvalidInputError(
            f"{path}: expected {name or 'an array'} of plain numbers or text, got type {dtype}. Objects are never"
            " unpickled: convert them by numpy.array, such as images of different sizes to one size."
        )
    return StoredArray(path, name, shape, dtype, fortran)


@contextmanager
def _opened(path: Path, name: str) -> Iterator[IO[bytes]]:
    try:
        if name:
            with zipfile.ZipFile(path) as archive, archive.open(f"{name}.npy") as file:
                yield file
        else:
            with path.open("rb") as file:
                yield file
    except (BrokenFileError, InvalidInputError):
        raise
    except _DAMAGE as error:
        raise _broken(path, name, error) from error


def _broken(path: Path, name: str, error: Exception) -> BrokenFileError:
    return BrokenFileError(
        f"{path}: expected {f'a whole array {name!r}' if name else 'a whole .npy file'}, got one that cannot be read"
        f" ({error}). Write it again."
    )


def _header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    if version not in ((1, 0), (2, 0)):
        raise ValueError(f"it has version {version} of the format, not 1.0 or 2.0")
    shape, fortran, dtype = read(file)
    return shape, fortran, dtype


def _filled(file: IO[bytes], shape: tuple[int, ...], dtype: np.dtype[Any], array: StoredArray) -> AnyArray:
    wanted = math.prod(shape) * dtype.itemsize
    data = file.read(wanted)
    if len(data) != wanted:
        raise _broken(array.path, array.name, ValueError("it ends early"))
    return np.frombuffer(data, dtype=dtype).reshape(shape)
