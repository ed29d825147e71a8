"""Arrays in NumPy's files, read part by part, as they may be larger than memory. Nothing is unpickled."""

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
from vaefrag_core.artifacts.zip_limits import check_entries, damage_reason, read_npy_header
from vaefrag_core.errors import BrokenFileError, InvalidInputError, MissingDataError

CHUNK_BYTES = 2**24
SMALL_BYTES = 2**30  # at most, of an array that is read at once: labels
_DAMAGE = (OSError, KeyError, ValueError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error)


@dataclass(frozen=True)
class StoredArray:
    """An array in a file, not read yet.

    Args:
        path: the file, `.npy` or `.npz`.
        name: the array's name in an `.npz`; "" in an `.npy`.
        shape: the array's shape.
        dtype: the type of its values.
        fortran: whether it is stored in Fortran order, the first axis running fastest.
    """

    path: Path
    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    fortran: bool

    def chunks(self) -> Iterator[AnyArray]:
        """Read the array part by part along its first axis.

        Raises:
            BrokenFileError: when the file ends early or is damaged.
        """
        row_bytes = math.prod(self.shape[1:]) * self.dtype.itemsize
        rows = max(1, CHUNK_BYTES // max(1, row_bytes))
        with _open_array(self.path, self.name) as (file, _):
            read_npy_header(file)
            if self.fortran or not self.shape:  # rare; in Fortran order no part along the first axis is contiguous
                yield _read_exactly(file, self.shape[::-1], self.dtype, self).transpose()
                return
            for first in range(0, self.shape[0], rows):
                count = min(rows, self.shape[0] - first)
                yield _read_exactly(file, (count, *self.shape[1:]), self.dtype, self)

    def read(self) -> AnyArray:
        """Read a small array at once.

        Raises:
            BrokenFileError: when the file ends early or is damaged.
            InvalidInputError: when the array is too large.
        """
        if math.prod(self.shape) * self.dtype.itemsize > SMALL_BYTES:
            raise InvalidInputError(f"{self.path}: expected a small array {self.name!r}, got shape {self.shape}.")
        parts = list(self.chunks())
        return parts[0] if len(parts) == 1 else np.concatenate([np.zeros((0, *self.shape[1:]), self.dtype), *parts])


def list_arrays(path: Path) -> dict[str, tuple[int, int]]:
    """Return size and checksum of each array of an `.npz` file, by name.

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
    """Find an array in a file and read its header.

    Args:
        path: an `.npz`, or an `.npy` when `name` is "".
        name: the array's name in the `.npz`.

    Raises:
        BrokenFileError: when there is no such array, or none that can be read.
        InvalidInputError: when it holds pickled objects.
    """
    with _open_array(path, name) as (file, file_bytes):
        shape, fortran, dtype = read_npy_header(file, file_bytes)
    if dtype.hasobject or dtype.names is not None:
        raise InvalidInputError(
            f"{path}: expected {name or 'an array'} of plain numbers or text, got type {dtype}. Objects are never"
            " unpickled: convert them by numpy.array, such as images of different sizes to one size."
        )
    return StoredArray(path, name, shape, dtype, fortran)


@contextmanager
def _open_array(path: Path, name: str) -> Iterator[tuple[IO[bytes], int]]:
    """Open an `.npy`, or one array of an `.npz`; give it with its size, unpacked."""
    try:
        file_bytes = path.stat().st_size
        if name:
            with zipfile.ZipFile(path) as archive:
                entry = archive.getinfo(f"{name}.npy")
                check_entries([entry], file_bytes)
                with archive.open(entry) as file:
                    yield file, entry.file_size
        else:
            with path.open("rb") as file:
                yield file, file_bytes
    except (BrokenFileError, InvalidInputError):
        raise
    except _DAMAGE as error:
        raise _broken(path, name, error) from error


def _broken(path: Path, name: str, error: Exception) -> BrokenFileError:
    return BrokenFileError(
        f"{path}: expected {f'a whole array {name!r}' if name else 'a whole .npy file'}, got one that cannot be read"
        f" ({damage_reason(error)}). Write it again."
    )


def _read_exactly(file: IO[bytes], shape: tuple[int, ...], dtype: np.dtype[Any], array: StoredArray) -> AnyArray:
    n_bytes = math.prod(shape) * dtype.itemsize
    data = file.read(n_bytes)
    if len(data) != n_bytes:
        raise _broken(array.path, array.name, ValueError("it ends early"))
    return np.frombuffer(data, dtype=dtype).reshape(shape)
