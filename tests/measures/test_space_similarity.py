"""Similarity of whole spaces against the definitions written out, and against other libraries."""

from itertools import permutations, product

import numpy as np
import pytest
from scipy.spatial import procrustes as scipy_procrustes
from scipy.spatial.distance import pdist
from scipy.stats import spearmanr
from sklearn.cross_decomposition import CCA

from vaefrag_core.array_types import FloatArray
from vaefrag_core.artifacts.image_copies import shuffled_images
from vaefrag_core.measures.information_terms import above_chance
from vaefrag_core.measures.space_similarity import (
    SPACE_MEASURES,
    prepare_space,
    space_similarities,
)

CKA, SVCCA, RSA, PROCRUSTES, MCC = range(5)


def compare(*means: FloatArray) -> FloatArray:
    return space_similarities([prepare_space(mean) for mean in means])


@pytest.fixture
def pair() -> tuple[FloatArray, FloatArray]:
    """Two spaces of 3 and 4 channels that share some, in units of their own."""
    rng = np.random.default_rng(3)
    first = rng.normal(size=(40, 3)) * [1, 2, 0.7] + 5
    second = np.column_stack([first @ rng.normal(size=(3, 2)), rng.normal(size=(40, 2))]) - 3
    return first, second


def hsic_by_double_sums(kernel: FloatArray, other: FloatArray) -> float:
    """The unbiased estimate as averages over distinct pairs, triples and quadruples of images."""
    n = range(len(kernel))
    pairs = np.mean([kernel[i, j] * other[i, j] for i, j in product(n, n) if i != j])
    triples = np.mean([kernel[i, j] * other[i, k] for i, j, k in product(n, n, n) if len({i, j, k}) == 3])
    quads = np.mean([kernel[i, j] * other[k, m] for i, j, k, m in product(n, n, n, n) if len({i, j, k, m}) == 4])
    return float(pairs - 2 * triples + quads)


def test_cka_is_the_ratio_of_unbiased_estimates_over_distinct_images(pair: tuple[FloatArray, FloatArray]) -> None:
    first, second = (mean[:9] for mean in pair)
    kernels = first @ first.T, second @ second.T
    own = [hsic_by_double_sums(kernel, kernel) for kernel in kernels]
    expected = hsic_by_double_sums(*kernels) / np.sqrt(own[0] * own[1])
    assert compare(first, second)[CKA, 0, 1] == pytest.approx(expected, abs=1e-10)


def test_svcca_is_the_mean_canonical_correlation(pair: tuple[FloatArray, FloatArray]) -> None:
    parts = CCA(n_components=3, tol=1e-12, max_iter=10_000).fit_transform(*pair)
    expected = np.mean([np.corrcoef(a, b)[0, 1] for a, b in zip(parts[0].T, parts[1].T, strict=True)])
    assert compare(*pair)[SVCCA, 0, 1] == pytest.approx(expected, abs=1e-4)


def test_rsa_is_the_rank_correlation_of_distances(pair: tuple[FloatArray, FloatArray]) -> None:
    expected = spearmanr(pdist(pair[0]), pdist(pair[1])).statistic
    assert compare(*pair)[RSA, 0, 1] == pytest.approx(expected, abs=1e-12)


def test_procrustes_is_one_less_the_disparity(pair: tuple[FloatArray, FloatArray]) -> None:
    padded = np.column_stack([pair[0], np.zeros(40)])
    assert compare(*pair)[PROCRUSTES, 0, 1] == pytest.approx(1 - scipy_procrustes(padded, pair[1])[2], abs=1e-12)


def test_mcc_is_the_best_of_all_assignments(pair: tuple[FloatArray, FloatArray]) -> None:
    correlation = np.abs(np.corrcoef(pair[0].T, pair[1].T)[:3, 3:])
    expected = max(np.mean([correlation[c, d] for c, d in enumerate(way)]) for way in permutations(range(4), 3))
    assert compare(*pair)[MCC, 0, 1] == pytest.approx(expected, abs=1e-12)


def test_what_does_not_matter_to_each_measure() -> None:
    rng = np.random.default_rng(0)
    mean = rng.normal(size=(200, 4))
    turned = mean @ np.linalg.qr(rng.normal(size=(4, 4)))[0]
    found = compare(mean, 3 * turned + 1, -mean[:, ::-1] * [1, 10, 0.5, 3])
    np.testing.assert_allclose(found[[CKA, SVCCA, RSA, PROCRUSTES], 0, 1], 1)
    assert found[MCC, 0, 1] < 0.95  # axes matter to it
    np.testing.assert_allclose(found[[MCC], 0, 2], 1)
    assert (found[[CKA, RSA, PROCRUSTES], 0, 2] < 0.95).all()  # and scales to these
    np.testing.assert_allclose(found, found.transpose(0, 2, 1))


def test_constant_channels_are_left_out_and_empty_spaces_undefined(pair: tuple[FloatArray, FloatArray]) -> None:
    beside = np.column_stack([pair[0], np.full(40, 7.0)])
    found = compare(*pair, beside, np.ones((40, 2)))
    np.testing.assert_allclose(found[:, 1, 2], found[:, 1, 0])
    assert np.isnan(found[:, 3]).all()
    assert np.isfinite(found[:, :3, :3]).all()
    assert np.isnan(compare(*(mean[:3] for mean in pair))).all()  # of three images CKA is not defined


def test_independent_spaces_are_above_the_highest_of_19_shuffles_once_in_twenty() -> None:
    above, corrected = [], []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        spaces = [prepare_space(rng.normal(size=(60, k))) for k in (2, 3, 5)]
        shuffles = []
        for r in range(19):
            orders = shuffled_images(np.arange(60), 3, np.random.default_rng(100 * seed + r))
            shuffles.append(space_similarities([s.reordered(o) for s, o in zip(spaces, orders, strict=True)]))
        upper = (slice(None), *np.triu_indices(3, 1))
        found = space_similarities(spaces)[upper]
        above.append(found > np.max(shuffles, axis=0)[upper])
        corrected.append(above_chance(found, np.mean(shuffles, axis=0)[upper]))
    assert np.array(above).shape == (60, len(SPACE_MEASURES), 3)
    rates = np.mean(above, axis=(0, 2))
    assert ((rates > 0.005) & (rates < 0.11)).all()  # 5 % of 180 pairs, ± 3.5 standard deviations of unlike pairs
    np.testing.assert_allclose(np.mean(corrected, axis=(0, 2)), 0, atol=0.02)


def test_copies_stay_together_when_images_are_shuffled() -> None:
    copy_of = np.array([0, 1, 0, 3, 4, 1])
    for order in shuffled_images(copy_of, 5, np.random.default_rng(0)):
        assert order[0] == order[2]
        assert order[1] == order[5]
        assert set(order.tolist()) == {0, 1, 3, 4}
