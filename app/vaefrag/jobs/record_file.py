"""The record of jobs as one SQLite file: read where nothing can be written, checked, copied while in use, restored.

The engine keeps a good copy beside the record. When the record is damaged, lost or emptied, readers show what the copy
holds and say so, and the next engine brings the copy back.
"""

import os
import sqlite3
import threading
import time
import zlib
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import diskcache

from vaefrag_core.errors import BrokenFileError

RECORD_FILE, COPY_FILE = diskcache.core.DBNAME, "cache.good.db"
STARTED_FILE = "engine.log"  # where it lies, an engine has written a record
READ_ERRORS = (sqlite3.Error, zlib.error, ValueError)
TIMEOUT_SECONDS = 5.0

RecordState = Literal["sound", "absent", "damaged", "lost", "emptied"]


class RecordDamagedError(BrokenFileError):
    """The record is damaged, lost or emptied, and nothing is written to it before it is mended."""


@dataclass(frozen=True)
class RecordCondition:
    """What a look at the record's file has found.

    Args:
        state: "absent" when nothing was submitted yet; "lost" when the file was there once.
        reason: what is wrong with a damaged one.
        copied: when the good copy was made, seconds since 1970; None without one.
    """

    state: RecordState
    reason: str = ""
    copied: float | None = None

    @property
    def sentence(self) -> str:
        """What is wrong, and what to do; empty when nothing is."""
        words = {
            "damaged": f"is damaged ({self.reason})",
            "lost": "is gone",
            "emptied": "holds no job any more",
        }.get(self.state)
        if words is None:
            return ""
        if self.copied is None:
            remedy = "There is no copy of it; `vaefrag jobs restore` sets it aside and begins a new one."
        else:
            made = time.strftime("%-d %b %Y, %H:%M", time.localtime(self.copied))
            remedy = f"Shown are the jobs of its copy of {made}; `vaefrag jobs restore` puts that in its place."
        return f"The record of jobs {words}. Ensembles and results are not touched by that. {remedy}"


class RecordDisk(diskcache.JSONDisk):  # type: ignore[misc]  # diskcache has no types
    """Entries as JSON within the file. Of other forms that diskcache knows, one is a pickle, which could run code."""

    def fetch(self, mode: int, filename: str | None, value: bytes, read: bool) -> Any:
        """Return the content of an entry.

        Raises:
            ValueError: when it is in another form than this project writes.
        """
        if mode != diskcache.core.MODE_RAW or filename is not None or read:
            raise ValueError("an entry is not of this project")
        return super().fetch(mode, filename, value, read)


class RecordReader:
    """Reads a record's entries without writing anything, from any thread.

    Args:
        path: the SQLite file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._disk = RecordDisk(str(path.parent))
        self._local = threading.local()

    def get(self, key: str, default: Any) -> Any:
        """Return an entry; the default when there is none.

        Raises:
            sqlite3.Error, zlib.error or ValueError: when the file is damaged.
        """
        row = self._connection().execute(
            "SELECT mode, filename, value FROM Cache WHERE key = ? AND raw = 1", (self._disk.put(key)[0],)
        )
        found = row.fetchone()
        if found is None:
            return default
        mode, filename, value = found
        return self._disk.fetch(mode, filename, value, False)

    def _connection(self) -> sqlite3.Connection:
        # One for each thread; and SQLite forbids to carry one over a fork.
        if getattr(self._local, "pid", None) != os.getpid():
            self._local.connection, self._local.pid = open_read_only(self._path), os.getpid()
        connection: sqlite3.Connection = self._local.connection
        return connection

    def close(self) -> None:
        """Close the connection of this thread."""
        if getattr(self._local, "pid", None) == os.getpid():
            self._local.connection.close()
        self._local = threading.local()


def open_read_only(path: Path) -> sqlite3.Connection:
    """Open an SQLite file for reading, also where its folder cannot be written."""
    address = f"{path.absolute().as_uri()}?mode=ro"
    for suffix in ("", "&immutable=1"):  # in a folder that cannot be written, SQLite reads only what it takes for fixed
        connection = sqlite3.connect(address + suffix, uri=True, timeout=TIMEOUT_SECONDS, check_same_thread=False)
        try:
            connection.execute("PRAGMA schema_version").fetchone()
            return connection
        except sqlite3.OperationalError:
            connection.close()
            if suffix:
                raise
    raise AssertionError("not reached")


def find_damage(path: Path) -> str:
    """Return what is wrong with a record's file; an empty text when nothing is."""
    try:
        with closing(open_read_only(path)) as connection:
            verdict = str(connection.execute("PRAGMA quick_check(1)").fetchone()[0])
            if verdict != "ok":
                return verdict.splitlines()[-1]
            for (value,) in connection.execute("SELECT value FROM Cache"):
                zlib.decompress(value)  # which compares checksums: SQLite has none of what entries hold
    except (*READ_ERRORS, TypeError) as error:
        return "" if "no such table" in str(error) else str(error)
    return ""


