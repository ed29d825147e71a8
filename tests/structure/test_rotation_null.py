"""Turned axes: what a turn keeps, what it changes, and that axes which are random are no better than others."""

import numpy as np
import pytest
from scipy.stats import binom, kstest

from vaefrag_core.artifacts import Posteriors, RotatedSearches
from vaefrag_core.artifacts.null_tests import below
from vaefrag_core.config import HotspotConfig
from vaefrag_core.structure.hotspots import find_hotspots
from vaefrag_core.structure.matrices import compare_channels
from vaefrag_core.structure.planted_ensembles import Planted, independent, plant, random_axes
from vaefrag_core.structure.rotation_null import random_orthogonal, rotated, search_rotated
from vaefrag_core.structure.similarity_inside import similarity_inside

CONFIG = HotspotConfig()


def test_random_matrices_are_orthogonal_and_even_in_all_directions() -> None:
    rng = np.random.default_rng(0)
    turns = np.array([random_orthogonal(3, rng) for _ in range(400)])
    np.testing.assert_allclose(turns @ turns.transpose(0, 2, 1), np.broadcast_to(np.eye(3), turns.shape), atol=1e-12)
    # The coordinates of an even direction in three dimensions are uniform (Archimedes).
    for row, column in np.ndindex(3, 3):
        assert kstest(turns[:, row, column], "uniform", args=(-1, 2)).pvalue > 1e-4


def test_a_turn_keeps_the_plane_of_the_means_and_the_bits_of_each_rank() -> None:
    posteriors = independent(3, 4, 120, seed=1)
    turned = rotated(posteriors, np.arange(12), np.random.default_rng(2))
    bits, turned_bits = (compare_channels(p).information_bits.reshape(3, 4) for p in (posteriors, turned))
    np.testing.assert_allclose(np.sort(turned_bits), np.sort(bits), atol=0.2)
    assert np.abs(np.sort(turned_bits) - np.sort(bits)).mean() < 0.05
    for member in range(3):
        before, after = (p.mean[member] - p.mean[member].mean(axis=0) for p in (posteriors, turned))
        coefficients, residual, *_ = np.linalg.lstsq(before, after, rcond=None)
        np.testing.assert_allclose(residual, 0, atol=1e-18 * after.size + 1e-12)  # the same plane
        assert np.abs(coefficients).max() < 0.999 * np.abs(coefficients).sum(axis=0).max()  # on other axes
        distances = [np.linalg.norm(array[:, None] - array[None, :], axis=2) for array in (before, after)]
        variance = before.var(axis=0) + np.median(np.exp(posteriors.logvar[member]), axis=0)
        scaled = before / np.sqrt(variance)
        np.testing.assert_allclose(np.linalg.norm(scaled[:, None] - scaled[None, :], axis=2), distances[1], atol=1e-9)


def test_stretching_a_channel_turns_no_other_way() -> None:
    posteriors = independent(3, 3, 80, seed=3)
    scale = np.array([0.1, 1.0, 30.0])
    stretched = Posteriors(posteriors.mean * scale, posteriors.logvar + 2 * np.log(scale))
    one, other = (rotated(p, np.arange(9), np.random.default_rng(5)) for p in (posteriors, stretched))
    np.testing.assert_allclose(one.mean, other.mean, atol=1e-9)
    np.testing.assert_allclose(one.logvar, other.logvar, atol=1e-6)


def test_where_axes_are_random_others_are_as_good() -> None:
    draws, p_values = 4, []
    for seed in range(20):
        posteriors = random_axes(4, 3, 60, seed)
        matrix = compare_channels(posteriors)
        groups = find_hotspots(matrix, CONFIG).groups
        best = max(similarity_inside(matrix, [group.channels for group in groups], CONFIG.measure), default=0.0)
        searches = search_rotated(posteriors, matrix, CONFIG, draws, seed=seed)
        p_values.append(float(searches.p_values(np.array([best]))[0]))
    for level in (0.2, 0.4):
        low, high = binom.ppf([0.001, 0.999], len(p_values), level)
        assert low <= sum(p <= level + 1e-9 for p in p_values) <= high


@pytest.mark.parametrize("measure", ["nmi", "vi"])
def test_planted_fragments_are_beyond_turned_axes(measure: str) -> None:
    posteriors, _ = plant(Planted(members=6, images=100), seed=0)
    matrix, config = compare_channels(posteriors), HotspotConfig(measure=measure)
    inside = similarity_inside(matrix, [g.channels for g in find_hotspots(matrix, config).groups], config.measure)
    seen: list[tuple[int, int]] = []
    searches = search_rotated(posteriors, matrix, config, 9, on_progress=lambda *step: seen.append(step))
    assert seen == [(draw + 1, 9) for draw in range(9)]
    assert searches.n_turned == 6
    np.testing.assert_array_equal(searches.percentiles(inside), [100.0] * 3)
    np.testing.assert_allclose(searches.p_values(inside), [0.1] * 3)


def test_members_of_one_channel_cannot_be_turned_and_nothing_is_beyond_them() -> None:
    posteriors, _ = plant(Planted(members=5, fragments=1, images=120, idle=0.0), seed=4)
    matrix = compare_channels(posteriors)
    inside = similarity_inside(matrix, [g.channels for g in find_hotspots(matrix, CONFIG).groups], CONFIG.measure)
    searches = search_rotated(posteriors, matrix, CONFIG, 5)
    assert searches.n_turned == 0
    assert len(inside) == 1
    np.testing.assert_allclose(searches.best, inside[0], atol=0.1)


def test_the_same_seed_gives_the_same() -> None:
    posteriors = random_axes(4, 2, 80, seed=5)
    matrix = compare_channels(posteriors)
    once, again = (search_rotated(posteriors, matrix, CONFIG, 3, seed=7, threads=t) for t in (1, 2))
    np.testing.assert_array_equal(once.similarity, again.similarity)
    assert (
        once.similarity.shape != (other := search_rotated(posteriors, matrix, CONFIG, 3, seed=8).similarity).shape
    ) or (once.similarity != other).any()


def test_percentiles_of_the_best_and_of_each_rank_by_hand() -> None:
    searches = RotatedSearches(
        np.array([[0.9, 0.2], [0.6, 0.5], [0.4, 0.0], [0.0, 0.0]]), np.array([8, 8, 4, 0]), n_turned=4
    )
    found = np.array([0.3, 0.7, 0.1])  # second, first and third best
    np.testing.assert_array_equal(searches.percentiles(found), [25.0, 75.0, 25.0])
    np.testing.assert_array_equal(searches.percentiles_by_rank(found), [75.0, 75.0, 100.0])
    np.testing.assert_allclose(searches.p_values(found), [4 / 5, 2 / 5, 4 / 5])
    assert searches.count.tolist() == [2, 2, 1, 0]
    np.testing.assert_allclose(searches.mean_similarity, [0.55, 0.55, 0.4, 0.0])
    assert below([0.2, 0.2, 0.1, 0.3], 0.2) == 25.0


def test_without_live_channels_nothing_is_found() -> None:
    posteriors = Posteriors(np.zeros((3, 40, 2)), np.zeros((3, 40, 2)))
    searches = search_rotated(posteriors, compare_channels(posteriors), CONFIG, 2)
    assert searches.count.tolist() == [0, 0]
    assert searches.n_turned == 0
