"""Estimates against integrals worked out by quadrature: right on average, and as far off as they say."""

import math
from itertools import product

import numpy as np
import pytest
import torch

from vaefrag_core.errors import InvalidInputError
from vaefrag_core.measures.monte_carlo import SpaceEstimates, monte_carlo_comparison, monte_carlo_information

MEAN_U, LOGVAR_U = [0.0, 0.6, 1.5, 2.0, -1.0, -1.4], [-1.0, 0.0, -0.5, -1.5, -0.2, -1.0]
MEAN_V, LOGVAR_V = [1.0, 0.4, 1.2, -2.0, -1.0, -1.2], [-0.8, -0.3, -1.0, -1.2, 0.1, -0.6]


def space(mean: list[float], logvar: list[float]) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.tensor(mean, dtype=torch.float64)[:, None], torch.tensor(logvar, dtype=torch.float64)[:, None]


def exact_information(*spaces: tuple[list[float], list[float]]) -> float:
    """Integrate log2 p(u|x)/p(u) over one or two dimensions by Gauss-Hermite quadrature."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(80)
    points = np.array(list(product(nodes, repeat=len(spaces))))
    weight = np.prod(np.array(list(product(weights / math.sqrt(2 * math.pi), repeat=len(spaces)))), axis=1)
    total = 0.0
    for i in range(6):
        log_density = np.zeros((len(points), 6))
        for d, (mean, logvar) in enumerate(spaces):
            u = mean[i] + points[:, d] * math.exp(logvar[i] / 2)
            log_density += -((u[:, None] - mean) ** 2) / np.exp(logvar) / 2 - np.array(logvar) / 2
        relative = np.exp(log_density - log_density[:, [i]])
        total -= (weight * np.log2(relative.mean(axis=1))).sum() / 6
    return total


@pytest.fixture(scope="module")
def exact() -> dict[str, float]:
    u, v = (MEAN_U, LOGVAR_U), (MEAN_V, LOGVAR_V)
    single = exact_information(u), exact_information(v)
    twice = exact_information(u, u), exact_information(v, v)
    joint = exact_information(u, v)
    own = [2 * s - t for s, t in zip(single, twice, strict=True)]
    return {
        "information": single[0],
        "nmi": (sum(single) - joint) / math.sqrt(own[0] * own[1]),
        "vi": 2 * joint - sum(twice),
    }


def estimate(draws: int, seed: int) -> SpaceEstimates:
    spaces = space(MEAN_U, LOGVAR_U), space(MEAN_V, LOGVAR_V)
    generator = torch.Generator().manual_seed(seed)
    means, logvars = zip(*spaces, strict=True)
    return monte_carlo_comparison(means, logvars, draws=draws, generator=generator)


def value(found: SpaceEstimates, name: str) -> float:
    tensor: torch.Tensor = getattr(found, name)
    return float(tensor[0] if tensor.ndim == 1 else tensor[0, 1])


@pytest.fixture(scope="module")
def repeated() -> dict[int, list[SpaceEstimates]]:
    return {400: [estimate(400, seed) for seed in range(200)], 6400: [estimate(6400, seed) for seed in range(40)]}


@pytest.mark.parametrize("name", ["information", "nmi", "vi"])
def test_error_bars_cover_the_exact_value_as_often_as_they_say(
    name: str, repeated: dict[int, list[SpaceEstimates]], exact: dict[str, float]
) -> None:
    off = [(value(e, name) - exact[name]) / value(e, f"{name}_error") for e in repeated[400]]
    within = np.mean(np.abs(off) < 1.96)
    assert 0.91 <= within <= 0.985  # 95 % ± 2.6 standard deviations of 200 repetitions
    assert 0.61 <= np.mean(np.abs(off) < 1) <= 0.77
    assert abs(np.mean(off)) < 0.25


@pytest.mark.parametrize("name", ["information", "nmi", "vi"])
def test_errors_fall_with_the_square_root_of_the_draws(
    name: str, repeated: dict[int, list[SpaceEstimates]], exact: dict[str, float]
) -> None:
    said = [np.mean([value(e, f"{name}_error") for e in repeated[n]]) for n in (400, 6400)]
    real = [math.sqrt(np.mean([(value(e, name) - exact[name]) ** 2 for e in repeated[n]])) for n in (400, 6400)]
    assert said[0] / said[1] == pytest.approx(4, rel=0.1)
    assert real[0] / real[1] == pytest.approx(4, rel=0.35)


def test_the_same_seed_gives_the_same_estimate() -> None:
    first, again, other = estimate(500, 1), estimate(500, 1), estimate(500, 2)
    assert torch.equal(first.nmi, again.nmi)
    assert not torch.equal(first.nmi, other.nmi)
    assert monte_carlo_information(*space(MEAN_U, LOGVAR_U)) == monte_carlo_information(*space(MEAN_U, LOGVAR_U))


def test_chunks_do_not_change_what_is_estimated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vaefrag_core.measures.monte_carlo.CHUNK_BYTES", 8 * 6 * 4 * 3)
    found = estimate(6400, 0)
    monkeypatch.undo()
    whole = estimate(6400, 0)
    assert abs(value(found, "nmi") - value(whole, "nmi")) < 4 * value(whole, "nmi_error")


def test_groups_apart_in_many_dimensions_with_tiny_variances() -> None:
    code = torch.arange(24) % 6
    mean = torch.stack([code, code % 2, code % 3], dim=1).double() + 1e3
    tight = torch.full_like(mean, -60.0)
    found = monte_carlo_comparison([mean, mean[:, 1:2]], [tight, tight[:, 1:2]], draws=400)
    assert found.information.tolist() == pytest.approx([math.log2(6), 1], abs=1e-9)
    assert found.nmi[0, 1].item() == pytest.approx(1 / math.sqrt(math.log2(6)), abs=1e-9)
    assert found.vi[0, 1].item() == pytest.approx(math.log2(3), abs=1e-9)
    assert found.vi_error.max() < 1e-9


@pytest.mark.parametrize("spread", [-80.0, 80.0])
def test_extreme_variances_stay_finite(spread: float) -> None:
    mean = torch.randn(20, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    logvar = torch.where(mean > 0, spread, -spread)
    bits, error = monte_carlo_information(mean, logvar, draws=200)
    assert 0 <= bits <= math.log2(20) + 1e-12
    assert torch.isfinite(error)


def test_a_space_that_tells_nothing_has_no_nmi() -> None:
    mean = torch.randn(8, 2, generator=torch.Generator().manual_seed(0))
    found = monte_carlo_comparison([mean, torch.zeros(8, 1)], [torch.zeros(8, 2), torch.zeros(8, 1)], draws=200)
    assert found.information[1].abs() < 1e-12
    assert torch.isnan(found.nmi[1]).all()
    assert torch.isfinite(found.vi).all()


def rare_factor(separation: float, dimensions: int = 1) -> float:
    """Information of 2 % of the images, so many σ away from the rest in each dimension: by quadrature, bits."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    points = np.array(list(product(nodes, repeat=dimensions)))
    weight = np.prod(np.array(list(product(weights / weights.sum(), repeat=dimensions))), axis=1)
    share, total = np.array([0.98, 0.02]), 0.0
    for group in (0, 1):
        log_density = np.stack([-((points + (group - g) * separation) ** 2).sum(axis=1) / 2 for g in (0, 1)], axis=1)
        mixed = (share * np.exp(log_density - log_density[:, [group]])).sum(axis=1)
        total -= share[group] * (weight * np.log2(mixed)).sum()
    return total


