import math

import numpy as np
import pytest

from vaefrag_core.artifacts import Posteriors
from vaefrag_core.config import FingerprintConfig
from vaefrag_core.datasets.base import Factor, ImageDataset
from vaefrag_core.datasets.digits import digits
from vaefrag_core.datasets.fingerprint import draw_fingerprint
from vaefrag_core.datasets.sprites import sprites
from vaefrag_core.errors import InvalidInputError


def of(images: np.ndarray, *factors: Factor) -> ImageDataset:
    return ImageDataset("own", images, factors, "here")


@pytest.fixture
def distinct() -> ImageDataset:
    images = np.arange(64, dtype=np.uint8).reshape(64, 1, 1) * np.ones((1, 2, 2), np.uint8)
    return of(
        images, Factor("parity", np.arange(64) % 2, ("even", "odd")), Factor("half", np.arange(64) // 32, ("l", "r"))
    )


def test_images_and_labels_stand_in_the_order_of_the_draw(distinct: ImageDataset) -> None:
    sample = draw_fingerprint(distinct, FingerprintConfig(size=20, seed=3))
    assert len(set(sample.index.tolist())) == 20
    assert (np.diff(sample.index) < 0).any()
    np.testing.assert_array_equal(sample.images[:, 0, 0], sample.index)
    expected = [[("even", "odd")[i % 2], "l" if i < 32 else "r"] for i in sample.index]
    assert sample.labels.tolist() == expected
    assert sample.label_names == ("parity", "half")


def test_the_sample_of_a_seed_is_pinned() -> None:
    sample = draw_fingerprint(digits(), FingerprintConfig(size=5, seed=0))
    assert sample.index.tolist() == [855, 921, 269, 1185, 11]
    assert sample.sample_id == "digits, 5 images, seed 0, 74d3750973a2"


def test_other_seeds_draw_other_images(distinct: ImageDataset) -> None:
    samples = [draw_fingerprint(distinct, FingerprintConfig(size=10, seed=seed)) for seed in (0, 1)]
    assert samples[0].index.tolist() != samples[1].index.tolist()
    assert samples[0].sample_id != samples[1].sample_id


def test_the_id_tells_other_pixels_apart_under_the_same_name(distinct: ImageDataset) -> None:
    config = FingerprintConfig(size=64, seed=0)
    changed = np.array(distinct.images[np.arange(64)])
    changed[5, 0, 1] ^= 1
    ids = {draw_fingerprint(dataset, config).sample_id for dataset in (distinct, of(changed))}
    same = draw_fingerprint(of(np.array(distinct.images[np.arange(64)])), config).sample_id
    assert len(ids) == 2
    assert same in ids


def test_the_id_tells_other_shapes_of_the_same_bytes_apart() -> None:
    flat, tall = np.zeros((4, 2, 8), np.uint8), np.zeros((4, 8, 2), np.uint8)
    config = FingerprintConfig(size=4)
    assert draw_fingerprint(of(flat), config).sample_id != draw_fingerprint(of(tall), config).sample_id


def test_without_duplicates_there_is_nothing_to_say(distinct: ImageDataset) -> None:
    sample = draw_fingerprint(distinct, FingerprintConfig(size=32))
    assert (sample.duplicates, sample.ceiling_bits, sample.message) == (0, 5.0, None)


def test_copies_lower_the_ceiling_to_the_bits_of_the_distinct_images() -> None:
    images = np.repeat(np.arange(8, dtype=np.uint8), 4)[:, None, None] * np.ones((1, 3, 3), np.uint8)
    sample = draw_fingerprint(of(images), FingerprintConfig(size=32))
    assert sample.duplicates == 24
    assert sample.ceiling_bits == pytest.approx(3.0, abs=1e-12)  # 8 equal groups
    assert sample.message is not None
    assert sample.message.startswith("24 of 32 images are identical")
    assert "3.00 bits, not log2 32 = 5.00" in sample.message


def test_the_ceiling_is_the_information_of_a_channel_that_tells_all_distinct_images_apart() -> None:
    images = np.array([0, 0, 0, 1, 1, 2, 3], np.uint8)[:, None, None]
    sample = draw_fingerprint(of(images), FingerprintConfig(size=7))
    same = sample.images[:, 0, 0][:, None] == sample.images[:, 0, 0][None, :]  # (N, N) coefficients, 1 or 0
    assert sample.ceiling_bits == pytest.approx(-np.log2(same.mean(axis=1)).mean(), abs=1e-12)


def test_the_square_of_the_sprites_gives_true_duplicates() -> None:
    dataset = sprites(64)
    shape, scale, turn, x, y = (factor.codes for factor in dataset.factors)
    index = np.flatnonzero((shape == 0) & (scale == 5) & (x == 0) & (y == 0))
    sample = draw_fingerprint(of(dataset.images[index]), FingerprintConfig(size=40))
    assert len(turn[index]) == 40
    assert sample.duplicates == 30
    assert sample.ceiling_bits == pytest.approx(math.log2(10))


def test_a_single_copy_is_counted_in_the_singular() -> None:
    sample = draw_fingerprint(of(np.array([0, 0, 1], np.uint8)[:, None, None]), FingerprintConfig(size=3))
    assert sample.message is not None
    assert sample.message.startswith("1 of 3 images is identical")


def test_more_images_than_there_are_is_refused() -> None:
    with pytest.raises(InvalidInputError) as caught:
        draw_fingerprint(digits(), FingerprintConfig(size=2_000))
    assert str(caught.value) == (
        "The fingerprint asks for 2,000 images; 'digits' has 1,797. Lower the fingerprint size."
    )


@pytest.mark.parametrize("with_factors", [True, False])
def test_the_sample_fits_the_posteriors_file(distinct: ImageDataset, with_factors: bool) -> None:
    dataset = distinct if with_factors else of(np.array(distinct.images[np.arange(64)]))
    sample = draw_fingerprint(dataset, FingerprintConfig(size=16))
    zeros = np.zeros((2, 16, 3))
    posteriors = Posteriors(zeros, zeros, sample.labels, sample.label_names, sample.images, sample.sample_id)
    assert posteriors.label_names == (("parity", "half") if with_factors else ())
