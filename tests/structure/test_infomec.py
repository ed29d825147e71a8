"""InfoMEC on codes whose answer is known."""

import numpy as np
import pytest
from sklearn.feature_selection import mutual_info_classif
from sklearn.metrics import mutual_info_score

from vaefrag_core.array_types import FloatArray, IntArray
from vaefrag_core.structure.infomec import infomec, shuffled_infomec, told_shares

N = 600


@pytest.fixture
def classes() -> IntArray:
    return np.random.default_rng(0).integers(0, 4, size=(3, N))


def standardized(codes: FloatArray) -> FloatArray:
    return (codes - codes.mean(axis=0)) / codes.std(axis=0)


def noisy(codes: FloatArray, level: float = 0.05) -> FloatArray:
    return standardized(codes + level * np.random.default_rng(1).normal(size=codes.shape))


def test_a_channel_for_each_factor_is_perfect(classes: IntArray) -> None:
    m, e, c = infomec(noisy(classes.T), classes)
    assert min(m, e, c) > 0.95


def test_mixing_channels_costs_modularity_and_compactness_but_no_explicitness(classes: IntArray) -> None:
    turn = np.linalg.qr(np.random.default_rng(2).normal(size=(3, 3)))[0]
    mixed = infomec(noisy(classes.T @ turn), classes)
    assert mixed[0] < 0.6
    assert mixed[2] < 0.75
    assert mixed[1] > 0.9


def test_two_copies_of_each_factor_cost_compactness_alone(classes: IntArray) -> None:
    m, e, c = infomec(noisy(np.concatenate([classes, classes]).T), classes)
    assert m > 0.95
    assert e > 0.9
    assert c == pytest.approx((0.5 - 1 / 6) / (1 - 1 / 6), abs=0.02)  # each factor's largest share is a half


def test_codes_that_tell_nothing_explain_nothing_as_do_shuffled_labels(classes: IntArray) -> None:
    blank = standardized(np.random.default_rng(3).normal(size=(N, 3)))
    assert infomec(blank, classes)[1] < 0.03
    assert shuffled_infomec(noisy(classes.T), classes)[1] < 0.03


def test_shares_of_hard_codes_are_those_of_counting(classes: IntArray) -> None:
    merged = classes // 2  # two values of each factor in one
    found = told_shares(noisy(merged.T, 0.01), classes)
    for f, d in np.ndindex(3, 3):
        expected = mutual_info_score(classes[f], merged[d]) / mutual_info_score(classes[f], classes[f])
        assert found[f, d] == pytest.approx(expected, abs=0.03)


@pytest.mark.parametrize("heavy", [False, True])
def test_shares_are_those_of_a_search_in_trees(classes: IntArray, heavy: bool) -> None:
    rng = np.random.default_rng(4)
    rare = np.where(np.arange(N) < 7, np.arange(N), 7 + classes[0] % 2)  # values of one image, and two of many
    told = rare + (rng.standard_t(1.5, (4, N)) if heavy else rng.normal(0, 0.3, (4, N))) * np.array([[0, 0.1, 1, 9]]).T
    codes = standardized(told.T + 1e-6 * rng.normal(size=(N, 4)))
    for values in (rare, classes[1]):
        entropy = mutual_info_score(values, values)
        expected = mutual_info_classif(codes, values, n_neighbors=10, random_state=0) / entropy
        np.testing.assert_allclose(told_shares(codes, values[None])[0], expected, atol=5e-4)


def test_what_cannot_be_told_is_undefined(classes: IntArray) -> None:
    codes = noisy(classes.T)
    assert np.isnan(infomec(codes, classes[:1])[0])  # one factor
    assert np.isnan(infomec(codes[:, :1], classes)[2])  # one channel
    assert np.isnan(infomec(codes[:, :0], classes)).all()
    assert np.isnan(infomec(codes, classes[:0])).all()
