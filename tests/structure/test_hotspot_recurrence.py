"""How likely hotspots are to come back in a new member, against ensembles of which it is known."""

import numpy as np
import pytest

from vaefrag_core.artifacts.recurrence import Recurrence, wilson_interval
from vaefrag_core.config import HotspotConfig
from vaefrag_core.structure.hotspot_groups import recurring_groups
from vaefrag_core.structure.hotspot_recurrence import member_recurrence
from vaefrag_core.structure.matrices import compare_channels
from vaefrag_core.structure.planted_ensembles import Planted, plant


def recurrence_of(planted: Planted, seed: int) -> tuple[Recurrence, list[int], np.ndarray]:
    """Return the recurrence, the fragment of each hotspot, and which member holds which fragment (K, M)."""
    posteriors, truth = plant(planted, seed)
    matrix = compare_channels(posteriors)
    live = np.flatnonzero(matrix.information_bits >= 0.01)
    similarity, member = matrix.corrected_nmi(live), matrix.member[live]
    groups = recurring_groups(similarity, member)
    fragments = [int(np.bincount(truth[live[group]] + 1).argmax()) - 1 for group in groups]
    holds = np.array(
        [[(truth[matrix.member == m] == k).any() for m in range(planted.members)] for k in range(planted.fragments)]
    )
    return member_recurrence(similarity, member, groups), fragments, holds


@pytest.mark.parametrize("noise", [0.05, 0.5])
def test_the_members_that_hold_a_planted_fragment_are_told(noise: float) -> None:
    recurrence, fragments, holds = recurrence_of(Planted(members=12, held=0.5, noise=noise, images=300), seed=2)
    assert sorted(fragments) == [0, 1, 2]
    np.testing.assert_array_equal(recurrence.holds, holds[fragments])
    np.testing.assert_array_equal(recurrence.probability, [0.5, 0.5, 0.5])
    np.testing.assert_array_equal(recurrence.lacking(0), np.flatnonzero(~holds[fragments[0]]))


def test_the_interval_covers_the_probability_as_often_as_it_says() -> None:
    covered = []
    for seed in range(60):
        held = (0.4, 0.6, 0.8)[seed % 3]
        recurrence, _, _ = recurrence_of(
            Planted(members=16, fragments=3, images=150, noise=0.3, held=held, drawn=True, idle=0.2), seed
        )
        covered += [low <= held <= high for low, high in recurrence.interval]
    assert len(covered) > 150
    assert 0.93 <= np.mean(covered) <= 0.97


def test_wilson_s_interval_is_where_the_score_test_ends() -> None:
    """At either end, the number of successes is 1.96 standard deviations of that probability away."""
    for successes, trials in [(1, 8), (5, 12), (19, 20)]:
        for end in wilson_interval(np.array([successes]), trials)[0]:
            deviation = abs(successes - trials * end) / np.sqrt(trials * end * (1 - end))
            assert deviation == pytest.approx(1.959964, rel=1e-6)


def test_without_hotspots_there_is_nothing_to_hold_out() -> None:
    recurrence = member_recurrence(np.eye(6), np.arange(6), [])
    assert recurrence.holds.shape == (0, 6)
    assert recurrence.probability.shape == (0,)


def test_a_hotspot_whose_members_are_all_held_out_at_once_is_held_by_none_of_them() -> None:
    member = np.arange(100)  # of which every twentieth is held out together
    similarity = np.eye(100)
    held = np.arange(0, 60, 20)
    similarity[np.ix_(held, held)] = 1.0
    config = HotspotConfig(member_share=0.03)
    groups = recurring_groups(similarity, member, config)
    assert [group.tolist() for group in groups] == [held.tolist()]
    assert not member_recurrence(similarity, member, groups, config).holds.any()
