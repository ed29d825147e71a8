"""Arrays and facts in a folder, read back without pickle."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from vaefrag_core.errors import BrokenFileError, MissingDataError

ZIP_BEGINS, NPY_BEGINS = b"PK", b"\x93NUMPY"


def save_arrays(folder: Path, **arrays: ArrayLike) -> None:
    """Write each array as `<name>.npy`."""
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", np.asarray(array), allow_pickle=False)


def load_arrays(folder: Path, *names: str, mmap: bool = False) -> dict[str, Any]:
    """Read arrays by name; memory-mapped and read-only with `mmap`."""
    return {
        name: np.load(folder / f"{name}.npy", mmap_mode="r" if mmap else None, allow_pickle=False) for name in names
    }


def save_json(folder: Path, facts: dict[str, Any]) -> None:
    """Write what is not an array as `facts.json`."""
    (folder / "facts.json").write_text(json.dumps(facts, indent=1), encoding="utf-8")


def load_json(folder: Path) -> dict[str, Any]:
    """Read what `save_json` wrote."""
    facts: dict[str, Any] = json.loads((folder / "facts.json").read_text(encoding="utf-8"))
    return facts


def read_npz(path: Path) -> dict[str, Any]:
    """Read every array of an `.npz`, refusing pickles and whatever is not whole.

    Raises:
        MissingDataError: when there is no such file.
        BrokenFileError: when it cannot be read as one.
    """
    if path.is_dir():
        raise MissingDataError(f"Expected an .npz file, got the folder {path}. Name the file in it.")
    if not path.is_file():
        raise MissingDataError(f"There is no file {path}.")
    try:
        with path.open("rb") as stream:
            begins = stream.read(len(NPY_BEGINS))
            if not begins.startswith(ZIP_BEGINS):
                got = "a single array (.npy)" if begins == NPY_BEGINS else "a file of another kind, whatever its name"
                raise BrokenFileError(f"{path}: expected an .npz file, got {got}. Write it with numpy.savez.")
            stream.seek(0)
            with np.load(stream, allow_pickle=False) as file:
                return {name: _plain(file, name, path) for name in file.files}
    except BrokenFileError:
        raise
    except Exception as error:
        # A damaged archive surfaces as zipfile, zlib, EOFError or OSError: all the same to a user.
        raise BrokenFileError(
            f"{path}: expected a whole .npz file, got one that cannot be read ({error}). Write it again with"
            " numpy.savez."
        ) from error


def _plain(file: Any, name: str, path: Path) -> Any:
    """Read one array, unless it holds Python objects: to read those is to run what a file says."""
    try:
        return file[name]
    except ValueError as error:
        raise BrokenFileError(
            f"{path}: expected plain numbers or text in {name}, got Python objects or a damaged array."
            " Write it again with numpy.savez, of an array that is not of dtype object."
        ) from error
