"""Points of the circle SO(2): the smallest data in which no single channel can carry all there is to know."""

import numpy as np

from vaefrag_core.array_types import Float32Array, ImageArray
from vaefrag_core.datasets.base import Factor, ImageDataset, Points

POINTS = 10_000
CIRCLE_SHAPE = (1, 2, 1)  # a point is an "image" of one row: cosine and sine
ARCS = 20  # levels of the angle: as many as other numeric factors are cut into

_SIDE = 32  # px of the picture that is drawn of a point
_REACH = 1.4  # from the centre to the edge of it: beyond the circle, for decoders that miss it
_DOT = 0.18  # radius of the dot
_LINE = 70  # grey level of the circle behind it


def circle() -> ImageDataset:
    """Give 10,000 points (cos θ, sin θ), evenly spaced, θ = 2πk / 10,000.

    Returns:
        The data set, with the factor angle: 20 arcs of 500 points, each called by its middle.

    Reference:
        Murphy, Dillavou, Bassett, "Comparing the information content of probabilistic representation spaces", 2024,
        https://arxiv.org/abs/2405.21042

    Example:
        >>> circle().batch(np.array([0, 2_500])).reshape(2, 2).tolist()
        [[1.0, 0.0], [0.0, 1.0]]
    """
    k = np.arange(POINTS)
    angle = 2 * np.pi * k / POINTS
    # Rounded, so that the last bit, in which mathematical libraries differ, does not name another sample.
    values = np.stack([np.cos(angle), np.sin(angle)], axis=1).round(6).astype(np.float32)
    width = 360 // ARCS
    levels = tuple(f"{width * arc + width // 2}°" for arc in range(ARCS))
    factor = Factor("angle", k // (POINTS // ARCS), levels)
    return ImageDataset("circle", values[:, None], (factor,), "computed by vaefrag", points=CIRCLE)


def draw_points(points: Float32Array) -> ImageArray:
    """Draw each point as a white dot in a picture with a dim circle; x runs right, y up.

    Args:
        points: (N, 1, 2), on the circle or near it; what lies outside the picture is drawn at its edge.

    Returns:
        (N, 32, 32) uint8.
    """
    pixel = 2 * _REACH / _SIDE
    across = (np.arange(_SIDE) + 0.5) * pixel - _REACH
    x, y = across[None, :], -across[:, None]
    line = np.clip(1 - np.abs(np.hypot(x, y) - 1) / pixel, 0, 1) * _LINE
    centre = np.clip(np.asarray(points, dtype=np.float64)[:, 0], -_REACH, _REACH)
    distance = np.hypot(x - centre[:, 0, None, None], y - centre[:, 1, None, None])
    dot = np.clip((_DOT - distance) / pixel + 0.5, 0, 1) * 255
    picture: ImageArray = np.maximum(line, dot).round().astype(np.uint8)
    return picture


CIRCLE = Points(-1.0, 1.0, draw_points)
