"""The file of the job store: a diskcache of JSON in one SQLite database, its transactions, format and migrations."""

import logging
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import diskcache

from vaefrag.jobs.record_file import (
    COPY_FILE,
    READ_ERRORS,
    RECORD_FILE,
    RecordCondition,
    RecordDamagedError,
    RecordDisk,
    RecordReader,
    examine,
)
from vaefrag_core.ensemble_store import make_private_folder
from vaefrag_core.errors import BrokenFileError

log = logging.getLogger("vaefrag.jobs")

FORMAT = 1
WRITE_TIMEOUT_SECONDS = 30
LOOK_AGAIN_SECONDS = 5.0  # between two looks at a record that is not sound
LEAST_FREE_BYTES = 2**20  # below which nothing can be written any more

MIGRATIONS: dict[int, Callable[[diskcache.Cache], None]] = {}  # from this format to the next


@dataclass(frozen=True)
class _OpenedRecord:
    """What reads come from: the record, its good copy, or nothing.

    Args:
        identity: of the record's file when it was opened.
        condition: what was found then.
        reader: of the record or the copy; None when there is neither.
        until: when a record that is not sound is looked at again, seconds on the monotonic clock.
    """

    identity: tuple[int, int] | None
    condition: RecordCondition
    reader: RecordReader | None
    until: float


class JobFile:
    """The file of one workspace's job store; nothing is created before the first write.

    Args:
        folder: the folder of the file.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._writer: tuple[tuple[int, int], diskcache.Cache] | None = None
        self._opened: _OpenedRecord | None = None
        self._local = threading.local()  # the transaction that a thread is in

    def close(self) -> None:
        """Close the file; the next read opens it again."""
        writer, self._writer = self._writer, None
        if writer is not None:
            writer[1].close()
        opened, self._opened = self._opened, None
        if opened is not None and opened.reader is not None:
            opened.reader.close()

    @property
    def problem(self) -> str:
        """What is wrong with the file, and what to do; empty when it can be read and written."""
        if not self.folder.is_dir():
            return ""
        sentence = self._open().condition.sentence
        if not sentence and not os.access(self.folder, os.W_OK):
            sentence = (
                f"{self.folder} cannot be written: what is there is shown, but no job can be submitted or steered."
            )
        if not sentence and shutil.disk_usage(self.folder).free < LEAST_FREE_BYTES:
            sentence = (
                f"The disk of {self.folder} is full: what is there is shown, but no job goes on. Make room on it."
            )
        return sentence

    def _get(self, key: str, default: Any) -> Any:
        transaction = getattr(self._local, "transaction", None)
        if transaction is not None:
            return transaction.get(key, default)
        opened = self._open()
        if opened.reader is None:
            return default
        try:
            return opened.reader.get(key, default)
        except READ_ERRORS as error:
            if opened.condition.state != "sound":
                return default  # the copy is damaged as well
            opened = self._open(damage=str(error))
            return default if opened.reader is None else opened.reader.get(key, default)

    def _open(self, damage: str = "") -> "_OpenedRecord":
        """Open the record for reading, or the good copy in its place; again when another file has taken its name.

        Args:
            damage: what a read of the open one has met.
        """
        opened, identity = self._opened, _identity(self.folder / RECORD_FILE)
        is_same = opened is not None and opened.identity == identity and not damage
        if opened is not None and is_same and (opened.condition.state == "sound" or time.monotonic() < opened.until):
            return opened
        condition = examine(self.folder)
        if damage and condition.state == "sound":  # in an entry, which SQLite does not check
            condition = replace(condition, state="damaged", reason=damage)
        state = condition.state
        path = self.folder / (RECORD_FILE if state == "sound" else COPY_FILE)
        usable = state == "sound" or (condition.copied is not None and state != "absent")
        reader = RecordReader(path) if usable else None
        if reader is not None and (stored := reader.get("format", FORMAT)) > FORMAT:
            raise BrokenFileError(
                f"{self.folder}: expected a record of format {FORMAT} or older, got {stored}. Use a newer vaefrag."
            )
        if condition.sentence and (opened is None or opened.condition.sentence != condition.sentence):
            log.warning(condition.sentence)  # on a terminal, in the server's log, in the engine's
        begun = state == "absent" and identity is not None  # this moment, by another process
        until = time.monotonic() + (0 if begun else LOOK_AGAIN_SECONDS)
        self._opened = opened = _OpenedRecord(identity, condition, reader, until)
        return opened

    @property
    def _cache(self) -> diskcache.Cache:
        """The file, open for writing; created, for this user alone, when it is not there."""
        path = self.folder / RECORD_FILE
        if self._writer is not None and self._writer[0] == _identity(path):
            return self._writer[1]
        make_private_folder(self.folder)
        cache = diskcache.Cache(
            str(self.folder),
            timeout=WRITE_TIMEOUT_SECONDS,
            disk=RecordDisk,
            disk_min_file_size=2**40,  # everything in the one file, so that its transactions cover everything
            eviction_policy="none",
            cull_limit=0,
            size_limit=2**50,
            sqlite_synchronous=2,  # what was written survives a loss of power
        )
        cache.add("format", FORMAT)  # does nothing when there is one
        self._writer = (_identity(path) or (0, 0), cache)
        return cache

    @contextmanager
    def _writing(self) -> Iterator[diskcache.Cache]:
        """Open a transaction: all of it happens, or nothing.

        Raises:
            RecordDamagedError: when the record is damaged, lost or emptied.
            sqlite3.Error, diskcache.Timeout or OSError: when it cannot be written.
        """
        if sentence := self._open().condition.sentence:
            raise RecordDamagedError(sentence)
        cache, outer = self._cache, getattr(self._local, "transaction", None)
        with cache.transact(retry=True):
            self._local.transaction = cache
            try:
                yield cache
            finally:
                self._local.transaction = outer

    @staticmethod
    def _count_change(cache: diskcache.Cache, job_id: str | None = None, *, requested: bool = False) -> None:
        """Count a change, of one job if there is a `job_id`.

        Args:
            cache: the file, in a transaction.
            job_id: the job that has changed.
            requested: whether the change is a request, which the engine has to read.
        """
        counters = ["revision", *([f"revision:{job_id}"] if job_id else []), *(["inbox"] if requested else [])]
        for counter in counters:
            cache[counter] = cache.get(counter, 0) + 1


def migrate(cache: diskcache.Cache) -> None:
    """Migrate an older store to this version's format, one format at a time, each in one transaction."""
    while (stored := cache["format"]) < FORMAT:
        with cache.transact(retry=True):
            MIGRATIONS[stored](cache)
            cache["format"] = stored + 1


def _identity(path: Path) -> tuple[int, int] | None:
    """Return what tells a file from another of its name; None when it is not there, or empty."""
    try:
        facts = path.stat()
    except FileNotFoundError:
        return None
    return (facts.st_dev, facts.st_ino) if facts.st_size else None
