"""Which run to publish, on ensembles of which it is known."""

from dataclasses import replace

import numpy as np
import pytest

from vaefrag_core.artifacts import ChannelMatrix, Hotspots, Posteriors
from vaefrag_core.config import HotspotConfig
from vaefrag_core.structure.certificate import Certificate, certify
from vaefrag_core.structure.hotspot_recurrence import hotspot_recurrence
from vaefrag_core.structure.hotspots import find_hotspots
from vaefrag_core.structure.matrices import compare_channels
from vaefrag_core.structure.planted_comparisons import plant_departures
from vaefrag_core.structure.planted_ensembles import Planted, independent, plant

CONFIG = HotspotConfig()


def certified(posteriors: Posteriors) -> tuple[Certificate, ChannelMatrix, Hotspots]:
    matrix = compare_channels(posteriors)
    hotspots = find_hotspots(matrix, CONFIG)
    hotspots = replace(hotspots, recurrence=hotspot_recurrence(matrix, hotspots, CONFIG))
    return certify(matrix, hotspots, CONFIG), matrix, hotspots


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("noise", [0.3, 0.7])
def test_the_clearest_member_is_the_consensus_and_one_without_fragments_an_outlier(seed: int, noise: float) -> None:
    planted = Planted(members=8, fragments=3, images=250, noise=noise)
    posteriors, odd, clearest = plant_departures(planted, seed)
    certificate, _, _ = certified(posteriors)
    assert certificate.consensus == clearest
    assert certificate.outliers == (odd,)
    assert certificate.members[odd].held == ()
    assert certificate.members[odd].lacking == (0, 1, 2)
    assert certificate.members[clearest].held == (0, 1, 2)
    agreement = [record.agreement for record in certificate.members if record.member != odd]
    assert certificate.members[clearest].agreement == max(agreement)


def test_the_consensus_is_a_member_that_holds_most() -> None:
    posteriors, _ = plant(Planted(members=8, fragments=3, images=150, held=0.7, drawn=True), seed=5)
    certificate, _, _ = certified(posteriors)
    held = [len(record.held) for record in certificate.members]
    assert len(set(held)) > 1
    assert certificate.consensus is not None
    assert held[certificate.consensus] == max(held)


def test_among_members_that_hold_the_same_none_stands_apart() -> None:
    alarms = 0
    for seed in range(12):
        posteriors, _ = plant(Planted(members=6, fragments=4, images=200, held=0.9, drawn=True), seed)
        alarms += bool(certified(posteriors)[0].outliers)
    assert alarms <= 2


def test_nothing_that_comes_back_is_no_consensus() -> None:
    certificate, matrix, _ = certified(independent(5, 3, 200, seed=3))
    assert certificate.consensus is None
    assert certificate.outliers == ()
    assert not certificate.testable
    assert all(record.hotspot is None for record in certificate.channels)
    assert len(certificate.channels) == matrix.n_channels


def test_every_channel_names_its_hotspot_or_why_it_has_none_and_its_copies() -> None:
    posteriors, truth = plant(Planted(members=5, fragments=2, images=250, idle=0.5), seed=4)
    mean, logvar = list(posteriors.mean), list(posteriors.logvar)
    rng = np.random.default_rng(0)
    mean[0] = np.column_stack([mean[0], rng.normal(size=250), np.zeros(250)])
    logvar[0] = np.column_stack([logvar[0], np.full(250, -60.0), np.zeros(250)])  # saturated, dead
    certificate, matrix, hotspots = certified(Posteriors(mean, logvar))
    width = mean[0].shape[1]
    states = [record.state for record in certificate.channels]
    assert states[width - 2 : width] == ["saturated", "dead"]
    truth = np.insert(truth, width - 2, [-1, -1])
    assert [record.hotspot is not None for record in certificate.channels] == (truth >= 0).tolist()
    corrected = matrix.corrected_nmi(np.arange(matrix.n_channels))
    for record in certificate.channels:
        if record.state in ("dead", "saturated"):
            assert record.copies == ()
            continue
        # by a plain loop: the best channel of every other member
        best = {}
        for other in range(matrix.n_channels):
            member = int(matrix.member[other])
            if member == matrix.member[record.channel] or states[other] in ("dead", "saturated"):
                continue
            if member not in best or corrected[record.channel, other] > best[member][0]:
                best[member] = (float(corrected[record.channel, other]), other)
        expected = sorted(best.values(), reverse=True)[:3]
        assert record.copies_nmi == pytest.approx([nmi for nmi, _ in expected])
        assert record.copies == tuple(channel for _, channel in expected)
        if record.hotspot is not None:
            assert all(truth[copy] == truth[record.channel] for copy in record.copies)
    assert sum(record.live_channels for record in certificate.members) == int((~hotspots.dead).sum())


def test_earlier_results_without_members_held_out_go_by_their_channels() -> None:
    posteriors, truth = plant(Planted(members=8, fragments=2, images=200, held=0.5), seed=1)
    certificate, matrix, hotspots = certified(posteriors)
    earlier = certify(matrix, replace(hotspots, recurrence=None), CONFIG)
    member = posteriors.channel_names[:, 0]
    holders = sorted(tuple(np.unique(member[truth == k]).tolist()) for k in (0, 1))
    for result in (certificate, earlier):
        held = [tuple(r.member for r in result.members if label in r.held) for label in (0, 1)]
        assert sorted(held) == holders
