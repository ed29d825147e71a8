"""Distances against closed forms and against numerical integration."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad

from vaefrag_core.errors import InvalidInputError
from vaefrag_core.measures.gaussian import bhattacharyya_distance


def column(*values: float, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.tensor(values, dtype=dtype)[:, None]


@pytest.mark.parametrize(("mean", "logvar"), [((0.0, 1.5), (0.0, 0.7)), ((-2.0, 3.0), (-1.0, 2.0))])
def test_coefficient_is_the_overlap_integral(mean: tuple[float, float], logvar: tuple[float, float]) -> None:
    def density(x: float, m: float, v: float) -> float:
        return math.exp(-((x - m) ** 2) / (2 * math.exp(v))) / math.sqrt(2 * math.pi * math.exp(v))

    overlap, _ = quad(
        lambda x: math.sqrt(density(x, mean[0], logvar[0]) * density(x, mean[1], logvar[1])), -60, 60, limit=500
    )
    distance = bhattacharyya_distance(column(*mean), column(*logvar))
    assert math.exp(-distance[0, 1].item()) == pytest.approx(overlap, abs=1e-9)


@settings(deadline=None, derandomize=True)  # a busy machine is no wrong answer
@given(
    st.lists(st.tuples(st.floats(-50, 50), st.floats(-80, 80)), min_size=2, max_size=5),
    st.sampled_from([torch.float64, torch.float32]),
)
def test_distances_are_finite_symmetric_and_zero_on_the_diagonal(
    points: list[tuple[float, float]], dtype: torch.dtype
) -> None:
    mean, logvar = (column(*values, dtype=dtype) for values in zip(*points, strict=True))
    distance = bhattacharyya_distance(mean, logvar)
    assert (distance >= 0).all()
    # Vector and scalar instructions round the last digit differently, so not to the bit.
    torch.testing.assert_close(distance, distance.T)
    assert not distance.diagonal().any()
    assert not torch.isnan(distance).any()


def test_nearly_equal_posteriors_keep_their_tiny_distance() -> None:
    # By series, two equal variances a shift δ apart are δ²/8 apart, and a ln σ² step ε adds ε²/16.
    shift, step = 1e-6, 2e-6
    distance = bhattacharyya_distance(column(0.0, shift), column(0.0, step))
    assert distance[0, 1].item() == pytest.approx(shift**2 / 8 + step**2 / 16, rel=1e-6)


def test_distances_of_dimensions_add() -> None:
    generator = torch.Generator().manual_seed(0)
    mean, logvar = torch.randn(2, 7, 3, generator=generator, dtype=torch.float64)
    joint = bhattacharyya_distance(mean, logvar)
    parts = [bhattacharyya_distance(mean[:, [d]], logvar[:, [d]]) for d in range(3)]
    torch.testing.assert_close(joint, sum(parts))


def test_extreme_variances_match_the_formula_in_high_precision() -> None:
    from mpmath import mp, mpf

    mp.dps = 60
    for low, high in ((-80.0, 80.0), (-80.0, -79.0), (79.0, 80.0)):
        exact = mp.log((mp.exp(mpf(low)) + mp.exp(mpf(high))) / 2) / 2 - (mpf(low) + mpf(high)) / 4
        got = bhattacharyya_distance(column(0.0, 0.0), column(low, high))[0, 1].item()
        assert got == pytest.approx(float(exact), rel=1e-12)


def test_gradients_match_finite_differences() -> None:
    generator = torch.Generator().manual_seed(1)
    mean, logvar = torch.randn(2, 4, 2, generator=generator, dtype=torch.float64).mul(1.5).requires_grad_()
    assert torch.autograd.gradcheck(bhattacharyya_distance, (mean, logvar))


def test_shapes_that_differ_are_refused() -> None:
    with pytest.raises(InvalidInputError, match=r"one shape .* got \(3, 1\) and \(2, 1\)"):
        bhattacharyya_distance(torch.zeros(3, 1), torch.zeros(2, 1))


def test_batches_of_spaces_are_compared_one_by_one() -> None:
    # Of a size that vector instructions take whole: the ragged end of an array rounds differently.
    rng = np.random.default_rng(0)
    mean, logvar = torch.tensor(rng.normal(size=(2, 3, 8, 2)))
    together = bhattacharyya_distance(mean, logvar)
    for k in range(3):
        torch.testing.assert_close(together[k], bhattacharyya_distance(mean[k], logvar[k]), rtol=0, atol=0)
