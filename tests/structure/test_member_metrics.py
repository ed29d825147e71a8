"""The metrics of the field on planted codes, where the answer is known."""

import subprocess
import sys
import warnings
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import norm

from vaefrag_core.artifacts import Posteriors
from vaefrag_core.artifacts.image_copies import hold_out_images
from vaefrag_core.errors import InvalidInputError
from vaefrag_core.structure.disentanglement import dci, factorvae_score, mig, sap, standard_codes
from vaefrag_core.structure.disentanglement_ranking import udr
from vaefrag_core.structure.label_factors import usable_factors
from vaefrag_core.structure.member_metrics import METRICS, MemberMetrics, member_metrics

FloatArray = NDArray[np.float64]
IMAGES = 600


def factors(n_images: int = IMAGES, count: int = 4, seed: int = 0) -> NDArray[np.int64]:
    return np.random.default_rng(seed).integers(0, 5, (n_images, count))


def codes(labels: NDArray[np.int64], noise: float = 0.05, seed: int = 1) -> FloatArray:
    """One channel per factor."""
    z = (labels - labels.mean(axis=0)) / labels.std(axis=0)
    return z + noise * np.random.default_rng(seed).normal(size=z.shape)


def rotated(z: FloatArray) -> FloatArray:
    """Turn channels 0 and 1 by 45°, and 2 and 3."""
    half = np.sqrt(0.5) * np.array([[1, 1], [-1, 1]])
    return np.hstack([z[:, :2] @ half, z[:, 2:] @ half])


def turn(count: int, seed: int) -> FloatArray:
    """Draw a rotation of all channels."""
    return np.linalg.qr(np.random.default_rng(seed).normal(size=(count, count)))[0]


def measured(*means: FloatArray, logvar: float = -4.0, labels: object = None, seed: int = 0) -> MemberMetrics:
    posteriors = Posteriors(means, [np.full_like(m, logvar) for m in means], labels=labels)
    return member_metrics(posteriors, seed)


def row(found: MemberMetrics, member: int = 0) -> dict[str, float]:
    return dict(zip(METRICS, found.values[member].tolist(), strict=True))


def test_a_channel_per_factor_is_at_the_top_and_a_rotation_far_below() -> None:
    labels = factors()
    found = measured(codes(labels), rotated(codes(labels)), labels=labels)
    straight, mixed = row(found), row(found, 1)
    assert straight["mig"] > 0.97  # below 1: by chance the second channel tells a little
    assert straight["sap"] > 0.75  # at most 1 − 1/5: chance predicts five values that well
    assert min(straight[name] for name in ("disentanglement", "completeness", "informativeness", "factorvae")) > 0.98
    assert mixed["mig"] < 0.1
    assert mixed["sap"] < 0.1
    # Two factors of four in a channel: entropy log 2 in base 4 is a half, and one vote of two is right.
    assert mixed["disentanglement"] == pytest.approx(0.5, abs=0.07)
    assert mixed["completeness"] == pytest.approx(0.5, abs=0.07)
    assert mixed["factorvae"] == pytest.approx(0.5, abs=0.1)
    assert mixed["informativeness"] > 0.9  # nothing is lost, only mixed


def test_codes_that_tell_nothing_are_at_chance() -> None:
    labels = factors()
    nothing = row(measured(np.random.default_rng(5).normal(size=(IMAGES, 4)), labels=labels))
    assert nothing["mig"] < 0.05
    assert abs(nothing["informativeness"] - 0.2) < 0.06
    assert nothing["sap"] < 0.08
    assert nothing["factorvae"] < 0.4


def test_order_orientation_scale_and_dead_channels_change_nothing() -> None:
    labels = factors()
    z = rotated(codes(labels, noise=0.5)) + 0.3 * codes(labels)
    other = z[:, [2, 0, 3, 1]] * [-4, 1, 2, -0.5]  # powers of two: to the last bit
    dead = np.hstack([z, 0.01 * np.random.default_rng(2).normal(size=(IMAGES, 3))])
    logvar = np.full_like(dead, -4.0)
    logvar[:, 4:] = 0.0
    posteriors = Posteriors([z, other, dead], [np.full_like(z, -4.0), np.full_like(z, -4.0), logvar], labels=labels)
    found = member_metrics(posteriors)
    np.testing.assert_array_equal(found.values[1, :6], found.values[0, :6])
    np.testing.assert_array_equal(found.values[2, :6], found.values[0, :6])
    assert found.live_channels == (4, 4, 4)


