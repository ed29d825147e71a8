"""Similarity of whole spaces by their posterior means, as the field measures it: CKA, SVCCA, RSA, Procrustes, MCC.

All look at points and none at the noise around them, so that none measures information; docs/method.md shows which is
right when. Spaces are (N, K) arrays of the same N images. Each is prepared once, and its images can then be put into
another order at no cost, so that a null of shuffled images is cheap.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vaefrag_core.array_types import FloatArray, IntArray

SPACE_MEASURES = ("cka", "svcca", "rsa", "procrustes", "mcc")
SVCCA_VARIANCE = 0.99  # of a space that its leading directions hold, as published
RSA_IMAGES = 300  # whose distances are compared: 44,850 pairs of them, far more than the correlation needs
FEWEST_IMAGES = 4  # that the unbiased estimate of CKA is defined for


@dataclass(frozen=True, eq=False)
class PreparedSpace:
    """One space, with what its comparisons need.

    Args:
        centred: (N, K) means less their average over images, divided by the Frobenius norm of all of them.
        directions: (N, r) orthonormal directions that hold 99 % of the variance, for SVCCA.
        standardized: (N, K) channels of mean 0 and norm 1, for MCC.
        distance_ranks: (n, n) ranks of the distances between the first n ≤ 300 images, of mean 0 and norm 1 above the
            diagonal, for RSA.
    """

    centred: FloatArray
    directions: FloatArray
    standardized: FloatArray
    distance_ranks: FloatArray

    @property
    def empty(self) -> bool:
        """Whether no channel varies, so that there is nothing to compare."""
        return not self.centred.shape[1]

    def reordered(self, order: IntArray) -> "PreparedSpace":
        """Return the space with its images in another order.

        Args:
            order: (N,) the image that takes each place. The n images whose distances are compared stay the same ones,
                shuffled among themselves.
        """
        first = np.argsort(order[: len(self.distance_ranks)], kind="stable")  # of a random order, a random order
        return PreparedSpace(
            self.centred[order], self.directions[order], self.standardized[order], self.distance_ranks[first][:, first]
        )


def prepare_space(mean: FloatArray) -> PreparedSpace:
    """Centre and scale a space for its comparisons. Channels that are constant are left out.

    Args:
        mean: (N, K) posterior means, finite, in any units.
    """
    from scipy.spatial.distance import pdist, squareform
    from scipy.stats import rankdata

    mean = np.asarray(mean, dtype=np.float64)
    mean = mean[:, np.ptp(mean, axis=0) > 0]
    centred = mean - mean.mean(axis=0)
    n_images, rsa_images = len(mean), min(len(mean), RSA_IMAGES)
    if not centred.shape[1]:
        return PreparedSpace(centred, centred, centred, np.zeros((rsa_images, rsa_images)))
    left, singular, _ = np.linalg.svd(centred, full_matrices=False)
    held = np.cumsum(singular**2) / (singular**2).sum()
    kept = min(int(np.searchsorted(held, SVCCA_VARIANCE)) + 1, n_images - 1)
    ranks = rankdata(pdist(mean[:rsa_images]))
    ranks -= ranks.mean()
    norm = np.linalg.norm(ranks)
    return PreparedSpace(
        centred / np.linalg.norm(singular),
        left[:, :kept],
        centred / np.linalg.norm(centred, axis=0),
        squareform(ranks / norm if norm else ranks),
    )


def space_similarities(spaces: Sequence[PreparedSpace]) -> FloatArray:
    """Compare all pairs of spaces by all measures.

    Args:
        spaces: M spaces of the same N images.

    Returns:
        (5, M, M), symmetric, in the order of `SPACE_MEASURES`. NaN where a space is empty, and of fewer than 4 images.

    Example:
        >>> space = prepare_space(np.random.default_rng(0).normal(size=(50, 3)))
        >>> space_similarities([space, space])[:, 0, 1].round(6).tolist()
        [1.0, 1.0, 1.0, 1.0, 1.0]
    """
    count = len(spaces)
    similarity = np.full((len(SPACE_MEASURES), count, count), np.nan)
    there = [m for m, space in enumerate(spaces) if not space.empty]
    if not there or len(spaces[0].centred) < FEWEST_IMAGES:
        return similarity
    filled = [spaces[m] for m in there]
    similarity[np.ix_([0], there, there)] = debiased_cka([space.centred for space in filled])
    upper = np.triu_indices(len(spaces[0].distance_ranks), 1)
    ranks = np.stack([space.distance_ranks[upper] for space in filled])
    similarity[np.ix_([2], there, there)] = np.where(
        np.outer(ranks.any(axis=1), ranks.any(axis=1)), ranks @ ranks.T, np.nan
    )
    for a, u in enumerate(there):
        for b in range(a, len(there)):
            v = there[b]
            pair = filled[a], filled[b]
            similarity[[1, 3, 4], u, v] = similarity[[1, 3, 4], v, u] = (
                svcca(*pair),
                procrustes(*pair),
                matched_correlation(*pair),
            )
    return similarity


def debiased_cka(spaces: Sequence[FloatArray]) -> FloatArray:
    """Debiased linear centred kernel alignment of all pairs of spaces.

    CKA(X,Y) = HSIC(X,Y) / √( HSIC(X,X) HSIC(Y,Y) ), of the unbiased estimate for the linear kernels K = XXᵀ, L = YYᵀ:

    N(N−3) HSIC = ‖XᵀY‖² − N/(N−2) Σᵢ ‖xᵢ‖²‖yᵢ‖² + Σᵢ ‖xᵢ‖² Σᵢ ‖yᵢ‖² / ((N−1)(N−2))

    which needs products of channels alone, and no N × N kernel.

    Args:
        spaces: M centred arrays (N, K), N ≥ 4.

    Returns:
        (M, M), at most about 1, and about 0, of either sign, of independent spaces. NaN where the estimate of HSIC(X,X)
        is not above 0.

    Reference: Song, L. et al. (2012). Feature selection via dependence maximization. JMLR 13, 1393-1434. Kornblith, S.
    et al. (2019). Similarity of neural network representations revisited. https://arxiv.org/abs/1905.00414
    """
    n_images = len(spaces[0])
    ends = np.cumsum([0] + [space.shape[1] for space in spaces])[:-1]
    channels = np.concatenate(spaces, axis=1)
    products = np.add.reduceat(np.add.reduceat((channels.T @ channels) ** 2, ends, axis=0), ends, axis=1)
    norms = np.stack([(space**2).sum(axis=1) for space in spaces])
    total = norms.sum(axis=1)
    hsic = products - n_images / (n_images - 2) * norms @ norms.T
    hsic += np.outer(total, total) / ((n_images - 1) * (n_images - 2))
    own = np.where(hsic.diagonal() > 0, hsic.diagonal(), np.nan)
    return np.asarray(hsic / np.sqrt(np.outer(own, own)))


def svcca(first: PreparedSpace, second: PreparedSpace) -> float:
    """Mean canonical correlation of the directions that hold 99 % of each space's variance, 0 to 1.

    The mean is over as many as the smaller space has: a space inside another one is found equal to it.

    Reference: Raghu, M. et al. (2017). SVCCA: singular vector canonical correlation analysis for deep learning dynamics
    and interpretability. https://arxiv.org/abs/1706.05806
    """
    return float(np.linalg.svd(first.directions.T @ second.directions, compute_uv=False).clip(0, 1).mean())


def procrustes(first: PreparedSpace, second: PreparedSpace) -> float:
    """Share of one space that the other one explains once it is shifted, turned and scaled to fit, 0 to 1.

    ( Σ of the singular values of XᵀY )², X and Y centred and of Frobenius norm 1: 1 less the disparity of Procrustes
    analysis. A smaller space is taken to have further channels that are 0.

    Reference: Gower, J. C. (1975). Generalized Procrustes analysis. Psychometrika 40, 33-51.
    https://doi.org/10.1007/BF02291478
    """
    return float(np.linalg.svd(first.centred.T @ second.centred, compute_uv=False).sum() ** 2)


def matched_correlation(first: PreparedSpace, second: PreparedSpace) -> float:
    """Mean absolute correlation of channels, matched one to one so that it is largest (MCC), 0 to 1.

    The mean is over the channels of the smaller space.

    Reference: Hyvärinen, A., Morioka, H. (2016). Unsupervised feature extraction by time-contrastive learning and
    nonlinear ICA. https://arxiv.org/abs/1605.06336
    """
    from scipy.optimize import linear_sum_assignment

    correlation = np.abs(first.standardized.T @ second.standardized)
    return float(correlation[linear_sum_assignment(correlation, maximize=True)].mean())
