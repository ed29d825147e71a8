"""Standard errors over the choice of images, of what is integrated: see `measures.sampling_error`.

An integral over the mean of all posteriors moves with an image k by what that image's own posterior averages of the
integrand, and by its part in that mean. With p = meanᵢ pᵢ,

    I(X;U):  φ_k = ∫ p_k log2 [p_k / p] + (1/N) ∫ p_k² / p / ln 2
    I(U;V):  φ_k = ∫∫ p_k(u) p_k(v) log2 [p(u,v) / (p(u) p(v))]
                   − (1/N) { ∫∫ p_k(u)² p_k(v)² / p(u,v) − ∫ p_k(u)² / p(u) − ∫ p_k(v)² / p(v) } / ln 2

but for constants. The terms of 1/N take the image's own part out of the mean: one that is drawn in its place has it,
too. Needs no torch.
"""

import math
from collections.abc import Iterator

import numpy as np

from vaefrag_core.array_types import Float32Array, FloatArray
from vaefrag_core.measures.sampling_error import PairErrors, pair_errors_from_influences, standard_error
from vaefrag_core.structure.compared_rows import Rows
from vaefrag_core.structure.posterior_tiles import Tile, lay_grid, slices

LEAST = 1e-30  # of a probability that is divided by


def exact_information_errors(mean: FloatArray, logvar: FloatArray) -> FloatArray:
    """Standard error of the integrated information of every channel, over the choice of images.

    Args:
        mean: (C, N), latent units.
        logvar: (C, N), ln σ².

    Returns:
        (C,) bits.

    Example:
        >>> exact_information_errors(np.array([[0.0, 0.0, 100.0]]), np.zeros((1, 3))).round(3).tolist()
        [0.574]
    """
    rows = range(len(mean))
    return np.array([float(standard_error(Integrals(mean[c : c + 1], logvar[c : c + 1]).alone[1][0])) for c in rows])


def exact_pair_errors(mean: FloatArray, logvar: FloatArray) -> PairErrors:
    """Standard errors of integrated information, NMI and VI of two channels, over the choice of images.

    Args:
        mean: (2, N), latent units.
        logvar: (2, N), ln σ².
    """
    integrals = Integrals(mean, logvar)
    bits, alone = integrals.alone
    single = [np.concatenate([[bits[k]], alone[k]]) for k in range(2)]
    own_a, own_b, shared = (
        np.concatenate([[integrals.shared(weight)], integrals.shared_influence(weight)])
        for weight in (np.diag([1.0, 0.0]), np.diag([0.0, 1.0]), np.array([[0.0, 0.5], [0.5, 0.0]]))
    )
    return pair_errors_from_influences(single[0], single[1], shared, own_a, own_b)


class Integrals:
    """K channels written on grids of one σ, what all pairs of their columns hold, and what one image adds.

    Args:
        mean: (K, N), latent units.
        logvar: (K, N), ln σ².
    """

    def __init__(self, mean: FloatArray, logvar: FloatArray) -> None:
        rows = Rows(mean, logvar, np.zeros((0, mean.shape[1]), dtype=np.int64))
        grids = [lay_grid(*channel, math.inf) for channel in zip(mean, logvar, strict=True)]
        self.tile = Tile.of(rows, np.arange(len(mean)), grids, stride=2)
        self.n_images = mean.shape[1]
        self._belongs = np.repeat(np.eye(len(mean)), np.diff(self.tile.edges), axis=0)  # (G, K)
        single, both = np.zeros(self.tile.n_columns), np.zeros((self.tile.n_columns,) * 2)
        for columns in self._slices():
            single += columns.sum(axis=0, dtype=np.float64)
            both += columns.T @ columns
        self._single = np.maximum(single / self.n_images, LEAST)
        self._both = np.maximum(both / self.n_images, LEAST)
        self._log_ratio = np.log(self._both / np.outer(self._single, self._single))

    def _slices(self) -> Iterator[Float32Array]:
        """Yield Φ of some images at a time, (images, G)."""
        for images in slices(self.n_images):
            columns = np.empty((images[1] - images[0], self.tile.n_columns), dtype=np.float32)
            self.tile.write(images, columns)
            yield columns

    @property
    def alone(self) -> tuple[FloatArray, FloatArray]:
        """I(X;U) (K,), bits, and the influence of every image on it, (K, N)."""
        density = np.log(self._single / self.tile.weights)
        entropy, influences = self.tile.posterior_entropies(), []
        for columns in self._slices():
            own = (columns * columns) @ (self._belongs / self._single[:, None]) / self.n_images
            influences.append((own - columns @ (self._belongs * density[:, None])).T)
        influence = np.concatenate(influences, axis=1) - entropy
        bits = -(self._single * density) @ self._belongs - entropy.mean(axis=1)
        return bits / math.log(2), influence / math.log(2)

    @property
    def square_overlap(self) -> tuple[FloatArray, FloatArray]:
        """∫ E[p_i²] / p − 1 (K,), by which chance grows, and the influence of every image on it, (K, N)."""
        square, firsts = np.zeros(self.tile.n_columns), []
        for columns in self._slices():
            square += (columns.astype(np.float64) ** 2).sum(axis=0)
        square /= self.n_images
        for columns in self._slices():
            ratio = columns / self._single
            # its own part in the mean is taken out, as everywhere
            terms = columns * ratio * (1 + ratio / self.n_images) - ratio * (square / self._single)
            firsts.append((terms @ self._belongs).T)
        return (square / self._single) @ self._belongs - 1, np.concatenate(firsts, axis=1)

    def shared(self, weight: FloatArray) -> float:
        """Σ_uv w_uv I(U;V), bits."""
        return float((self._weighted(weight) * self._both * self._log_ratio).sum() / math.log(2))

    def shared_influence(self, weight: FloatArray) -> FloatArray:
        """Return the influence of every image on Σ_uv w_uv I(U;V), (N,) bits.

        Args:
            weight: (K, K) symmetric weights.
        """
        per_column = self._weighted(weight)
        ratio, inverse = ((per_column * array).astype(np.float32) for array in (self._log_ratio, 1 / self._both))
        singly = 2 * self._belongs @ weight.sum(axis=1) / self._single
        influences = []
        for columns in self._slices():
            square = columns * columns
            own = np.einsum("ng,ng->n", square @ inverse, square) - square @ singly
            influences.append(np.einsum("ng,ng->n", columns @ ratio, columns) - own / self.n_images)
        return np.concatenate(influences) / math.log(2)

    def _weighted(self, weight: FloatArray) -> FloatArray:
        """Write the weight of each pair of rows at all pairs of their columns, (G, G)."""
        return np.asarray(self._belongs @ weight @ self._belongs.T)
