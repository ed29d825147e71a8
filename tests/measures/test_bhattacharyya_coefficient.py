"""The compiled coefficients are those of the distance, and their gradient is autograd's."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from vaefrag_core.errors import InvalidInputError
from vaefrag_core.measures.bhattacharyya_coefficient import bhattacharyya_coefficient
from vaefrag_core.measures.gaussian import bhattacharyya_distance

SHAPE = (2, 5, 3)


def spaces(spread: float, images: int = 40) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    mean, logvar = torch.randn(2, 3, images, 4, generator=generator, dtype=torch.float64)
    return (spread * mean).requires_grad_(), (spread * logvar).requires_grad_()


@settings(deadline=None, derandomize=True)  # the first call compiles
@given(arrays(np.float64, SHAPE, elements=st.floats(-50, 50)), arrays(np.float64, SHAPE, elements=st.floats(-80, 80)))
def test_it_is_the_overlap_at_the_distance(mean: np.ndarray, logvar: np.ndarray) -> None:
    m, v = torch.from_numpy(mean), torch.from_numpy(logvar)
    found = bhattacharyya_coefficient(m, v)
    torch.testing.assert_close(found, torch.exp(-bhattacharyya_distance(m, v)), rtol=1e-9, atol=1e-150)
    assert torch.equal(found, found.mT)
    assert (found.diagonal(dim1=1, dim2=2) == 1).all()


@pytest.mark.parametrize("spread", [1e-3, 1.0, 10.0])
def test_the_gradient_is_autograd_s(spread: float) -> None:
    mean, logvar = spaces(spread)
    weight = torch.randn(3, 40, 40, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    slow = torch.autograd.grad((weight * torch.exp(-bhattacharyya_distance(mean, logvar))).sum(), (mean, logvar))
    fast = torch.autograd.grad((weight * bhattacharyya_coefficient(mean, logvar)).sum(), (mean, logvar))
    for one, other in zip(fast, slow, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-12 * float(other.abs().max()))


def test_the_gradient_is_that_of_small_differences() -> None:
    assert torch.autograd.gradcheck(bhattacharyya_coefficient, spaces(1.0, images=6))


def test_other_shapes_and_single_precision_are_refused() -> None:
    one = torch.zeros(2, 5, 1, dtype=torch.float64)
    for mean, logvar in ((one, one[:, :4]), (one[0], one[0]), (one.float(), one.float())):
        with pytest.raises(InvalidInputError, match=r"\(spaces, images, dimensions\) in float64, got"):
            bhattacharyya_coefficient(mean, logvar)
