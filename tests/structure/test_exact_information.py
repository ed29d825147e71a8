"""Exact information against quadrature by scipy, against draws, against hard clusterings, and against itself."""

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from sklearn.metrics import mutual_info_score

from vaefrag_core.artifacts import Posteriors
from vaefrag_core.errors import InvalidInputError
from vaefrag_core.measures.gaussian import DEFAULT_DIVERGENCE
from vaefrag_core.structure.compared_rows import Rows
from vaefrag_core.structure.exact_by_torch import compare_on
from vaefrag_core.structure.exact_information import exact_bits
from vaefrag_core.structure.exact_sampling_errors import exact_pair_errors
from vaefrag_core.structure.hotspots import find_hotspots
from vaefrag_core.structure.matrices import compare_across, compare_channels
from vaefrag_core.structure.sampling_errors import corrected_nmi_inside


def rows_of(mean: np.ndarray, sigma: np.ndarray, codes: np.ndarray | None = None, **options: object) -> Rows:
    codes = np.zeros((0, mean.shape[1]), dtype=np.int64) if codes is None else codes
    return Rows(mean, 2 * np.log(sigma), codes, **options)  # type: ignore[arg-type]


def density(u: float, mean: np.ndarray, sigma: np.ndarray) -> np.ndarray:
    return np.exp(-(((u - mean) / sigma) ** 2) / 2) / sigma / math.sqrt(2 * math.pi)


def information_by_scipy(mean: np.ndarray, sigma: np.ndarray) -> float:
    def integrand(u: float) -> float:
        p = density(u, mean, sigma)
        return float(np.mean(p * np.log2(np.maximum(p, 1e-300) / max(p.mean(), 1e-300))))

    edges = np.unique(np.concatenate([mean + k * sigma for k in (-12, -6, -3, -1, 0, 1, 3, 6, 12)]))
    return sum(quad(integrand, a, b, epsabs=1e-10)[0] for a, b in pairwise(edges))


def shared_by_scipy(first: tuple[np.ndarray, np.ndarray], second: tuple[np.ndarray, np.ndarray]) -> float:
    """Gauss–Legendre in both directions, between edges that follow every posterior."""
    nodes, weights = np.polynomial.legendre.leggauss(12)
    axes = []
    for mean, sigma in (first, second):
        edges = np.unique(np.concatenate([mean + k * sigma for k in (-9, -6, -4, -2.5, -1, 0, 1, 2.5, 4, 6, 9)]))
        half = np.diff(edges)[:, None] / 2
        points = ((edges[:-1, None] + half) + half * nodes).ravel()
        axes.append((density(points[:, None], mean, sigma), (half * weights).ravel()))
    (p, w), (q, v) = axes
    joint = p @ q.T / p.shape[1]
    ratio = joint / np.maximum(np.outer(p.mean(axis=1), q.mean(axis=1)), 1e-300)
    return float((np.outer(w, v) * joint * np.log2(np.maximum(ratio, 1e-300))).sum())


@pytest.fixture(scope="module")
def few() -> tuple[np.ndarray, np.ndarray]:
    """Give eight images and three channels: of like σ, of σ that vary by 100, and with one posterior far out."""
    rng = np.random.default_rng(1)
    mean = rng.normal(size=(3, 8))
    sigma = np.exp(rng.normal(-1, 0.2, (3, 8)))
    sigma[1] = np.geomspace(0.01, 1, 8)
    mean[2, 0], sigma[2, 1] = 1e3, 20.0
    return mean, sigma


def test_information_is_the_integral(few: tuple[np.ndarray, np.ndarray]) -> None:
    bits = exact_bits(rows_of(*few)).information
    right = [information_by_scipy(m, s) for m, s in zip(*few, strict=True)]
    np.testing.assert_allclose(bits, right, atol=1e-5)


def test_what_pairs_share_is_the_integral(few: tuple[np.ndarray, np.ndarray]) -> None:
    found = exact_bits(rows_of(*few))
    channels = list(zip(*few, strict=True))
    right = [[shared_by_scipy(first, second) for second in channels] for first in channels]
    np.testing.assert_allclose(found.shared, right, atol=1e-4)
    assert found.error_bits < 1e-4
    plain = exact_bits(rows_of(few[0][:1], few[1][:1]))
    assert plain.shared[0, 0] == pytest.approx(right[0][0], abs=1e-6)  # σ that hardly vary


