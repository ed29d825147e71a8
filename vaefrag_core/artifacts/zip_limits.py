"""What a file may unpack to, judged by what it declares, before anything is unpacked or set aside for it.

A packed file of a megabyte can hold a gigabyte of zeros. Arrays and pictures do not pack like that.
"""

import json
import math
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy_format

UNQUESTIONED_BYTES = 2**28  # unpacked: what any machine can take, however it packs
MAX_RATIO = 200  # unpacked to packed, of more than that; dSprites, black for the most part, has 115
MAX_BYTES = 2**35  # of all entries that are read at once, unpacked
MAX_JSON_BYTES = 2**26


def check_entries(entries: Sequence[zipfile.ZipInfo], file_bytes: int) -> None:
    """Refuse entries of a zip archive that declare more than their file can hold or a reader would take.

    Args:
        entries: those that are to be read.
        file_bytes: size of the archive.

    Raises:
        ValueError: naming the first that is refused.
    """
    for entry in entries:
        if entry.file_size > max(UNQUESTIONED_BYTES, MAX_RATIO * entry.compress_size):
            raise ValueError(
                f"{entry.filename} would unpack {entry.compress_size:,} bytes to {entry.file_size:,}, more than"
                f" {MAX_RATIO} times as many"
            )
    if sum(entry.compress_size for entry in entries) > file_bytes:
        raise ValueError(f"its entries claim more bytes than the file's {file_bytes:,}")
    total = sum(entry.file_size for entry in entries)
    if total > MAX_BYTES:
        raise ValueError(f"it would unpack to {total:,} bytes, more than {MAX_BYTES:,}")


def read_npy_header(file: IO[bytes], file_bytes: int | None = None) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Read the header of an `.npy`, and check that its array fits into the file.

    Args:
        file: at its beginning.
        file_bytes: size of the file, unpacked; None leaves it unchecked.

    Returns:
        The shape, whether it is stored in Fortran order, and the type.

    Raises:
        ValueError: when there is no header, or it declares more than the file holds.
    """
    version = npy_format.read_magic(file)
    if version not in ((1, 0), (2, 0)):
        raise ValueError(f"it has version {version} of the format, not 1.0 or 2.0")
    read = npy_format.read_array_header_1_0 if version == (1, 0) else npy_format.read_array_header_2_0
    shape, fortran, dtype = read(file)
    needed = math.prod(shape) * dtype.itemsize
    if file_bytes is not None and not dtype.hasobject and needed > file_bytes - file.tell():
        raise ValueError(
            f"its header declares {needed:,} bytes of shape {shape}, more than the file holds: it ends early"
        )
    return shape, fortran, dtype


def read_json(path: Path) -> Any:
    """Read a JSON file of a size and depth that somebody could have meant.

    Raises:
        OSError: when it cannot be read.
        ValueError: when it is none, too large or nested too deeply.
    """
    if path.stat().st_size > MAX_JSON_BYTES:
        raise ValueError(f"more than {MAX_JSON_BYTES >> 20} MiB of JSON")
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except RecursionError:
        raise ValueError("JSON that is nested too deeply") from None


def damage_reason(error: Exception) -> str:
    """Return why a file cannot be read, without NumPy's advice to load it unsafely."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if "pickle" in str(error):
        return "it holds Python objects or a header that is none, and neither is loaded"
    return f"no {error}" if isinstance(error, KeyError) else str(error) or type(error).__name__
