"""What must hold of the matrices whatever the posteriors: identities, invariances, limits and extremes."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import mutual_info_score, normalized_mutual_info_score

from vaefrag_core.artifacts import ChannelMatrix, Posteriors
from vaefrag_core.structure.matrices import compare_channels


def slowly(mean: np.ndarray, logvar: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Work out information, NMI and VI by plain loops over pairs of images, in double precision."""
    channels, n_images = mean.shape

    def distance(c: int, i: int, j: int) -> float:
        half = abs(logvar[c, i] - logvar[c, j]) / 2
        log_cosh = math.log(math.cosh(half)) if half < 300 else half - math.log(2)
        log_s2 = (logvar[c, i] + logvar[c, j]) / 2 + log_cosh
        scaled = (mean[c, i] - mean[c, j]) * math.exp(-log_s2 / 2)
        return scaled * scaled / 8 + log_cosh / 2

    def information(*parts: int) -> float:
        total = 0.0
        for i in range(n_images):
            overlap = sum(math.exp(-sum(distance(c, i, j) for c in parts)) for j in range(n_images)) / n_images
            total -= math.log2(overlap) / n_images
        return total

    single = np.array([information(c) for c in range(channels)])
    joint = np.array([[information(u, v) for v in range(channels)] for u in range(channels)])
    own = 2 * single - joint.diagonal()
    with np.errstate(invalid="ignore", divide="ignore"):
        nmi = (single[:, None] + single[None, :] - joint) / np.sqrt(np.outer(own, own))
    vi_bits = 2 * joint - joint.diagonal()[:, None] - joint.diagonal()[None, :]
    return single, nmi, vi_bits


@st.composite
def ensembles(draw: st.DrawFn) -> Posteriors:
    """Draw a small ensemble: ordinary, extreme, equal and constant channels, in either precision."""
    n_images, channels = draw(st.integers(1, 7)), draw(st.integers(1, 4))
    dtype = draw(st.sampled_from([np.float64, np.float32]))
    values = st.one_of(st.floats(-3, 3, width=32), st.sampled_from([0.0, 1.0, -1.0, 1e3, -1e6]))
    variances = st.one_of(st.floats(-3, 3, width=32), st.sampled_from([0.0, -80.0, 80.0]))
    mean = [[draw(values) for _ in range(channels)] for _ in range(n_images)]
    logvar = [[draw(variances) for _ in range(channels)] for _ in range(n_images)]
    return Posteriors(np.array([mean], dtype=dtype), np.array([logvar], dtype=dtype))


def test_a_narrow_posterior_that_is_alone_takes_no_digits_from_the_others() -> None:
    mean, logvar = np.zeros((2, 1, 7, 1))
    mean[0, 4:6, 0] = 1000, 1.51480496
    logvar[0, [4, 6], 0] = -80, 80
    posteriors = Posteriors(mean, logvar)
    np.testing.assert_allclose(compare_channels(posteriors).information_bits, slowly(*posteriors.flat())[0], atol=1e-6)


@settings(deadline=None, derandomize=True, max_examples=80)
@given(ensembles())
def test_plain_loops_agree_and_nothing_is_nan_in_silence(posteriors: Posteriors) -> None:
    found = compare_channels(posteriors)
    information, nmi, vi_bits = slowly(*posteriors.flat())
    np.testing.assert_allclose(found.information_bits, information, atol=2e-6)
    np.testing.assert_allclose(found.vi_bits, vi_bits, atol=4e-6)
    own = 2 * found.information_bits - found.information_twice_bits
    defined = np.isfinite(found.nmi.diagonal())
    np.testing.assert_array_equal(np.isfinite(found.nmi), np.logical_and.outer(defined, defined))
    assert defined[own > 1e-12].all()
    constant = (np.ptp(posteriors.mean[0], axis=0) == 0) & (np.ptp(posteriors.logvar[0], axis=0) == 0)
    assert not defined[constant].any()
    telling = np.logical_and.outer(own > 1e-3, own > 1e-3)
    np.testing.assert_allclose(found.nmi[telling], nmi[telling], atol=1e-3)
    np.testing.assert_array_equal(found.nmi, found.nmi.T)
    assert np.isfinite(found.information_bits).all()
    assert (found.information_bits <= math.log2(posteriors.n_images) + 1e-6).all()


