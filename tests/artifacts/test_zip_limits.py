"""Files that unpack to far more than they are, or lie about their size, or need trust, are refused unread."""

import gzip
import io
import json
import struct
import tracemalloc
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest

from vaefrag_core.artifacts import Posteriors, zip_limits
from vaefrag_core.artifacts.files import load_arrays, load_json, read_npz
from vaefrag_core.artifacts.zip_limits import check_entries
from vaefrag_core.datasets.file_sources import UnreadableFileError, open_file_source
from vaefrag_core.datasets.idx import read_idx
from vaefrag_core.datasets.image_files import UnreadableImageError, read_header
from vaefrag_core.datasets.npz_arrays import load_npz_images
from vaefrag_core.datasets.smallnorb import smallnorb
from vaefrag_core.errors import BrokenFileError, InvalidInputError, VaefragError

ZEROS = 2**22  # unpacked bytes of a bomb, where a bomb begins at LIMIT
LIMIT = 2**18
MEMORY = 2**21  # half of what unpacking a bomb would take


@pytest.fixture(autouse=True)
def small_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zip_limits, "UNQUESTIONED_BYTES", LIMIT)
    monkeypatch.setattr(zip_limits, "MAX_JSON_BYTES", LIMIT)


def npy_header(shape: tuple[int, ...], dtype: str = "<f8") -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": dtype, "fortran_order": False, "shape": shape})
    return stream.getvalue()


def with_entry(path: Path, name: str, content: bytes) -> Path:
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, content)
    return path


def posteriors_file(folder: Path) -> Path:
    draws = np.random.default_rng(0).normal(size=(2, 3, 20, 2))
    np.savez(folder / "a.npz", mean=draws[0], logvar=draws[1])
    return folder / "a.npz"


