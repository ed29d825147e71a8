"""Posteriors of many channels written on grids, side by side: the columns that exact information multiplies.

The columns of all rows are cut into tiles of whole rows. How they are cut depends neither on threads nor on N.
"""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from vaefrag_core.array_types import Float32Array, FloatArray, IntArray
from vaefrag_core.measures.channel_states import saturated_channels
from vaefrag_core.measures.gaussian import DEFAULT_DIVERGENCE
from vaefrag_core.measures.posterior_grid import SPACING, least_sigma, posterior_grid, resolved_grid
from vaefrag_core.structure.compared_rows import Rows

MOST_COLUMNS = 2_048  # of a tile: a product of two is 16 MB in single precision
FEWEST_COLUMNS = 256  # smaller products waste the processor
TILES = 4  # that few columns are cut into, so that all threads have some
SLICE_IMAGES = 1_024  # whose posteriors are written, and multiplied, at a time
# Beyond, a posterior counts as exp(−40): 4e-18 adds nothing to any sum, and products of two stay normal numbers, which
# single precision multiplies far faster than denormal ones.
MAX_EXPONENT = 40.0
ASKED_IMAGES = 256  # that a channel which no grid resolves is asked about


@dataclass(frozen=True, eq=False)
class Grid:
    """The points at which the posteriors of one channel are written, half a σ apart where it matters.

    Args:
        points: (G,) latent units; every second one makes the grid that pairs are compared on.
        weights: (G,) du at each of them.
        least_sigma: that narrower posteriors count as; 0 where all are resolved.
        tells_all: True when the channel tells every image from every other. It then needs no points.
    """

    points: FloatArray
    weights: FloatArray
    least_sigma: float = 0.0
    tells_all: bool = False

    @property
    def widened(self) -> bool:
        """Whether narrow posteriors count as wider."""
        return self.least_sigma > 0


def lay_grid(mean: FloatArray, logvar: FloatArray, ceiling_bits: float, spacing: float = SPACING / 2) -> Grid:
    """Lay the grid of one channel.

    Args:
        mean: (N,) latent units.
        logvar: (N,) ln σ².
        ceiling_bits: H(X), from which on a channel tells all images apart.
        spacing: of the points, in σ of the narrowest posteriors around.
    """
    sigma = np.exp(logvar / 2)
    grid = resolved_grid(mean, sigma, spacing)
    if grid is not None:
        return Grid(*grid)
    # What no grid resolves is nearly always an encoder without noise: the bound, on some images, says so for certain.
    if saturated_channels(_bound_on_some(mean, logvar), len(mean), ceiling_bits):
        return Grid(np.zeros(0), np.zeros(0), tells_all=True)
    least = least_sigma(mean, sigma)
    return Grid(*posterior_grid(mean, np.maximum(sigma, least), spacing), least)


def _bound_on_some(mean: FloatArray, logvar: FloatArray) -> float:
    """Bound the information from below, averaged over some of the images."""
    count = len(mean)
    asked = np.linspace(0, count - 1, min(ASKED_IMAGES, count)).round().astype(np.int64)
    overlaps = [np.exp(-DEFAULT_DIVERGENCE.along_dimension(mean[i], logvar[i], mean, logvar)).mean() for i in asked]
    return float(-np.log2(overlaps).mean())


@dataclass(frozen=True, eq=False)
class Tile:
    """The columns of K rows: channels on their grids, labels on their values.

    Args:
        source: all rows.
        rows: (K,) those of the tile, channels before labels.
        least_sigma: (C,) of all channels.
        points: (G,) of the channels of the tile, one after the other.
        weights: (G,) du at each of them.
        edges: (K + 1,) where the columns of each row begin and end.
    """

    source: Rows
    rows: IntArray
    least_sigma: FloatArray
    points: FloatArray
    weights: FloatArray
    edges: IntArray

    @classmethod
    def of(cls, source: Rows, rows: IntArray, grids: list[Grid], stride: int) -> "Tile":
        """Put the columns of some rows side by side.

        Args:
            source: C channels, then F labels.
            rows: (K,) some of them, channels before labels.
            grids: of all C channels.
            stride: 1 for all points, 2 for every second one.
        """
        count = len(source.mean)
        own = [grids[r] for r in rows if r < count]
        points = [grid.points[::stride] for grid in own]
        values = [int(source.codes[r - count].max()) + 1 for r in rows if r >= count]
        return cls(
            source,
            np.asarray(rows, dtype=np.int64),
            np.array([grid.least_sigma for grid in grids]),
            np.concatenate([*points, np.zeros(0)]),
            np.concatenate([*(grid.weights[::stride] * stride for grid in own), np.zeros(0)]),
            np.concatenate([[0], np.cumsum([*map(len, points), *values])]).astype(np.int64),
        )

    @property
    def n_columns(self) -> int:
        """Columns of all its rows."""
        return int(self.edges[-1])

    @cached_property
    def channels(self) -> IntArray:
        """(K′,) the channels among its rows."""
        return self.rows[self.rows < len(self.source.mean)]

    def write(self, images: tuple[int, int], out: Float32Array) -> None:
        """Write Φ of some images.

        Args:
            images: first image and the one after the last.
            out: (images, columns), written.
        """
        from vaefrag_core.structure.exact_kernels import fill_posteriors

        source, channels = self.source, self.channels
        fill_posteriors(
            source.mean, source.logvar, self.least_sigma, channels, self.points, self.weights, self.edges, images, out
        )
        out[:, len(self.points) :] = 0.0
        inside = np.arange(images[1] - images[0])
        for start, row in zip(self.edges[len(channels) : -1], self.rows[len(channels) :], strict=True):
            out[inside, start + source.codes[row - len(source.mean), slice(*images)]] = 1.0

    def posterior_entropies(self) -> FloatArray:
        """Return the differential entropy of each row's posteriors, (K, N) nats; those of labels have none."""
        entropies = np.zeros((len(self.rows), self.source.shape[1]))
        for k, c in enumerate(self.channels):
            sigma = np.maximum(np.exp(self.source.logvar[c] / 2), self.least_sigma[c])
            entropies[k] = np.log(sigma) + 0.5 * math.log(2 * math.pi * math.e)
        return entropies


def slices(n_images: int) -> list[tuple[int, int]]:
    """Cut the images into slices."""
    return [(first, min(first + SLICE_IMAGES, n_images)) for first in range(0, n_images, SLICE_IMAGES)]


def cut_tiles(source: Rows, rows: IntArray, grids: list[Grid]) -> list[Tile]:
    """Cut rows into tiles of about as many columns each, on every second point of their grids.

    Args:
        source: C channels, then F labels.
        rows: (K,) some of them, channels before labels.
        grids: of all C channels.
    """
    whole = Tile.of(source, rows, grids, stride=2)
    most = min(MOST_COLUMNS, max(FEWEST_COLUMNS, -(-whole.n_columns // TILES)))
    tiles, first = [], 0
    for k in range(1, len(rows) + 1):
        if k == len(rows) or whole.edges[k + 1] - whole.edges[first] > most:
            tiles.append(Tile.of(source, whole.rows[first:k], grids, stride=2))
            first = k
    return tiles
