"""The level of chance against channels that are independent, and what is shared above it against closed forms."""

from dataclasses import replace

import numpy as np
import pytest

from vaefrag_core.artifacts import ChannelMatrix, Posteriors
from vaefrag_core.structure.hotspots import find_hotspots
from vaefrag_core.structure.matrices import compare_channels
from vaefrag_core.structure.planted_ensembles import independent as independent_ensemble
from vaefrag_core.structure.planted_ensembles import with_diverged_member


def independent(n_images: int, noise: list[float], seed: int = 0) -> ChannelMatrix:
    """Compare channels that share nothing, of given noise beside a signal of 1; the first label shares nothing too."""
    rng = np.random.default_rng(seed)
    mean = rng.normal(size=(1, n_images, len(noise)))
    logvar = np.broadcast_to(2 * np.log(noise), mean.shape)
    return compare_channels(Posteriors(mean, logvar, labels=rng.integers(0, 10, n_images)))


@pytest.mark.parametrize("n_images", [50, 300, 1000])
def test_the_level_is_what_independent_channels_show(n_images: int) -> None:
    found = independent(n_images, [0.2] * 24)
    assert found.information_bits.mean() == pytest.approx(2, abs=0.1)
    apart = ~np.eye(24, dtype=bool)
    shown = found.nmi[apart].mean()
    assert found.chance_nmi(np.arange(24))[apart].mean() == pytest.approx(shown, rel=0.05)
    assert abs(found.corrected_nmi(np.arange(24))[apart].mean()) < 0.1 * shown


@pytest.mark.parametrize(("share", "logvar"), [(0.05, 10.0), (0.2, 10.0), (0.9, 10.0), (0.05, 300.0), (0.2, -60.0)])
def test_posteriors_far_wider_or_narrower_than_the_others_do_not_hide_the_level(share: float, logvar: float) -> None:
    rng = np.random.default_rng(4)
    mean, logvars = rng.normal(size=(2, 300, 6)), np.full((2, 300, 6), -3.0)
    logvars[rng.random(logvars.shape) < share] = logvar
    matrix = compare_channels(Posteriors(mean, logvars))
    assert np.isfinite(matrix.chance_nmi(np.arange(12))).all()
    assert abs(matrix.corrected_nmi(np.arange(12))[~np.eye(12, dtype=bool)].mean()) < 0.015


def test_it_is_said_where_chance_could_not_be_worked_out() -> None:
    found = independent(100, [0.2] * 6)
    unknown = replace(found, chance=np.where(np.arange(6)[:, None] < 2, np.nan, found.chance))
    sentence = "Of 2 of 6 live channels it could not be worked out what they would share by chance"
    assert any(message.startswith(sentence) for message in find_hotspots(unknown).messages)
    assert not any("could not be worked out" in message for message in find_hotspots(found).messages)


def limit_bits(covariance: np.ndarray, variance: float) -> float:
    """Work out −E log2 E b_ij of means of this covariance without end, and posteriors of one variance.

    A Gaussian integral: b_ij = exp(−Δ² / (8 σ²)), and Δ is that of a fixed point and one drawn.
    """
    spread = covariance + 4 * variance * np.eye(len(covariance))
    quadratic = np.trace(np.linalg.solve(spread, covariance))
    return float((np.linalg.slogdet(spread / (4 * variance))[1] + quadratic) / 2 / np.log(2))


@pytest.mark.parametrize("n_images", [200, 800])
@pytest.mark.parametrize("bits", [2, 4, 6])
@pytest.mark.parametrize("correlation", [0.0, 0.5, 0.9, 0.99])
def test_dependent_channels_share_what_they_would_on_images_without_end(
    bits: int, correlation: float, n_images: int
) -> None:
    rng, pairs = np.random.default_rng(bits), 16
    one, other = rng.normal(size=(2, n_images, pairs))
    mean = np.concatenate([one, correlation * one + np.sqrt(1 - correlation**2) * other], axis=1)
    variance = 1 / (4.0**bits - 1)
    matrix = compare_channels(Posteriors(mean[None], np.full((1, *mean.shape), np.log(variance))))
    both, single = np.array([[1.0, correlation], [correlation, 1.0]]), np.eye(1)
    alone = limit_bits(single, variance)
    expected = (2 * alone - limit_bits(both, variance)) / (2 * alone - limit_bits(single, variance / 2))
    corrected = matrix.corrected_nmi(np.arange(2 * pairs))[np.arange(pairs), pairs + np.arange(pairs)]
    assert corrected.mean() == pytest.approx(expected, abs=0.035)
    alike = matrix.corrected_similarity("vi", np.arange(2 * pairs))[np.arange(pairs), pairs + np.arange(pairs)]
    assert alike.mean() == pytest.approx(expected, abs=0.035)  # channels of one information: VI and NMI say the same


