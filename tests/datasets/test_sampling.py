from collections import Counter

import numpy as np
import pytest

from vaefrag_core.datasets.sampling import draw_without_replacement


def test_nothing_is_drawn_twice_and_nothing_is_left_out() -> None:
    assert sorted(draw_without_replacement(100, 100, seed=5)) == list(range(100))


def test_the_draw_is_pinned_for_good() -> None:
    assert draw_without_replacement(1_797, 5, seed=0).tolist() == [855, 921, 269, 1185, 11]
    assert draw_without_replacement(1_797, 5, seed=2**63 - 1).tolist() == [1186, 747, 796, 1678, 1239]


@pytest.mark.parametrize("count", [1, 10, 99])
def test_a_smaller_draw_begins_the_larger_one(count: int) -> None:
    whole = draw_without_replacement(100, 100, seed=1)
    np.testing.assert_array_equal(draw_without_replacement(100, count, seed=1), whole[:count])


def test_every_pair_is_equally_likely() -> None:
    draws = 6_000
    pairs = Counter(tuple(draw_without_replacement(4, 2, seed).tolist()) for seed in range(draws))
    assert len(pairs) == 12
    expected = draws / 12
    chi_squared = sum((count - expected) ** 2 / expected for count in pairs.values())
    assert chi_squared < 31.26  # the 0.1 % point of χ² with 11 degrees of freedom
