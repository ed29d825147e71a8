from pathlib import Path

import numpy as np
import pytest

from vaefrag_core.datasets.base import Factor, ImageDataset
from vaefrag_core.errors import InvalidInputError


def grey(n_images: int = 3) -> np.ndarray:
    return np.arange(n_images * 6, dtype=np.uint8).reshape(n_images, 2, 3)


def test_batch_scales_grey_images_to_one_channel() -> None:
    images = grey()
    images[2, 1, 2] = 255
    batch = ImageDataset("d", images, (), "here").batch(np.array([2, 0, 2]))
    assert batch.dtype == np.float32
    assert batch.shape == (3, 1, 2, 3)
    assert batch[0, 0, 1, 2] == 1.0
    np.testing.assert_array_equal(batch[0], batch[2])
    np.testing.assert_allclose(batch[1, 0], images[0] / 255, rtol=1e-6)


def test_batch_puts_colour_before_rows() -> None:
    images = np.random.default_rng(0).integers(0, 256, (4, 5, 7, 3), dtype=np.uint8)
    dataset = ImageDataset("d", images, (), "here")
    batch = dataset.batch(np.array([3, 1]))
    assert batch.shape == (2, 3, 5, 7)
    assert batch.flags.c_contiguous
    assert batch[0, 2, 4, 6] == np.float32(images[3, 4, 6, 2]) / np.float32(255)
    assert dataset.image_shape == (5, 7, 3)
    assert dataset.pixels == 105


def test_a_batch_is_a_copy() -> None:
    dataset = ImageDataset("d", grey(), (), "here")
    dataset.batch(np.array([0]))[:] = 7
    np.testing.assert_array_equal(dataset.images[np.arange(3)], grey())


def test_a_memory_mapped_file_is_an_image_source(tmp_path: Path) -> None:
    np.save(tmp_path / "images.npy", grey())
    mapped = np.load(tmp_path / "images.npy", mmap_mode="r")
    dataset = ImageDataset("d", mapped, (), "here")
    in_memory = ImageDataset("d", grey(), (), "here")
    np.testing.assert_array_equal(dataset.batch(np.array([1, 2])), in_memory.batch(np.array([1, 2])))


@pytest.mark.parametrize(
    ("images", "said"),
    [
        (grey().astype(np.float64), r"'d' as uint8 \(0…255\), got float64"),
        (grey()[0], r"\(N, H, W, 3\) with colour, got \(2, 3\)"),
        (np.zeros((2, 3, 4, 2), np.uint8), r"got \(2, 3, 4, 2\)"),
        (np.zeros((0, 3, 4), np.uint8), r"got \(0, 3, 4\)"),
    ],
)
def test_images_of_another_form_are_refused(images: np.ndarray, said: str) -> None:
    with pytest.raises(InvalidInputError, match=said):
        ImageDataset("d", images, (), "here")


def test_a_factor_of_another_length_is_refused() -> None:
    factor = Factor("f", np.array([0, 0]), ("a",))
    with pytest.raises(InvalidInputError, match="Expected 3 codes of factor 'f', one for each image of 'd', got 2"):
        ImageDataset("d", grey(), (factor,), "here")


def test_two_factors_of_one_name_are_refused() -> None:
    factor = Factor("f", np.array([0, 0, 0]), ("a",))
    with pytest.raises(InvalidInputError, match="a different name for each factor of 'd', got f, f"):
        ImageDataset("d", grey(), (factor, factor), "here")


@pytest.mark.parametrize("codes", [[0, 2], [-1, 0]])
def test_a_code_without_a_level_is_refused(codes: list[int]) -> None:
    with pytest.raises(InvalidInputError, match=f"codes 0…1 for the 2 levels of factor 'f', got {min(codes)}…"):
        Factor("f", np.array(codes), ("a", "b"))


@pytest.mark.parametrize("codes", [np.array([0.0, 1.0]), np.array([[0, 1]])])
def test_codes_that_are_no_list_of_whole_numbers_are_refused(codes: np.ndarray) -> None:
    with pytest.raises(InvalidInputError, match=r"as \(N,\) whole numbers"):
        Factor("f", codes, ("a", "b"))


def test_codes_of_any_width_become_int64_and_are_read_as_levels() -> None:
    factor = Factor("f", np.array([1, 0, 1], dtype=np.uint8), ("low", "high"))
    assert factor.codes.dtype == np.int64
    assert factor.texts(np.array([2, 1])).tolist() == ["high", "low"]