def test_copies_of_images_do_not_make_channels_alike() -> None:
    rng = np.random.default_rng(4)
    source = np.r_[np.arange(200), rng.integers(0, 200, 200)]
    mean = rng.normal(size=(1, 200, 20))[:, source]
    matrix = compare_channels(Posteriors(mean, np.full_like(mean, -3.2), copy_of=source))
    apart = ~np.eye(20, dtype=bool)
    assert matrix.nmi[apart].mean() > 0.05
    assert abs(matrix.corrected_nmi(np.arange(20))[apart].mean()) < 0.005


def test_fewer_images_show_more_by_chance() -> None:
    levels = [independent(n, [0.2] * 24).chance_nmi(np.arange(24)).mean() for n in (50, 100, 300, 1000)]
    assert levels == sorted(levels, reverse=True)
    assert levels[0] > 0.15 > 0.02 > levels[-1]


def test_the_level_fits_pairs_of_every_information() -> None:
    found = independent(200, [0.02] * 16 + [0.1] * 16 + [0.2] * 16 + [0.4] * 16 + [1.0] * 16, seed=1)
    level = found.chance_nmi(np.arange(80))
    shown = np.where(np.eye(80, dtype=bool), np.nan, found.nmi)
    for u in range(0, 80, 16):
        for v in range(0, 80, 16):
            block = np.s_[u : u + 16, v : v + 16]
            assert np.nanmean(level[block]) == pytest.approx(np.nanmean(shown[block]), rel=0.1, abs=0.003)
    with_label = found.label_chance_nmi(np.arange(80))[:, 0]
    assert with_label[32:48].mean() == pytest.approx(found.label_nmi[32:48, 0].mean(), rel=0.2)


def test_correction_leaves_equal_channels_equal_and_undefined_ones_undefined() -> None:
    rng = np.random.default_rng(0)
    mean = rng.normal(size=(1, 60, 4)) / 0.2
    mean[..., 1] = mean[..., 0]
    mean[..., 3] = 1.0
    found = compare_channels(Posteriors(mean, np.zeros_like(mean)))
    corrected = found.corrected_nmi(np.arange(4))
    assert corrected[0, 1] == pytest.approx(1, abs=1e-6)
    assert abs(corrected[0, 2]) < 0.15 < found.nmi[0, 2] + 0.1
    assert np.isnan(corrected[3]).all()


def test_without_a_telling_channel_there_is_no_level() -> None:
    found = compare_channels(Posteriors(np.zeros((1, 10, 2)), np.zeros((1, 10, 2))))
    assert np.isnan(found.chance).all()


def test_channels_at_the_ceiling_are_named() -> None:
    found = independent(50, [1e-4, 0.2])
    assert found.near_ceiling.tolist() == [True, False]


def test_a_small_sample_is_cautioned_against() -> None:
    few, many = (find_hotspots(independent(n, [1e-4] * 3 + [0.2] * 9)).messages for n in (40, 1500))
    assert any(message.startswith("3 of 12 live channels are within a tenth of log2 40 = 5.3 bits") for message in few)
    assert any("two channels like these that share nothing would show an NMI of about 0." in message for message in few)
    assert not any("share nothing" in message for message in many)


@pytest.mark.parametrize("seed", range(2))
def test_a_member_that_diverged_does_not_spoil_the_level_of_the_others(seed: int) -> None:
    posteriors = independent_ensemble(members=6, channels=5, images=200, seed=seed)
    matrix = compare_channels(with_diverged_member(posteriors, seed))
    others = np.flatnonzero(matrix.member < 5)
    across = matrix.member[others][:, None] != matrix.member[others][None, :]
    corrected = matrix.corrected_nmi(others)[across]
    assert abs(corrected.mean()) < 0.01
    assert corrected.max() < 0.13  # 0.15 and more where two terms had to describe both kinds
