import functools
import gzip
import hashlib
import threading
import tracemalloc
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from vaefrag_core.datasets import download
from vaefrag_core.datasets.download import fetch, unpack
from vaefrag_core.errors import BrokenFileError, MissingDataError

CONTENT = bytes(range(256)) * 4
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, Path]]:
    """A real web server on this machine: its address and the folder that it serves."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    root = tmp_path / "site"
    for mirror in ("good", "wrong", "cut", "empty"):
        (root / mirror).mkdir(parents=True)
    (root / "good" / "file.gz").write_bytes(gzip.compress(CONTENT))
    (root / "wrong" / "file.gz").write_bytes(gzip.compress(CONTENT + b"!"))
    (root / "cut" / "file.gz").write_bytes(gzip.compress(CONTENT)[:-9])
    with ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(QuietHandler, directory=str(root))) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", root
        server.shutdown()
        thread.join()


def test_a_file_comes_from_the_first_mirror_that_has_it_whole(site: tuple[str, Path], tmp_path: Path) -> None:
    address, _ = site
    mirrors = [f"{address}/{name}/" for name in ("empty", "wrong", "cut", "good")]
    path = fetch(mirrors, "file.gz", tmp_path / "cache" / "deep", SHA256)
    assert gzip.decompress(path.read_bytes()) == CONTENT
    assert [file.name for file in path.parent.iterdir()] == ["file.gz"]


def test_the_content_counts_not_how_it_is_packed(site: tuple[str, Path], tmp_path: Path) -> None:
    address, root = site
    (root / "good" / "file.gz").write_bytes(gzip.compress(CONTENT, compresslevel=1, mtime=5))
    fetch([f"{address}/good/"], "file.gz", tmp_path / "cache", SHA256)
    (root / "good" / "file").write_bytes(CONTENT)
    fetch([f"{address}/good/"], "file", tmp_path / "cache", SHA256)
    assert sorted(file.name for file in (tmp_path / "cache").iterdir()) == ["file", "file.gz"]


@pytest.mark.parametrize(
    ("mirror", "said"),
    [
        ("wrong", f"/wrong/: expected content of SHA-256 {SHA256[:12]}…, got "),
        ("cut", "/cut/: file.gz: expected a whole gzip file"),
        ("empty", "/empty/: HTTP Error 404"),
    ],
)
def test_a_bad_file_is_refused_and_leaves_nothing(
    site: tuple[str, Path], tmp_path: Path, mirror: str, said: str
) -> None:
    folder = tmp_path / "cache"
    with pytest.raises(MissingDataError, match=said):
        fetch([f"{site[0]}/{mirror}/"], "file.gz", folder, SHA256)
    assert not folder.exists() or not list(folder.iterdir())


def test_a_bad_file_does_not_replace_a_good_one(site: tuple[str, Path], tmp_path: Path) -> None:
    stored = tmp_path / "file.gz"
    stored.write_bytes(b"kept")
    with pytest.raises(MissingDataError):
        fetch([f"{site[0]}/wrong/"], "file.gz", tmp_path, SHA256)
    assert stored.read_bytes() == b"kept"


def test_every_mirror_that_failed_is_named(site: tuple[str, Path], tmp_path: Path) -> None:
    address, _ = site
    with pytest.raises(MissingDataError, match=r"file\.gz could not be downloaded \(.*/empty/: .*; .*/wrong/: "):
        fetch([f"{address}/empty/", f"{address}/wrong/"], "file.gz", tmp_path, SHA256)


def test_nobody_at_the_address_is_said(tmp_path: Path) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), QuietHandler) as server:
        port = server.server_port
    with pytest.raises(MissingDataError, match=f"http://127.0.0.1:{port}/: .*refused"):
        fetch([f"http://127.0.0.1:{port}/"], "file.gz", tmp_path, SHA256)


def test_a_file_that_swells_without_end_is_cut_short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "MAX_BYTES", 2**20)
    assert len(unpack(gzip.compress(bytes(2**20)), "full")) == 2**20
    with pytest.raises(BrokenFileError, match="bomb: expected at most 1 MiB, got more"):
        unpack(gzip.compress(bytes(2**20 + 1)), "bomb")


def test_a_file_that_swells_is_never_held_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "MAX_BYTES", 2**20)
    bomb = gzip.compress(bytes(2**25))
    tracemalloc.start()
    try:
        with pytest.raises(BrokenFileError):
            unpack(bomb, "bomb")
        assert tracemalloc.get_traced_memory()[1] < 2**23
    finally:
        tracemalloc.stop()


def test_a_file_that_cannot_be_put_in_place_leaves_nothing_beside(site: tuple[str, Path], tmp_path: Path) -> None:
    (tmp_path / "cache" / "file.gz").mkdir(parents=True)
    with pytest.raises(OSError, match=r"file\.gz"):
        fetch([f"{site[0]}/good/"], "file.gz", tmp_path / "cache", SHA256)
    assert [file.name for file in (tmp_path / "cache").iterdir()] == ["file.gz"]


def test_a_flipped_bit_is_noticed() -> None:
    packed = bytearray(gzip.compress(CONTENT))
    packed[-6] ^= 1
    with pytest.raises(BrokenFileError, match="f: expected a whole gzip file, got a damaged one"):
        unpack(bytes(packed), "f")