def test_the_same_seed_gives_the_same_bits_and_another_hardly_differs() -> None:
    labels = factors()
    z = rotated(codes(labels, noise=0.4))
    once, again, other = (measured(z, z, labels=labels, seed=seed).values for seed in (0, 0, 1))
    np.testing.assert_array_equal(once, again)
    assert not np.array_equal(once, other)
    np.testing.assert_allclose(once, other, atol=0.12)


def test_mig_is_the_closed_form_on_equal_values() -> None:
    # 20 images of each pair of values: z₁ is v itself, z₂ tells one bit of its two.
    v = np.repeat(np.arange(4), 20)
    codes_ = np.column_stack([v, v // 2]).astype(float)
    assert mig(codes_, v[None]) == pytest.approx(0.5, abs=0.05)
    assert mig(codes_[:, :1], v[None]) == pytest.approx(1)


@pytest.mark.parametrize("noise", [0.05, 0.3, 0.6])
def test_mig_of_noisy_codes_is_the_integral(noise: float) -> None:
    # I(z;v) of five equal values under Gaussian noise, by quadrature; the second channel tells nothing.
    grid = np.linspace(-6, 10, 20_001)
    density = np.exp(-((grid - np.arange(5)[:, None]) ** 2) / (2 * noise**2)) / (noise * np.sqrt(2 * np.pi))
    mixture = density.mean(axis=0)
    told = np.where(density > 1e-300, density * np.log(np.maximum(density, 1e-300) / np.maximum(mixture, 1e-300)), 0)
    expected = told.sum(axis=1).mean() * (grid[1] - grid[0]) / np.log(5)
    found = []
    for seed in range(4):
        rng = np.random.default_rng(seed)
        v = rng.integers(0, 5, 1_000)
        # values in another order than codes, and unequally many of them: bins of any kind would have to know
        order = np.array([3, 0, 4, 1, 2])
        found.append(mig(np.column_stack([order[v] + noise * rng.normal(size=1_000), rng.normal(size=1_000)]), v[None]))
    assert np.mean(found) == pytest.approx(expected, abs=0.02)


def test_sap_is_the_error_of_the_best_threshold() -> None:
    # Two values a distance of 1 apart under noise σ: a threshold between them is right with Φ(1/2σ), chance is a half.
    rng = np.random.default_rng(0)
    v = rng.integers(0, 2, 8_000)
    z = np.column_stack([v + 0.5 * rng.normal(size=8_000), rng.normal(size=8_000)])
    assert sap(standard_codes(z), v[None]) == pytest.approx(norm.cdf(1) - 0.5, abs=0.03)


def test_copies_of_images_teach_nothing_about_each_other() -> None:
    # Random codes of 60 images, ten copies of each: who sees copies of the tested images knows their values by heart.
    rng = np.random.default_rng(0)
    copy_of = np.tile(np.arange(60), 10)
    z, labels = rng.normal(size=(60, 2))[copy_of], rng.integers(0, 2, (60, 1))[copy_of]
    together = Posteriors(z[None], np.full_like(z[None], -4.0), labels=labels, copy_of=copy_of)
    apart = Posteriors(z[None], np.full_like(z[None], -4.0), labels=labels, copy_of=np.arange(600))
    honest, learnt = (row(member_metrics(posteriors)) for posteriors in (together, apart))
    assert honest["informativeness"] < 0.75 < 0.9 < learnt["informativeness"]
    assert mig(z[:, :1], labels.T, copy_of=copy_of) < 0.25 < 0.9 < mig(z[:, :1], labels.T)


@pytest.mark.parametrize("seed", range(5))
def test_copies_are_on_one_side_of_a_split(seed: int) -> None:
    copies = np.random.default_rng(seed).integers(0, 40, 200)
    first = {value: int(np.flatnonzero(copies == value)[0]) for value in set(copies.tolist())}
    copy_of = np.array([first[value] for value in copies.tolist()])
    learn, test = hold_out_images(copy_of, 0.25, seed)
    assert sorted([*learn, *test]) == list(range(200))
    assert not set(copy_of[learn]) & set(copy_of[test])
    assert len(set(copy_of[test])) == len(first) // 4


def test_udr_is_near_one_of_equal_channels_and_lower_of_independent_rotations() -> None:
    z = np.random.default_rng(0).normal(size=(4000, 4))
    like = [z, z[:, [2, 0, 3, 1]] * [1, -1, -1, 1], -z]
    same = udr(like)
    assert same.min() > 0.93
    turned = udr([z @ turn(4, seed) for seed in range(3)])
    assert turned.max() < same.min() - 0.25
    np.testing.assert_allclose(same, same[0])  # exchanged and turned around: the same


def test_udr_of_a_pair_is_what_its_formula_says() -> None:
    ranks = np.arange(101.0)
    even = (ranks - 50) ** 2  # ρ = 0 with the ranks
    assert udr([ranks[:, None], np.exp(ranks / 50)[:, None]]) == pytest.approx([1, 1])
    # R = [1, 0]: the channel of the first and its like score 1 each, the stranger 0: 2 of 3.
    assert udr([ranks[:, None], np.column_stack([ranks, even])]) == pytest.approx([2 / 3, 2 / 3])
    assert udr([ranks[:, None], ranks[:, None], even[:, None]]) == pytest.approx([0.5, 0.5, 0])
    assert udr([ranks[:, None], np.zeros((101, 0))]) == pytest.approx([0, 0])
    assert np.isnan(udr([ranks[:, None]])).all()


def test_a_member_of_dead_channels_alone_scores_nothing() -> None:
    found = row(measured(np.zeros((IMAGES, 2)), logvar=0.0, labels=factors()))
    assert found["mig"] == 0
    assert found["sap"] == 0
    assert np.isnan([found["disentanglement"], found["informativeness"], found["factorvae"]]).all()


def test_one_factor_leaves_two_metrics_undefined_and_says_so() -> None:
    labels = factors(count=1)
    found = measured(np.hstack([codes(labels), codes(factors(count=1, seed=9))]), labels=labels)
    undefined = {name for name, value in row(found).items() if np.isnan(value)}
    assert undefined == {"disentanglement", "factorvae", "udr"}
    assert any("With one factor" in message for message in found.messages)
    assert np.isnan(found.spread).all()
    assert found.mean[0] == found.values[0, 0]


def test_labels_become_factors_by_the_stated_rule() -> None:
    rng = np.random.default_rng(0)
    n = 200
    labels = np.column_stack(
        [
            rng.permutation(n).astype(str),  # declared to be an identifier
            [f"image {i}" for i in range(n)],  # and in words
            np.full(n, "7"),
            rng.choice(["nan", "1.5"], n),
            rng.normal(size=n).astype(str),
            rng.integers(0, 40, n).astype(str),
            rng.choice([f"word {w}" for w in range(30)], n),
            rng.integers(0, 3, n).astype(str),
        ]
    )
    found = usable_factors(labels, ("id", "file", "one", "holes", "real", "forty", "words", "few"), n, ["id"])
    assert found.names == ("real", "forty", "words", "few")
    assert [len(np.unique(values)) for values in found.classes] == [20, 20, 30, 3]
    np.testing.assert_array_equal(np.bincount(found.classes[0]), 10)
    order = labels[:, 4].astype(float).argsort()
    assert (np.diff(found.classes[0][order]) >= 0).all()  # bins follow the numbers, not their texts
    told = dict(message.removeprefix("Label ").split(" ", 1) for message in found.messages)
    assert "declared an identifier" in told["id"]
    assert "has 200 values on 200 images, so that it names images" in told["file"]
    assert "same value" in told["one"]
    assert "of 200 images only" in told["holes"]
    assert "20 bins" in told["real"]


@pytest.mark.parametrize(
    ("labels", "n_images", "message"),
    [
        (None, 200, "Expected a label of more than one value, or a second member for UDR, got neither. Add labels"),
        (np.zeros(200), 200, "got neither. Label label is left out: all images have the same value. Add labels"),
        (np.arange(99) % 3, 99, "Expected at least 100 images to measure members on, got 99. Take a larger"),
    ],
)
def test_what_cannot_be_measured_is_said_in_a_sentence(labels: object, n_images: int, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        measured(np.random.default_rng(0).normal(size=(n_images, 2)), labels=labels)


def test_without_labels_there_is_udr_alone() -> None:
    z = np.random.default_rng(0).normal(size=(200, 2))
    found = measured(z, -z)
    assert np.isfinite(found.values[:, 6]).all()
    assert np.isnan(found.values[:, :6]).all()
    assert "UDR alone" in found.messages[0]


def test_the_four_scores_take_plain_arrays() -> None:
    labels = factors()
    z = standard_codes(codes(labels))
    assert mig(z, labels.T) > 0.97
    assert sap(z, labels.T) > 0.75
    assert dci(z, labels.T).completeness > 0.98
    assert factorvae_score(z, labels.T) > 0.98


def test_importing_the_metrics_loads_no_scikit_learn() -> None:
    code = "import sys, vaefrag_core.structure.member_metrics; print('sklearn' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize("score", [dci, sap])
def test_many_values_on_few_images_raise_no_warning(score: Callable[[np.ndarray, np.ndarray], object]) -> None:
    """Of 45 values on 100 images more than half as many stand among the three quarters that are learned from."""
    rng = np.random.default_rng(0)
    classes = np.unique(rng.integers(0, 60, 100), return_inverse=True)[1]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        score(rng.normal(size=(100, 3)), classes[None])
