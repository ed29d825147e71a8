"""Channels that tell every image from every other: nothing can be compared, and nothing may look alike."""

import numpy as np
import pytest

from vaefrag_core.artifacts import Posteriors
from vaefrag_core.config import HotspotConfig
from vaefrag_core.structure.channel_maps import map_channels
from vaefrag_core.structure.hotspots import find_hotspots
from vaefrag_core.structure.matrices import compare_across, compare_channels

IMAGES, MEMBERS = 200, 6


def deterministic_ensemble(logvar: float = -60.0) -> Posteriors:
    """Give six members whose channels are four unrelated factors of 200 images, with hardly any noise."""
    factors = np.random.default_rng(0).normal(size=(IMAGES, 4))
    mean = np.repeat(factors[None], MEMBERS, axis=0)
    return Posteriors(mean, np.full_like(mean, logvar), labels=np.arange(IMAGES) % 5, sample_id="sample")


def mixed_ensemble() -> Posteriors:
    """Give the same members with the last two factors under noise, so that these can be compared."""
    whole = deterministic_ensemble()
    logvar = np.array(whole.logvar)
    logvar[:, :, 2:] = -2.0
    return Posteriors(whole.mean, logvar, labels=np.arange(IMAGES) % 5, sample_id="sample")


@pytest.mark.parametrize("measure", ["nmi", "vi"])
def test_deterministic_encoders_have_no_hotspot(measure: str) -> None:
    matrix = compare_channels(deterministic_ensemble())
    hotspots = find_hotspots(matrix, HotspotConfig(measure=measure))
    assert matrix.information_bits == pytest.approx(np.log2(IMAGES), abs=1e-6)
    assert not hotspots.groups
    assert (hotspots.labels == -1).all()
    assert not hotspots.dead.any()
    assert sorted(hotspots.order.tolist()) == list(range(24))


def test_similarity_of_what_tells_all_images_apart_is_undefined() -> None:
    matrix = compare_channels(deterministic_ensemble())
    assert matrix.saturated.all()
    assert np.isnan(matrix.nmi).all()
    assert np.isnan(matrix.corrected_nmi(np.arange(24))).all()
    assert np.isnan(matrix.label_nmi).all()
    assert np.isnan(matrix.chance).all()


def test_the_message_names_a_noise_level_at_which_channels_can_be_compared() -> None:
    deterministic = deterministic_ensemble()
    (message,) = (m for m in compare_channels(deterministic).messages if "every other" in m)
    assert message.startswith("24 of 24 channels tell every one of the 200 images from every other")
    assert "undefined" in message
    level = float(message.split("ln σ² of about ")[1].split(" ")[0].replace("−", "-"))
    noisy = compare_channels(Posteriors(deterministic.mean, np.full_like(deterministic.mean, level)))
    assert noisy.information_bits == pytest.approx(3, abs=0.3)
    assert not noisy.saturated.any()
    hotspots = find_hotspots(noisy)
    assert [group.size for group in hotspots.groups] == [MEMBERS] * 4  # one for each factor


@pytest.mark.parametrize("measure", ["nmi", "vi"])
def test_saturated_channels_leave_the_others_their_hotspots(measure: str) -> None:
    posteriors = mixed_ensemble()
    matrix = compare_channels(posteriors)
    hotspots = find_hotspots(matrix, HotspotConfig(measure=measure))
    channel = posteriors.channel_names[:, 1]
    np.testing.assert_array_equal(matrix.saturated, channel < 2)
    np.testing.assert_array_equal(np.isnan(matrix.nmi), np.logical_or.outer(channel < 2, channel < 2))
    assert sorted(sorted(channel[list(group.channels)].tolist()) for group in hotspots.groups) == [[2] * 6, [3] * 6]
    assert (hotspots.labels[channel < 2] == -1).all()
    assert set(hotspots.order[-12:].tolist()) == set(np.flatnonzero(channel < 2).tolist())
    assert any(m.startswith("12 of 24 channels tell every one") for m in hotspots.messages)


def test_the_others_keep_their_numbers() -> None:
    posteriors = mixed_ensemble()
    matrix = compare_channels(posteriors)
    alone = compare_channels(Posteriors(posteriors.mean[..., 2:], posteriors.logvar[..., 2:], labels=posteriors.labels))
    square = np.ix_(~matrix.saturated, ~matrix.saturated)
    np.testing.assert_allclose(matrix.nmi[square], alone.nmi, atol=1e-6)
    np.testing.assert_allclose(matrix.label_nmi[~matrix.saturated], alone.label_nmi, atol=1e-6)
    level = matrix.typical_chance_nmi(np.flatnonzero(~matrix.saturated))
    assert level == pytest.approx(alone.typical_chance_nmi(np.arange(12)), rel=0.2)


def test_pairs_across_two_groups_are_undefined_as_well() -> None:
    mean, logvar = mixed_ensemble().flat()
    nmi = compare_across((mean[:4], logvar[:4]), (mean[4:8], logvar[4:8]))
    expected = np.logical_or.outer([True, True, False, False], [True, True, False, False])
    np.testing.assert_array_equal(np.isnan(nmi), expected)


def test_pairs_taken_from_an_earlier_matrix_are_undefined_as_well() -> None:
    posteriors = deterministic_ensemble()
    matrix = compare_channels(posteriors)
    earlier = type(matrix)(**vars(matrix) | {"nmi": np.ones_like(matrix.nmi)})  # as it was once written
    assert np.isnan(compare_channels(posteriors, earlier=earlier).nmi).all()


def test_saturated_channels_are_no_part_of_a_map() -> None:
    matrix = compare_channels(mixed_ensemble())
    layout = map_channels(matrix)
    np.testing.assert_array_equal(np.isnan(layout.mds[:, 0]), matrix.saturated)
    np.testing.assert_array_equal(np.isnan(layout.umap[:, 0]), matrix.saturated)


def test_equal_images_that_a_channel_confuses_are_something_to_compare() -> None:
    # Deterministic, but of four values only: a hard clustering, which says which images are alike.
    classes = np.random.default_rng(1).integers(0, 4, size=(IMAGES, 2)).astype(float)
    mean = np.repeat(classes[None], MEMBERS, axis=0)
    matrix = compare_channels(Posteriors(mean, np.full_like(mean, -60.0)))
    assert not matrix.saturated.any()
    assert [group.size for group in find_hotspots(matrix).groups] == [MEMBERS] * 2
