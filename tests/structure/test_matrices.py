"""The streamed matrices against the reference and against the readable measures they must equal."""

from pathlib import Path

import numpy as np
import pytest
import torch

from vaefrag_core.artifacts import ChannelMatrix, Posteriors
from vaefrag_core.measures.gaussian import bhattacharyya_distance
from vaefrag_core.measures.information import information_bits, label_distance
from vaefrag_core.measures.similarity import nmi, variation_of_information
from vaefrag_core.structure.matrices import compare_channels

REFERENCE = Path(__file__).parents[1] / "reference"


@pytest.fixture(scope="module")
def posteriors() -> Posteriors:
    """Give 3 members × 90 images × 3 channels, from sharp to nearly dead, with a text label."""
    rng = np.random.default_rng(7)
    digit = rng.integers(0, 3, size=90)
    strength = np.array([3.0, 0.7, 2e-2])
    mean = digit[None, :, None] * strength + 0.3 * strength * rng.normal(size=(3, 90, 3))
    logvar = rng.normal(-1, 0.2, size=(3, 90, 3)) * np.array([1, 0.5, 2e-2])
    return Posteriors(mean, logvar, labels=np.array(["a", "b", "c"])[digit], label_names=["letter"])


@pytest.fixture(scope="module")
def matrix(posteriors: Posteriors) -> ChannelMatrix:
    return compare_channels(posteriors)


def test_a_real_ensemble_matches_the_reference() -> None:
    given = np.load(REFERENCE / "fashion_beta4_posteriors.npz")
    expected = np.load(REFERENCE / "fashion_beta4_expected.npz")
    first = int(expected["images"])
    found = compare_channels(
        Posteriors(given["mean"][:, :first], given["logvar"][:, :first], labels=given["label"][:first])
    )
    np.testing.assert_allclose(found.information_bits, expected["information_bits"], atol=1e-6)
    np.testing.assert_allclose(found.nmi, expected["nmi"], atol=1e-6)
    np.testing.assert_allclose(found.vi_bits, expected["vi_bits"], atol=1e-6)
    np.testing.assert_allclose(found.label_nmi[:, 0], expected["nmi_with_label"], atol=1e-6)
    np.testing.assert_allclose(found.label_vi_bits[:, 0], expected["vi_with_label_bits"], atol=1e-6)


def test_every_entry_equals_the_measure_of_its_pair(posteriors: Posteriors, matrix: ChannelMatrix) -> None:
    mean, logvar = (torch.tensor(array)[..., None] for array in posteriors.flat())
    distance = bhattacharyya_distance(mean, logvar)  # (C, N, N)
    torch.testing.assert_close(torch.tensor(matrix.information_bits), information_bits(distance), atol=1e-6, rtol=1e-5)
    for a in range(9):
        expected_nmi = nmi(distance[a], distance)
        expected_vi = variation_of_information(distance[a], distance)
        torch.testing.assert_close(torch.tensor(matrix.nmi[a]), expected_nmi, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(torch.tensor(matrix.vi_bits[a]), expected_vi, atol=1e-6, rtol=1e-5)


def test_labels_are_compared_as_hard_channels(posteriors: Posteriors, matrix: ChannelMatrix) -> None:
    codes = torch.tensor(np.unique(posteriors.labels[:, 0], return_inverse=True)[1])
    hard = label_distance(codes)
    assert matrix.label_bits[0] == pytest.approx(information_bits(hard).item(), abs=1e-9)
    mean, logvar = (torch.tensor(array)[..., None] for array in posteriors.flat())
    for c in (0, 4, 7):
        expected = nmi(bhattacharyya_distance(mean[c], logvar[c]), hard).item()
        assert matrix.label_nmi[c, 0] == pytest.approx(expected, abs=1e-5)


def test_diagonals_are_exact(matrix: ChannelMatrix) -> None:
    np.testing.assert_allclose(np.diagonal(matrix.nmi), 1.0, atol=1e-12)
    assert not np.diagonal(matrix.vi_bits).any()


def test_image_order_does_not_matter(posteriors: Posteriors, matrix: ChannelMatrix) -> None:
    order = np.random.default_rng(0).permutation(90)
    shuffled = compare_channels(Posteriors(posteriors.mean[:, order], posteriors.logvar[:, order]))
    live = matrix.information_bits > 0.01
    np.testing.assert_allclose(shuffled.nmi[live][:, live], matrix.nmi[live][:, live], atol=1e-6)


def test_a_constant_channel_has_no_nmi_and_no_information() -> None:
    mean = np.random.default_rng(0).normal(size=(1, 20, 2))
    mean[..., 1] = 0.25
    found = compare_channels(Posteriors(mean, np.zeros_like(mean)))
    assert found.information_bits[1] == 0
    assert np.isnan(found.nmi[1]).all()
    assert np.isnan(found.nmi[0, 1])
    assert np.isfinite(found.vi_bits).all()


def test_extreme_variances_stay_finite() -> None:
    rng = np.random.default_rng(0)
    mean = rng.normal(size=(1, 30, 4)) * 100
    logvar = np.stack(
        [np.full((1, 30), -80.0), np.full((1, 30), 80.0), rng.choice([-80.0, 80.0], (1, 30)), rng.normal(size=(1, 30))],
        axis=-1,
    )
    found = compare_channels(Posteriors(mean, logvar))
    assert found.information_bits[0] == pytest.approx(np.log2(30), abs=1e-6)
    assert found.information_bits[2] > 0.9
    assert np.isfinite(found.vi_bits).all()


def test_members_may_differ_in_channels() -> None:
    rng = np.random.default_rng(1)
    mean = [rng.normal(size=(25, 1)), rng.normal(size=(25, 3))]
    ragged = compare_channels(Posteriors(mean, [np.zeros_like(m) for m in mean]))
    assert ragged.channel_names.tolist() == [[0, 0], [1, 0], [1, 1], [1, 2]]
    whole = np.concatenate(mean, axis=1)[None]
    np.testing.assert_allclose(ragged.nmi, compare_channels(Posteriors(whole, np.zeros_like(whole))).nmi, atol=1e-6)


def test_progress_is_told_and_can_end_the_work(posteriors: Posteriors) -> None:
    seen: list[int] = []

    def stop_half_way(done: int, total: int) -> None:
        seen.append(done)
        if done * 2 > total:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        compare_channels(posteriors, on_progress=stop_half_way)
    assert seen == [16, 32, 48]
