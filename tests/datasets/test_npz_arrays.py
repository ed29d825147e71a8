import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vaefrag_core.config import DatasetConfig
from vaefrag_core.datasets import npy_format
from vaefrag_core.datasets.catalog import load_dataset
from vaefrag_core.datasets.npz_arrays import load_npz_images
from vaefrag_core.errors import BrokenFileError, InvalidInputError, MissingDataError

BYTES = np.random.default_rng(3).integers(0, 256, (40, 6, 5), dtype=np.uint8)
EVERY = np.arange(40)


def saved(folder: Path, **content: Any) -> Path:
    np.savez_compressed(folder / "mine.npz", **content)
    return folder / "mine.npz"


@pytest.mark.parametrize(
    "pixels",
    [
        BYTES,
        BYTES[..., None],
        BYTES.astype(np.float32),
        BYTES.astype(np.int64),
        BYTES / 255,
        (BYTES / 255).astype(np.float32),
        np.asfortranarray(BYTES),
        (BYTES / 255).astype(">f8"),
    ],
)
@pytest.mark.parametrize("chunk_bytes", [npy_format.CHUNK_BYTES, 600])
def test_every_range_becomes_grey_levels(
    tmp_path: Path, pixels: np.ndarray, chunk_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(npy_format, "CHUNK_BYTES", chunk_bytes)
    dataset = load_npz_images(saved(tmp_path, images=pixels))
    assert isinstance(dataset.images, np.memmap)
    np.testing.assert_array_equal(dataset.images[EVERY], BYTES)
    np.save(tmp_path / "mine.npy", pixels)
    np.testing.assert_array_equal(load_npz_images(tmp_path / "mine.npy").images[EVERY], BYTES)


@pytest.mark.parametrize("kind", [np.bool_, np.uint8, np.float64])
def test_black_and_white_may_be_0_and_1(tmp_path: Path, kind: type) -> None:
    dataset = load_npz_images(saved(tmp_path, images=(BYTES > 100).astype(kind)))
    np.testing.assert_array_equal(dataset.images[EVERY], np.where(BYTES > 100, 255, 0))


def test_colour_is_kept(tmp_path: Path) -> None:
    colours = np.stack([BYTES, BYTES[::-1], 255 - BYTES], axis=3)
    dataset = load_npz_images(saved(tmp_path, images=colours))
    assert dataset.image_shape == (6, 5, 3)
    np.testing.assert_array_equal(dataset.images[EVERY], colours)


def test_bytes_of_an_npy_are_mapped_where_they_lie(tmp_path: Path, home_cache: Path) -> None:
    np.save(tmp_path / "mine.npy", BYTES)
    dataset = load_npz_images(tmp_path / "mine.npy")
    np.testing.assert_array_equal(dataset.images[EVERY], BYTES)
    (link,) = home_cache.glob("npz/*/images.npy")
    assert link.is_symlink()
    np.save(tmp_path / "mine.npy", BYTES[:30])
    assert load_npz_images(tmp_path / "mine.npy").n_images == 30


def test_labels_become_factors(tmp_path: Path) -> None:
    labels = np.stack([EVERY % 3, EVERY], axis=1)
    dataset = load_npz_images(saved(tmp_path, images=BYTES, labels=labels, label_names=["kind", "number"]))
    assert dataset.factor_names() == ("kind", "number")
    assert dataset.factors[0].texts(EVERY[:4]).tolist() == ["0", "1", "2", "0"]
    one = load_npz_images(saved(tmp_path, images=BYTES, labels=np.array(["cat", "dog"])[EVERY % 2]))
    assert one.factor_names() == ("label",)
    assert one.factors[0].texts(EVERY[:3]).tolist() == ["cat", "dog", "cat"]


def with_nan() -> np.ndarray:
    images = BYTES / 255
    images[3, 2, 2], images[7, 0, 0], images[7, 0, 1] = np.nan, np.inf, np.nan
    return images


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (
            {"images": with_nan()},
            "expected finite pixels, got NaN or infinity in 2 of 40 images. Leave",
        ),
        ({"images": BYTES / 100}, r"expected pixels in 0…1 or 0…255, got 0…2.55 of type float64.* scale them to 0…1"),
        ({"images": BYTES / 127.5 - 1}, "got -1…1 of type float64"),
        ({"images": BYTES.astype(np.uint16) * 257}, "got 0…65535 of type uint16"),
        ({"images": np.zeros((5, 4, 4))}, "got 5 that are identical"),
        ({"images": np.broadcast_to(np.linspace(0, 1, 5)[:, None, None], (5, 4, 4))}, "5 of one constant grey level"),
        ({"images": BYTES[:1]}, "Expected at least 2 images in .*, got 1. Add images"),
        ({"images": BYTES[:, 0]}, r"shape \(N, H, W\) or \(N, H, W, 3\), got \(40, 5\)"),
        ({"images": np.zeros((0, 4, 4))}, r"got \(0, 4, 4\)"),
        ({"images": np.zeros((2, 3, 8, 9))}, r"got \(2, 3, 8, 9\), channels first. Reorder them by numpy.moveaxis"),
        ({"images": np.zeros((2, 600, 1))}, "at most 512×512 pixels, got 600×1. Scale them down"),
        ({"images": np.array(["a", "b"])}, "expected images of numbers, got type <U1"),
        ({"pictures": BYTES}, "expected an array named images, got pictures"),
        ({"images": BYTES, "labels": EVERY[:9]}, r"of shape \(40,\) or \(40, labels\), got \(9,\) of type int64"),
        ({"images": BYTES, "labels": EVERY, "label_names": ["a", "b"]}, "Expected 1 label names, got 2"),
        ({"images": BYTES, "labels": np.where(EVERY, 0.5, np.nan)}, "finite values of label 'label', got NaN"),
    ],
)
def test_what_cannot_be_trained_on_is_refused(tmp_path: Path, content: dict[str, Any], said: str) -> None:
    path = saved(tmp_path, **content)
    with pytest.raises(InvalidInputError, match=said) as caught:
        load_dataset(DatasetConfig(name="npz", path=str(path)))
    assert list(caught.value.fields) == ["dataset.path"]


