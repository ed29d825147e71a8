"""The file of the job store: a diskcache of JSON in one SQLite database, its transactions, format and migrations."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import diskcache

from vaefrag_core.errors import BrokenFileError

FORMAT = 1
WRITE_TIMEOUT_SECONDS = 30

MIGRATIONS: dict[int, Callable[[diskcache.Cache], None]] = {}  # from this format to the next


class JobFile:
    """The file of one workspace's job store; nothing is created before the first write.

    Args:
        folder: the folder of the file.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def close(self) -> None:
        """Close the file; the next read opens it again."""
        cache = self.__dict__.pop("_cache", None)
        if cache is not None:
            cache.close()

    def _get(self, key: str, default: Any) -> Any:
        if "_cache" not in self.__dict__ and not (self.folder / diskcache.core.DBNAME).is_file():
            return default
        return self._cache.get(key, default)

    @cached_property
    def _cache(self) -> diskcache.Cache:
        """The open file; created, for this user alone, when it is not there."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        cache = diskcache.Cache(
            str(self.folder),
            timeout=WRITE_TIMEOUT_SECONDS,
            disk=diskcache.JSONDisk,  # JSON is never unpickled
            disk_min_file_size=2**40,  # everything in the one file, so that its transactions cover everything
            eviction_policy="none",
            cull_limit=0,
            size_limit=2**50,
            sqlite_synchronous=2,  # what was written survives a loss of power
        )
        cache.add("format", FORMAT)  # does nothing when there is one
        if (stored := cache["format"]) > FORMAT:
            raise BrokenFileError(
                f"{self.folder}: expected a record of format {FORMAT} or older, got {stored}. Use a newer vaefrag."
            )
        return cache

    @contextmanager
    def _writing(self) -> Iterator[diskcache.Cache]:
        """Open a transaction: all of it happens, or nothing."""
        with self._cache.transact(retry=True):
            yield self._cache

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
