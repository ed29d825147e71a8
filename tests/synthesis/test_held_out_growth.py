"""Greedy sets on images that did not choose them: luck does not come along, and what is there does."""

from dataclasses import replace

import numpy as np
import pytest

from vaefrag_core.artifacts import Posteriors
from vaefrag_core.structure.planted_ensembles import Planted, independent, plant
from vaefrag_core.synthesis.combination import joint_information, select_greedily
from vaefrag_core.synthesis.held_out_growth import HeldOutGrowth, grow_on_halves

SEEDS = range(8)


def grown(posteriors: Posteriors, size: int = 3, **more: object) -> HeldOutGrowth:
    found = grow_on_halves(posteriors, size, splits=2, draws=10, **more)  # type: ignore[arg-type]
    assert found is not None
    return found


def mean_and_error(values: list[float]) -> tuple[float, float]:
    return float(np.mean(values)), float(np.std(values, ddof=1) / np.sqrt(len(values)))


@pytest.mark.parametrize("copies", [0.0, 0.6])
def test_sets_of_noise_gain_nothing_on_other_images(copies: float) -> None:
    found = [grown(independent(4, 5, 120, seed, bits=(1.0, 1.0), copies=copies), seed=seed) for seed in SEEDS]
    own, own_error = mean_and_error([float(f.own_gain[:, -1].mean()) for f in found])
    other, error = mean_and_error([float(f.other_gain[:, -1].mean()) for f in found])
    assert own > 5 * own_error > 0
    assert abs(other) < 3 * error
    assert other < own / 4
    assert sum(f.other_gain_interval(3)[0] > 0 for f in found) <= 1


def test_sets_that_know_nothing_of_a_label_tell_nothing_of_it_on_other_images() -> None:
    found = []
    for seed in SEEDS:
        noise = independent(4, 5, 120, seed, bits=(1.0, 1.0))
        label = np.random.default_rng(100 + seed).integers(3, size=(120, 1))
        found.append(grown(replace(noise, labels=label, label_names=("drawn",)), label="drawn", seed=seed))
    own, own_error = mean_and_error([float(f.own_gain[:, -1].mean()) for f in found])
    other, error = mean_and_error([float(f.other_gain[:, -1].mean()) for f in found])
    assert own > 5 * own_error > 0
    assert abs(other) < 3 * error


def test_sets_of_fragments_keep_their_gain_on_other_images() -> None:
    for seed in range(3):
        found = grown(plant(Planted(5, 4, 160), seed)[0], 4, seed=seed)
        own, other = found.own_gain[:, -1].mean(), found.other_gain[:, -1].mean()
        assert found.other_gain_interval(4)[0] > 0
        assert other > 0.6 * own


def test_the_halves_are_searched_like_the_whole() -> None:
    posteriors = plant(Planted(4, 3, 60), 0)[0]
    tripled = np.repeat(np.arange(20), 3)  # 60 images of 20 different ones
    few = replace(
        posteriors,
        mean=tuple(mean[tripled] for mean in posteriors.mean),
        logvar=tuple(logvar[tripled] for logvar in posteriors.logvar),
        copy_of=3 * tripled,
    )
    found = grown(few)
    assert found.n_images == 30  # ten images with their copies
    # A sample twice over tells the same as once: what chooses and what judges then is the same.
    halves = [np.arange(20), np.arange(20)]
    once = Posteriors([mean[:20] for mean in posteriors.mean], [logvar[:20] for logvar in posteriors.logvar])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("vaefrag_core.synthesis.held_out_growth.hold_out_images", lambda *_: halves)
        same = grown(once)
    selection = select_greedily(once, 3, draws=1)
    for bits in (*same.own_bits, *same.other_bits):
        assert bits == pytest.approx(selection.bits, abs=1e-6)
    np.testing.assert_allclose(same.own_gain, same.other_gain, atol=1e-6)


def test_a_set_begins_with_what_it_is_given() -> None:
    posteriors = independent(3, 4, 80, 0)
    found = grown(posteriors, 3, start=[5, 7])
    assert found.own_gain[:, :2] == pytest.approx(0, abs=1e-6)  # random sets begin with the same
    assert (found.own_gain[:, 2] > 0).all()
    alone = np.array([joint_information(posteriors, [c]) for c in range(12)])
    assert found.own_bits[:, 0].mean() == pytest.approx(alone[5], abs=0.3)


def test_nothing_is_told_where_nothing_is_chosen_or_images_are_too_few() -> None:
    posteriors = independent(2, 2, 60, 0)
    assert grow_on_halves(posteriors, 4, start=range(4)) is None
    assert grow_on_halves(independent(2, 2, 19, 0), 2) is None
    label = np.where(np.arange(60) < 12, np.arange(60) % 2, np.nan)
    assert grow_on_halves(replace(posteriors, labels=label[:, None], label_names=("l",)), 2, label="l") is None
    assert grow_on_halves(Posteriors(np.zeros((1, 60, 2)), np.zeros((1, 60, 2))), 1) is None
