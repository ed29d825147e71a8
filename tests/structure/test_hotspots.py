"""Hotspots on planted groups, whose number and members are known."""

from dataclasses import replace

import numpy as np
import pytest

from vaefrag_core.artifacts import ChannelMatrix, Hotspots, Posteriors
from vaefrag_core.config import HotspotConfig
from vaefrag_core.structure.hotspots import channel_distance, find_hotspots
from vaefrag_core.structure.matrices import compare_channels
from vaefrag_core.structure.optics import optics_walk

MEMBERS, IMAGES = 10, 120


def planted(order: np.ndarray | None = None) -> Posteriors:
    """Give 10 members that all know two sources, the first with either sign; one channel of their own; one dead."""
    rng = np.random.default_rng(11)
    sources = rng.normal(size=(2, IMAGES))
    mean = np.zeros((MEMBERS, IMAGES, 4))
    for m in range(MEMBERS):
        mean[m, :, 0] = (-1) ** m * sources[0] + 0.1 * rng.normal(size=IMAGES)
        mean[m, :, 1] = sources[1] + 0.1 * rng.normal(size=IMAGES)
        mean[m, :, 2] = rng.normal(size=IMAGES)
    logvar = np.full_like(mean, -3.0)
    logvar[..., 3] = 0.0
    order = np.arange(MEMBERS) if order is None else order
    return Posteriors(mean[order], logvar[order], labels=(sources[0] > 0).astype(int), member_ids=order)


@pytest.fixture(scope="module")
def posteriors() -> Posteriors:
    return planted()


@pytest.fixture(scope="module")
def matrix(posteriors: Posteriors) -> ChannelMatrix:
    return compare_channels(posteriors)


@pytest.fixture(scope="module")
def hotspots(matrix: ChannelMatrix, posteriors: Posteriors) -> Hotspots:
    return find_hotspots(matrix, posteriors=posteriors)


@pytest.mark.parametrize("measure", ["nmi", "vi"])
def test_planted_sources_are_the_hotspots(matrix: ChannelMatrix, measure: str) -> None:
    found = find_hotspots(matrix, HotspotConfig(measure=measure))
    groups = {frozenset(group.channels) for group in found.groups}
    assert groups == {frozenset(range(0, 40, 4)), frozenset(range(1, 40, 4))}


def test_dead_channels_are_set_aside(hotspots: Hotspots) -> None:
    assert np.flatnonzero(hotspots.dead).tolist() == list(range(3, 40, 4))
    assert (hotspots.labels[hotspots.dead] == -1).all()
    assert hotspots.dead[hotspots.order[-10:]].all()
    assert np.isinf(hotspots.reachability[hotspots.dead]).all()


def test_each_hotspot_stands_in_one_piece(matrix: ChannelMatrix) -> None:
    """On similarities as ragged as those of real ensembles, where OPTICS alone comes back to hotspots it has left."""
    pieces_of_optics = 0
    for seed in range(10):
        rng = np.random.default_rng(seed)
        place = rng.normal(size=(40, 2))
        nmi = np.exp(-np.linalg.norm(place[:, None] - place[None], axis=2))
        ragged = replace(matrix, information_bits=np.full(40, 2.0), nmi=nmi, chance=np.zeros((0, 2)))
        found = find_hotspots(ragged)
        distance = channel_distance(ragged, HotspotConfig())
        in_optics_order = found.labels[optics_walk(distance, found.min_samples)[0]]
        for group in found.groups:
            places = np.flatnonzero(found.labels[found.order] == group.number)
            assert group.channels == tuple(found.order[places].tolist())
            assert len(places) == places[-1] - places[0] + 1
            pieces = np.flatnonzero(in_optics_order == group.number)
            pieces_of_optics += len(pieces) < pieces[-1] - pieces[0] + 1
        first = [int(found.order.tolist().index(group.channels[0])) for group in found.groups]
        assert first == sorted(first)
    assert pieces_of_optics > 0


def test_the_order_visits_every_channel_once(hotspots: Hotspots) -> None:
    assert sorted(hotspots.order.tolist()) == list(range(40))


def test_a_hotspot_is_described_by_its_channels(hotspots: Hotspots, matrix: ChannelMatrix) -> None:
    group = next(g for g in hotspots.groups if 0 in g.channels)
    channels = list(group.channels)
    inside = [matrix.nmi[a, b] for a in channels for b in channels if a != b]
    assert group.size == group.n_members == 10
    assert group.mean_nmi == pytest.approx(np.mean(inside))
    assert group.mean_bits == pytest.approx(matrix.information_bits[channels].mean())
    assert group.label_nmi[0] == pytest.approx(matrix.label_nmi[channels, 0].mean())
    distance = channel_distance(matrix, HotspotConfig())
    assert group.medoid == min(channels, key=lambda c: distance[c, channels].sum())