@pytest.mark.parametrize("mapped", [False, True])
def test_a_bomb_under_a_name_that_nobody_reads_is_not_unpacked(tmp_path: Path, mapped: bool) -> None:
    path = posteriors_file(tmp_path)
    key = Posteriors.load(path).key
    with_entry(path, "mean_.npy", npy_header((ZEROS // 8,)) + bytes(ZEROS))
    with_entry(path, "other.npy", b"neither an array")
    with_entry(path, "other.txt", bytes(ZEROS))
    tracemalloc.start()
    assert Posteriors.load(path, mapped=mapped).key == key
    assert tracemalloc.get_traced_memory()[1] < MEMORY
    tracemalloc.stop()


@pytest.mark.parametrize("name", ["mean", "labels", "images", "mean_0", "content_key"])
def test_a_bomb_under_a_known_name_is_refused_before_it_is_unpacked(tmp_path: Path, name: str) -> None:
    path = with_entry(tmp_path / "a.npz", f"{name}.npy", npy_header((ZEROS // 8,)) + bytes(ZEROS))
    tracemalloc.start()
    with pytest.raises(
        BrokenFileError, match=rf"{name}.npy would unpack [\d,]+ bytes to 4,19\d,\d+, more than 200 times"
    ):
        Posteriors.load(path)
    assert tracemalloc.get_traced_memory()[1] < MEMORY
    tracemalloc.stop()


def test_what_packs_well_and_is_small_is_read(tmp_path: Path) -> None:
    mean = np.zeros((2, 1000, 4), dtype=np.float32)
    np.savez_compressed(tmp_path / "a.npz", mean=mean, logvar=mean)
    assert Posteriors.load(tmp_path / "a.npz").n_images == 1000


@pytest.mark.parametrize("shape", [(2**40,), (2**20, 2**20), (2**62, 2**62), (100,)])
def test_a_header_that_promises_more_than_is_there_sets_nothing_aside(tmp_path: Path, shape: tuple[int, ...]) -> None:
    path = with_entry(tmp_path / "a.npz", "mean.npy", npy_header(shape) + bytes(400))
    with pytest.raises(BrokenFileError, match=r"header declares .* more than the file holds"):
        Posteriors.load(path)
    data = with_entry(tmp_path / "b.npz", "images.npy", npy_header(shape, "|u1") + bytes(40))
    with pytest.raises(BrokenFileError, match=r"header declares .* more than the file holds"):
        load_npz_images(data)
    (tmp_path / "c.npy").write_bytes(npy_header(shape, "|u1") + bytes(40))
    with pytest.raises(BrokenFileError, match=r"header declares .* more than the file holds"):
        load_npz_images(tmp_path / "c.npy")


def test_entries_that_share_bytes_or_come_to_too_much_are_refused() -> None:
    entry = zipfile.ZipInfo("mean.npy")
    entry.compress_size = entry.file_size = 1000
    check_entries([entry] * 3, 3000)
    with pytest.raises(ValueError, match="claim more bytes than the file's 2,999"):
        check_entries([entry] * 3, 2999)
    entry.compress_size, entry.file_size = zip_limits.MAX_BYTES // 8, zip_limits.MAX_BYTES // 2
    check_entries([entry] * 2, 2**60)
    with pytest.raises(ValueError, match="it would unpack to"):
        check_entries([entry] * 3, 2**60)


def test_a_bomb_of_images_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    bomb = with_entry(tmp_path / "a.npz", "images.npy", npy_header((ZEROS // 64, 8, 8), "|u1") + bytes(ZEROS))
    with pytest.raises(BrokenFileError, match="more than 200 times"):
        load_npz_images(bomb)
    labels = tmp_path / "b.npz"
    np.savez(labels, images=np.random.default_rng(0).integers(0, 256, (50, 8, 8), dtype=np.uint8))
    with_entry(labels, "labels.npy", npy_header((ZEROS // 8,)) + bytes(ZEROS))
    with pytest.raises(BrokenFileError, match="more than 200 times"):
        load_npz_images(labels)


def test_a_bomb_in_an_archive_of_pictures_is_refused(tmp_path: Path) -> None:
    path = with_entry(tmp_path / "a.zip", "a.png", bytes(ZEROS))
    with open_file_source(path) as source, pytest.raises(UnreadableFileError, match="more than 200 times"):
        source.read("a.png")


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


@pytest.mark.parametrize("sides", [(60_000, 60_000), (2**31 - 1, 2**31 - 1), (2**26 + 1, 1)])
def test_a_picture_of_too_many_pixels_is_refused_by_its_header(sides: tuple[int, int]) -> None:
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", *sides, 8, 0, 0, 0, 0))
    data = b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND", b"")
    with pytest.raises(UnreadableImageError, match="more than 67,108,864"):
        read_header(data)


def test_a_packed_idx_file_is_unpacked_to_its_limit_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vaefrag_core.datasets.download.MAX_BYTES", LIMIT)
    monkeypatch.setattr("vaefrag_core.datasets.idx.MAX_BYTES", LIMIT)
    head = bytes((0, 0, 8, 1)) + struct.pack(">I", ZEROS)
    (tmp_path / "a.gz").write_bytes(gzip.compress(head + bytes(ZEROS)))
    (tmp_path / "a").write_bytes(head + bytes(ZEROS))
    for name in ("a.gz", "a"):
        tracemalloc.start()
        with pytest.raises(BrokenFileError, match="expected at most 0 MiB, got more"):
            read_idx(tmp_path / name, 1)
        assert tracemalloc.get_traced_memory()[1] < MEMORY
        tracemalloc.stop()


def test_a_matrix_of_more_rows_than_any_data_set_is_refused(tmp_path: Path) -> None:
    stem = "smallnorb-5x46789x9x18x6x2x96x96-training"
    for kind, magic, axes in (("dat", 0x1E3D4C55, (2**31, 2, 96, 96)), ("cat", 0x1E3D4C54, (2**31,))):
        lengths = (*axes, *(1,) * (3 - len(axes)))
        content = struct.pack(f"<II{len(lengths)}I", magic, len(axes), *lengths) + bytes(100)
        (tmp_path / f"{stem}-{kind}.mat.gz").write_bytes(gzip.compress(content))
    (tmp_path / f"{stem}-info.mat.gz").write_bytes(gzip.compress(struct.pack("<II4I", 0x1E3D4C54, 2, 2**31, 4, 1, 1)))
    with pytest.raises(VaefragError, match="expected at most 1,000,000 rows"):
        smallnorb(tmp_path)


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 50_000, json.dumps({"a": "x" * LIMIT})])
def test_json_that_is_too_deep_or_too_large_is_a_damaged_file(tmp_path: Path, text: str) -> None:
    (tmp_path / "facts.json").write_text(text, encoding="utf-8")
    with pytest.raises(BrokenFileError, match=r"cannot be read \((JSON that is nested too deeply|more than 0 MiB)"):
        load_json(tmp_path)


def pickled(path: Path) -> Path:
    np.save(path, np.array([{}], dtype=object), allow_pickle=True)
    return path


def huge_header(path: Path) -> Path:
    text = ("{'descr': '<f8', 'fortran_order': False, 'shape': (1,), " + " " * 20_000 + "}\n").encode()
    path.write_bytes(b"\x93NUMPY\x02\x00" + struct.pack("<I", len(text)) + text + bytes(8))
    return path


def text_file(path: Path) -> Path:
    path.write_bytes(b"no array at all")
    return path


@pytest.mark.parametrize("write", [pickled, huge_header, text_file])
def test_nobody_is_advised_to_load_unsafely(tmp_path: Path, write: object) -> None:
    path = write(tmp_path / "mean.npy")  # type: ignore[operator]
    archive = tmp_path / "a.npz"
    for name in ("mean", "images"):
        with_entry(archive, f"{name}.npy", path.read_bytes())
    messages = []
    for load in (
        lambda: load_arrays(tmp_path, "mean"),
        lambda: load_arrays(tmp_path, "mean", mmap=True),
        lambda: read_npz(archive, lambda _: True),
        lambda: read_npz(archive, lambda _: True, mapped=True),
        lambda: Posteriors.load(archive),
        lambda: load_npz_images(archive),
        lambda: load_npz_images(path),
    ):
        with pytest.raises((BrokenFileError, InvalidInputError)) as caught:
            load()
        messages.append(str(caught.value))
    assert not [
        message for message in messages if "allow_pickle" in message or "unsafe" in message or "trust" in message
    ]
