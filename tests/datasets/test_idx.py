import dataclasses
import gzip
import hashlib
import struct
from pathlib import Path

import numpy as np
import pytest

from vaefrag_core.datasets.idx import (
    FASHION_MNIST,
    IMAGES,
    LABELS,
    MNIST,
    IdxSource,
    fashion_mnist,
    find_files,
    load_idx_source,
    read_idx,
)
from vaefrag_core.datasets.image_cache import cache_folder
from vaefrag_core.errors import BrokenFileError, MissingDataError

DEBIAN = FASHION_MNIST.folders[0]
needs_debian = pytest.mark.skipif(not DEBIAN.is_dir(), reason="the package dataset-fashion-mnist is not installed")

PICTURES = np.arange(2 * 3 * 5, dtype=np.uint8).reshape(2, 3, 5)
CLASSES = np.array([1, 0], dtype=np.uint8)


def idx(array: np.ndarray, kind: int = 8) -> bytes:
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, kind, array.ndim, *array.shape) + array.tobytes()


SMALL = IdxSource(
    name="small",
    factor="kind",
    levels=("hat", "shoe"),
    sha256=(hashlib.sha256(idx(PICTURES)).hexdigest(), hashlib.sha256(idx(CLASSES)).hexdigest()),
    mirrors=(),
    hint="Ask the milliner.",
)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of our own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home-cache"))
    return cache_folder(SMALL.name)


def put(folder: Path, packed: bool = True) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for stem, array in ((IMAGES, PICTURES), (LABELS, CLASSES)):
        data = idx(array)
        (folder / (f"{stem}.gz" if packed else stem)).write_bytes(gzip.compress(data) if packed else data)
    return folder


@pytest.mark.parametrize("packed", [True, False])
def test_images_and_labels_come_back(tmp_path: Path, packed: bool) -> None:
    dataset = load_idx_source(SMALL, put(tmp_path / "here", packed))
    np.testing.assert_array_equal(dataset.images[np.arange(2)], PICTURES)
    (factor,) = dataset.factors
    assert factor.name == "kind"
    assert factor.texts(np.arange(2)).tolist() == ["shoe", "hat"]


def test_lengths_are_read_big_endian(tmp_path: Path) -> None:
    array = np.zeros((300, 1, 2), np.uint8)
    (tmp_path / "f").write_bytes(idx(array))
    assert read_idx(tmp_path / "f", 3).shape == (300, 1, 2)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "got one of 0 bytes beginning with nothing"),
        (b"<html>not found</html>", "got one of 22 bytes beginning 3c 68 74 6d"),
        (idx(CLASSES), "uint8 with 3 axes, beginning 00 00 08 03, got one of 10 bytes beginning 00 00 08 01"),
        (idx(PICTURES, kind=0x0D), "beginning 00 00 0d 03"),
        (idx(PICTURES)[:9], "got one of 9 bytes"),
        (idx(PICTURES)[:-1], r"expected 30 values of shape \(2, 3, 5\), as its header says, got 29"),
        (idx(PICTURES) + b"!", "got 31"),
        (gzip.compress(idx(PICTURES), mtime=0)[:-10], "expected a whole gzip file, got a damaged one"),
    ],
)
def test_a_broken_file_is_named_with_what_was_expected(tmp_path: Path, data: bytes, said: str) -> None:
    path = tmp_path / "broken"
    path.write_bytes(data)
    with pytest.raises(BrokenFileError, match=f"^{path}: .*{said}"):
        read_idx(path, 3)


def test_a_whole_file_of_another_data_set_is_refused(tmp_path: Path) -> None:
    folder = put(tmp_path / "here")
    (folder / f"{IMAGES}.gz").write_bytes(gzip.compress(idx(PICTURES + 1)))
    with pytest.raises(BrokenFileError, match="expected the published file, whose unpacked SHA-256 begins"):
        load_idx_source(SMALL, folder)


def test_places_are_looked_at_in_order(tmp_path: Path, cache: Path) -> None:
    system = tmp_path / "system"
    source = dataclasses.replace(SMALL, folders=(system,))
    assert find_files(source) is None
    put(cache)
    assert find_files(source) == (cache / f"{IMAGES}.gz", cache / f"{LABELS}.gz")
    put(system)
    assert find_files(source) == (system / f"{IMAGES}.gz", system / f"{LABELS}.gz")
    given = put(tmp_path / "given", packed=False)
    assert find_files(source, given) == (given / IMAGES, given / LABELS)


def test_a_folder_with_one_of_the_two_is_passed_over(tmp_path: Path, cache: Path) -> None:
    system = put(tmp_path / "system")
    (system / f"{LABELS}.gz").unlink()
    put(cache)
    assert load_idx_source(dataclasses.replace(SMALL, folders=(system,))).origin == f"training split, {cache}"


def test_a_given_path_without_the_files_is_not_replaced_by_another_place(tmp_path: Path, cache: Path) -> None:
    put(cache)
    with pytest.raises(MissingDataError, match=f"'small' needs {IMAGES}.gz and {LABELS}.gz.*{tmp_path} does not have"):
        load_idx_source(SMALL, tmp_path)


def test_what_is_missing_is_fetched_once_and_kept(tmp_path: Path, cache: Path) -> None:
    source = dataclasses.replace(SMALL, mirrors=(put(tmp_path / "mirror").as_uri() + "/",))
    assert load_idx_source(source).n_images == 2
    assert sorted(file.name for file in cache.iterdir()) == [f"{IMAGES}.gz", f"{LABELS}.gz"]
    assert load_idx_source(SMALL).n_images == 2  # without any mirror


def test_nowhere_to_be_had_says_what_to_put_where(cache: Path) -> None:
    with pytest.raises(MissingDataError) as caught:
        load_idx_source(SMALL)
    message = str(caught.value)
    assert f"{IMAGES}.gz and {LABELS}.gz" in message
    assert f"Put both files into {cache}" in message
    assert message.endswith("Ask the milliner.")


def test_a_cache_that_cannot_be_made_is_said(tmp_path: Path, cache: Path) -> None:
    source = dataclasses.replace(SMALL, mirrors=(put(tmp_path / "mirror").as_uri() + "/",))
    cache.parent.parent.parent.mkdir(parents=True)
    cache.parent.parent.write_text("a file where a folder should be")
    with pytest.raises(MissingDataError, match=f"Not a directory.*Put both files into {cache}"):
        load_idx_source(source)


@needs_debian
def test_the_packaged_fashion_mnist_is_the_published_one() -> None:
    dataset = fashion_mnist()
    assert dataset.origin == f"training split, {DEBIAN}"
    assert (dataset.n_images, dataset.image_shape) == (60_000, (28, 28, 1))
    (factor,) = dataset.factors
    assert factor.name == "class"
    assert np.bincount(factor.codes).tolist() == [6_000] * 10
    assert factor.texts(np.arange(3)).tolist() == ["Ankle boot", "T-shirt/top", "T-shirt/top"]


@needs_debian
def test_fashion_mnist_does_not_pass_for_mnist() -> None:
    with pytest.raises(BrokenFileError, match="expected the published file"):
        load_idx_source(MNIST, DEBIAN)
