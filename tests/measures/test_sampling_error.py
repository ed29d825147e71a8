"""Standard errors over the choice of images: closed forms, images left out one by one, and redrawn samples."""

import math

import numpy as np
import pytest
import torch

from vaefrag_core.array_types import FloatArray
from vaefrag_core.errors import InvalidInputError
from vaefrag_core.measures.gaussian import bhattacharyya_distance
from vaefrag_core.measures.information import information_bits
from vaefrag_core.measures.sampling_error import information_influence, pair_errors, standard_error
from vaefrag_core.measures.similarity import nmi, variation_of_information


def pair(n_images: int, bits: float, noise: float, rng: np.random.Generator) -> torch.Tensor:
    """Distances of two noisy channels of one property, (2, N, N)."""
    value = rng.uniform(-2, 2, n_images)
    mean = (value / 1.155 + noise * rng.normal(size=(2, n_images))) * np.array([[1.0], [-1.0]])
    logvar = -np.log(4**bits - 1) + rng.normal(0, 0.3, (2, n_images))
    return bhattacharyya_distance(torch.tensor(mean[..., None]), torch.tensor(logvar[..., None]))


def left_out(values: FloatArray) -> float:
    """Jackknife error from what is found without each image."""
    return math.sqrt((len(values) - 1) * values.var())


def test_the_error_of_two_groups_is_that_of_a_binomial_entropy() -> None:
    share, n_images = 0.2, 1_000
    group = np.arange(n_images) < share * n_images
    error = standard_error(information_influence((group[:, None] == group[None, :]).astype(float)))
    assert error == pytest.approx(math.sqrt(share * (1 - share) / n_images) * math.log2((1 - share) / share), rel=0.01)


def test_equal_groups_have_no_error_to_first_order() -> None:
    groups = np.kron(np.eye(4), np.ones((25, 25)))
    assert standard_error(information_influence(groups)) == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize(("bits", "noise"), [(0.2, 0.3), (2.0, 0.1), (2.0, 0.8), (4.0, 0.3)])
def test_errors_are_those_of_leaving_images_out(bits: float, noise: float) -> None:
    distance = pair(120, bits, noise, np.random.default_rng(1))
    without = []
    for image in range(120):
        others = [i for i in range(120) if i != image]
        a, b = distance[:, others][..., others]
        terms = (information_bits(a), information_bits(b), information_bits(a + b), nmi(a, b))
        without.append([float(term) for term in (*terms, variation_of_information(a, b))])
    expected = [left_out(column) for column in np.array(without).T]
    errors = pair_errors(*torch.exp(-distance).numpy())
    found = [*errors.bits, errors.joint_bits, errors.nmi, errors.vi_bits]
    np.testing.assert_allclose(found, expected, rtol=0.08)


def test_intervals_cover_the_mean_over_samples() -> None:
    rng = np.random.default_rng(2)
    rows = []
    for _ in range(200):
        a, b = distance = pair(100, 2.0, 0.3, rng)
        errors = pair_errors(*torch.exp(-distance).numpy())
        values = (information_bits(a), nmi(a, b), variation_of_information(a, b))
        rows.append([*map(float, values), errors.bits[0], errors.nmi, errors.vi_bits])
    value, error = np.split(np.array(rows), 2, axis=1)
    covered = (abs(value - value.mean(axis=0)) < 1.96 * error).mean(axis=0)
    assert (covered > 0.91).all()
    assert (covered < 0.995).all()


def test_a_channel_that_tells_nothing_has_no_error_of_its_nmi() -> None:
    errors = pair_errors(np.ones((5, 5)), np.eye(5))
    assert math.isnan(errors.nmi)
    assert errors.bits[0] == 0.0


def test_coefficients_that_are_not_square_are_refused() -> None:
    with pytest.raises(InvalidInputError, match=r"\(\.\.\., images, images\), got \(2, 3\)"):
        information_influence(np.ones((2, 3)))
