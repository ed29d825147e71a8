import numpy as np
import pytest

from vaefrag_core.config import FingerprintConfig
from vaefrag_core.datasets.base import ImageDataset
from vaefrag_core.datasets.circle import POINTS, circle, draw_points
from vaefrag_core.datasets.fingerprint import draw_fingerprint
from vaefrag_core.errors import InvalidInputError


@pytest.fixture(scope="module")
def dataset() -> ImageDataset:
    return circle()


def at(degrees: float) -> np.ndarray:
    return np.array([[[np.cos(np.radians(degrees)), np.sin(np.radians(degrees))]]], dtype=np.float32)


def test_all_points_lie_on_the_circle_and_in_balance(dataset: ImageDataset) -> None:
    points = dataset.batch(np.arange(POINTS))
    assert points.shape == (POINTS, 1, 1, 2)
    np.testing.assert_allclose(np.square(points).sum(axis=3), 1, atol=3e-6)
    np.testing.assert_allclose(points.mean(axis=0), 0, atol=1e-6)
    assert points.min() == -1
    assert len(np.unique(points.reshape(POINTS, 2), axis=0)) == POINTS


def test_the_angle_is_the_one_of_the_point(dataset: ImageDataset) -> None:
    (factor,) = dataset.factors
    points = dataset.batch(np.arange(POINTS))[:, 0, 0].astype(np.float64)
    angle = np.degrees(np.arctan2(points[:, 1], points[:, 0])) % 360
    middle = np.array([float(text.rstrip("°")) for text in factor.texts(np.arange(POINTS))])
    assert np.abs(angle - middle).max() <= 9 + 1e-3
    assert np.bincount(factor.codes).tolist() == [500] * 20


@pytest.mark.parametrize(("degrees", "row", "column"), [(0, 15.5, 26.9), (90, 4.1, 15.5), (225, 23.6, 7.4)])
def test_the_dot_is_drawn_where_the_point_is(degrees: float, row: float, column: float) -> None:
    (picture,) = draw_points(at(degrees))
    bright = np.argwhere(picture > 200)
    np.testing.assert_allclose(bright.mean(axis=0), (row, column), atol=0.5)


def test_a_point_far_out_is_drawn_at_the_edge() -> None:
    (picture,) = draw_points(7 * at(0))
    assert picture[15:17, -1].min() > 200


def test_the_sample_has_pictures_and_is_named_by_the_points(dataset: ImageDataset) -> None:
    config = FingerprintConfig(size=50, seed=1)
    sample = draw_fingerprint(dataset, config)
    assert sample.images.shape == (50, 32, 32)
    assert sample.images.dtype == np.uint8
    np.testing.assert_array_equal(sample.images, draw_points(dataset.images[sample.index]))
    assert sample.duplicates == 0
    assert dataset.point_format is not None
    moved = ImageDataset(
        "circle", np.asarray(dataset.images[np.arange(POINTS)]) * 0.5, (), "here", point_format=dataset.point_format
    )
    assert draw_fingerprint(moved, config).sample_id != sample.sample_id


def test_points_are_float32() -> None:
    with pytest.raises(InvalidInputError, match="Expected the points of 'p' as float32, got float64"):
        ImageDataset("p", np.zeros((3, 1, 2)), (), "here", point_format=circle().point_format)
