"""Images with named factors: what every data set consists of, for training and for the fingerprint.

Letters: N images of H×W pixels, B images of a batch.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from vaefrag_core.array_types import Float32Array, ImageArray, IntArray, TextArray
from vaefrag_core.artifacts.posterior_arrays import as_identifiers
from vaefrag_core.errors import InvalidInputError


class ImageSource(Protocol):
    """Images read by index: from memory, from a memory-mapped file, or drawn on demand.

    `numpy.ndarray` and `numpy.memmap` are image sources.
    """

    @property
    def shape(self) -> tuple[int, ...]:
        """(N, H, W) or (N, H, W, 3)."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """uint8 for images, float32 for points."""

    def __len__(self) -> int: ...

    def __getitem__(self, indices: IntArray, /) -> ImageArray | Float32Array: ...


@dataclass(frozen=True)
class PointFormat:
    """The range of data that are points rather than pictures, and how they are drawn for people.

    Args:
        low: the smallest value.
        high: the largest value.
        draw: turns points (N, H, W) float32, from the data set or a decoder, into pictures (N, h, w) uint8.
    """

    low: float
    high: float
    draw: Callable[[Float32Array], ImageArray]


@dataclass(frozen=True, eq=False)
class Factor:
    """A property that is known of every image: its class, or a cause that was varied.

    Args:
        name: the factor's name on the pages.
        codes: (N,) whole numbers; image i has the level `levels[codes[i]]`.
        levels: the meaning of each code.

    Raises:
        InvalidInputError: when a code has no level.

    Example:
        >>> Factor("digit", np.array([1, 0]), ("zero", "one")).texts(np.array([0]))
        array(['one'], dtype='<U4')
    """

    name: str
    codes: IntArray
    levels: tuple[str, ...]

    def __post_init__(self) -> None:
        codes = np.asarray(self.codes)
        if codes.ndim != 1 or not np.issubdtype(codes.dtype, np.integer):
            raise InvalidInputError(
                f"Expected the codes of factor {self.name!r} as (N,) whole numbers, got shape {codes.shape} of type"
                f" {codes.dtype}. Number the levels from 0."
            )
        if codes.size and (codes.min() < 0 or codes.max() >= len(self.levels)):
            raise InvalidInputError(
                f"Expected codes 0…{len(self.levels) - 1} for the {len(self.levels)} levels of factor {self.name!r},"
                f" got {codes.min()}…{codes.max()}. Name every level."
            )
        object.__setattr__(self, "codes", codes.astype(np.int64, copy=False))
        object.__setattr__(self, "levels", tuple(self.levels))

    def texts(self, indices: IntArray) -> TextArray:
        """Return the names of the levels of some images, in the order of `indices`."""
        return np.array(self.levels, dtype=np.str_)[self.codes[indices]]


@dataclass(frozen=True, eq=False)
class ImageDataset:
    """A data set: images and their factors.

    Args:
        name: the name listed by `vaefrag datasets`.
        images: (N, H, W) or (N, H, W, 3) uint8, 0 black … 255 white.
        factors: the properties known of every image; may be empty.
        origin: where the images come from, in words.
        remarks: sentences that whoever trains on the images should read.
        report: the name of each source file and how it was read; empty for data sets of one file.
        point_format: set when "images" are points, (N, H, W) float32, which networks take unscaled.
        identifiers: names of factors that name images rather than tell something of them.

    Raises:
        InvalidInputError: when an array has the wrong shape or type; the message gives the expected one. When an
            identifier is no factor.

    Example:
        >>> dataset = ImageDataset("two", np.array([[[0, 255]], [[51, 0]]], dtype=np.uint8), (), "typed in")
        >>> dataset.batch(np.array([1])).tolist()
        [[[[0.20000000298023224, 0.0]]]]
    """

    name: str
    images: ImageSource
    factors: Sequence[Factor]
    origin: str
    remarks: Sequence[str] = ()
    report: Sequence[tuple[str, str]] = ()
    point_format: PointFormat | None = None
    identifiers: Sequence[str] = ()

    def __post_init__(self) -> None:
        shape, dtype = tuple(self.images.shape), self.images.dtype
        if self.point_format is None and dtype != np.uint8:
            raise InvalidInputError(
                f"Expected the images of {self.name!r} as uint8 (0…255), got {dtype}. Scale and round them first."
            )
        if self.point_format is not None and dtype != np.float32:
            raise InvalidInputError(f"Expected the points of {self.name!r} as float32, got {dtype}. Convert them.")
        if not (len(shape) == 3 or (len(shape) == 4 and shape[3] == 3)) or 0 in shape:
            raise InvalidInputError(
                f"Expected the images of {self.name!r} in the shape (N, H, W), or (N, H, W, 3) with colour, got"
                f" {shape}. Reorder the axes, and leave no axis empty."
            )
        object.__setattr__(self, "factors", tuple(self.factors))
        names = self.factor_names()
        if len(set(names)) != len(names):
            raise InvalidInputError(
                f"Expected a different name for each factor of {self.name!r}, got {', '.join(names)}."
            )
        object.__setattr__(self, "identifiers", as_identifiers(self.identifiers, names))
        for factor in self.factors:
            if len(factor.codes) != shape[0]:
                raise InvalidInputError(
                    f"Expected {shape[0]:,} codes of factor {factor.name!r}, one for each image of {self.name!r}, got"
                    f" {len(factor.codes):,}."
                )

    @property
    def n_images(self) -> int:
        """N."""
        return int(self.images.shape[0])

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Height, width and channels (1 grey, 3 colour) of an image."""
        height, width = self.images.shape[1:3]
        return int(height), int(width), 3 if len(self.images.shape) == 4 else 1

    @property
    def pixels(self) -> int:
        """Numbers in an image: height × width × channels."""
        height, width, channels = self.image_shape
        return height * width * channels

    def factor_names(self) -> tuple[str, ...]:
        """Return the names of the factors, in order."""
        return tuple(factor.name for factor in self.factors)

    def batch(self, indices: IntArray) -> Float32Array:
        """Return some images as a network takes them; the only place where pixels are scaled.

        Args:
            indices: (B,) positions in the data set.

        Returns:
            (B, channels, H, W), 0 black … 1 white; points as they are.
        """
        images = np.asarray(self.images[indices])
        planes = images[:, None] if images.ndim == 3 else images.transpose(0, 3, 1, 2)
        batch = planes.astype(np.float32, order="C")
        if self.point_format is None:
            batch /= 255
        return batch

    def pictures(self, indices: IntArray) -> ImageArray:
        """Return some images as pictures for people: points are drawn.

        Args:
            indices: (B,) positions in the data set.

        Returns:
            (B, h, w) or (B, h, w, 3) uint8.
        """
        images: Any = np.ascontiguousarray(self.images[indices])
        return images if self.point_format is None else self.point_format.draw(images)
