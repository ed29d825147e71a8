"""The cache of what pages derive: bounded in bytes, shared by the web processes; nothing in it is ever unpickled."""

import logging
import os
import shutil
import sqlite3
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import diskcache
from flask import Flask
from flask_caching.backends.base import BaseCache

from vaefrag.plain_values import pack, unpack
from vaefrag_core.ensemble_store import make_private_folder
from vaefrag_core.errors import InvalidInputError

log = logging.getLogger("vaefrag.cache")

BUSY_SECONDS = 5.0  # that another process may keep the file locked


class PlainDisk(diskcache.Disk):  # type: ignore[misc] # diskcache has no types
    """How entries lie in diskcache's folder: keys as texts, values as `pack` writes them.

    diskcache's own way pickles both.
    """

    def put(self, key: Any) -> tuple[Any, bool]:
        """Return a key as the database holds it."""
        return str(key), True

    def get(self, key: Any, raw: bool) -> str:
        """Return the key that the database holds."""
        return str(key)

    def store(self, value: Any, read: bool, key: Any = diskcache.UNKNOWN) -> Any:
        """Write a value, small ones into the database and others into a file."""
        return super().store(pack(value), False, key=key)

    def fetch(self, mode: int, filename: str | None, value: Any, read: bool) -> Any:
        """Read a value; whatever else lies there is refused.

        Raises:
            ValueError: when it is not what `pack` writes.
        """
        if mode not in (diskcache.core.MODE_RAW, diskcache.core.MODE_BINARY):
            raise ValueError("not written by this cache")
        return unpack(bytes(super().fetch(mode, filename, value, False)))


class PageCache(BaseCache):
    """flask-caching's backend upon diskcache. A cache that cannot be read or written costs time, and nothing else.

    Args:
        folder: where it lies; for this user alone.
        most_bytes: beyond which the entries that were not used for longest are deleted.

    Raises:
        InvalidInputError: when the folder is another user's, or cannot be made.
    """

    def __init__(self, folder: Path, most_bytes: int) -> None:
        super().__init__(default_timeout=0)
        self._folder, self._most_bytes = folder, most_bytes
        claim_folder(folder)
        try:
            self._entries = self._open()
        except sqlite3.DatabaseError:
            log.warning("The cache in %s was damaged, and is begun anew.", folder)
            shutil.rmtree(folder)
            claim_folder(folder)
            self._entries = self._open()

    @classmethod
    def factory(cls, app: Flask, config: dict[str, Any], args: list[Any], kwargs: dict[str, Any]) -> "PageCache":
        """Make the cache that an app's configuration describes, as flask-caching asks for it."""
        del app, args, kwargs
        return cls(Path(config["CACHE_DIR"]), config["CACHE_BYTES"])

    def _open(self) -> diskcache.Cache:
        return diskcache.Cache(
            str(self._folder),
            timeout=BUSY_SECONDS,
            disk=PlainDisk,
            size_limit=self._most_bytes,
            eviction_policy="least-recently-used",
            statistics=0,
            tag_index=0,
        )

    def get(self, key: str) -> Any:
        """Return what is kept under a key; None when there is nothing that can be read."""
        with suppress(ValueError, OSError, sqlite3.Error, diskcache.Timeout):
            return self._entries.get(key)
        return None

    def set(self, key: str, value: Any, timeout: int | timedelta | None = None) -> bool | None:
        """Keep a value under a key, and return whether it could be kept; entries never grow old."""
        del timeout
        try:
            return bool(self._entries.set(key, value))
        except (OSError, sqlite3.Error, diskcache.Timeout) as error:
            log.warning("Nothing is kept in the cache %s (%s).", self._folder, error)
            return False


def claim_folder(folder: Path) -> None:
    """Make a folder for this user alone, or see that one is.

    Raises:
        InvalidInputError: when it is another user's, or cannot be made.
    """
    try:
        make_private_folder(folder)
        facts = folder.stat()
        ours = not hasattr(os, "getuid") or facts.st_uid == os.getuid()
        if ours:
            folder.chmod(0o700)
    except OSError as error:
        raise InvalidInputError(
            f"The cache folder {folder} cannot be made ({error.strerror}). Name another by VAEFRAG_CACHE_DIR."
        ) from None
    if not ours:
        raise InvalidInputError(
            f"The cache folder {folder} is not a folder of the user who runs vaefrag."
            " Name another by VAEFRAG_CACHE_DIR."
        )
