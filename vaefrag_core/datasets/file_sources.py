"""Where pictures come from: the files of a folder, or of a zip archive that is never extracted."""

import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

from vaefrag_core.datasets.image_cache import stamp
from vaefrag_core.errors import BrokenFileError, MissingDataError

MAX_FILE_BYTES = 2**28  # of a picture's file, packed or not


class UnreadableFileError(Exception):
    """A file of a shelf that cannot be read; the text says why."""


class FileSource(Protocol):
    """Files by name."""

    @property
    def names(self) -> Sequence[str]:
        """Relative, with slashes, in order."""

    @property
    def made_from(self) -> Any:
        """JSON content that is another one when the files are."""

    def read(self, name: str) -> bytes:
        """Give a file's content.

        Raises:
            UnreadableFileError: when it cannot be read or is too large.
        """


@contextmanager
def open_file_source(path: Path) -> Iterator[FileSource]:
    """Open a folder or a zip archive.

    Raises:
        MissingDataError: when there is neither.
        BrokenFileError: when it is a file, but no zip archive.
    """
    if path.is_dir():
        try:
            folder = _Folder(path)
        except OSError as error:
            raise BrokenFileError(f"{path}: expected a readable folder, got an error ({error}).") from error
        yield folder
    elif path.is_file():
        try:
            archive = zipfile.ZipFile(path)
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
            raise BrokenFileError(
                f"{path}: expected a folder or a zip archive of PNG and JPEG files, got a file that is none ({error})."
            ) from error
        with archive:
            yield _Archive(path, archive)
    else:
        raise MissingDataError(
            f"Expected a folder or a zip archive of PNG and JPEG files, got {path}: nothing is there."
        )


class _Folder:
    def __init__(self, root: Path) -> None:
        self._root = root
        files = [file for file in root.rglob("*") if _is_seen(file.relative_to(root).parts) and file.is_file()]
        files.sort()
        self.names = [file.relative_to(root).as_posix() for file in files]
        self.made_from = [str(root), stamp(files, root)]

    def read(self, name: str) -> bytes:
        try:
            with (self._root / name).open("rb") as file:
                return _short_enough(file.read(MAX_FILE_BYTES + 1))
        except OSError as error:
            raise UnreadableFileError(error.strerror or str(error)) from error


class _Archive:
    def __init__(self, path: Path, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        self._infos = {
            info.filename: info
            for info in sorted(archive.infolist(), key=lambda info: info.filename)
            if not info.is_dir() and _is_seen(PurePosixPath(info.filename).parts)
        }
        self.names = list(self._infos)
        self.made_from = [(name, info.file_size, info.CRC) for name, info in self._infos.items()]

    def read(self, name: str) -> bytes:
        try:
            with self._archive.open(self._infos[name]) as file:
                return _short_enough(file.read(MAX_FILE_BYTES + 1))
        except UnreadableFileError:
            raise
        except Exception as error:  # encrypted, damaged, packed by an unknown method: zipfile has a word for each
            raise UnreadableFileError(str(error)[:120] or type(error).__name__) from error


def _is_seen(parts: Sequence[str]) -> bool:
    """Leave out what operating systems add: hidden files and __MACOSX."""
    return not any((part.startswith(".") and part != "..") or part == "__MACOSX" for part in parts)


def _short_enough(data: bytes) -> bytes:
    if len(data) > MAX_FILE_BYTES:
        raise UnreadableFileError(f"more than {MAX_FILE_BYTES >> 20} MiB")
    return data
