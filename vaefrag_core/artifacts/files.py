"""Arrays and facts in a folder, read back without pickle."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from vaefrag_core.errors import BrokenFileError, MissingDataError


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
    """Read every array of an `.npz`, refusing pickles and whatever is not whole."""
    if not path.is_file():
        raise MissingDataError(f"There is no posteriors file {path}.")
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except Exception as error:
        # A damaged archive surfaces as zipfile, zlib, ValueError, EOFError or OSError: all the same to a user.
        raise BrokenFileError(
            f"{path}: expected a whole .npz file of plain arrays (no objects), got one that cannot be read"
            f" ({error}). Write it again with numpy.savez."
        ) from error
