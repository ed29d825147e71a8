"""The files of a folder, or of a zip archive that is never extracted, read by name."""

import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

from vaefrag_core.artifacts.zip_limits import check_entries
from vaefrag_core.datasets.image_cache import file_versions
from vaefrag_core.errors import BrokenFileError, MissingDataError

MAX_FILE_BYTES = 2**28  # of a picture's file, unpacked


class UnreadableFileError(Exception):
    """A file of a source cannot be read; the text says why."""


class FileSource(Protocol):
    """Files read by name."""

    @property
    def names(self) -> Sequence[str]:
        """Paths relative to the source, with slashes, sorted."""

    @property
    def version(self) -> Any:
        """JSON content that differs once a file has changed."""

    def read(self, name: str) -> bytes:
        """Return a file's content.

        Raises:
            UnreadableFileError: when it cannot be read or is too large.
        """


@contextmanager
def open_file_source(path: Path) -> Iterator[FileSource]:
    """Open a folder or a zip archive.

    Raises:
        MissingDataError: when nothing is at the path.
        BrokenFileError: when it is a file, but no zip archive.
    """
    if path.is_dir():
        try:
            folder = _FolderSource(path)
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
            if sum(info.compress_size for info in archive.infolist()) > path.stat().st_size:
                raise BrokenFileError(f"{path}: expected a zip archive, got one whose entries overlap. Pack it again.")
            yield _ZipSource(path, archive)
    else:
        raise MissingDataError(
            f"Expected a folder or a zip archive of PNG and JPEG files, got {path}: nothing is there."
        )


class _FolderSource:
    def __init__(self, root: Path) -> None:
        self._root = root
        files = [file for file in root.rglob("*") if _is_visible(file.relative_to(root).parts) and file.is_file()]
        files.sort()
        self.names = [file.relative_to(root).as_posix() for file in files]
        self.version = [str(root), file_versions(files, root)]

    def read(self, name: str) -> bytes:
        try:
            with (self._root / name).open("rb") as file:
                return _within_limit(file.read(MAX_FILE_BYTES + 1))  # a byte more than allowed tells
        except OSError as error:
            raise UnreadableFileError(error.strerror or str(error)) from error


class _ZipSource:
    def __init__(self, path: Path, archive: zipfile.ZipFile) -> None:
        self._archive, self._bytes = archive, path.stat().st_size
        self._infos = {
            info.filename: info
            for info in sorted(archive.infolist(), key=lambda info: info.filename)
            if not info.is_dir() and _is_visible(PurePosixPath(info.filename).parts)
        }
        self.names = list(self._infos)
        self.version = [(name, info.file_size, info.CRC) for name, info in self._infos.items()]

    def read(self, name: str) -> bytes:
        try:
            check_entries([self._infos[name]], self._bytes)
            with self._archive.open(self._infos[name]) as file:
                return _within_limit(file.read(MAX_FILE_BYTES + 1))
        except UnreadableFileError:
            raise
        except Exception as error:  # encrypted, damaged, packed by an unknown method: zipfile has a word for each
            raise UnreadableFileError(str(error)[:120] or type(error).__name__) from error


def _is_visible(parts: Sequence[str]) -> bool:
    """Return whether a file is the user's: neither hidden nor in __MACOSX, which macOS adds to archives."""
    return not any((part.startswith(".") and part != "..") or part == "__MACOSX" for part in parts)


def _within_limit(data: bytes) -> bytes:
    if len(data) > MAX_FILE_BYTES:
        raise UnreadableFileError(f"more than {MAX_FILE_BYTES >> 20} MiB")
    return data
