"""Labels of every kind beside channels: numbers, text, missing values, identifiers."""

from pathlib import Path

import numpy as np
import pytest

from vaefrag_core.artifacts import ChannelMatrix, Posteriors
from vaefrag_core.structure.hotspots import find_hotspots
from vaefrag_core.structure.label_factors import read_labels
from vaefrag_core.structure.matrices import compare_channels

IMAGES = 120
RNG = np.random.default_rng(8)
MEAN = RNG.normal(size=(3, IMAGES, 2))
MEAN[..., 0] = RNG.normal(size=IMAGES)
SOURCE = MEAN[0, :, 0]
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
    assert found.messages == ("Label real has 120 values: it is cut into 20 equal bins.",)
    (number,) = read_labels(SOURCE[:, None], ("real",))
    order = SOURCE.argsort()
    assert (np.diff(number.codes[order]) >= 0).all()
    np.testing.assert_array_equal(np.bincount(number.codes), 6)


def test_an_identifier_is_flagged_and_never_the_best_label(tmp_path: Path) -> None:
    labels = np.stack([RNG.permutation(IMAGES), SOURCE > 0, np.zeros(IMAGES)], axis=1)
    found = matrix_of(labels, "id", "sign", "one")
    assert found.identifiers == ("id",)
    # all images apart: it tells whatever any channel tells, and would win everywhere
    assert (found.label_nmi[:, 0] > found.label_nmi[:, 1]).any()
    for channel in range(0, 6, 2):
        assert found.best_label([channel]) == 1
    (message,) = found.messages
    assert message.startswith("Label id has 120 values on 120 images: it seems to name images")
    assert message in find_hotspots(found).messages
    found.save(tmp_path)
    again = ChannelMatrix.load(tmp_path)
    assert (again.identifiers, again.messages) == (found.identifiers, found.messages)


@pytest.mark.parametrize(
    ("values", "identifier"),
    [
        (np.arange(IMAGES) % 60, False),  # half as many values as images
        (np.arange(IMAGES) % 61, True),
        (np.linspace(0, 1, IMAGES), False),  # real numbers differ anyway
        (np.where(HALF, np.arange(IMAGES), np.nan), True),  # of those of which it is known
        (np.array([f"file {i}.png" for i in range(IMAGES)]), True),
    ],
)
def test_what_counts_as_an_identifier(values: np.ndarray, identifier: bool) -> None:
    (label,) = read_labels(values[:, None], ("label",))
    assert label.identifier == identifier


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
