"""Pictures say what the arrays say."""

import numpy as np
import pytest

from vaefrag.figures.rasters import UNDEFINED, palette_png, pyramid, quantize, rgba_png, scale_for, sprite, tile
from vaefrag.figures.theme import colour_table, hotspot_colour, runs
from webpages import decode_png


def test_numbers_become_bytes_and_nan_its_own() -> None:
    values = np.array([-1.0, 0.0, 0.5, 1.0, 2.0, np.nan])
    assert quantize(values, 0, 1).tolist() == [0, 0, 127, 254, 254, UNDEFINED]


def test_the_finest_level_is_the_matrix_in_order() -> None:
    rng = np.random.default_rng(0)
    matrix, order = rng.random((700, 700)).astype(np.float32), rng.permutation(700)[:650]
    levels = pyramid(matrix, order, 0, 1)
    assert [len(level) for level in levels] == [650, 325, 163]
    assert np.array_equal(levels[0], quantize(matrix[np.ix_(order, order)], 0, 1))


def test_a_coarser_cell_is_the_mean_of_the_defined_ones() -> None:
    matrix = np.array([[0.0, 1.0, 1.0], [1.0, np.nan, 1.0], [np.nan, np.nan, 0.5]])
    levels = pyramid(matrix, np.arange(3), 0, 1, smallest=1)
    assert levels[1].tolist() == [[169, 254], [UNDEFINED, 127]]


def test_a_tile_is_cut_from_the_coarsest_level_that_is_sharp_enough() -> None:
    base = np.arange(16 * 16, dtype=np.uint8).reshape(16, 16)
    levels = [base, base[::2, ::2], base[::4, ::4]]
    assert np.array_equal(tile(levels, (2, 6), (4, 9), 5), base[2:6, 4:9])
    assert np.array_equal(tile(levels, (0, 16), (0, 16), 8), base[::2, ::2])
    assert np.array_equal(tile(levels, (4, 12), (0, 16), 4), base[::4, ::4][1:3])


def test_a_palette_picture_keeps_every_cell() -> None:
    cells = np.random.default_rng(1).integers(0, 256, (5, 9), dtype=np.uint8)
    table = colour_table()
    picture, chunks = decode_png(palette_png(cells, table))
    assert np.array_equal(picture[..., 0], cells)
    assert chunks[b"PLTE"] == table.tobytes()


def test_similar_is_bright_by_both_measures() -> None:
    nmi, vi = colour_table().sum(axis=1), colour_table(reverse=True).sum(axis=1)
    assert nmi[254] > nmi[0]
    assert vi[0] > vi[254]
    assert np.array_equal(colour_table()[UNDEFINED], colour_table(reverse=True)[UNDEFINED])


@pytest.mark.parametrize("shape", [(2, 3, 4, 5), (2, 3, 4, 5, 3)])
def test_a_sprite_holds_each_image_enlarged_and_apart(shape: tuple[int, ...]) -> None:
    images = np.random.default_rng(2).integers(0, 256, shape, dtype=np.uint8)
    picture, _ = decode_png(rgba_png(sprite(images, 3)))
    assert picture.shape == (2 * 14 - 2, 3 * 17 - 2, 4)
    inside = picture[14:26, 17:32]
    assert np.array_equal(inside[::3, ::3, :3], np.broadcast_to(images[1, 1].reshape(4, 5, -1), (4, 5, 3)))
    assert (inside[..., 3] == 255).all()
    assert not picture[12:14].any()


def test_images_are_enlarged_by_whole_factors() -> None:
    assert [scale_for(side, 56) for side in (8, 28, 32, 64)] == [7, 2, 1, 1]


def test_neighbouring_positions_are_joined() -> None:
    assert runs([9, 3, 4, 5, 4]) == [(3, 5), (9, 9)]
    assert runs([]) == []


def test_noise_has_a_colour_of_its_own() -> None:
    assert hotspot_colour(-1) not in {hotspot_colour(label) for label in range(30)}
    assert len({hotspot_colour(label) for label in range(10)}) == 10