@settings(deadline=None, derandomize=True, max_examples=25)
@given(st.lists(st.integers(0, 3), min_size=2, max_size=30), st.integers(0, 10**6))
def test_hard_clusterings_are_those_of_scikit_learn(codes: list[int], seed: int) -> None:
    a = np.array(codes)
    b = np.random.default_rng(seed).permutation(a) if seed % 2 else (a * 7 + seed) % 5
    # Tiny variances at separate centres: each image belongs to one cluster with certainty.
    mean = np.stack([a, b], axis=1)[None] * 10.0
    found = compare_channels(Posteriors(mean, np.full_like(mean, -40.0)))
    a_bits, b_bits, shared_bits = (mutual_info_score(*pair) / math.log(2) for pair in ((a, a), (b, b), (a, b)))
    np.testing.assert_allclose(found.information_bits, [a_bits, b_bits], atol=1e-6)
    assert found.vi_bits[0, 1] == pytest.approx(a_bits + b_bits - 2 * shared_bits, abs=1e-6)
    if len(set(a)) > 1 and len(set(b)) > 1:
        expected = normalized_mutual_info_score(a, b, average_method="geometric")
        assert found.nmi[0, 1] == pytest.approx(expected, abs=1e-6)
    else:
        assert np.isnan(found.nmi[0, 1])


@pytest.mark.parametrize("count", [1, 2, 5, 32])
def test_equal_groups_apart_carry_log2_of_their_number(count: int) -> None:
    mean = np.repeat(np.arange(count), 4)[None, :, None] * 50.0
    found = compare_channels(Posteriors(mean, np.zeros_like(mean)))
    assert found.information_bits[0] == pytest.approx(math.log2(count), abs=1e-6)


@pytest.fixture(scope="module")
def ordinary() -> tuple[Posteriors, ChannelMatrix]:
    rng = np.random.default_rng(11)
    mean, logvar = rng.normal(size=(2, 2, 83, 4))
    posteriors = Posteriors(mean, logvar)
    return posteriors, compare_channels(posteriors)


def test_sign_shift_and_scale_of_channels_do_not_matter(ordinary: tuple[Posteriors, ChannelMatrix]) -> None:
    posteriors, expected = ordinary
    factor = np.array([-1.0, 1e4, -3e-5, 2.0])
    shift = np.array([5.0, -1e3, 1e-3, 0.0])
    moved = Posteriors(posteriors.mean * factor + shift, posteriors.logvar + 2 * np.log(np.abs(factor)))
    found = compare_channels(moved)
    for name in ("information_bits", "nmi", "vi_bits"):
        np.testing.assert_allclose(getattr(found, name), getattr(expected, name), atol=2e-6, err_msg=name)


def test_single_precision_posteriors_give_the_same(ordinary: tuple[Posteriors, ChannelMatrix]) -> None:
    posteriors, expected = ordinary
    single = Posteriors(posteriors.mean.astype(np.float32), posteriors.logvar.astype(np.float32))
    np.testing.assert_allclose(compare_channels(single).nmi, expected.nmi, atol=1e-5)


def test_identical_posteriors_and_copies() -> None:
    mean = np.random.default_rng(0).normal(size=(1, 9, 1)).repeat(3, axis=2)
    mean[..., 2] = 4.0
    found = compare_channels(Posteriors(mean, np.zeros_like(mean)))
    np.testing.assert_allclose(found.nmi[:2, :2], 1.0, atol=1e-6)
    np.testing.assert_allclose(found.vi_bits[:2, :2], 0.0, atol=1e-6)
    assert found.information_bits[2] == 0
    assert np.isnan(found.nmi[2]).all()
