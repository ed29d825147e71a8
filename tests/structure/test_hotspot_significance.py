"""p-values of hotspots: even where nothing comes back, small where something does."""

import numpy as np
import pytest
from scipy.stats import binom, false_discovery_control

from vaefrag_core.artifacts import MemberCurve, NullTests, RotatedSearches
from vaefrag_core.config import HotspotConfig
from vaefrag_core.structure.hotspot_groups import highest_inside
from vaefrag_core.structure.hotspot_significance import (
    false_discovery_rates,
    highest_by_chance,
    p_values_of,
    shuffled,
)
from vaefrag_core.structure.hotspots import find_hotspots
from vaefrag_core.structure.matrices import compare_channels
from vaefrag_core.structure.planted_ensembles import Planted, independent, plant
from vaefrag_core.structure.similarity_inside import similarity_inside

CONFIG = HotspotConfig()


def test_a_shuffled_channel_has_the_same_posteriors_in_another_order() -> None:
    posteriors, _ = plant(Planted(members=4, images=60), seed=1)
    mean, logvar = posteriors.flat()
    other_mean, other_logvar = shuffled(posteriors, seed=3).flat()
    for c in range(len(mean)):
        assert sorted(zip(mean[c], logvar[c], strict=True)) == sorted(zip(other_mean[c], other_logvar[c], strict=True))
    assert (np.argsort(other_mean[0]) != np.argsort(other_mean[1])).any()


def test_where_nothing_comes_back_every_p_value_is_as_likely() -> None:
    draws, p_values = 9, []
    for seed in range(60):
        posteriors = independent(4, 3, 100, seed)
        matrix = compare_channels(posteriors)
        inside = highest_inside(matrix.corrected_similarity("nmi", np.arange(12)), matrix.member)
        highest = highest_by_chance(posteriors, CONFIG, draws, seed=seed)
        p_values.append((1 + (highest >= inside).sum()) / (1 + draws))
    for level in (0.1, 0.5):
        low, high = binom.ppf([0.001, 0.999], len(p_values), level)
        assert low <= sum(p <= level for p in p_values) <= high


@pytest.mark.parametrize("measure", ["nmi", "vi"])
def test_planted_fragments_are_beyond_chance(measure: str) -> None:
    posteriors, _ = plant(Planted(members=6, images=200, noise=0.5), seed=0)
    matrix, config = compare_channels(posteriors), HotspotConfig(measure=measure)
    hotspots = find_hotspots(matrix, config)
    seen: list[tuple[int, int]] = []
    highest = highest_by_chance(posteriors, config, 19, on_progress=lambda *step: seen.append(step))
    assert seen == [(draw + 1, 19) for draw in range(19)]
    inside = similarity_inside(matrix, [group.channels for group in hotspots.groups], config.measure)
    np.testing.assert_array_equal(p_values_of(inside, highest), [0.05] * 3)


def test_the_same_seed_gives_the_same() -> None:
    posteriors = independent(3, 3, 80, seed=5)
    once, again = (highest_by_chance(posteriors, CONFIG, 3, seed=7, threads=t) for t in (1, 2))
    np.testing.assert_array_equal(once, again)
    assert (once != highest_by_chance(posteriors, CONFIG, 3, seed=8)).any()


@pytest.mark.parametrize("count", [1, 3, 6, 7])
def test_the_least_that_few_draws_can_tell_is_beyond_chance_however_it_is_rounded(count: int) -> None:
    none = np.zeros(0, dtype=np.int64)
    for draws in (5, 19, 99):
        p_values = p_values_of(np.full(count, 0.5), np.full(draws, 0.1))
        rates = false_discovery_rates(p_values)
        rotated = RotatedSearches(np.zeros((1, 1)), np.zeros(1, dtype=np.int64), 4)
        curve = MemberCurve(none, none.reshape(0, 1), none.reshape(0, 1))
        highest = np.full(draws, 0.1)
        tests = NullTests(np.full(count, 0.5), p_values, rates, highest, rotated, 4, curve, seed=0)
        assert tests.beyond_chance.all()


def test_rates_of_false_discoveries_are_those_of_scipy() -> None:
    rng = np.random.default_rng(0)
    for count in (1, 2, 7, 40):
        p_values = rng.uniform(size=count) ** 2
        np.testing.assert_allclose(false_discovery_rates(p_values), false_discovery_control(p_values), rtol=1e-12)
