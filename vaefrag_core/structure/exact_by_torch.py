"""Exact information of two tiles by whole-array operations of torch, on a GPU or any other device."""

import math
from threading import Event

import numpy as np
import torch
from torch import Tensor

from vaefrag_core.array_types import BoolArray, FloatArray
from vaefrag_core.structure.exact_information import Comparison, bits_of_terms
from vaefrag_core.structure.posterior_tiles import MAX_EXPONENT, Tile

SLICE_IMAGES = 2_048  # written at a time: a few hundred MB on the device


def compare_on(device: torch.device) -> Comparison:
    """Return the comparison of tiles on a device, see `exact_information.compare_tiles`.

    Args:
        device: where it is computed. Positions are single precision where it has no double: then, and in the order of
            sums, results differ from the CPU's by 1e-6 bits or so.
    """

    def compare(first: Tile, second: Tile, p_first: FloatArray, p_second: FloatArray, ended: Event) -> FloatArray:
        n_images = first.source.shape[1]
        product = torch.zeros(first.n_columns, second.n_columns, device=device)
        for start in range(0, n_images, SLICE_IMAGES):
            if ended.is_set():
                break
            images = slice(start, min(start + SLICE_IMAGES, n_images))
            left = _written(first, images, device)
            product.addmm_(left.T, left if second is first else _written(second, images, device))
        product /= n_images
        rows, columns = (_as_single(p, device) for p in (p_first, p_second))
        ratio = product / rows[:, None].clamp_min(1e-30) / columns.clamp_min(1e-30)
        terms = product * (ratio.clamp_min(1e-37).log() - 1)
        by_second = _sums(terms.T, second, device)  # (L, G)
        block = _sums(by_second.T, first, device).double().cpu().numpy()
        return bits_of_terms(block, (first, p_first), (second, p_second))

    return compare


def _written(tile: Tile, images: slice, device: torch.device) -> Tensor:
    """Write Φ of some images, (images, columns)."""
    precise = torch.float64 if device.type != "mps" else torch.float32  # Apple's processors have no double
    source, channels = tile.source, tile.channels
    of_column = np.repeat(np.arange(len(channels)), np.diff(tile.edges)[: len(channels)])
    mean, logvar = (
        torch.tensor(a[channels, images].T, dtype=precise, device=device) for a in (source.mean, source.logvar)
    )
    sigma = (logvar / 2).exp().maximum(torch.tensor(tile.least_sigma[channels], dtype=precise, device=device))
    points, weights = (torch.tensor(a, dtype=precise, device=device) for a in (tile.points, tile.weights))
    column = torch.tensor(of_column, device=device)
    z = ((points - mean[:, column]) / sigma[:, column]).float()
    scale = (weights / sigma[:, column] / math.sqrt(2 * math.pi)).float()
    written = torch.exp(-(z * z / 2).clamp_max(MAX_EXPONENT)) * scale
    labels = [
        torch.tensor(
            source.codes[row - len(source.mean), images, None] == np.arange(stop - start), device=device
        ).float()
        for row, start, stop in zip(tile.rows, tile.edges[:-1], tile.edges[1:], strict=True)
        if row >= len(source.mean)
    ]
    return torch.cat([written, *labels], dim=1)


def _sums(columns: Tensor, tile: Tile, device: torch.device) -> Tensor:
    """Sum over the columns of each row of a tile: (G, H) to (K, H), in double precision where there is one."""
    precise = torch.float64 if device.type != "mps" else torch.float32
    of_column = torch.tensor(np.repeat(np.arange(len(tile.rows)), np.diff(tile.edges)), device=device)
    sums = torch.zeros(len(tile.rows), columns.shape[1], dtype=precise, device=device)
    return sums.index_add_(0, of_column, columns.to(precise))


def _as_single(values: FloatArray | BoolArray, device: torch.device) -> Tensor:
    return torch.tensor(values, dtype=torch.float32, device=device)