@pytest.mark.parametrize("bits", [2, 4, 6])
def test_monte_carlo_agrees(bits: int) -> None:
    rng = np.random.default_rng(bits)
    sigma = 1 / math.sqrt(2 ** (2 * bits) - 1)
    mean = rng.normal(size=(2, 300))
    mean[1] = 0.8 * mean[0] + 0.6 * mean[1]
    found = exact_bits(rows_of(mean, np.full_like(mean, sigma)))
    image = rng.integers(300, size=100_000)
    u, v = mean[:, image] + sigma * rng.normal(size=(2, 100_000))
    logs = []
    for part in np.array_split(np.arange(100_000), 50):
        p, q = (np.exp(-(((x[part, None] - m) / sigma) ** 2) / 2) for x, m in ((u, mean[0]), (v, mean[1])))
        logs.append(np.log2((p * q).mean(axis=1) / (p.mean(axis=1) * q.mean(axis=1))))
    logs = np.concatenate(logs)
    assert abs(logs.mean() - found.shared[0, 1]) < 3 * logs.std() / math.sqrt(len(logs))


def test_groups_that_never_overlap_are_hard_clusterings() -> None:
    rng = np.random.default_rng(0)
    groups = rng.integers(5, size=(2, 200))
    labels = rng.integers(3, size=(1, 200))
    found = exact_bits(rows_of(groups * 100.0, np.ones((2, 200)), labels))
    clusterings = [*groups, *labels]
    right = [[mutual_info_score(a, b) / math.log(2) for b in clusterings] for a in clusterings]
    np.testing.assert_allclose(found.shared, right, atol=2e-5)
    np.testing.assert_allclose(found.information, np.diagonal(right), atol=2e-5)


def test_it_is_never_below_the_bound() -> None:
    rng = np.random.default_rng(0)
    for _ in range(5):
        mean = rng.normal(size=(1, 80, 6)) * rng.uniform(0.1, 10)
        posteriors = Posteriors(mean, rng.normal(-2, 1, mean.shape))
        bound, exact = (compare_channels(posteriors, estimator=name).information_bits for name in ("bound", "exact"))
        assert (exact > bound - 1e-6).all()
        assert (exact < math.log2(80) + 1e-4).all()


def test_independent_channels_on_many_images_share_nothing() -> None:
    rng = np.random.default_rng(0)
    mean = rng.normal(size=(2, 60_000))
    found = exact_bits(rows_of(mean, np.full_like(mean, 1 / math.sqrt(15))), threads=2)
    np.testing.assert_allclose(found.information, 2.0, atol=0.02)
    assert found.shared[0, 1] / found.shared[0, 0] < 5e-4


def test_threads_and_order_change_nothing() -> None:
    rng = np.random.default_rng(0)
    mean, sigma = rng.normal(size=(30, 300)), np.exp(rng.normal(-2, 0.5, (30, 300)))
    once, again = (exact_bits(rows_of(mean, sigma), threads=threads) for threads in (1, 3))
    np.testing.assert_array_equal(once.shared, again.shared)
    np.testing.assert_array_equal(once.information, again.information)
    turned = exact_bits(rows_of(-3 * mean[::-1] + 1e4, 3 * sigma[::-1]))
    np.testing.assert_allclose(turned.shared[::-1, ::-1], once.shared, atol=1e-5)


def test_groups_of_rows_are_left_out() -> None:
    rng = np.random.default_rng(0)
    mean, sigma = rng.normal(size=(6, 100)), np.full((6, 100), 0.3)
    whole = exact_bits(rows_of(mean, sigma)).shared
    added = exact_bits(rows_of(mean, sigma, n_first=4)).shared
    skipped = np.ones((4, 4), dtype=bool) & ~np.eye(4, dtype=bool)
    assert np.isnan(added[:4, :4][skipped]).all()
    kept = np.isfinite(added)
    assert kept.sum() == 36 - 12
    np.testing.assert_allclose(added[kept], whole[kept], atol=1e-6)
    sides = [(mean[part], 2 * np.log(sigma[part])) for part in (slice(4), slice(4, None))]
    own = np.sqrt(np.outer(whole.diagonal()[:4], whole.diagonal()[4:]))
    np.testing.assert_allclose(compare_across(*sides, estimator="exact"), whole[:4, 4:] / own, atol=1e-5)


def test_added_members_take_the_pairs_there_are() -> None:
    rng = np.random.default_rng(0)
    mean = rng.normal(size=(3, 100, 2))
    two, three = Posteriors(mean[:2], mean[:2] * 0 - 2), Posteriors(mean, mean * 0 - 2)
    earlier = compare_channels(two, estimator="exact")
    added = compare_channels(three, estimator="exact", earlier=earlier)
    np.testing.assert_array_equal(added.nmi[:4, :4], earlier.nmi)
    np.testing.assert_allclose(added.nmi, compare_channels(three, estimator="exact").nmi, atol=1e-6)
    by_bound = compare_channels(three, earlier=earlier)  # what another estimator found is none of its own
    np.testing.assert_array_equal(by_bound.nmi, compare_channels(three).nmi)


