"""Members that diverged: told by posteriors alone, never of healthy ones, and left out of every comparison."""

from dataclasses import replace

import numpy as np
import pytest

from vaefrag_core.artifacts import Posteriors, Snapshots
from vaefrag_core.config import BootstrapConfig, HotspotConfig
from vaefrag_core.measures.kl_divergence import diverged_posteriors
from vaefrag_core.structure.certificate import certify
from vaefrag_core.structure.hotspot_recurrence import hotspot_recurrence
from vaefrag_core.structure.hotspot_significance import shuffled
from vaefrag_core.structure.hotspot_stability import hotspot_stability
from vaefrag_core.structure.hotspots import comparable_channels, find_hotspots
from vaefrag_core.structure.matrices import compare_channels
from vaefrag_core.structure.planted_ensembles import Planted, independent, plant, with_diverged_member
from vaefrag_core.structure.rotation_null import rotated
from vaefrag_core.synthesis.channel_pool import pool_ensembles

CONFIG = HotspotConfig()


def of(posteriors: Posteriors) -> list[int]:
    return diverged_posteriors(tuple(posteriors.mean), tuple(posteriors.logvar)).tolist()


def test_posteriors_beyond_all_measure_are_told() -> None:
    for seed in range(40):
        assert of(with_diverged_member(independent(5, 4, 100, seed, heavy_tails=seed % 2 == 1), seed)) == [4]


def test_healthy_members_are_never_taken_for_diverged() -> None:
    for seed in range(60):
        assert not of(independent(3 + seed % 5, 4, 60, seed, heavy_tails=seed % 2 == 1))
        assert not of(plant(Planted(members=4, images=60, idle=0.8), seed)[0])


@pytest.mark.parametrize("scale", [1e-9, 30.0, 1e9])
def test_other_units_of_all_members_are_no_divergence(scale: float) -> None:
    posteriors = independent(4, 3, 60, seed=1)
    assert not of(Posteriors(posteriors.mean * scale, posteriors.logvar + 2 * np.log(scale)))


def test_one_deterministic_encoder_among_others_has_not_diverged() -> None:
    posteriors = independent(4, 3, 60, seed=1)
    logvar = np.array(posteriors.logvar)
    logvar[2] = -60.0
    assert not of(Posteriors(posteriors.mean, logvar))
    assert not of(Posteriors(posteriors.mean[:2] * np.array([1.0, 1e9])[:, None, None], logvar[:2]))  # of two, either


def test_what_is_known_of_members_goes_with_their_posteriors_wherever_they_are_compared() -> None:
    posteriors, _ = plant(Planted(members=5, images=80), seed=0)
    known = replace(posteriors, member_ids=np.arange(5) + 10, diverged=(13,))
    matrix = compare_channels(known)
    live = comparable_channels(matrix, CONFIG)
    snapshots = Snapshots(np.array([1]), *(np.array([list(part)]) for part in (known.mean, known.logvar)))
    again = {
        "shuffled": shuffled(known, 0),
        "snapshot": snapshots.posteriors(0, known),
        "pool": pool_ensembles({"one": known}).posteriors,
    }
    diverged = {name: compare_channels(one).diverged for name, one in again.items()}
    assert diverged == {"shuffled": (13,), "snapshot": (13,), "pool": (3,)}
    turned = compare_channels(rotated(known, live, np.random.default_rng(0)))
    assert 13 not in turned.member
    alone = compare_channels(rotated(known, np.arange(known.n_channels), np.random.default_rng(0)))
    assert alone.diverged == (13,)


def test_a_member_that_diverged_is_never_drawn_into_a_hotspot_of_resampled_images(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    known = replace(plant(Planted(members=5, images=80), seed=0)[0], diverged=(2,))
    matrix = compare_channels(known)
    compared = []

    def compare(posteriors: Posteriors, **settings: int) -> object:
        compared.append(compare_channels(posteriors, **settings))
        return compared[-1]

    monkeypatch.setattr("vaefrag_core.structure.hotspot_stability.compare_channels", compare)
    hotspot_stability(known, matrix, {"nmi": find_hotspots(matrix)}, CONFIG, BootstrapConfig(resamples=1))
    assert [one.diverged for one in compared] == [(2,), (2,)]


def test_the_certificate_says_who_diverged_and_judges_the_others_without() -> None:
    healthy, _ = plant(Planted(members=6, fragments=3, images=150), seed=3)
    matrix = compare_channels(with_diverged_member(healthy, seed=3))
    assert matrix.diverged == (5,)
    hotspots = find_hotspots(matrix, CONFIG)
    hotspots = replace(hotspots, recurrence=hotspot_recurrence(matrix, hotspots, CONFIG))
    certificate = certify(matrix, hotspots, CONFIG)
    assert [record.diverged for record in certificate.members] == [False] * 5 + [True]
    assert certificate.members[5].held == ()
    assert certificate.outliers == ()
    assert certificate.consensus != 5
    states = {record.state for record in certificate.channels if matrix.member[record.channel] == 5}
    assert states <= {"diverged", "dead", "saturated"}
    assert "diverged" in states
    assert not any(matrix.member[copy] == 5 for record in certificate.channels for copy in record.copies)


def test_saturated_channels_are_asked_nowhere_whether_they_hold_a_hotspot() -> None:
    posteriors, _ = plant(Planted(members=5, fragments=2, images=100), seed=1)
    mean, logvar = np.array(posteriors.mean), np.array(posteriors.logvar)
    logvar[4] = -60.0  # a deterministic encoder: nothing can be compared with it
    matrix = compare_channels(Posteriors(mean, logvar))
    hotspots = find_hotspots(matrix, CONFIG)
    assert len(hotspots.groups) == 2
    recurrence = hotspot_recurrence(matrix, hotspots, CONFIG)
    assert recurrence.members.tolist() == [0, 1, 2, 3]
    np.testing.assert_array_equal(recurrence.probability, [1.0, 1.0])
