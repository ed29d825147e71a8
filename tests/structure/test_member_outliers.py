"""Which members stand apart: closed forms of the permutation test, and how often it cries wolf."""

import numpy as np
import pytest

from vaefrag_core.structure.member_outliers import member_outliers


@pytest.mark.parametrize(("members", "hotspots"), [(4, 4), (6, 3), (10, 2)])
def test_one_member_that_shares_nothing_is_as_likely_as_the_deals_say(members: int, hotspots: int) -> None:
    shared = np.full((members, hotspots), 0.8)
    shared[1] = 0.0
    result = member_outliers(shared, 0.6, deals=8_000)
    # All low values fall to one member in one deal of M^(G − 1).
    expected = members ** (1.0 - hotspots)
    assert result.p_values[1] == pytest.approx(expected, abs=4 * np.sqrt(expected / 8_000) + 1 / 8_000)
    assert result.testable == (expected <= 0.04) == bool(result.outlier[1])
    assert result.outlier.sum() == int(result.testable)


def test_what_is_only_a_little_lower_is_no_outlier_however_regularly() -> None:
    shared = np.full((8, 6), 0.8)
    shared[3] = 0.6  # clearly more than 0.6 of the middle member's
    result = member_outliers(shared, 0.6)
    assert result.p_values[3] < 0.01
    assert not result.outlier.any()


def test_several_members_that_stand_apart_are_found_one_after_the_other() -> None:
    rng = np.random.default_rng(0)
    shared = rng.normal(0.8, 0.02, (12, 6))
    shared[[2, 9]] = 0.0
    result = member_outliers(shared, 0.6)
    assert np.flatnonzero(result.outlier).tolist() == [2, 9]


def test_members_that_hold_each_hotspot_by_luck_are_rarely_called_outliers() -> None:
    alarms = 0
    for seed in range(150):
        rng = np.random.default_rng(seed)
        holds = rng.random((10, int(rng.integers(3, 7)))) < 0.8
        alarms += member_outliers(holds * rng.normal(0.8, 0.02, holds.shape), 0.6, deals=299).outlier.any()
    assert alarms <= 12  # of an expectation of 6 at the most: more in one study of a hundred


@pytest.mark.parametrize("shape", [(2, 5), (6, 1), (6, 0), (1, 3)])
def test_too_little_tells_nothing(shape: tuple[int, int]) -> None:
    result = member_outliers(np.zeros(shape), 0.6)
    assert not result.testable
    assert not result.outlier.any()
    assert (result.p_values == 1).all()
