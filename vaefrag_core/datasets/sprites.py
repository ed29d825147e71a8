"""Sprites with five known causes, in the manner of dSprites, drawn when they are asked for.

3 shapes × 6 scales × 40 orientations × 32 × 32 positions = 737,280 white-on-black images without grey, of 64×64
or 32×32 pixels. Lengths below are pixels of the 64×64 picture; x runs right, y runs down, orientation turns
counter-clockwise.

Image k has the codes (shape, scale, orientation, x, y) = unravel_index(k, (3, 6, 40, 32, 32)): y runs fastest.

All shapes of one scale have the same area, so size does not give the shape away. Positions are one pixel apart,
so that a sprite looks the same wherever it stands; at 32×32 they are half a pixel apart and some neighbours
coincide. As in dSprites the square repeats every 90° and the ellipse every 180°: images that differ only in
that are identical, pixel for pixel, and no channel can tell them apart.
"""

from functools import cache

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from vaefrag_core.array_types import BoolArray, FloatArray, ImageArray, IntArray
from vaefrag_core.datasets.base import Factor, ImageDataset
from vaefrag_core.datasets.sampling import draw_without_replacement
from vaefrag_core.errors import InvalidInputError

SHAPES = ("square", "ellipse", "heart")
SCALES = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
ORIENTATIONS = 40
POSITIONS = 32
GRID = (len(SHAPES), len(SCALES), ORIENTATIONS, POSITIONS, POSITIONS)
GRID_IMAGES = int(np.prod(GRID))
SIZES = (64, 32)

AREA = 450.0  # px² of every shape at scale 1; the square's corners, the farthest point of all, are 15 px out
FIRST_CENTRE = 16.5  # px from the edge: (64 − 31) / 2, which leaves a pixel beyond the farthest corner
_ELLIPSE_LONG = 15.0
_HEART_AREA = 3.662  # of (x² + y² − 1)³ ≤ x² y³, by numerical integration
_HEART_CENTRE = 0.25  # of the smallest circle around that curve, upwards; it reaches 14 px at scale 1


def sprites(size: int = 64, count: int | None = None, seed: int = 0) -> ImageDataset:
    """Give the sprites, all of them or a seeded subset.

    Args:
        size: pixels of a side, 64 or 32.
        count: how many of the 737,280 images, drawn without replacement and kept in the grid's order; all when
            not given.
        seed: which subset; without `count` it decides nothing.

    Returns:
        The data set, with the factors shape, scale, orientation, x and y.

    Raises:
        InvalidInputError: when there is no such size or number of images.

    Reference:
        Matthey, Higgins, Hassabis, Lerchner, "dSprites: Disentanglement testing Sprites dataset", 2017,
        https://github.com/google-deepmind/dsprites-dataset. The idea is theirs; shapes and images are our own.

    Example:
        >>> sprites(32).factors[0].texts(np.array([0, 737_279])).tolist()
        ['square', 'heart']
    """
    if size not in SIZES:
        raise InvalidInputError(f"Expected sprites of 64 or 32 pixels a side, got {size}.")
    if count is not None and not 1 <= count <= GRID_IMAGES:
        raise InvalidInputError(f"Expected 1…{GRID_IMAGES:,} sprites, got {count:,}.")
    name = "sprites" if size == 64 else f"sprites-{size}"
    if count is None:
        grid_index, origin = np.arange(GRID_IMAGES, dtype=np.int64), "drawn by vaefrag"
    else:
        grid_index = np.sort(draw_without_replacement(GRID_IMAGES, count, seed))
        origin = f"drawn by vaefrag: {count:,} of {GRID_IMAGES:,}, seed {seed}"
    return ImageDataset(name, SpriteImages(size, grid_index), _factors(grid_index), origin)


class SpriteImages:
    """An image source that draws sprites when they are asked for.

    Args:
        size: pixels of a side, 64 or 32.
        grid_index: (N,) which images of the grid.
    """

    dtype = np.dtype(np.uint8)

    def __init__(self, size: int, grid_index: IntArray) -> None:
        self.size = size
        self._grid_index = grid_index
        self.shape = (len(grid_index), size, size)

    def __len__(self) -> int:
        return len(self._grid_index)

    def __getitem__(self, indices: IntArray, /) -> ImageArray:
        shape, scale, orientation, x, y = np.unravel_index(self._grid_index[indices], GRID)
        window = POSITIONS - 1
        return _windows(self.size)[shape, scale, orientation, window - y, window - x]


def _factors(grid_index: IntArray) -> tuple[Factor, ...]:
    levels = {
        "shape": SHAPES,
        "scale": tuple(f"{scale:.1f}" for scale in SCALES),
        "orientation": tuple(f"{turn * 360 // ORIENTATIONS}°" for turn in range(ORIENTATIONS)),
        "x": tuple(str(position) for position in range(POSITIONS)),
        "y": tuple(str(position) for position in range(POSITIONS)),
    }
    codes = np.unravel_index(grid_index, GRID)
    return tuple(Factor(name, code, levels[name]) for name, code in zip(levels, codes, strict=True))


@cache
def _windows(size: int) -> ImageArray:
    """Draw every sprite once, on a canvas so wide that each position is a window onto it.

    Returns:
        (3, 6, 40, 32, 32, size, size) view, 6.5 MB: window (i, j) begins i pixels down and j right. A sprite at
        the first position is seen through the last window.
    """
    step = 64 // size
    first_pixel = step / 2  # centre of the first pixel of the picture
    reach = 64 - step + POSITIONS
    offsets = first_pixel - FIRST_CENTRE - (POSITIONS - 1) + np.arange(reach)  # px from the sprite's centre
    canvas = np.empty((*GRID[:3], reach, reach), dtype=np.uint8)
    for turn, (cos, sin) in enumerate(_turns()):
        right, up = offsets[None, :], -offsets[:, None]
        u, v = cos * right + sin * up, cos * up - sin * right
        for level, scale in enumerate(SCALES):
            for shape, inside in enumerate((_in_square, _in_ellipse, _in_heart)):
                canvas[shape, level, turn] = np.where(inside(u / scale, v / scale), 255, 0)
    windows = sliding_window_view(canvas, (64 - step + 1, 64 - step + 1), axis=(3, 4))
    return windows[..., ::step, ::step]


def _turns() -> list[tuple[float, float]]:
    """Give cosine and sine of each orientation; a quarter turn swaps them exactly, so the symmetries are exact."""
    quarter = [(float(np.cos(a)), float(np.sin(a))) for a in np.arange(ORIENTATIONS // 4) * (2 * np.pi / ORIENTATIONS)]
    turns = list(quarter)
    for _ in range(3):
        quarter = [(-sin, cos) for cos, sin in quarter]
        turns += quarter
    return turns


def _in_square(u: FloatArray, v: FloatArray) -> BoolArray:
    half_side = np.sqrt(AREA) / 2
    inside: BoolArray = np.maximum(np.abs(u), np.abs(v)) <= half_side
    return inside


def _in_ellipse(u: FloatArray, v: FloatArray) -> BoolArray:
    short = AREA / (np.pi * _ELLIPSE_LONG)
    inside: BoolArray = (u / _ELLIPSE_LONG) ** 2 + (v / short) ** 2 <= 1
    return inside


def _in_heart(u: FloatArray, v: FloatArray) -> BoolArray:
    unit = np.sqrt(AREA / _HEART_AREA)
    x, y = u / unit, v / unit + _HEART_CENTRE
    inside: BoolArray = (x**2 + y**2 - 1) ** 3 <= x**2 * y**3
    return inside
