import numpy as np
from sklearn.datasets import load_digits

from vaefrag_core.datasets.digits import digits


def test_the_grey_levels_are_spread_over_the_range_of_uint8_and_come_back() -> None:
    images = digits().images[np.arange(1_797)]
    assert images.dtype == np.uint8
    assert images.max() == 255
    np.testing.assert_array_equal(np.rint(images / 255 * 16), load_digits().images)


def test_a_sixteenth_is_rounded_not_cut() -> None:
    levels = load_digits().images
    images = digits().images[np.arange(1_797)]
    assert set(images[levels == 15]) == {239}  # 15 × 255 / 16 = 239.06
    assert set(images[levels == 9]) == {143}  # 9 × 255 / 16 = 143.44
    assert set(images[levels == 7]) == {112}  # 7 × 255 / 16 = 111.56


def test_the_factor_is_the_digit() -> None:
    (factor,) = digits().factors
    assert factor.name == "digit"
    assert factor.texts(np.arange(1_797)).tolist() == [str(digit) for digit in load_digits().target]
