"""Two ensembles against each other, of which it is known what they share."""

import numpy as np
import pytest

from vaefrag_core.artifacts import Hotspot, Posteriors
from vaefrag_core.config import HotspotConfig
from vaefrag_core.errors import InvalidInputError
from vaefrag_core.structure.hotspot_comparison import compare_hotspots
from vaefrag_core.structure.hotspots import find_hotspots
from vaefrag_core.structure.matrices import compare_channels
from vaefrag_core.structure.planted_comparisons import plant_pair
from vaefrag_core.structure.planted_ensembles import Planted, independent
from vaefrag_core.synthesis.channel_pool import pool_ensembles

CONFIG = HotspotConfig()
Side = tuple[Posteriors, tuple[Hotspot, ...]]


def two(second: tuple[int, ...], seed: int, noise: float = 0.3) -> tuple[tuple[Side, Side], np.ndarray]:
    """Return two ensembles with their hotspots, the first of fragments 0 to 2, and which of them are the same."""
    planted = Planted(members=5, fragments=6, images=200, noise=noise)
    sides, fragments = [], []
    for posteriors, truth in plant_pair(planted, (0, 1, 2), second, seed):
        groups = find_hotspots(compare_channels(posteriors)).groups
        sides.append((posteriors, groups))
        fragments.append([int(truth[group.medoid]) for group in groups])
    return (sides[0], sides[1]), np.equal.outer(*fragments)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("noise", [0.1, 0.8])
def test_two_shared_fragments_of_three_are_found_in_both_and_no_more(seed: int, noise: float) -> None:
    sides, expected = two((0, 1, 3), seed, noise)
    result = compare_hotspots(*sides, CONFIG, draws=19)
    assert expected.shape == (3, 3)
    assert expected.sum() == 2
    assert result.same.tolist() == expected.tolist()
    assert ((result.p_values == 0.05) == expected).all()  # the least that 19 shuffles can tell


@pytest.mark.parametrize("seed", range(3))
def test_ensembles_that_share_nothing_have_nothing_in_common(seed: int) -> None:
    sides, expected = two((3, 4, 5), seed)
    result = compare_hotspots(*sides, CONFIG, draws=19)
    assert not expected.any()
    assert not result.same.any()
    assert result.between.max() < 0.05


def test_what_is_shared_is_what_a_comparison_of_all_channels_says_either_way_round() -> None:
    (first, second), _ = two((0, 1, 3), seed=1)
    result = compare_hotspots(first, second, CONFIG, draws=1)
    pool = pool_ensembles({"first": first[0], "second": second[0]})
    nmi = np.clip(compare_channels(pool.posteriors).corrected_nmi(np.arange(pool.posteriors.n_channels)), 0, 1)
    count = first[0].n_channels
    expected = [[nmi[np.ix_(a.channels, [count + c for c in b.channels])].mean() for b in second[1]] for a in first[1]]
    assert np.abs(result.between - expected).max() < 0.01  # the chance level is measured with other channels
    reverse = compare_hotspots(second, first, CONFIG, draws=1).transposed()
    assert np.abs(result.between - reverse.between).max() < 0.01
    assert result.same.tolist() == reverse.same.tolist()
    assert np.abs(result.inside[1] - reverse.inside[1]).max() < 0.01


def test_an_ensemble_without_hotspots_shares_none() -> None:
    (first, _), _ = two((3, 4, 5), seed=0)
    result = compare_hotspots(first, (independent(4, 3, 200, seed=1), ()), CONFIG, draws=5)
    assert result.between.shape == result.same.shape == result.p_values.shape == (3, 0)


def test_other_images_are_refused() -> None:
    (first, _), _ = two((3, 4, 5), seed=0)
    with pytest.raises(InvalidInputError, match="same images, got 200 and 150"):
        compare_hotspots(first, (independent(4, 3, 150, seed=1), ()), CONFIG)


@pytest.mark.parametrize(("turn", "same"), [(10, True), (50, False)])
def test_fragments_that_only_resemble_each_other_are_not_the_same(turn: float, same: bool) -> None:
    rng = np.random.default_rng(0)
    fragment, private = rng.normal(size=(2, 300))
    contents = (fragment, np.cos(np.deg2rad(turn)) * fragment + np.sin(np.deg2rad(turn)) * private)
    sides = []
    for content in contents:
        mean = content[None, :, None] + 0.1 * rng.normal(size=(4, 300, 1))
        posteriors = Posteriors(mean, np.full_like(mean, np.log(0.03)))
        sides.append((posteriors, find_hotspots(compare_channels(posteriors)).groups))
    result = compare_hotspots(sides[0], sides[1], CONFIG, draws=19)
    assert result.between.shape == (1, 1)
    assert result.between[0, 0] > CONFIG.min_similarity  # clearly above chance, either way
    assert result.p_values[0, 0] == 0.05
    assert bool(result.same[0, 0]) == same
