"""Labels of every kind beside channels: numbers, text, missing values, identifiers."""

from pathlib import Path

import numpy as np
import pytest

from vaefrag_core.artifacts import ChannelMatrix, Posteriors
from vaefrag_core.errors import InvalidInputError
from vaefrag_core.structure.hotspots import find_hotspots
from vaefrag_core.structure.label_factors import read_labels
from vaefrag_core.structure.matrices import compare_channels
from vaefrag_core.synthesis.combination import combine, rank_additions

IMAGES = 120
RNG = np.random.default_rng(8)
MEAN = RNG.normal(size=(3, IMAGES, 2))
MEAN[..., 0] = RNG.normal(size=IMAGES)
SOURCE = MEAN[0, :, 0]
ALL = np.arange(6)  # channels
HALF = np.arange(IMAGES) < 60  # of the images, of which a label is known


def matrix_of(labels: np.ndarray, *names: str, images: np.ndarray | None = None) -> ChannelMatrix:
    mean = MEAN if images is None else MEAN[:, images]
    labels = labels if images is None else labels[images]
    return compare_channels(Posteriors(mean, np.full_like(mean, -3.0), labels=labels, label_names=names or None))


@pytest.mark.parametrize("as_text", [False, True])
def test_a_label_with_gaps_is_compared_on_the_images_of_which_it_is_known(as_text: bool) -> None:
    sign = np.where(HALF, SOURCE > 0, np.nan)
    labels = np.stack([sign, (SOURCE > 0).astype(float)], axis=1)
    if as_text:
        labels = labels.astype(str)
        labels[70:, 0] = ["", "nan"] * 25
    found = matrix_of(labels, "gaps", "whole")
    expected = matrix_of(labels, "gaps", "whole", images=np.flatnonzero(HALF))
    np.testing.assert_allclose(found.label_nmi[:, 0], expected.label_nmi[:, 0], atol=1e-6)
    np.testing.assert_allclose(found.label_vi_bits[:, 0], expected.label_vi_bits[:, 0], atol=1e-6)
    assert found.label_bits[0] == pytest.approx(expected.label_bits[0], abs=1e-9)
    alone = matrix_of(labels[:, 1:], "whole")
    np.testing.assert_allclose(found.label_nmi[:, 1], alone.label_nmi[:, 0], atol=1e-6)
    np.testing.assert_array_equal(found.nmi, alone.nmi)  # channels themselves are compared on all images
    assert found.messages == ("Label gaps is known of 60 of 120 images; only these count.",)


def test_a_label_of_no_image_is_undefined_and_said_to_be() -> None:
    found = matrix_of(np.full(IMAGES, np.nan), "nothing")
    assert np.isnan(found.label_nmi).all()
    assert found.best_label([0]) is None
    assert found.messages == ("Label nothing is known of 0 of 120 images; only these count.",)


def test_numbers_of_many_values_are_binned_and_text_is_not() -> None:
    words = np.array([f"word {w}" for w in RNG.integers(0, 30, IMAGES)])
    found = matrix_of(np.stack([SOURCE.astype(str), words], axis=1), "real", "words")
    assert found.label_bits[0] == pytest.approx(np.log2(20))
    assert found.label_bits[1] > np.log2(20)
    assert found.messages == ("Label real has 120 values: it is cut into 20 bins of about as many images each.",)
    (number,) = read_labels(SOURCE[:, None], ("real",))
    order = SOURCE.argsort()
    assert (np.diff(number.codes[order]) >= 0).all()
    np.testing.assert_array_equal(np.bincount(number.codes), 6)


def test_an_identifier_is_flagged_and_compared_with_nothing(tmp_path: Path) -> None:
    files = np.array([f"file {i}.png" for i in RNG.permutation(IMAGES)])
    labels = np.stack([files, (SOURCE > 0).astype(str), np.repeat("0", IMAGES), np.arange(IMAGES).astype(str)], axis=1)
    names = ("file", "sign", "one", "row")
    posteriors = Posteriors(MEAN, np.full_like(MEAN, -3.0), labels=labels, label_names=names, identifiers=["row"])
    found = compare_channels(posteriors)
    assert found.identifiers == ("file", "row")
    assert found.compared_labels == (1, 2)
    assert np.isnan(found.label_nmi[:, [0, 3]]).all()
    assert np.isnan(found.label_bits[[0, 3]]).all()
    assert np.isfinite(found.corrected_label_nmi(ALL)[:, 1]).all()
    for channel in range(0, 6, 2):
        assert found.best_label([channel]) == 1
    assert found.messages == (
        "Label file has 120 values on 120 images, so that it names images: it is compared with nothing.",
        "Label row was declared an identifier: it is compared with nothing.",
    )
    assert set(found.messages) <= set(find_hotspots(found).messages)
    found.save(tmp_path)
    again = ChannelMatrix.load(tmp_path)
    assert (again.identifiers, again.messages) == (found.identifiers, found.messages)
    np.testing.assert_array_equal(again.corrected_label_nmi(ALL), found.corrected_label_nmi(ALL))
    np.testing.assert_array_equal(again.label_bins, [0, 0, 0, 0])
    together = combine(posteriors, [0])
    np.testing.assert_array_equal(np.isnan(together.label_nmi), [True, False, True, True])  # of one value: 0/0
    with pytest.raises(InvalidInputError, match="Label row was declared an identifier: rank by another label"):
        rank_additions(posteriors, [0], label="row")