def test_objects_are_never_unpickled(tmp_path: Path) -> None:
    ragged = np.empty(2, dtype=object)
    ragged[:] = [BYTES[0], BYTES[1, :2]]
    with pytest.raises(InvalidInputError, match="expected images of plain numbers or text, got type object"):
        load_npz_images(saved(tmp_path, images=ragged))
    with pytest.raises(InvalidInputError, match="expected labels of plain numbers"):
        load_npz_images(saved(tmp_path, images=BYTES, labels=np.array([None] * 40)))


def test_odd_images_are_remarked_upon(tmp_path: Path) -> None:
    images = BYTES // 16
    images[5] = 3
    assert load_npz_images(saved(tmp_path, images=images)).remarks == (
        "1 of 40 images is constant, of one grey level.",
        "The brightest pixel is 15 of 255: the images are dark.",
    )


def test_a_file_that_is_none_is_named(tmp_path: Path) -> None:
    for name in ("a.npz", "a.npy"):
        with pytest.raises(MissingDataError, match=f"There is no file .*{name}"):
            load_npz_images(tmp_path / name)
        (tmp_path / name).write_bytes(b"neither")
        with pytest.raises(BrokenFileError, match=f"{name}: expected a"):
            load_npz_images(tmp_path / name)


def test_a_file_that_ends_early_is_named(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", BYTES)
    whole = (tmp_path / "a.npy").read_bytes()
    (tmp_path / "a.npy").write_bytes(whole[:-5])
    with pytest.raises(BrokenFileError, match=r"expected a whole \.npy file.*it ends early"):
        load_npz_images(tmp_path / "a.npy")
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("images.npy", whole[:-5])
    with pytest.raises(BrokenFileError, match="expected a whole array 'images', got one that cannot be read"):
        load_npz_images(tmp_path / "a.npz")


def test_identifiers_are_read_from_the_file_and_from_the_cache(tmp_path: Path) -> None:
    content = {"images": BYTES, "labels": np.stack([EVERY % 3, EVERY], axis=1), "label_names": ["kind", "number"]}
    assert load_npz_images(saved(tmp_path, **content)).identifiers == ()
    for _ in range(2):
        named = load_npz_images(saved(tmp_path, **content, identifiers=["number"]))
        assert named.identifiers == ("number",)
    both = load_dataset(DatasetConfig(name="npz", path=str(tmp_path / "mine.npz"), identifiers=("kind",)))
    assert both.identifiers == ("kind", "number")
    with pytest.raises(InvalidInputError, match="Expected identifiers among the labels, kind, number, got 'colour'"):
        load_npz_images(saved(tmp_path, **content, identifiers=["colour"]))
