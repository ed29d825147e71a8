"""`.npz` files whose large arrays are memory-mapped where they lie: plain ones, that any NumPy reads.

NumPy can map an `.npy`, not what is in an `.npz`. Arrays that are not compressed lie there as they are, so that their
place is all that it takes; the writer moves each to a multiple of 64 bytes, as arrays in memory are.
"""

import math
import struct
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy_format

from vaefrag_core.array_types import AnyArray
from vaefrag_core.artifacts.zip_limits import read_npy_header
from vaefrag_core.errors import BrokenFileError

MAPPED_BYTES = 2**24  # from which on an array is mapped; reading a smaller one whole checks it against its checksum
ALIGNMENT = 64
LOCAL_HEADER_BYTES = 30  # before the name of a file in a zip archive
ZIP64_BYTES = 20  # of the sizes that `zipfile` adds to it
PADDING_ID = 0x5056  # of an extra field that no reader knows, and so leaves alone


class StoredMap(np.memmap[Any, Any]):
    """A mapped array of a file that was checked before it was written, so that it need not be read to be used."""


@dataclass(frozen=True)
class _Place:
    """Where an array of an `.npz` lies."""

    offset: int
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    fortran: bool

    @property
    def bytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize


def write_npz(file: IO[bytes], arrays: Mapping[str, AnyArray]) -> None:
    """Write arrays as `numpy.savez` does, each where it can be mapped.

    Args:
        file: a file that can tell its position.
        arrays: by name; none of Python objects.
    """
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
        for name, array in arrays.items():
            entry = zipfile.ZipInfo(f"{name}.npy")
            before = file.tell() + LOCAL_HEADER_BYTES + len(entry.filename.encode()) + 4 + ZIP64_BYTES
            padding = -before % ALIGNMENT
            entry.extra = struct.pack("<HH", PADDING_ID, padding) + bytes(padding)
            with archive.open(entry, "w", force_zip64=True) as stream:
                npy_format.write_array(stream, np.asanyarray(array), allow_pickle=False)


def map_npz(file: IO[bytes]) -> dict[str, AnyArray]:
    """Map the large arrays of an `.npz` of this module, or of `numpy.savez`.

    Args:
        file: a whole file, which may be closed or replaced afterwards.

    Returns:
        The arrays that are mapped, by name, read-only; those that are small, compressed or no numbers are left out.

    Raises:
        zipfile.BadZipFile, OSError or ValueError: when the file is no `.npz`, or is cut off.
    """
    with zipfile.ZipFile(file) as archive:
        places = dict(_places(file, archive))
        end = archive.start_dir
    for name, place in places.items():
        if place.offset + place.bytes > end:
            raise ValueError(f"{name} is cut off")
    return {
        name: StoredMap(file, place.dtype, "r", place.offset, place.shape, "F" if place.fortran else "C")
        for name, place in places.items()
    }


def check_npz(path: Path) -> None:
    """Compare every array of an `.npz` with its checksum, those that are mapped included.

    Raises:
        BrokenFileError: when one differs, or the file is no `.npz`.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
    except Exception as error:  # zipfile, zlib, EOFError or OSError, by what is damaged
        raise BrokenFileError(f"{path} is not a whole .npz file ({error}).") from error
    if damaged is not None:
        raise BrokenFileError(f"the checksum of {damaged.removesuffix('.npy')} is not that of what was written")


def _places(file: IO[bytes], archive: zipfile.ZipFile) -> Iterator[tuple[str, _Place]]:
    for entry in archive.infolist():
        if entry.compress_type != zipfile.ZIP_STORED or entry.file_size < MAPPED_BYTES:
            continue
        file.seek(entry.header_offset)
        name_bytes, extra_bytes = struct.unpack("<26xHH", file.read(LOCAL_HEADER_BYTES))
        file.seek(name_bytes + extra_bytes, 1)
        shape, fortran, dtype = read_npy_header(file)
        if dtype.kind in "biuf":
            yield entry.filename.removesuffix(".npy"), _Place(file.tell(), dtype, shape, fortran)