def test_signs_turn_channels_the_way_of_the_medoid(hotspots: Hotspots) -> None:
    group = next(g for g in hotspots.groups if 0 in g.channels)
    flipped = {c: hotspots.sign[c] for c in group.channels}
    parity = {c: (-1) ** (c // 4) for c in group.channels}
    assert {flipped[c] * parity[c] for c in group.channels} == {parity[group.medoid]}


@pytest.mark.parametrize("measure", ["nmi", "vi"])
def test_the_order_in_which_members_are_listed_does_not_matter(matrix: ChannelMatrix, measure: str) -> None:
    order = np.random.default_rng(0).permutation(MEMBERS)
    shuffled = compare_channels(planted(order))
    config = HotspotConfig(measure=measure)

    def named(m: ChannelMatrix) -> list[tuple[int, int, int]]:
        found = find_hotspots(m, config)
        return [(*m.channel_names[c].tolist(), int(found.labels[c])) for c in found.order[~found.dead[found.order]]]

    assert named(shuffled) == named(matrix)


def test_the_order_looks_at_as_many_neighbours_as_there_are_members_and_channels_for(matrix: ChannelMatrix) -> None:
    assert find_hotspots(matrix).min_samples == 4
    few = compare_channels(Posteriors(planted().mean[:3, :, :2], planted().logvar[:3, :, :2]))
    assert find_hotspots(few, HotspotConfig(min_samples=5)).min_samples == 3


def test_two_members_have_no_hotspot_and_a_sentence_says_why() -> None:
    two = compare_channels(Posteriors(planted().mean[:2], planted().logvar[:2]))
    hotspots = find_hotspots(two)
    assert hotspots.groups == ()
    assert "come back in at least 3 members, and there are 2" in hotspots.messages[0]


def test_a_higher_share_of_members_leaves_out_what_few_hold(matrix: ChannelMatrix) -> None:
    nmi = np.array(matrix.nmi)
    nmi[20:, :] = nmi[:, 20:] = 0.0  # the last five members share nothing any more
    np.fill_diagonal(nmi, 1.0)
    half = replace(matrix, nmi=nmi)
    assert len(find_hotspots(half).groups) == 2
    assert find_hotspots(half, HotspotConfig(member_share=0.6)).groups == ()


def test_too_few_live_channels_give_a_message_and_no_hotspot(matrix: ChannelMatrix) -> None:
    found = find_hotspots(matrix, HotspotConfig(min_bits=50))
    assert found.groups == ()
    assert found.dead.all()
    assert "Only 0 of 40 channels carry at least 50 bits" in found.messages[0]


def test_noise_alone_makes_no_hotspot() -> None:
    rng = np.random.default_rng(0)
    mean = rng.normal(size=(8, 150, 3))
    matrix = compare_channels(Posteriors(mean, np.full_like(mean, -3.0)))
    for measure in ("nmi", "vi"):
        assert find_hotspots(matrix, HotspotConfig(measure=measure)).groups == ()


def test_distance_clips_what_the_measures_keep() -> None:
    nmi = np.array([[1.0, 1.2, np.nan], [1.2, 1.0, 0.0], [np.nan, 0.0, 1.0]])
    vi = np.array([[0.0, -0.1, 2.0], [-0.1, 0.0, 1.0], [2.0, 1.0, 0.0]])
    names = np.array([[0, 0], [1, 0], [2, 0]])
    matrix = ChannelMatrix(names, np.ones(3), np.ones(3), nmi, vi, n_images=10)
    largest = -np.log(1e-4)
    expected = [[0, 0, largest], [0, 0, largest], [largest, largest, 0]]
    np.testing.assert_allclose(channel_distance(matrix, HotspotConfig()), expected, atol=1e-12)
    np.testing.assert_allclose(channel_distance(matrix, HotspotConfig(measure="vi")), [[0, 0, 2], [0, 0, 1], [2, 1, 0]])


def test_what_a_single_member_repeats_within_itself_is_no_hotspot() -> None:
    rng = np.random.default_rng(2)
    mean = rng.normal(size=(4, 150, 5))
    mean[0] = mean[0, :, :1] + 0.05 * rng.normal(size=(150, 5))
    found = find_hotspots(compare_channels(Posteriors(mean, np.full_like(mean, -3.0))))
    assert not any(set(group.channels) & set(range(5)) for group in found.groups)