def test_declared_identifiers_travel_in_the_file_and_name_labels(tmp_path: Path) -> None:
    plain = Posteriors(MEAN, MEAN * 0, labels=np.arange(IMAGES), label_names=["row"])
    declared = Posteriors(MEAN, MEAN * 0, labels=np.arange(IMAGES), label_names=["row"], identifiers="row")
    declared.save(tmp_path / "posteriors.npz")
    assert Posteriors.load(tmp_path / "posteriors.npz").identifiers == ("row",)
    assert Posteriors.load(tmp_path / "posteriors.npz").key == declared.key != plain.key
    with pytest.raises(InvalidInputError, match="Expected identifiers among the labels, row, got 'column'"):
        Posteriors(MEAN, MEAN * 0, labels=np.arange(IMAGES), label_names=["row"], identifiers=["column"])


@pytest.mark.parametrize(
    ("values", "values_told", "bins", "identifier"),
    [
        (np.arange(IMAGES) % 2 == 0, 2, 0, False),
        (np.arange(IMAGES) % 20, 20, 0, False),  # few whole numbers stand for themselves
        (np.arange(IMAGES), 120, 20, False),  # many are a quantity, however many images there are
        (np.arange(IMAGES) % 103 + 300, 103, 20, False),
        (np.arange(IMAGES).astype(str), 120, 20, False),  # also where they are written as text
        (np.linspace(0, 1, IMAGES), 120, 20, False),
        (np.where(HALF, np.arange(IMAGES), np.nan), 60, 20, False),
        (np.array(["red", "green", "blue"])[np.arange(IMAGES) % 3], 3, 0, False),
        (np.array([f"word {i % 100}" for i in range(IMAGES)]), 100, 0, False),  # fewer than nine tenths of the images
        (np.array([f"word {i % 110}" for i in range(IMAGES)]), 110, 0, True),
        (np.array([f"file {i}.png" if i < 60 else "" for i in range(IMAGES)]), 60, 0, True),  # of those that have one
        (np.zeros(IMAGES), 1, 0, False),
        (np.full(IMAGES, np.nan), 0, 0, False),
    ],
)
def test_how_labels_of_every_kind_are_read(values: np.ndarray, values_told: int, bins: int, identifier: bool) -> None:
    (label,) = read_labels(values[:, None], ("label",))
    assert (label.values, label.bins, label.identifier) == (values_told, bins, identifier)
    assert (label.codes >= 0).sum() == label.labelled.sum()
    if bins:
        assert label.numbers is not None
        known = label.labelled
        np.testing.assert_array_equal(np.isnan(label.numbers), ~known)
        assert (np.diff(label.codes[known][label.numbers[known].argsort(kind="stable")]) >= 0).all()
        assert f"it is cut into {bins} bins" in label.messages[-1]
    (declared,) = read_labels(values[:, None], ("label",), ["label"])
    assert declared.identifier


def test_a_count_says_the_same_as_itself_and_a_half() -> None:
    counts = np.random.default_rng(0).poisson(np.exp(SOURCE + 6)).astype(float)
    whole, halves = (matrix_of(column[:, None], "counts") for column in (counts, counts + 0.5))
    np.testing.assert_array_equal(whole.label_nmi, halves.label_nmi)
    assert whole.label_bins.tolist() == [20]
    assert whole.identifiers == ()


@pytest.mark.parametrize("known", [1.0, 0.6])
def test_labels_that_tell_nothing_have_a_corrected_nmi_of_zero_on_average(known: float) -> None:
    shown, corrected = [], []
    for seed in range(12):
        rng = np.random.default_rng(seed)
        mean = rng.normal(size=(2, 150, 4)) * [0.5, 1.0, 2.0, 4.0]
        labels = np.column_stack([rng.integers(0, k, 150) for k in (2, 6, 20)]).astype(float)
        labels[rng.random(150) > known] = np.nan
        matrix = compare_channels(Posteriors(mean, np.full_like(mean, -2.0), labels=labels))
        shown.append(matrix.label_nmi)
        corrected.append(matrix.corrected_label_nmi(np.arange(8)))
    assert np.mean(shown, axis=(0, 1))[2] > 0.1  # of 20 values on so few images
    assert np.abs(np.mean(corrected, axis=(0, 1))).max() < 0.012


def test_the_correction_leaves_a_label_that_is_told_in_full() -> None:
    groups = np.random.default_rng(0).integers(0, 4, 200)
    mean = np.broadcast_to(groups[None, :, None] * 100.0, (2, 200, 1))
    labels = np.column_stack([groups, np.where(np.arange(200) < 150, groups, np.nan)])
    found = compare_channels(Posteriors(mean, np.zeros_like(mean), labels=labels))
    assert found.corrected_label_nmi([0, 1]) == pytest.approx(1.0, abs=1e-6)
    assert (found.label_chance_nmi([0, 1]) > 0.001).all()


def test_the_best_label_is_told_rather_than_rich() -> None:
    best, of_noise = [], []
    for seed in range(10):
        rng = np.random.default_rng(seed)
        two, twenty = rng.integers(0, 2, 300), rng.integers(0, 20, 300)
        mean = rng.normal(size=(3, 300, 2))
        mean[..., 0] += 0.9 * two[:, None].T
        labels = np.stack([two, twenty], axis=1)
        found = compare_channels(Posteriors(mean, np.full_like(mean, -3.2), labels=labels, label_names=["two", "many"]))
        best.append(found.best_label([0, 2, 4]))
        of_noise += [found.best_label([channel]) for channel in (1, 3, 5)]
    assert best == [0] * 10
    assert sum(label is not None for label in of_noise) <= 2  # of 30 channels that tell nothing of either
