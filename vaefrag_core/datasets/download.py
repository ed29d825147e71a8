"""Downloads from mirrors, trusted only when the SHA-256 of their content is the published one."""

import gzip
import hashlib
import io
import os
import tempfile
import zlib
from collections.abc import Sequence
from http.client import HTTPException
from pathlib import Path
from urllib.request import urlopen

from vaefrag_core.errors import BrokenFileError, MissingDataError

MAX_BYTES = 2**26  # 64 MiB, packed or not: above every file that is fetched, below what a hostile mirror could cost
_GZIP_MAGIC = b"\x1f\x8b"


def fetch(mirrors: Sequence[str], name: str, folder: Path, sha256: str, timeout_seconds: float = 30) -> Path:
    """Fetch a file from the first mirror that has it whole.

    Args:
        mirrors: addresses, tried in order, each ending in "/".
        name: the file's name, at the mirrors and in the folder.
        folder: the destination, created if missing. The file appears in it verified or not at all.
        sha256: the hash of the unpacked content, in hexadecimal.
        timeout_seconds: how long a mirror may stay silent.

    Returns:
        The file's path.

    Raises:
        MissingDataError: when no mirror has it; the message says what each one sent.
        OSError: when the folder cannot be written.
    """
    failures = []
    for mirror in mirrors:
        try:
            with urlopen(mirror + name, timeout=timeout_seconds) as response:
                packed: bytes = response.read(MAX_BYTES + 1)
            got = hashlib.sha256(unpack(packed, name)).hexdigest()
        except (OSError, HTTPException, BrokenFileError) as error:
            failures.append(f"{mirror}: {error}")
            continue
        if got == sha256:
            return _write_atomically(packed, folder / name)
        failures.append(f"{mirror}: expected content of SHA-256 {sha256[:12]}…, got {got[:12]}…")
    raise MissingDataError(f"{name} could not be downloaded ({'; '.join(failures) or 'no mirror known'}).")


def unpack(data: bytes, name: str) -> bytes:
    """Return the content of a file, gzip-packed or not.

    Args:
        data: the file's bytes.
        name: the file's name in error messages.

    Raises:
        BrokenFileError: when it is cut off, damaged or too large.
    """
    content = data
    if data[:2] == _GZIP_MAGIC:
        try:
            content = gzip.GzipFile(fileobj=io.BytesIO(data)).read(MAX_BYTES + 1)
        except (OSError, EOFError, zlib.error) as error:
            raise BrokenFileError(
                f"{name}: expected a whole gzip file, got a damaged one ({error}). Fetch it again."
            ) from error
    if len(content) > MAX_BYTES:
        raise BrokenFileError(f"{name}: expected at most {MAX_BYTES >> 20} MiB, got more. That is another file.")
    return content


def _write_atomically(data: bytes, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    # Two processes may fetch the same file: each writes its own temporary one, and the last rename wins, whole.
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        Path(temporary).chmod(0o644)  # mkstemp's 0600 would shut out other users of a shared cache
        Path(temporary).replace(path)
    finally:
        Path(temporary).unlink(missing_ok=True)
    return path
