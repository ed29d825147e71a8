"""Similarity against the reference, against hard clusterings, and by its identities."""

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import normalized_mutual_info_score

from vaefrag_core.measures.gaussian import bhattacharyya_distance
from vaefrag_core.measures.information import information_bits, label_distance
from vaefrag_core.measures.similarity import mutual_information_bits, nmi, variation_of_information

REFERENCE = Path(__file__).parents[1] / "reference"


@pytest.fixture(scope="module")
def channels() -> torch.Tensor:
    """Give distances (4, 60, 60) of four related channels."""
    rng = np.random.default_rng(5)
    shared = rng.normal(size=60)
    mean = np.stack([shared * k + rng.normal(size=60) for k in range(4)])[..., None]
    logvar = rng.normal(-1, 0.5, size=(4, 60, 1))
    return bhattacharyya_distance(torch.tensor(mean), torch.tensor(logvar))


def test_nine_spaces_match_the_reference() -> None:
    expected = np.load(REFERENCE / "nine_spaces.npz")
    spaces = [
        bhattacharyya_distance(
            torch.tensor(expected[f"mean_{k}"], dtype=torch.float64),
            torch.tensor(expected[f"logvar_{k}"], dtype=torch.float64),
        )
        for k in range(9)
    ]
    single = [information_bits(d).item() for d in spaces]
    twice = [information_bits(2 * d).item() for d in spaces]
    np.testing.assert_allclose(single, expected["information_bits"], atol=1e-10)
    np.testing.assert_allclose(twice, expected["information_twice_bits"], atol=1e-10)
    np.testing.assert_allclose([[nmi(a, b) for b in spaces] for a in spaces], expected["nmi"], atol=1e-10)
    vi = [[variation_of_information(a, b) for b in spaces] for a in spaces]
    np.testing.assert_allclose(vi, expected["vi_bits"], atol=1e-10)


def test_hard_clusterings_agree_with_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    for _ in range(5):
        a, b = rng.integers(0, 4, size=(2, 50))
        b = np.where(rng.random(50) < 0.6, a, b)
        # Tiny variances at separate centres: each image belongs to one cluster with certainty.
        tight = torch.full((50, 1), -40.0, dtype=torch.float64)
        soft_a, soft_b = (bhattacharyya_distance(torch.tensor(x[:, None], dtype=torch.float64), tight) for x in (a, b))
        expected = normalized_mutual_info_score(a, b, average_method="geometric")
        assert nmi(soft_a, soft_b).item() == pytest.approx(expected, abs=1e-6)
        hard = label_distance(torch.tensor(a)), label_distance(torch.tensor(b))
        assert nmi(*hard).item() == pytest.approx(expected, abs=1e-6)
        assert variation_of_information(*hard).item() == pytest.approx(_hard_vi(a, b), abs=1e-6)


def _hard_vi(a: np.ndarray, b: np.ndarray) -> float:
    """Sum H(A|B) + H(B|A) over the contingency table, bits."""
    table = np.zeros((a.max() + 1, b.max() + 1))
    np.add.at(table, (a, b), 1 / len(a))
    p_a, p_b = np.meshgrid(table.sum(1), table.sum(0), indexing="ij")
    seen = table > 0
    return float(-(table[seen] * (2 * np.log2(table[seen]) - np.log2(p_a[seen]) - np.log2(p_b[seen]))).sum())


def test_a_channel_is_like_itself(channels: torch.Tensor) -> None:
    torch.testing.assert_close(nmi(channels, channels), torch.ones(4, dtype=torch.float64))
    torch.testing.assert_close(variation_of_information(channels, channels), torch.zeros(4, dtype=torch.float64))


def test_symmetry(channels: torch.Tensor) -> None:
    a, b = channels[0], channels[2]
    torch.testing.assert_close(nmi(a, b), nmi(b, a))
    torch.testing.assert_close(variation_of_information(a, b), variation_of_information(b, a))


def test_image_order_does_not_matter(channels: torch.Tensor) -> None:
    order = torch.randperm(60, generator=torch.Generator().manual_seed(0))
    shuffled = channels[:, order][:, :, order]
    torch.testing.assert_close(nmi(shuffled[0], shuffled[3]), nmi(channels[0], channels[3]))


def test_sign_shift_and_scale_of_a_channel_do_not_matter() -> None:
    generator = torch.Generator().manual_seed(3)
    mean, logvar = torch.randn(2, 30, 1, generator=generator, dtype=torch.float64)
    distance = bhattacharyya_distance(mean, logvar)
    moved = bhattacharyya_distance(-3 * mean + 11, logvar + 2 * np.log(3))
    torch.testing.assert_close(moved, distance)


def test_a_mean_without_its_division_would_not_give_one() -> None:
    """The average over images is part of the measure: sums in its place leave NMI of a channel with itself off 1."""
    distance = bhattacharyya_distance(torch.arange(8.0)[:, None], torch.zeros(8, 1))
    assert information_bits(distance) < np.log2(8)
    assert 0 < mutual_information_bits(distance, distance) < information_bits(distance)


def test_a_constant_channel_has_no_nmi(channels: torch.Tensor) -> None:
    constant = torch.zeros(60, 60, dtype=torch.float64)
    assert torch.isnan(nmi(channels[0], constant))
    assert torch.isnan(nmi(constant, constant))


def test_nmi_of_a_rare_factor_and_its_noisy_copy_exceeds_one() -> None:
    rare = torch.zeros(200, dtype=torch.float64)
    rare[:2] = 1
    certain = label_distance(rare)
    noisy = bhattacharyya_distance(4.0 * rare[:, None], torch.zeros(200, 1, dtype=torch.float64))
    assert nmi(certain, noisy) > 1.1


def test_gradients_match_finite_differences() -> None:
    generator = torch.Generator().manual_seed(4)
    means = torch.randn(2, 5, 1, generator=generator, dtype=torch.float64).requires_grad_()
    logvar = torch.zeros(5, 1, dtype=torch.float64)

    def similarity(both: torch.Tensor) -> torch.Tensor:
        a, b = (bhattacharyya_distance(mean, logvar) for mean in both)
        return torch.stack([nmi(a, b), variation_of_information(a, b)])

    assert torch.autograd.gradcheck(similarity, (means,))