def test_channels_that_no_grid_resolves() -> None:
    rng = np.random.default_rng(0)
    mean = rng.normal(size=(3, 400))
    sigma = np.array([1e-12, 1e-3, 0.2])[:, None] * np.ones((3, 400))
    found = exact_bits(rows_of(mean, sigma))
    assert found.widened.tolist() == [False, True, False]
    assert found.information[0] == math.log2(400)  # tells every image from every other
    assert found.shared[0, 2] == found.information[2]
    assert 7 < found.information[1] <= found.information[0]
    assert found.error_bits < 1e-4
    matrix = compare_channels(Posteriors(mean.T[None], 2 * np.log(sigma).T[None]), estimator="exact")
    assert np.isnan(matrix.nmi[0]).all()
    assert any("too narrow" in message for message in matrix.messages)


def test_dead_channels_share_nothing() -> None:
    rng = np.random.default_rng(0)
    mean = np.stack([1e-4 * rng.normal(size=200), np.zeros(200), rng.normal(size=200)])
    matrix = compare_channels(Posteriors(mean.T[None], np.full((1, 200, 3), -1.0)), estimator="exact")
    assert (matrix.information_bits[:2] < 1e-5).all()
    assert np.isnan(matrix.nmi[:2]).all()
    assert matrix.vi_bits[0, 1] == pytest.approx(0, abs=1e-6)


def test_devices_agree() -> None:
    rng = np.random.default_rng(0)
    mean, sigma = rng.normal(size=(12, 500)), np.exp(rng.normal(-2, 0.5, (12, 500)))
    codes = rng.integers(4, size=(1, 500))
    here = exact_bits(rows_of(mean, sigma, codes))
    there = exact_bits(rows_of(mean, sigma, codes), compare=compare_on(torch.device("cpu")))
    np.testing.assert_allclose(there.shared, here.shared, atol=2e-6)


def test_it_can_be_stopped() -> None:
    rng = np.random.default_rng(0)
    mean = rng.normal(size=(60, 600))

    def stop(done: int, total: int) -> None:
        assert done <= total
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        exact_bits(rows_of(mean, np.full_like(mean, 0.2)), threads=2, on_progress=stop)


def test_divergences_are_of_the_bound() -> None:
    posteriors = Posteriors(np.zeros((1, 5, 1)), np.zeros((1, 5, 1)))
    other = replace(DEFAULT_DIVERGENCE, name="another")
    with pytest.raises(InvalidInputError, match="no divergence"):
        compare_channels(posteriors, estimator="exact", divergence=other)


@pytest.mark.parametrize(("bits", "rho", "images"), [(2, 0.5, 100), (4, 0.9, 300), (5, 0.0, 300)])
def test_corrected_nmi_is_that_of_images_without_end(bits: int, rho: float, images: int) -> None:
    noise = 1 / (2 ** (2 * bits) - 1)
    found = []
    for seed in range(4):
        rng = np.random.default_rng(seed)
        mean = rng.normal(size=(6, images, 5))
        mean[:, :, 0] = math.sqrt(rho) * rng.normal(size=images) + math.sqrt(1 - rho) * mean[:, :, 0]
        matrix = compare_channels(Posteriors(mean, np.full_like(mean, math.log(noise))), estimator="exact")
        corrected = matrix.corrected_nmi(np.arange(6) * 5)
        found.append(corrected[~np.eye(6, dtype=bool)].mean())
    # two Gaussian variables of that correlation, and the noise of both
    shared, own = (math.log(1 - (r / (1 + noise)) ** 2) for r in (rho, 1.0))
    assert np.mean(found) == pytest.approx(shared / own, abs=0.03)


def test_errors_are_how_far_other_images_move_it() -> None:
    rng = np.random.default_rng(0)
    values, errors, inside = [], [], []
    for _ in range(60):
        signal = rng.normal(size=(1, 100, 1))
        mean = np.concatenate([signal + 0.5 * rng.normal(size=(5, 100, 1)), rng.normal(size=(5, 100, 1))], axis=2)
        posteriors = Posteriors(mean, np.full_like(mean, 2 * math.log(0.3)))
        matrix = compare_channels(posteriors, estimator="exact", threads=1, errors=True)
        flat = [array[[0, 2]] for array in posteriors.flat()]
        pair = exact_pair_errors(*flat)
        assert pair.bits[0] == pytest.approx(matrix.information_error[0], rel=1e-6)
        values.append((matrix.information_bits[0], matrix.nmi[0, 2], matrix.vi_bits[0, 2]))
        errors.append((pair.bits[0], pair.nmi, pair.vi_bits))
        hotspots = find_hotspots(matrix)
        found = corrected_nmi_inside(posteriors, matrix, hotspots)
        inside.append((found.corrected[0], found.error[0]))
    spread = np.std(values, axis=0)
    np.testing.assert_allclose(np.mean(errors, axis=0), spread, rtol=0.35)
    assert np.mean(inside, axis=0)[1] == pytest.approx(np.std(inside, axis=0)[0], rel=0.4)