def examine(folder: Path) -> RecordCondition:
    """Look at the record of a workspace.

    Args:
        folder: the workspace's `jobs` folder.
    """
    record, copy = folder / RECORD_FILE, folder / COPY_FILE
    copied = copy.stat().st_mtime if copy.is_file() and not find_damage(copy) else None
    if not record.is_file() or record.stat().st_size == 0:
        was_there = (copied is not None and _count_jobs(copy)) or _has_trained(folder)
        return RecordCondition("lost" if was_there else "absent", copied=copied)
    reason = find_damage(record)
    if not reason:
        try:
            emptied = not _count_jobs(record) and copied is not None and _count_jobs(copy)
            return RecordCondition("emptied" if emptied else "sound", copied=copied)
        except READ_ERRORS as error:
            reason = str(error)
            if "no such table" in reason and copied is None:
                return RecordCondition("absent")  # another process has just begun to write it
    return RecordCondition("damaged", reason, copied)


def copy_record(folder: Path) -> None:
    """Replace the good copy by the record as it stands, while others write it; a damaged one replaces nothing.

    Raises:
        sqlite3.Error or OSError: when the record is damaged, or the copy cannot be written.
    """
    temporary = folder / f".{COPY_FILE}.{os.getpid()}"
    try:
        backup(folder / RECORD_FILE, temporary)
        if reason := find_damage(temporary):
            raise sqlite3.DatabaseError(reason)
        if _count_jobs(temporary):
            temporary.chmod(0o600)
            temporary.replace(folder / COPY_FILE)
    finally:
        temporary.unlink(missing_ok=True)


def backup(source: Path, target: Path) -> None:
    """Write an SQLite file's content, as of one moment, to another file that stands alone.

    Raises:
        sqlite3.Error: when the source is damaged, or the target cannot be written.
    """
    target.unlink(missing_ok=True)
    with closing(open_read_only(source)) as one, closing(sqlite3.connect(target)) as other:
        one.backup(other)
        other.execute("PRAGMA journal_mode=DELETE")  # one file, which can be read where nothing is written


def restore_record(folder: Path) -> str:
    """Put the good copy in the place of a record that is damaged, lost or emptied; without a copy, begin a new one.

    Nobody may write the record meanwhile: whoever calls this holds the engine's lock.

    Returns:
        What was done, in a sentence; an empty text when there was nothing to do.
    """
    condition = examine(folder)
    if not condition.sentence:
        return ""
    stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime())
    aside = ""
    for suffix in ("", "-wal", "-shm"):
        path = folder / f"{RECORD_FILE}{suffix}"
        if path.exists():
            kept = folder / f"damaged-{stamp}.db{suffix}"
            path.rename(kept)
            aside = aside or f" What was there is kept as {kept}."
    if condition.copied is None:
        return f"The record of jobs was {condition.state}, and there was no copy: a new one begins.{aside}"
    temporary = folder / f".{RECORD_FILE}.{os.getpid()}"
    try:
        backup(folder / COPY_FILE, temporary)
        temporary.chmod(0o600)
        temporary.replace(folder / RECORD_FILE)
    finally:
        temporary.unlink(missing_ok=True)
    made = time.strftime("%-d %b %Y, %H:%M", time.localtime(condition.copied))
    return f"The record of jobs was {condition.state}; its copy of {made} is in its place.{aside}"


def _count_jobs(path: Path) -> int:
    reader = RecordReader(path)
    with closing(reader):
        return len(reader.get("order", []))


def _has_trained(folder: Path) -> bool:
    """Return whether an engine has trained members here, by what it has left: its log, and leases."""
    if not (folder / STARTED_FILE).is_file():
        return False
    with suppress(OSError):
        return next(folder.parent.glob("ensembles/*/members/*/.attempt-*"), None) is not None
    return False