@pytest.mark.parametrize(("separation", "defined"), [(0.5, False), (4.0, True)])
def test_error_bars_of_faint_spaces_are_honest_and_their_nmi_undefined(separation: float, defined: bool) -> None:
    sure = rare_factor(100.0)
    information, twice = rare_factor(separation), rare_factor(separation, 2)
    own = 2 * information - twice
    expected_vi, expected_nmi = sure + own - 2 * information, information / math.sqrt(sure * own)
    rare = (torch.arange(100) < 2).double()[:, None]
    found = [
        monte_carlo_comparison(
            [100 * rare, separation * rare],
            [torch.zeros(100, 1)] * 2,
            draws=4000,
            generator=torch.Generator().manual_seed(seed),
        )
        for seed in range(20)
    ]
    off = np.array([(e.vi[0, 1] - expected_vi) / e.vi_error[0, 1] for e in found])
    assert np.mean(np.abs(off) < 1.96) >= 0.78  # 95 % less 3.5 standard deviations of 20 repetitions
    assert abs(np.mean([e.own[1] for e in found]) - own) < 4 * np.mean([e.own_error[1] for e in found]) / math.sqrt(20)
    nmi_defined = np.array([bool(torch.isfinite(e.nmi[0, 1])) for e in found])
    assert np.mean(nmi_defined == defined) >= 0.9
    assert [bool(torch.isfinite(e.nmi_error[0, 1])) for e in found] == nmi_defined.tolist()
    if defined:
        off = np.array([(e.nmi[0, 1] - expected_nmi) / e.nmi_error[0, 1] for e in found])[nmi_defined]
        assert np.mean(np.abs(off) < 1.96) >= 0.78


@pytest.mark.parametrize(
    ("means", "draws", "message"),
    [
        ([torch.zeros(3, 2), torch.zeros(4, 2)], 200, r"same images, got \[3, 4\] images"),
        ([torch.zeros(3)], 200, r"one shape \(images, dimensions\) each, got \[\(3,\)\]"),
        ([torch.zeros(3, 2)], 99, "at least 100 draws, got 99"),
    ],
)
def test_what_cannot_be_compared_is_refused(means: list[torch.Tensor], draws: int, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        monte_carlo_comparison(means, [torch.zeros_like(m) for m in means], draws=draws)
