"""Arrays → PNG pictures: tiles of a large matrix, and sprites of many small images.

A matrix of 5,000 × 5,000 channels is too much for a browser's heatmap. It is reduced to one byte a cell, halved
again and again into a pyramid, and only the part on the screen is sent, at no more detail than the screen has.
"""

import struct
import zlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

ByteArray = NDArray[np.uint8]

UNDEFINED = 255  # the byte of a NaN; values take 0 … 254
GAP = 2  # pixels between the images of a sprite
_ROWS_AT_ONCE = 512  # bounds the floats in memory while a matrix becomes bytes


def quantize(values: NDArray[np.floating], low: float, high: float) -> ByteArray:
    """Turn numbers into bytes: low → 0, high → 254, beyond them the same, NaN → 255."""
    step = 254.0 / (high - low) if high > low else 0.0
    with np.errstate(invalid="ignore"):
        scaled = np.rint(np.clip((np.asarray(values, dtype=np.float32) - low) * step, 0, 254))
    return np.where(np.isnan(scaled), UNDEFINED, scaled).astype(np.uint8)


def pyramid(
    matrix: NDArray[np.floating], order: NDArray[np.integer], low: float, high: float, smallest: int = 256
) -> list[ByteArray]:
    """Build the pyramid of a matrix whose rows and columns are put in order.

    Args:
        matrix: (C, C), memory-mapped or not.
        order: (n,) indices of the rows and columns that are shown, in order.
        low: the value of byte 0.
        high: the value of byte 254.
        smallest: halving stops below this side.

    Returns:
        (n, n), (n/2, n/2), … bytes; each cell of a level is the mean of the defined ones among its four.
    """
    base = np.empty((len(order), len(order)), dtype=np.uint8)
    for start in range(0, len(order), _ROWS_AT_ONCE):
        rows = order[start : start + _ROWS_AT_ONCE]
        base[start : start + len(rows)] = quantize(np.asarray(matrix[rows])[:, order], low, high)
    levels = [base]
    while len(levels[-1]) > smallest:
        levels.append(_halved(levels[-1]))
    return levels


def _halved(level: ByteArray) -> ByteArray:
    side = len(level) + len(level) % 2
    padded = np.full((side, side), UNDEFINED, dtype=np.uint8)
    padded[: len(level), : len(level)] = level
    quads = padded.reshape(side // 2, 2, side // 2, 2)
    defined = quads != UNDEFINED
    count = defined.sum(axis=(1, 3), dtype=np.uint16)
    # 16 bits: four bytes add up to more than one holds. Half the count makes the division round to the nearest.
    total = np.where(defined, quads, 0).sum(axis=(1, 3), dtype=np.uint16)
    return np.where(count == 0, UNDEFINED, (total + count // 2) // np.maximum(count, 1)).astype(np.uint8)


def tile(levels: Sequence[ByteArray], rows: tuple[int, int], columns: tuple[int, int], pixels: int) -> ByteArray:
    """Cut the part of a matrix from the coarsest level that still has a cell for each pixel.

    Args:
        levels: of `pyramid`.
        rows: first row and the one after the last, in cells of the finest level.
        columns: the same.
        pixels: longer side of the picture on the screen.

    Returns:
        Bytes, (rows, columns) of that level. They cover exactly the cells asked for when they are multiples
        of the level's step, and are cut to whole cells of the level otherwise.
    """
    longest = max(rows[1] - rows[0], columns[1] - columns[0])
    level = 0
    while level + 1 < len(levels) and longest >> (level + 1) >= pixels:
        level += 1
    step = 1 << level
    part = levels[level][rows[0] // step : -(-rows[1] // step), columns[0] // step : -(-columns[1] // step)]
    return np.ascontiguousarray(part)


def sprite(images: NDArray[np.uint8], scale: int) -> ByteArray:
    """Lay a grid of images out as one picture with transparent gaps.

    Args:
        images: (R, T, H, W) or (R, T, H, W, 3): R rows of T images.
        scale: side of a pixel in the picture; whole, so that pixels stay square and crisp.

    Returns:
        (R·(H·scale+GAP)−GAP, T·(W·scale+GAP)−GAP, 4) RGBA.
    """
    if images.ndim == 4:
        images = np.repeat(images[..., None], 3, axis=-1)
    images = images.repeat(scale, axis=2).repeat(scale, axis=3)
    rows, columns, height, width, _ = images.shape
    cells = np.zeros((rows, height + GAP, columns, width + GAP, 4), dtype=np.uint8)
    cells[:, :height, :, :width, :3] = images.transpose(0, 2, 1, 3, 4)
    cells[:, :height, :, :width, 3] = 255
    return cells.reshape(rows * (height + GAP), columns * (width + GAP), 4)[:-GAP, :-GAP]


def scale_for(side: int, most_pixels: int) -> int:
    """Return the largest whole factor by which an image is enlarged to at most so many pixels; at least 1."""
    return max(1, most_pixels // side)


def palette_png(cells: ByteArray, colours: ByteArray) -> bytes:
    """Encode bytes as a PNG with a palette of (256, 3) colours."""
    return _png(cells[..., None], 3, palette=colours)


def rgba_png(picture: ByteArray) -> bytes:
    """Encode an (H, W, 4) picture as a PNG."""
    return _png(picture, 6)


def _png(picture: ByteArray, colour_type: int, palette: ByteArray | None = None) -> bytes:
    height, width, depth = picture.shape
    lines = np.zeros((height, 1 + width * depth), dtype=np.uint8)  # each line begins with its filter: 0, none
    lines[:, 1:] = picture.reshape(height, -1)
    parts = [b"\x89PNG\r\n\x1a\n", _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, colour_type, 0, 0, 0))]
    if palette is not None:
        parts.append(_chunk(b"PLTE", palette.tobytes()))
    # Level 1: four times as fast as the default for a file a tenth larger, and these files travel a short way.
    parts += [_chunk(b"IDAT", zlib.compress(lines.tobytes(), 1)), _chunk(b"IEND", b"")]
    return b"".join(parts)


def _chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
