"""Errors of all channels and of hotspots: against the readable formulas, and against redrawn images."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from vaefrag_core.artifacts import (
    ChannelMatrix,
    Hotspots,
    MemberCurve,
    NmiInside,
    NullTests,
    Posteriors,
    RotatedSearches,
)
from vaefrag_core.measures.gaussian import BHATTACHARYYA, Divergence
from vaefrag_core.measures.sampling_error import information_influence, pair_errors, standard_error
from vaefrag_core.structure.hotspot_doubts import hotspot_doubts
from vaefrag_core.structure.hotspots import find_hotspots
from vaefrag_core.structure.matrices import compare_channels
from vaefrag_core.structure.planted_ensembles import Planted, plant
from vaefrag_core.structure.sampling_errors import corrected_nmi_inside, information_errors
from vaefrag_core.training.divergence import diverged


def test_errors_of_many_channels_are_those_of_the_formula() -> None:
    rng = np.random.default_rng(0)
    mean, logvar = rng.normal(size=(70, 40)), rng.normal(-2, 2, (70, 40))
    coefficient = np.exp(-BHATTACHARYYA.distance(mean[..., None], logvar[..., None]))
    expected = standard_error(information_influence(coefficient))
    np.testing.assert_allclose(information_errors(mean, logvar), expected, rtol=1e-4)
    another = Divergence("another", BHATTACHARYYA.along_dimension)
    np.testing.assert_allclose(information_errors(mean, logvar, another), expected, rtol=1e-4)


def test_an_analysis_can_have_the_errors_of_its_channels(tmp_path: Path) -> None:
    posteriors, _ = plant(Planted(members=3, images=50), seed=0)
    matrix = compare_channels(posteriors, errors=True)
    np.testing.assert_array_equal(matrix.information_error, information_errors(*posteriors.flat()))
    matrix.save(tmp_path)
    assert len(ChannelMatrix.load(tmp_path).subset([2, 1]).information_error) == 2
    (tmp_path / "information_error.npy").unlink()  # as an earlier version left it
    assert len(ChannelMatrix.load(tmp_path).information_error) == 0


def hotspots_of(planted: Planted, seed: int) -> tuple[Posteriors, ChannelMatrix, Hotspots]:
    posteriors, _ = plant(planted, seed)
    matrix = compare_channels(posteriors)
    return posteriors, matrix, find_hotspots(matrix)


def test_the_error_of_one_pair_is_that_of_its_nmi() -> None:
    posteriors, matrix, hotspots = hotspots_of(Planted(members=4, fragments=1, images=80, idle=0.0), seed=1)
    u, v = hotspots.groups[0].channels[:2]
    only = replace(hotspots, groups=(replace(hotspots.groups[0], channels=(u, v)),))
    # Without chance, and with so high a ceiling, the corrected NMI is the plain one.
    uncorrected = replace(matrix, chance=np.zeros((matrix.n_channels, 2)), input_entropy_bits=45.0)
    inside = corrected_nmi_inside(posteriors, uncorrected, only)
    mean, logvar = (array[[u, v]][..., None] for array in posteriors.flat())
    expected = pair_errors(*np.exp(-BHATTACHARYYA.distance(mean, logvar))).nmi
    assert inside.error[0] == pytest.approx(expected, rel=1e-3)
    assert inside.corrected[0] == pytest.approx(matrix.nmi[u, v], rel=1e-5)


def test_the_error_of_a_hotspot_is_that_of_leaving_images_out() -> None:
    def without_chance(on_images: Posteriors) -> ChannelMatrix:
        compared = compare_channels(on_images)
        return replace(compared, chance=np.zeros_like(compared.chance), input_entropy_bits=np.log2(60))

    posteriors, _ = plant(Planted(members=4, fragments=1, images=60, noise=0.8, idle=0.0), seed=0)
    _, _, hotspots = hotspots_of(Planted(members=4, fragments=1, images=60, idle=0.0), seed=0)
    channels = np.array(hotspots.groups[0].channels)
    assert sorted(channels.tolist()) == [0, 1, 2, 3]
    inside = corrected_nmi_inside(posteriors, without_chance(posteriors), hotspots)
    left_out = []
    for image in range(60):
        mean, logvar = (
            [np.delete(array, image, axis=0) for array in part] for part in (posteriors.mean, posteriors.logvar)
        )
        corrected = without_chance(Posteriors(mean, logvar)).corrected_nmi(channels)
        left_out.append(corrected[~np.eye(len(channels), dtype=bool)].mean())
    assert inside.error[0] == pytest.approx(np.sqrt(59 * np.var(left_out)), rel=0.06)


def test_the_error_of_a_hotspot_is_its_spread_over_redrawn_images() -> None:
    found = []
    for seed in range(60):
        posteriors, matrix, hotspots = hotspots_of(Planted(members=5, fragments=1, images=100, idle=0.5), seed)
        inside = corrected_nmi_inside(posteriors, matrix, hotspots)
        found.append((inside.corrected[0], inside.error[0]))
    value, error = np.array(found).T
    assert error.mean() == pytest.approx(value.std(), rel=0.25)
    assert np.mean(abs(value - value.mean()) < 1.96 * error) > 0.88


def test_both_means_are_over_pairs_of_different_members() -> None:
    value = np.random.default_rng(3).normal(size=60)
    mean = value[:, None] + 0.3 * np.random.default_rng(4).normal(size=(3, 60, 1))
    twice = Posteriors(np.repeat(mean, 2, axis=2), np.full((3, 60, 2), -3.0))  # two equal channels in each member
    matrix = compare_channels(twice)
    (group,) = find_hotspots(matrix).groups
    inside = corrected_nmi_inside(twice, matrix, find_hotspots(matrix))
    corrected = matrix.corrected_nmi(list(group.channels))
    member = [int(matrix.member[c]) for c in group.channels]
    pairs = [(u, v) for u in range(group.size) for v in range(u) if member[u] != member[v]]
    assert (group.size, len(pairs)) == (6, 12)
    assert inside.corrected[0] == pytest.approx(np.mean([corrected[u, v] for u, v in pairs]), rel=1e-6)
    plain = [matrix.nmi[group.channels[u], group.channels[v]] for u, v in pairs]
    assert group.mean_nmi == pytest.approx(np.mean(plain), rel=1e-6)
    # The copies within members would lift both.
    assert inside.corrected[0] < 0.75 < np.mean(corrected[np.triu_indices(6, 1)])


def test_errors_are_kept(tmp_path: Path) -> None:
    NmiInside(np.array([0.5]), np.array([0.1])).save(tmp_path)
    np.testing.assert_allclose(NmiInside.load(tmp_path).interval, [[0.304, 0.696]], atol=1e-3)


def test_what_reaches_chance_is_doubted() -> None:
    _, matrix, hotspots = hotspots_of(Planted(members=4, fragments=1, images=80), seed=0)
    clear = replace(hotspots, inside=NmiInside(np.array([0.5]), np.array([0.1])))
    assert hotspot_doubts(matrix, clear) == [()]
    ((reaches,),) = hotspot_doubts(matrix, replace(hotspots, inside=NmiInside(np.array([0.1]), np.array([0.1]))))
    assert "−0.10 to 0.30" in reaches
    ((by_p,),) = hotspot_doubts(matrix, clear, held_against_chance(0.3))
    assert "p = 0.3" in by_p
    assert hotspot_doubts(matrix, clear, held_against_chance(0.01)) == [()]


def held_against_chance(p_value: float) -> NullTests:
    one, none = np.array([p_value]), np.zeros(0, dtype=np.int64)
    rotated = RotatedSearches(np.zeros((1, 1)), np.zeros(1, dtype=np.int64), 4)
    curve = MemberCurve(none, none.reshape(0, 1), none.reshape(0, 1))
    return NullTests(np.array([0.5]), one, one, np.zeros(99), rotated, 4, curve, seed=0)


def test_members_that_diverged_are_left_out_and_named() -> None:
    _, matrix, hotspots = hotspots_of(Planted(members=5, fragments=1, images=80), seed=0)
    without = find_hotspots(replace(matrix, diverged=(2,)))
    assert without.groups[0].n_members == hotspots.groups[0].n_members - 1
    assert (without.labels[matrix.member == 2] == -1).all()
    assert sorted(without.order.tolist()) == list(range(matrix.n_channels))
    assert any("Member 2 diverged in training" in message for message in without.messages)
    ((sentence,),) = hotspot_doubts(replace(matrix, diverged=(2,)), hotspots)  # found before that was known
    assert "diverged in training: 2" in sentence
    none = find_hotspots(replace(matrix, diverged=(0, 1, 2)))
    assert not none.groups
    assert any("and there are 2" in message for message in none.messages)


@pytest.mark.parametrize(
    ("losses", "expected"),
    [
        ([100.0, 101.0, 1e18], (2,)),
        ([100.0, float("nan"), float("inf")], (1, 2)),
        ([100.0, 250.0, 101.0], ()),  # collapsed, not diverged
        ([0.02, 0.5, 3.0], ()),
        ([1e18, 1e19, 90.0], (0, 1)),
        ([], ()),
    ],
)
def test_a_loss_far_beyond_the_others_is_a_divergence(losses: list[float], expected: tuple[int, ...]) -> None:
    assert diverged(dict(enumerate(losses))) == expected
