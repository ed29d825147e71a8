"""Information against counting: groups that never mix carry the logarithm of their number."""

import math

import pytest
import torch

from vaefrag_core.errors import InvalidInputError
from vaefrag_core.measures.gaussian import bhattacharyya_distance
from vaefrag_core.measures.information import information_bits, label_distance


def groups_apart(count: int, size: int, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    """Give the distances of a channel that splits count·size images into groups of equal size, never mixed."""
    mean = torch.arange(count, dtype=dtype).repeat_interleave(size)[:, None]
    return bhattacharyya_distance(mean * 1e3, torch.zeros_like(mean))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize(("count", "size"), [(1, 5), (2, 3), (5, 4), (16, 1)])
def test_equal_groups_apart_carry_log2_of_their_number(count: int, size: int, dtype: torch.dtype) -> None:
    assert information_bits(groups_apart(count, size, dtype)).item() == pytest.approx(math.log2(count), abs=1e-6)


def test_a_label_carries_its_entropy() -> None:
    codes = torch.tensor([0, 0, 0, 1])
    entropy = -(0.75 * math.log2(0.75) + 0.25 * math.log2(0.25))
    assert information_bits(label_distance(codes)).item() == pytest.approx(entropy, abs=1e-12)


def test_a_slow_loop_agrees() -> None:
    generator = torch.Generator().manual_seed(0)
    mean, logvar = torch.randn(2, 9, 1, generator=generator, dtype=torch.float64)
    distance = bhattacharyya_distance(mean, logvar)
    total = 0.0
    for i in range(9):
        total -= math.log2(sum(math.exp(-distance[i, j].item()) for j in range(9)) / 9) / 9
    assert information_bits(distance).item() == pytest.approx(total, abs=1e-12)


def test_a_single_image_carries_nothing() -> None:
    assert information_bits(torch.zeros(1, 1)).item() == 0


def test_joint_information_never_falls_below_a_part() -> None:
    generator = torch.Generator().manual_seed(2)
    mean, logvar = torch.randn(2, 40, 2, generator=generator, dtype=torch.float64)
    joint = information_bits(bhattacharyya_distance(mean, logvar))
    for d in range(2):
        assert joint >= information_bits(bhattacharyya_distance(mean[:, [d]], logvar[:, [d]]))


def test_distances_that_are_not_square_are_refused() -> None:
    with pytest.raises(InvalidInputError, match=r"images, images\), got \(2, 3\)"):
        information_bits(torch.zeros(2, 3))
