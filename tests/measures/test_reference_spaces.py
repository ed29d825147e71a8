"""A panel says of all its spaces at once what the measures say of each pair."""

import math

import pytest
import torch

from vaefrag_core.errors import InvalidInputError
from vaefrag_core.measures.bhattacharyya_coefficient import bhattacharyya_coefficient
from vaefrag_core.measures.gaussian import bhattacharyya_distance
from vaefrag_core.measures.information import information_bits
from vaefrag_core.measures.reference_spaces import ReferenceSpaces
from vaefrag_core.measures.similarity import mutual_information_bits, nmi, variation_of_information


@pytest.fixture(scope="module")
def spaces() -> torch.Tensor:
    """Give distances of five spaces of 12 images, float64."""
    generator = torch.Generator().manual_seed(0)
    mean, logvar = torch.randn(2, 5, 12, 2, generator=generator, dtype=torch.float64)
    return bhattacharyya_distance(2 * mean, logvar)


def test_every_pair_is_what_the_measures_say(spaces: torch.Tensor) -> None:
    coefficient = torch.exp(-spaces)
    found = ReferenceSpaces(coefficient[2:]).compare(coefficient[:2])
    for r in range(2):
        assert found.single[r] == pytest.approx(float(information_bits(spaces[r])), abs=1e-12)
        for k in range(3):
            pair = spaces[r], spaces[2 + k]
            assert found.vi[r, k] == pytest.approx(float(variation_of_information(*pair)), abs=1e-12)
            assert found.nmi[r, k] == pytest.approx(float(nmi(*pair)), abs=1e-12)
            assert found.mutual_information[r, k] == pytest.approx(float(mutual_information_bits(*pair)), abs=1e-12)


def test_gradients_are_those_of_small_differences(spaces: torch.Tensor) -> None:
    panel = ReferenceSpaces(torch.exp(-spaces))
    generator = torch.Generator().manual_seed(1)
    mean, logvar = (torch.randn(2, 12, 2, generator=generator, dtype=torch.float64).requires_grad_() for _ in "ab")

    def similarity(m: torch.Tensor, v: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        found = panel.compare(bhattacharyya_coefficient(m, v))
        return found.vi, found.nmi

    assert torch.autograd.gradcheck(similarity, (mean, logvar))


def test_a_circle_that_every_space_cuts_elsewhere_is_laid_out_as_a_circle() -> None:
    angle = torch.arange(48, dtype=torch.float64) / 48 * 2 * math.pi
    mean = torch.stack([(angle - shift).remainder(2 * math.pi) for shift in torch.arange(12) * 0.5])[:, :, None]
    layout = ReferenceSpaces(bhattacharyya_coefficient(mean, torch.full_like(mean, -3.0))).order(2)
    radius = layout.norm(dim=1)
    assert radius.min() > 0.8 * radius.max()
    turns = torch.atan2(layout[:, 1], layout[:, 0]).diff().remainder(2 * math.pi)
    assert (turns < 0.5).all() or (turns > 2 * math.pi - 0.5).all()  # neighbours stay neighbours, one way round


def test_coefficients_of_another_shape_are_refused() -> None:
    with pytest.raises(InvalidInputError, match=r"Expected coefficients of shape \(spaces, images, images\)"):
        ReferenceSpaces(torch.zeros(3, 4))
