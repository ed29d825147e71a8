"""NMI and VI from their terms: the same for arrays and tensors, and undefined where nothing is told."""

import math

import numpy as np
import pytest
import torch

from vaefrag_core.measures.information_terms import (
    bits_above_chance,
    nmi_from_terms,
    shared_bits_from_terms,
    vi_from_terms,
)


def test_two_clusterings_worked_out_by_hand() -> None:
    # Eight images; U splits them in halves, V in quarters within: U tells 1 bit, V tells 2, together 2.
    shared = shared_bits_from_terms(np.array(1.0), np.array(2.0), np.array(2.0))
    assert shared == 1
    assert nmi_from_terms(shared, np.array(1.0), np.array(2.0), images=8) == pytest.approx(1 / math.sqrt(2), abs=1e-15)
    assert vi_from_terms(shared, np.array(1.0), np.array(2.0)) == 1


def test_arrays_and_tensors_agree_to_the_last_bit() -> None:
    shared, own_a, own_b = np.random.default_rng(0).random((3, 5, 4))
    own_a[2] = 0.0
    tensors = [torch.from_numpy(a) for a in (shared, own_a, own_b)]
    np.testing.assert_array_equal(
        nmi_from_terms(shared, own_a, own_b, images=9), nmi_from_terms(*tensors, images=9).numpy()
    )
    np.testing.assert_array_equal(vi_from_terms(shared, own_a, own_b), vi_from_terms(*tensors).numpy())


def test_a_space_is_exactly_like_itself() -> None:
    own = np.random.default_rng(0).uniform(1e-9, 9, size=1000)
    assert (nmi_from_terms(own, own, own, images=1000) == 1).all()
    assert (vi_from_terms(own, own, own) == 0).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_rounding_of_a_constant_space_is_no_denominator(dtype: torch.dtype) -> None:
    rounding = torch.finfo(dtype).eps * 8  # some units in the last place of log2 of 1,000
    own = torch.tensor([rounding, 1.0], dtype=dtype)
    nmi = nmi_from_terms(own.new_tensor([rounding, 0.5]), own, own.new_ones(2), images=1000)
    assert nmi.isnan().tolist() == [True, False]


def test_an_undefined_pair_spoils_no_gradient() -> None:
    own = torch.tensor([1.0, 0.0], dtype=torch.float64, requires_grad=True)
    nmi = nmi_from_terms(torch.tensor([0.5, 0.0], dtype=torch.float64), own, torch.ones(2).double(), images=4)
    nmi.nan_to_num(0.0).sum().backward()
    assert own.grad is not None
    assert own.grad.tolist() == pytest.approx([-0.25, 0.0])


def test_self_pairs_are_taken_off_where_every_image_overlaps_as_many_others() -> None:
    # Of N images each overlaps with K others in full by chance, and with L others as it is: b̄ is (1 + K)/N, (1 + L)/N.
    n, by_chance, observed = 512, 7, 63
    bits = bits_above_chance(np.log2(n / (1 + np.array(observed))), np.log2(n / (1 + np.array(by_chance))), np.log2(n))
    assert bits == pytest.approx(math.log2(observed / by_chance), abs=1e-12)


def test_what_is_shared_above_chance_is_odd_and_its_slope_is_limited() -> None:
    level, step = np.array(8.999), np.linspace(0, 0.1, 11)
    above, below = (bits_above_chance(level - sign * step, level, 9.0) for sign in (1, -1))
    np.testing.assert_allclose(above, -below, atol=1e-12)
    assert above[1] == pytest.approx(8 * step[1], rel=0.1)
    assert (np.diff(above) > 0).all()
