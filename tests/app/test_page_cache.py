"""The cache of pages: what comes back is what was kept, and nothing that others put there is executed."""

import os
import pickle
import sqlite3
from pathlib import Path
from typing import Any

import diskcache
import numpy as np
import pytest

from support import Trained
from vaefrag.page_cache import PageCache
from vaefrag.plain_values import pack, unpack
from vaefrag_core.artifacts import Hotspot
from vaefrag_core.errors import InvalidInputError
from webpages import Tab, app_of

LARGE = np.random.default_rng(0).normal(size=(200, 200))


class Bomb:
    """What leaves a mark when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self._mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mknod, (str(self._mark),)


@pytest.mark.parametrize(
    "value",
    [
        1,
        2.5,
        "text",
        b"\x00bytes",
        [1, None, True],
        (1, ("a", b"b")),
        {"a": [1.5], "dict": {"b": ()}},
        Hotspot(0, (1, 2), (1, 2), 0.5, 0.25, 1.5, 2, 1),
    ],
)
def test_what_is_kept_comes_back_the_same(tmp_path: Path, value: object) -> None:
    assert unpack(pack(value)) == value
    cache = PageCache(tmp_path / "cache", 10**7)
    assert cache.set("key", value)
    assert PageCache(tmp_path / "cache", 10**7).get("key") == value


def test_arrays_come_back_the_same(tmp_path: Path) -> None:
    cache = PageCache(tmp_path, 10**7)
    for array in (LARGE, np.arange(3, dtype=np.int16), np.array([["a", "bc"]]), np.zeros((0, 3), dtype=bool)):
        cache.set("key", (array, "beside"))
        back, beside = cache.get("key")
        assert back.dtype == array.dtype
        assert beside == "beside"
        np.testing.assert_array_equal(back, array)


@pytest.mark.parametrize("value", [object(), {1: 2}, {1, 2}, np.array([object()]), Path("x"), np.void])
def test_what_would_have_to_be_pickled_is_refused(value: object) -> None:
    with pytest.raises((TypeError, ValueError)):
        pack(value)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[5]\n",
        b"null",
        b'[60]\n{"dataclass": ["subprocess", "Popen", {"args": "true"}]}  ',
        b'[60]\n{"dataclass": ["vaefrag.terminal", "os.system", {}]}        ',
        b'[60]\n{"dataclass": ["vaefrag.terminal", "show_table", {}]}       ',
    ],
)
def test_what_nobody_packed_makes_nothing(content: bytes) -> None:
    with pytest.raises(ValueError, match="Expected what `pack` has written"):
        unpack(content)


def test_pickles_that_others_left_are_never_loaded(tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    with diskcache.Cache(str(tmp_path / "cache")) as theirs:  # as diskcache itself writes values, and keys
        theirs.set("key", Bomb(mark))
        theirs.set(("a", "tuple"), 1)
        (row,) = theirs._sql("SELECT filename, value FROM Cache WHERE key = 'key'").fetchall()
        assert any(b"mknod" in part for part in row if isinstance(part, bytes))
    cache = PageCache(tmp_path / "cache", 10**7)
    assert cache.get("key") is None
    assert list(cache._entries)  # reads all keys
    assert not mark.exists()
    assert cache.set("key", 1)
    assert cache.get("key") == 1
    pickle.loads(pickle.dumps(Bomb(mark)))
    assert mark.exists()  # such a thing does run where it is unpickled


def test_a_workspace_of_somebody_else_executes_nothing(trained: Trained, tmp_path: Path) -> None:
    """Earlier versions read pickles in the workspace; what lies there now is not even looked at."""
    mark, planted = tmp_path / "ran", trained.store.workspace / ".cache"
    planted.mkdir()
    try:
        app = app_of(trained.store, tmp_path / "cache")
        Tab(app, f"/ensemble/{trained.id}", "")
        kept = list(PageCache(tmp_path / "cache", 10**7)._entries)
        assert kept
        for key in kept:
            (planted / str(abs(hash(key)))).write_bytes(pickle.dumps(Bomb(mark)))
        Tab(app_of(trained.store, tmp_path / "other"), f"/ensemble/{trained.id}", "")
        assert not mark.exists()
    finally:
        for path in planted.iterdir():
            path.unlink()
        planted.rmdir()


def test_it_stays_below_its_bytes_and_forgets_what_was_not_used_for_longest(tmp_path: Path) -> None:
    cache = PageCache(tmp_path, 2_000_000)
    for number in range(40):
        cache.set(f"key {number}", LARGE)  # of 320 kB
        cache.get("key 0")
    assert sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file()) < 3_000_000
    assert cache.get("key 39") is not None
    assert cache.get("key 1") is None


def test_a_damaged_cache_is_begun_anew(tmp_path: Path) -> None:
    PageCache(tmp_path, 10**7).set("key", 1)
    (tmp_path / "cache.db").write_bytes(b"no database" * 1000)
    cache = PageCache(tmp_path, 10**7)
    assert cache.get("key") is None
    cache.set("key", 2)
    assert cache.get("key") == 2


def test_a_cache_that_cannot_be_written_costs_nothing_but_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = PageCache(tmp_path, 10**7)

    def full(*_: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(cache._entries, "set", full)
    assert cache.set("key", 1) is False
    assert cache.get("key") is None


@pytest.mark.skipif(os.geteuid() != 0, reason="giving a folder to another user needs to be root")
def test_a_folder_of_another_user_is_refused(tmp_path: Path) -> None:
    os.chown(tmp_path, 65534, 65534)
    with pytest.raises(InvalidInputError, match="is not a folder of the user who runs vaefrag"):
        PageCache(tmp_path, 10**7)
