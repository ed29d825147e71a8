"""Ways of reading labels, against classifiers and densities of other libraries."""

import math

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.neighbors import KNeighborsClassifier

from vaefrag_core.synthesis.label_readings import LabelReader, Reading, affinities, class_scores, deal_folds

N = 80


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.mark.parametrize("reading", ["means", "overlap"])
def test_neighbours_vote_as_those_of_scikit_learn(reading: Reading, rng: np.random.Generator) -> None:
    mean, logvar, codes = rng.normal(size=(N, 3)), rng.normal(-1, 1, (N, 3)), rng.integers(2, size=N)
    folds = np.arange(N) % 5
    (near,) = affinities(mean, logvar, reading, 1, rng)
    distance = np.linalg.norm(mean[:, None] - mean, axis=2)
    if reading == "overlap":  # −ln of the integral of √(p q), dimension by dimension
        variance = np.exp(logvar)
        total = variance[:, None] + variance
        overlap = np.sqrt(2 * np.sqrt(variance[:, None] * variance) / total) * np.exp(
            -((mean[:, None] - mean) ** 2) / (4 * total)
        )
        distance = -np.log(overlap.prod(axis=2))
    expected = []
    for fold in range(5):
        train, test = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
        classifier = KNeighborsClassifier(10, metric="precomputed").fit(distance[np.ix_(train, train)], codes[train])
        expected.append(classifier.score(distance[np.ix_(test, train)], codes[test]))
    np.testing.assert_allclose(LabelReader(codes[None], folds, reading).held_out(near)[0], expected)


def test_a_draw_is_read_by_the_densities_of_the_known_posteriors(rng: np.random.Generator) -> None:
    mean, logvar = rng.normal(size=(6, 2)), rng.normal(size=(6, 2))
    (near,) = affinities(mean, logvar, "draws", 1, np.random.default_rng(7))
    again, sigma = np.random.default_rng(7), np.exp(logvar / 2)
    draw = np.stack([mean[:, d] + sigma[:, d] * again.normal(size=6) for d in range(2)], axis=1)
    density = norm(mean, sigma).pdf(draw[:, None]).prod(axis=2)
    np.testing.assert_allclose(near, np.log(density) + math.log(2 * math.pi))
    classes = np.eye(2)[[0, 1, 0, 1, 0]]
    scores = class_scores(near[5:, :5], classes, "draws")
    np.testing.assert_allclose(scores / scores.sum(), density[5:, :5] @ classes / density[5, :5].sum())


@pytest.mark.parametrize("reading", ["means", "overlap"])
def test_spaces_side_by_side_add_up(reading: Reading, rng: np.random.Generator) -> None:
    mean, logvar = rng.normal(size=(2, N, 4))
    parts = [affinities(mean[:, c], logvar[:, c], reading, 1, rng) for c in (slice(0, 1), slice(1, 4))]
    np.testing.assert_allclose(affinities(mean, logvar, reading, 1, rng), sum(parts))


def test_what_lies_infinitely_far_from_all_others_is_still_read(rng: np.random.Generator) -> None:
    mean = np.array([[0.0], [1e200], [1.0], [2.0]])
    (near,) = affinities(mean, np.full((4, 1), -400.0), "draws", 1, rng)
    assert np.isfinite(class_scores(near[1:2, [0, 2, 3]], np.eye(3), "draws")).all()


def test_selection_sees_nothing_of_the_fold_that_is_left_out(rng: np.random.Generator) -> None:
    mean, codes = rng.normal(size=(N, 1)), rng.integers(3, size=(1, N))
    folds = deal_folds(np.arange(N), 5, rng)
    (near,) = affinities(mean, np.zeros((N, 1)), "means", 1, rng)
    before = LabelReader(codes, folds, "means").selection(near)
    other = np.where(folds == 2, (codes + 1) % 3, codes)
    after = LabelReader(other, folds, "means").selection(near)
    assert after[0, 2] == before[0, 2]
    assert (np.delete(after, 2, axis=1) != np.delete(before, 2, axis=1)).any()
    # Of a fold: mean over the others, each read by the remaining three.
    right = [
        LabelReader(codes[:, folds != 2], np.unique(folds[folds != 2], return_inverse=True)[1], "means").held_out(
            near[np.ix_(folds != 2, folds != 2)]
        )[0]
    ]
    assert before[0, 2] == pytest.approx(np.mean(right))


def test_copies_are_dealt_together_and_folds_are_of_one_size(rng: np.random.Generator) -> None:
    copy_of = np.where(np.arange(N) % 4 == 1, np.arange(N) - 1, np.arange(N))
    folds = deal_folds(copy_of, 5, rng)
    np.testing.assert_array_equal(folds, folds[copy_of])
    sizes = np.bincount(folds[np.unique(copy_of)])
    assert sizes.tolist() == [12] * 5
