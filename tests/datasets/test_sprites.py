import numpy as np
import pytest

from vaefrag_core.datasets.base import ImageDataset
from vaefrag_core.datasets.sprites import AREA, GRID, GRID_IMAGES, SCALES, SIZES, sprites
from vaefrag_core.errors import InvalidInputError

SQUARE, ELLIPSE, HEART = range(3)


def pictures(size: int, *codes: object) -> np.ndarray:
    """Images of (shape, scale, orientation, x, y), each a code or an array of codes."""
    index = np.ravel_multi_index(np.broadcast_arrays(*codes), GRID)
    return sprites(size).images[index]


def every_look(x: int, y: int, size: int) -> np.ndarray:
    """(3, 6, 40, size, size): every shape, scale and orientation at one position."""
    shape, scale, orientation = np.ogrid[:3, :6, :40]
    return pictures(size, shape, scale, orientation, x, y)


@pytest.fixture(scope="module", params=SIZES)
def dataset(request: pytest.FixtureRequest) -> ImageDataset:
    return sprites(request.param)


def test_the_grid_has_the_size_of_dsprites(dataset: ImageDataset) -> None:
    assert dataset.n_images == len(dataset.images) == 737_280
    assert dataset.factor_names() == ("shape", "scale", "orientation", "x", "y")
    assert tuple(len(factor.levels) for factor in dataset.factors) == (3, 6, 40, 32, 32)


def test_the_last_factor_runs_fastest(dataset: ImageDataset) -> None:
    index = 1 * 6 * 40 * 1024 + 5 * 40 * 1024 + 10 * 1024 + 3 * 32 + 31
    levels = [factor.texts(np.array([index]))[0] for factor in dataset.factors]
    assert levels == ["ellipse", "1.0", "90°", "3", "31"]
    assert [int(factor.codes[1]) for factor in dataset.factors] == [0, 0, 0, 0, 1]


def test_pixels_are_black_or_white(dataset: ImageDataset) -> None:
    some = dataset.images[np.arange(0, GRID_IMAGES, 9_973)]
    assert some.dtype == np.uint8
    assert some.shape[1:] == dataset.image_shape[:2]
    assert set(np.unique(some)) == {0, 255}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("x", "y"), [(0, 0), (0, 31), (31, 0), (31, 31), (15, 16)])
def test_every_sprite_keeps_its_area_wherever_it_stands(size: int, x: int, y: int) -> None:
    lit = (every_look(x, y, size) > 0).sum(axis=(3, 4)) * (64 / size) ** 2
    expected = AREA * np.array(SCALES)[:, None] ** 2
    assert abs(lit / expected - 1).max() < 0.12  # a square of 5 px at 32×32 rounds by up to 1/9
    assert abs((lit / expected).mean(axis=2) - 1).max() < 0.03  # and without bias over orientations


@pytest.mark.parametrize("size", SIZES)
def test_no_sprite_touches_the_edge(size: int) -> None:
    for x, y in [(0, 0), (31, 31), (0, 31), (31, 0)]:
        looks = every_look(x, y, size)
        edge = [looks[..., 0, :], looks[..., -1, :], looks[..., :, 0], looks[..., :, -1]]
        assert not any(side.any() for side in edge)


def test_positions_are_one_pixel_apart() -> None:
    shape, scale, orientation = np.ogrid[:3, :6, :40]
    middle = pictures(64, shape, scale, orientation, 10, 10)
    right = pictures(64, shape, scale, orientation, 12, 10)
    down = pictures(64, shape, scale, orientation, 10, 13)
    np.testing.assert_array_equal(np.roll(middle, 2, axis=-1), right)
    np.testing.assert_array_equal(np.roll(middle, 3, axis=-2), down)


def test_two_positions_are_one_pixel_at_half_the_size() -> None:
    here, there = pictures(32, HEART, 4, 7, np.array([10, 12]), 10)
    np.testing.assert_array_equal(np.roll(here, 1, axis=1), there)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("shape", "period"), [(SQUARE, 10), (ELLIPSE, 20)])
def test_square_and_ellipse_repeat_exactly(size: int, shape: int, period: int) -> None:
    scale, turn = np.ogrid[:6, : 40 - period]
    first = pictures(size, shape, scale, turn, 4, 27)
    np.testing.assert_array_equal(first, pictures(size, shape, scale, turn + period, 4, 27))
    assert (pictures(64, shape, 5, 0, 4, 27) != pictures(64, shape, 5, period // 2, 4, 27)).any()


def test_looks_differ_but_for_the_symmetries() -> None:
    looks = every_look(16, 16, 64).reshape(3 * 6 * 40, -1)
    assert len(np.unique(looks, axis=0)) == 6 * (10 + 20 + 40)


def test_orientation_turns_counter_clockwise() -> None:
    for shape in (SQUARE, ELLIPSE, HEART):
        upright = pictures(64, shape, 5, 0, 15, 15)[1:62, 1:62]  # centred on pixel (31, 31)
        quarter = pictures(64, shape, 5, 10, 15, 15)[1:62, 1:62]
        np.testing.assert_array_equal(np.rot90(upright), quarter)


def test_the_heart_stands_on_its_point_and_is_symmetric() -> None:
    heart = pictures(64, HEART, 5, 0, 15, 15) > 0
    rows = np.flatnonzero(heart.any(axis=1))
    assert heart[rows[0]].sum() > heart[rows[-1]].sum()
    assert not heart[rows[0], 31]  # the notch between the lobes
    np.testing.assert_array_equal(heart[:, :63], heart[:, 62::-1])


def test_the_ellipse_lies_flat_and_is_longer_than_high() -> None:
    ellipse = pictures(64, ELLIPSE, 5, 0, 15, 15) > 0
    assert ellipse.any(axis=0).sum() == 31  # 2 × 15 px, and the pixel in the centre
    assert ellipse.any(axis=1).sum() == 19  # 2 × 450 / 15π = 19.1


def test_pictures_do_not_depend_on_who_else_is_asked_for(dataset: ImageDataset) -> None:
    index = np.random.default_rng(0).integers(0, GRID_IMAGES, 50)
    together = dataset.images[index]
    alone = np.stack([dataset.images[np.array([i])][0] for i in index])
    np.testing.assert_array_equal(together, alone)


def test_a_subset_is_seeded_sorted_and_carries_its_factors() -> None:
    first, again, other = sprites(32, 500, seed=1), sprites(32, 500, seed=1), sprites(32, 500, seed=2)
    everything = np.arange(500)
    np.testing.assert_array_equal(first.images[everything], again.images[everything])
    assert (first.images[everything] != other.images[everything]).any()
    index = np.ravel_multi_index([factor.codes for factor in first.factors], GRID)
    assert (np.diff(index) > 0).all()
    np.testing.assert_array_equal(sprites(32).images[index], first.images[everything])


def test_the_whole_grid_knows_no_seed() -> None:
    index = np.arange(0, GRID_IMAGES, 50_000)
    np.testing.assert_array_equal(sprites(64, seed=1).images[index], sprites(64, seed=2).images[index])


@pytest.mark.parametrize("count", [0, GRID_IMAGES + 1])
def test_more_or_fewer_than_there_are_is_refused(count: int) -> None:
    with pytest.raises(InvalidInputError, match=f"Expected 1…737,280 sprites, got {count:,}"):
        sprites(64, count)


def test_another_size_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="64 or 32 pixels a side, got 48"):
        sprites(48)
