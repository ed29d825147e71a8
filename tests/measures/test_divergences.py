"""Every divergence keeps the contract of `Divergence`, and every faster version its definition."""

import math

import numpy as np
import pytest
import torch
from scipy.integrate import trapezoid
from scipy.stats import norm

from vaefrag_core.artifacts import Posteriors
from vaefrag_core.measures.bhattacharyya_coefficient import pair_coefficients
from vaefrag_core.measures.gaussian import BHATTACHARYYA, DIVERGENCES, Divergence
from vaefrag_core.measures.information import information_bits
from vaefrag_core.measures.similarity import mutual_information_bits
from vaefrag_core.structure.compared_rows import Rows
from vaefrag_core.structure.matrices import compare_across, compare_channels
from vaefrag_core.structure.pairwise_information import shared_bits, shared_bits_by_torch
from vaefrag_core.synthesis.coefficient_blocks import CoefficientBlocks


def jeffreys(
    mean_i: torch.Tensor, logvar_i: torch.Tensor, mean_j: torch.Tensor, logvar_j: torch.Tensor
) -> torch.Tensor:
    """KL both ways: one that the package does not have."""
    squared = (mean_i - mean_j).square() * ((-logvar_i).exp() + (-logvar_j).exp()) / 2
    return squared + 2 * ((logvar_i - logvar_j) / 2).sinh().square()


def channels(count: int = 6, images: int = 40) -> tuple[np.ndarray, np.ndarray]:
    """Give means and ln σ² of channels from faint to sharp, far from 0."""
    rng = np.random.default_rng(2)
    strength = np.logspace(-2, 1, count)[:, None]
    mean = strength * rng.normal(size=(count, images)) + rng.normal(size=(count, 1)) * 10
    return mean, np.minimum(strength, 1) * rng.normal(-1, 1, (count, images))


def test_the_bhattacharyya_coefficient_is_the_integral_of_the_root_of_both_densities() -> None:
    for (m, s), (n, r) in [((0.0, 1.0), (2.0, 0.5)), ((1.0, 0.3), (1.0, 3.0)), ((0.0, 1.0), (0.0, 1.0))]:
        u = np.linspace(-30, 30, 60_001)
        overlap = trapezoid(np.sqrt(norm.pdf(u, m, s) * norm.pdf(u, n, r)), u)
        mean, logvar = torch.tensor([[m], [n]]).double(), 2 * torch.tensor([[s], [r]]).double().log()
        assert math.exp(-BHATTACHARYYA.distance(mean, logvar)[0, 1]) == pytest.approx(overlap, abs=1e-8)


@pytest.mark.parametrize("divergence", DIVERGENCES, ids=lambda d: d.name)
def test_the_contract_of_a_divergence(divergence: Divergence) -> None:
    mean, logvar = (torch.tensor(array).T[None] for array in channels())  # one space of six dimensions
    distance = divergence.distance(mean, logvar)
    torch.testing.assert_close(distance, distance.mT, rtol=1e-12, atol=1e-12)
    assert (distance >= 0).all()
    assert not distance.diagonal(dim1=1, dim2=2).any()
    parts = sum(divergence.distance(mean[..., d : d + 1], logvar[..., d : d + 1]) for d in range(6))
    torch.testing.assert_close(distance, parts)
    moved = divergence.distance(-3 * mean + 11, logvar + 2 * math.log(3))
    torch.testing.assert_close(distance, moved, rtol=1e-7, atol=1e-10)


@pytest.mark.parametrize("divergence", DIVERGENCES, ids=lambda d: d.name)
def test_arrays_and_tensors_have_the_same_distances(divergence: Divergence) -> None:
    mean, logvar = (array.T for array in channels())
    by_torch = divergence.distance(torch.tensor(mean), torch.tensor(logvar)).numpy()
    np.testing.assert_allclose(divergence.distance(mean, logvar), by_torch, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("divergence", DIVERGENCES, ids=lambda d: d.name)
@pytest.mark.parametrize("by_torch", [False, True])
def test_the_streams_share_what_the_definition_says(divergence: Divergence, by_torch: bool) -> None:
    mean, logvar = channels()
    rows = Rows(mean, logvar, np.zeros((0, 40), dtype=np.int64), divergence=divergence)
    distance = divergence.distance(torch.tensor(mean)[..., None], torch.tensor(logvar)[..., None])
    information, shared = (
        shared_bits_by_torch(rows, torch.device("cpu"), lambda done, n: None) if by_torch else shared_bits(rows)
    )
    np.testing.assert_allclose(information, information_bits(distance), atol=2e-6)
    expected = [[mutual_information_bits(a, b).item() for b in distance] for a in distance]
    np.testing.assert_allclose(shared, expected, atol=2e-6)


@pytest.mark.parametrize("divergence", DIVERGENCES, ids=lambda d: d.name)
@pytest.mark.parametrize("exact", [False, True])
def test_block_sums_hold_the_coefficients_of_the_definition(divergence: Divergence, exact: bool) -> None:
    mean, logvar = channels()
    blocks = CoefficientBlocks(mean, logvar, exact=exact, divergence=divergence)
    out = np.empty((6, 40, 40), dtype=blocks.dtype)
    blocks.fill(out, slice(None), slice(None), slice(None))
    distance = divergence.distance(torch.tensor(mean)[..., None], torch.tensor(logvar)[..., None])
    np.testing.assert_allclose(out, torch.exp(-distance), atol=1e-12 if exact else 2e-6)


@pytest.mark.parametrize("divergence", DIVERGENCES, ids=lambda d: d.name)
def test_coefficients_with_a_gradient_are_those_of_the_definition(divergence: Divergence) -> None:
    mean, logvar = (torch.tensor(array).T[None].requires_grad_() for array in channels())
    fast = pair_coefficients(mean, logvar, divergence)
    slow = torch.exp(-divergence.distance(mean, logvar))
    torch.testing.assert_close(fast, slow)
    for one, other in zip(*(torch.autograd.grad(c.square().sum(), (mean, logvar)) for c in (fast, slow)), strict=True):
        torch.testing.assert_close(one, other)


def test_another_divergence_changes_what_channels_look_like() -> None:
    mean, logvar = channels(images=40)
    posteriors, another = Posteriors(mean.T[None], logvar.T[None]), Divergence("Jeffreys", jeffreys)
    matrix = compare_channels(posteriors, divergence=another)
    assert abs(matrix.nmi - compare_channels(posteriors).nmi).max() > 0.1
    rows = slice(0, 3), slice(3, 6)
    across = compare_across(*((mean[r], logvar[r]) for r in rows), divergence=another)
    np.testing.assert_allclose(across, matrix.nmi[:3, 3:], atol=1e-5)
