"""Checksums of an artifact's files, written beside them: what a disk has changed is not taken for a result."""

import functools
import hashlib
import json
from pathlib import Path

from vaefrag_core.errors import BrokenFileError

CHECKSUMS_FILE = "checksums.json"
DIGEST_BYTES = 16


def write_checksums(folder: Path) -> None:
    """Write the checksums of all files of a folder into it."""
    sums = {path.relative_to(folder).as_posix(): _checksum(path) for path in sorted(_files(folder))}
    (folder / CHECKSUMS_FILE).write_text(json.dumps(sums, indent=1), encoding="utf-8")


def check_files(folder: Path) -> None:
    """Compare the files of a folder with their checksums; a folder of before there were any passes.

    A process reads each file once for this, and again only when it has changed.

    Raises:
        BrokenFileError: naming the first file that is not what was written.
    """
    path = folder / CHECKSUMS_FILE
    if not path.is_file():
        return
    try:
        sums = json.loads(path.read_text(encoding="utf-8"))
        expected = {folder / name: str(digest) for name, digest in sums.items()}
    except (OSError, ValueError, AttributeError) as error:
        raise BrokenFileError(f"{path} cannot be read ({error}).") from error
    if not expected:
        raise BrokenFileError(f"{path} cannot be read (it names no file).")
    for file, digest in expected.items():
        try:
            facts = file.stat()
            same = _known_checksum(file, facts.st_size, facts.st_mtime_ns, facts.st_ino) == digest
        except FileNotFoundError:
            continue  # whoever reads it says so; some may be missing
        except OSError as error:
            raise BrokenFileError(f"{file} cannot be read ({error.strerror}).") from error
        if not same:
            raise BrokenFileError(f"{file} cannot be read (its checksum is not that of what was written).")


@functools.lru_cache(maxsize=4096)
def _known_checksum(path: Path, size: int, modified: int, inode: int) -> str:
    return _checksum(path)


def _checksum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=DIGEST_BYTES)).hexdigest()


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and path.name != CHECKSUMS_FILE]
