"""Arrays and facts in a folder, read back without pickle; whatever is damaged ends in one kind of error."""

import functools
import json
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.lib import format as npy_format
from numpy.typing import ArrayLike

from vaefrag_core.array_types import AnyArray
from vaefrag_core.artifacts.checksums import check_files
from vaefrag_core.artifacts.mapped_npz import map_npz
from vaefrag_core.artifacts.zip_limits import check_entries, damage_reason, read_json, read_npy_header
from vaefrag_core.errors import BrokenFileError, MissingDataError

ZIP_BEGINS, NPY_BEGINS = b"PK", b"\x93NUMPY"

Artifact = TypeVar("Artifact")


def save_arrays(folder: Path, **arrays: ArrayLike) -> None:
    """Write each array as `<name>.npy`."""
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", np.asarray(array), allow_pickle=False)


def load_arrays(folder: Path, *names: str, mmap: bool = False) -> dict[str, Any]:
    """Read arrays by name.

    Args:
        folder: of the artifact.
        names: of the arrays, each in `<name>.npy`.
        mmap: whether they stay on disk, memory-mapped and read-only.

    Raises:
        BrokenFileError: when a file is missing, cut off, or no array of numbers.
    """
    arrays: dict[str, Any] = {}
    for name in names:
        # A mapped file that is cut off later would end the process by a signal; here it is refused while it is opened.
        path = folder / f"{name}.npy"
        try:
            arrays[name] = np.load(path, mmap_mode="r" if mmap else None, allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:  # numpy raises any of them, by where the file ends
            raise BrokenFileError(f"{path} cannot be read ({damage_reason(error)}).") from error
        if not isinstance(arrays[name], np.ndarray) or arrays[name].dtype.kind not in "biuf":
            raise BrokenFileError(f"{path}: expected an array of numbers, got a file of another kind.")
    return arrays


def check_shapes(folder: Path, arrays: Mapping[str, Any], **shapes: str) -> None:
    """Check that the arrays of an artifact fit each other.

    Args:
        folder: of the artifact.
        arrays: by name.
        shapes: of each array that is checked, its dimensions separated by blanks: numbers, or letters that stand for
            the same number wherever they occur; `*` at the end for any more.

    Raises:
        BrokenFileError: naming the first array that does not fit, its shape and the one expected.

    Example:
        >>> check_shapes(Path("a"), {"bits": np.ones(3), "nmi": np.ones((3, 3))}, bits="C", nmi="C C")
    """
    sizes: dict[str, int] = {}
    for name, pattern in shapes.items():
        letters = pattern.split()
        open_ended = letters[-1:] == ["*"]
        letters = letters[:-1] if open_ended else letters
        shape = arrays[name].shape
        fits = len(shape) >= len(letters) if open_ended else len(shape) == len(letters)
        expected = [int(letter) if letter.isdigit() else sizes.get(letter, letter) for letter in letters]
        if not fits or any(isinstance(e, int) and e != n for e, n in zip(expected, shape, strict=False)):
            dimensions = ", ".join(map(str, [*expected, *["…"] * open_ended]))
            raise BrokenFileError(f"{folder / f'{name}.npy'}: expected an array of shape ({dimensions}), got {shape}.")
        sizes |= {letter: n for letter, n in zip(letters, shape, strict=False) if not letter.isdigit()}


def save_json(folder: Path, facts: dict[str, Any]) -> None:
    """Write what is not an array as `facts.json`."""
    (folder / "facts.json").write_text(json.dumps(facts, indent=1), encoding="utf-8")


def load_json(folder: Path) -> dict[str, Any]:
    """Read what `save_json` wrote.

    Raises:
        BrokenFileError: when the file is missing, cut off, or no JSON object.
    """
    path = folder / "facts.json"
    try:
        facts = read_json(path)
    except (OSError, ValueError) as error:
        raise BrokenFileError(f"{path} cannot be read ({damage_reason(error)}).") from error
    if not isinstance(facts, dict):
        raise BrokenFileError(f"{path}: expected a JSON object, got {type(facts).__name__}.")
    return facts


def reports_damage(load: Callable[[Any, Path], Artifact]) -> Callable[[Any, Path], Artifact]:
    """Let the `load` of an artifact raise BrokenFileError when what its files say makes no artifact."""

    @functools.wraps(load)
    def checked(cls: Any, folder: Path) -> Artifact:
        try:
            return load(cls, folder)
        except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
            raise BrokenFileError(f"{folder} cannot be read ({damage_reason(error)}).") from error

    return checked


@contextmanager
def recomputed_by(command: str, folder: Path) -> Iterator[None]:
    """Compare an artifact with its checksums, and add to what is said of a damaged one how to mend it.

    Args:
        command: computes the artifact again when its folder is not there.
        folder: of the artifact.
    """
    try:
        check_files(folder)
        yield
    except BrokenFileError as error:
        raise BrokenFileError(f"{error} Delete {folder} and run `{command}`.") from error


def read_npz(path: Path, is_known: Callable[[str], bool], *, mapped: bool = False) -> dict[str, Any]:
    """Read the arrays of an `.npz` that somebody asks for, refusing pickles, bombs and whatever is not whole.

    Args:
        path: the file.
        is_known: whether an array of this name is read; others are not even unpacked.
        mapped: whether large arrays stay on disk, memory-mapped and read-only.

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
            maps = map_npz(stream) if mapped else {}
            maps = {name: array for name, array in maps.items() if is_known(name)}
            with zipfile.ZipFile(stream) as archive:
                entries = {_array_name(entry): entry for entry in archive.infolist()}
                entries = {name: e for name, e in entries.items() if is_known(name) and name not in maps}
                check_entries(list(entries.values()), path.stat().st_size)
                return maps | {name: _plain(archive, entry, path) for name, entry in entries.items()}
    except BrokenFileError:
        raise
    except Exception as error:
        # A damaged archive surfaces as zipfile, zlib, EOFError or OSError: all the same to a user.
        raise BrokenFileError(
            f"{path}: expected a whole .npz file, got one that cannot be read ({damage_reason(error)}). Write it again"
            " with numpy.savez."
        ) from error


def npz_names(path: Path) -> list[str]:
    """Return the names of all arrays of an `.npz` that can be read, sorted."""
    with zipfile.ZipFile(path) as archive:
        return sorted(map(_array_name, archive.infolist()))


def _array_name(entry: zipfile.ZipInfo) -> str:
    return entry.filename.removesuffix(".npy")


def _plain(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, path: Path) -> AnyArray:
    """Read one array, unless it holds Python objects: to read those is to run what a file says."""
    try:
        with archive.open(entry) as file:
            _, _, dtype = read_npy_header(file, entry.file_size)
        if not dtype.hasobject:
            with archive.open(entry) as file:
                array: AnyArray = npy_format.read_array(file, allow_pickle=False)
            return array
        got = "Python objects"
    except ValueError as error:
        got = f"a damaged array ({damage_reason(error)})"
    raise BrokenFileError(
        f"{path}: expected plain numbers or text in {_array_name(entry)}, got {got}."
        " Write it again with numpy.savez, of an array that is not of dtype object."
    )
