"""Members compared whole: their own channels in another order or sign are the same space."""

import math
from pathlib import Path

import numpy as np
import pytest

from vaefrag_core.artifacts import Posteriors, SpaceMatrix
from vaefrag_core.config import SpaceConfig
from vaefrag_core.structure.matrices import compare_channels
from vaefrag_core.structure.space_comparison import compare_spaces


@pytest.fixture(scope="module")
def posteriors() -> Posteriors:
    """Give a space, the same turned over, one that shares half of it, and one that shares nothing."""
    rng = np.random.default_rng(0)
    mean, other = rng.normal(size=(2, 40, 2))
    spaces = [mean, -mean[:, ::-1], np.stack([mean[:, 0], other[:, 0]], axis=1), other]
    return Posteriors(spaces, [np.full((40, 2), -3.0)] * 4, member_ids=np.array([3, 5, 8, 9]))


def test_the_same_space_turned_over_is_the_same(posteriors: Posteriors) -> None:
    found = compare_spaces(posteriors, SpaceConfig(draws=4000))
    assert found.nmi[0, 1] == pytest.approx(1, abs=4 * found.nmi_error[0, 1])
    assert found.nmi[0, 1] > found.nmi[0, 2] + 4 * found.nmi_error[0, 2]
    assert found.nmi[0, 2] > found.nmi[0, 3] + 4 * found.nmi_error[0, 3]
    assert found.vi_bits[0, 1] == pytest.approx(0, abs=4 * found.vi_error[0, 1])
    np.testing.assert_array_equal(found.member_ids, [3, 5, 8, 9])


def test_the_bound_of_a_channel_lies_below_its_estimate(posteriors: Posteriors) -> None:
    single = Posteriors([m[:, :1] for m in posteriors.mean], [v[:, :1] for v in posteriors.logvar])
    estimate = compare_spaces(single, SpaceConfig(draws=4000))
    bound = compare_channels(single).information_bits
    assert (bound < estimate.information_bits + 3 * estimate.information_error).all()
    assert (bound > estimate.information_bits - 0.5).all()
    assert estimate.information_bits.max() <= estimate.input_bits == math.log2(40)


def test_what_is_saved_comes_back(posteriors: Posteriors, tmp_path: Path) -> None:
    found = compare_spaces(posteriors, SpaceConfig(draws=100))
    found.save(tmp_path)
    back = SpaceMatrix.load(tmp_path)
    for name, value in vars(found).items():
        np.testing.assert_array_equal(getattr(back, name), value, err_msg=name)


def test_spaces_that_tell_all_images_apart_are_named() -> None:
    # Two unrelated deterministic spaces, and one under noise.
    mean, other = np.random.default_rng(0).normal(size=(2, 60, 2))
    logvar = [np.full((60, 2), level) for level in (-60.0, -60.0, -1.0)]
    matrix = compare_spaces(Posteriors([mean, other, mean], logvar), SpaceConfig(draws=200))
    assert matrix.saturated.tolist() == [True, True, False]
    (message,) = matrix.messages
    assert message.startswith("2 of 3 members tell every one of the 60 images from every other")
    assert "near 1 whatever they are" in message
