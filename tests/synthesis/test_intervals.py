"""Intervals hold what they promise, and have a width where all splits agree."""

import numpy as np
import pytest

from vaefrag_core.synthesis.intervals import corrected_variance, difference_interval, share_interval


def test_the_variance_of_splits_that_share_images_is_not_that_of_repeats() -> None:
    scores = np.array([0.4, 0.6, 0.5, 0.7])
    assert corrected_variance(scores, 0.2) == pytest.approx(scores.var(ddof=1) * (1 / 4 + 0.25))
    assert corrected_variance(scores, 0.2) > scores.var(ddof=1) / 4


@pytest.mark.parametrize("share", [0.1, 0.5, 0.97])
def test_shares_and_gains_lie_within_their_intervals(share: float) -> None:
    # Of a rule that needs no training the splits of a sample differ as images do: 15 folds of three dealings.
    within, seeds = np.zeros(2), 200
    for seed in range(seeds):
        rng = np.random.default_rng(seed)
        one, other = rng.random((2, 100)) < share
        folds = [rng.permutation(100).reshape(5, 20) for _ in range(3)]
        scores = np.array([one[fold].mean() for deal in folds for fold in deal])
        gains = scores - np.array([other[fold].mean() for deal in folds for fold in deal])
        low, high = share_interval(scores, 100, 0.2)
        within[0] += low <= share <= high
        low, high = difference_interval(gains, 100, 0.2)
        within[1] += low <= 0 <= high
    assert (within / seeds >= 0.93).all()


def test_where_all_splits_agree_the_interval_is_that_of_so_many_images() -> None:
    few, many = share_interval(np.ones(15), 50, 0.2), share_interval(np.ones(15), 5_000, 0.2)
    assert few[1] == pytest.approx(1)
    assert few[0] < many[0] < many[1] == pytest.approx(1)
    low, high = difference_interval(np.zeros(15), 50, 0.2)
    assert -low == high > 0
