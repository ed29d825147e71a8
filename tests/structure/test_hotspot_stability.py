"""Stability of hotspots: planted ones return always, made-up ones seldom, and copies fake nothing."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from vaefrag_core.artifacts import ChannelMatrix, Hotspot, Hotspots, Posteriors, Stability
from vaefrag_core.config import BootstrapConfig, HotspotConfig
from vaefrag_core.structure import hotspot_stability as stability
from vaefrag_core.structure.hotspot_stability import hotspot_stability
from vaefrag_core.structure.hotspots import find_hotspots
from vaefrag_core.structure.matrices import compare_channels

MEMBERS, IMAGES, RESAMPLES = 12, 80, 20


def planted(order: np.ndarray | None = None) -> Posteriors:
    """Give 12 members that all know the same two sources, exactly, and have a channel of their own."""
    rng = np.random.default_rng(5)
    sources = rng.normal(size=(2, IMAGES))
    own = rng.normal(size=(MEMBERS, IMAGES, 1))
    mean = np.concatenate([np.broadcast_to(sources.T, (MEMBERS, IMAGES, 2)), own], axis=2)
    order = np.arange(MEMBERS) if order is None else order
    return Posteriors(mean[order], np.full_like(mean, -3.0), member_ids=order)


def tried(
    posteriors: Posteriors, matrix: ChannelMatrix, found: Hotspots, resamples: int = RESAMPLES, **settings: Any
) -> Stability:
    config, bootstrap = HotspotConfig(**settings), BootstrapConfig(resamples=resamples, seed=3)
    return hotspot_stability(posteriors, matrix, {"nmi": found}, config, bootstrap, threads=1)["nmi"]


def grouped(found: Hotspots, *channels: int) -> Hotspots:
    """Call some channels a hotspot, by hand."""
    return replace(found, groups=(Hotspot(0, channels, len(channels), 0.1, 1.0, 1.0, channels[0], ()),))


@pytest.fixture(scope="module")
def posteriors() -> Posteriors:
    return planted()


@pytest.fixture(scope="module")
def matrix(posteriors: Posteriors) -> ChannelMatrix:
    return compare_channels(posteriors)


@pytest.fixture(scope="module")
def found(matrix: ChannelMatrix) -> Hotspots:
    return find_hotspots(matrix)


def test_identical_channels_return_whole_in_every_resample(
    posteriors: Posteriors, matrix: ChannelMatrix, found: Hotspots
) -> None:
    assert {frozenset(group.channels) for group in found.groups} == {
        frozenset(range(0, 36, 3)),
        frozenset(range(1, 36, 3)),
    }
    shown = tried(posteriors, matrix, found)
    for over in ("members", "images"):
        np.testing.assert_array_equal(shown.mean_jaccard(over), [1, 1])
        np.testing.assert_array_equal(shown.returned(over), [1, 1])
    assert shown.resamples == RESAMPLES
    np.testing.assert_allclose(shown.mean_inside, 1, atol=1e-4)


def test_noise_that_was_grouped_by_hand_seldom_returns(
    posteriors: Posteriors, matrix: ChannelMatrix, found: Hotspots
) -> None:
    by_hand = tried(posteriors, matrix, grouped(found, *range(2, 36, 3)))
    for over in ("members", "images"):
        assert by_hand.returned(over)[0] < 0.2
        assert by_hand.mean_jaccard(over)[0] < 0.4


def test_the_same_seed_gives_the_same_however_members_are_listed() -> None:
    rng = np.random.default_rng(1)
    source = rng.normal(size=IMAGES)
    mean = rng.normal(size=(MEMBERS, IMAGES, 3))
    mean[..., 0] = source + 0.8 * rng.normal(size=(MEMBERS, IMAGES))  # so weak that it returns now and then

    def shown(order: np.ndarray) -> Stability:
        listed = Posteriors(mean[order], np.full_like(mean, -3.0), member_ids=order)
        weak = compare_channels(listed)
        of_source = np.flatnonzero(weak.channel_names[:, 1] == 0).tolist()
        return tried(listed, weak, grouped(find_hotspots(weak), *of_source))

    once, again, shuffled = shown(np.arange(MEMBERS)), shown(np.arange(MEMBERS)), shown(rng.permutation(MEMBERS))
    for other in (again, shuffled):
        np.testing.assert_array_equal(other.members, once.members)
        np.testing.assert_array_equal(other.images, once.images)
    assert len(np.unique(once.members)) > 3
    assert len(np.unique(once.images)) > 3
    assert 0.1 < once.returned("members")[0] < 1


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[tuple[ChannelMatrix, HotspotConfig]]:
    """Keep what hotspots are looked for in; half the first hotspot's channels are found, and a stranger."""
    seen: list[tuple[ChannelMatrix, HotspotConfig]] = []

    def find(part: ChannelMatrix, config: HotspotConfig) -> Hotspots:
        seen.append((part, config))
        found = find_hotspots(part, config)
        kind = part.channel_names[:, 1]
        first = np.flatnonzero(kind == 0)
        labels = np.full(part.n_channels, -1)
        labels[first[: len(first) // 2]] = 0
        labels[np.flatnonzero(kind == 2)[0]] = 0
        return replace(found, labels=labels)

    monkeypatch.setattr(stability, "find_hotspots", find)
    return seen


def test_other_images_show_what_was_alike_by_luck(
    posteriors: Posteriors, matrix: ChannelMatrix, found: Hotspots, monkeypatch: pytest.MonkeyPatch
) -> None:
    def luckiest_pair(part: ChannelMatrix, config: HotspotConfig) -> Hotspots:
        own = np.arange(2, part.n_channels, 3)  # of no two members the same
        similarity = part.corrected_similarity(config.measure, own)
        np.fill_diagonal(similarity, -1)
        labels = np.full(part.n_channels, -1)
        labels[own[list(np.unravel_index(similarity.argmax(), similarity.shape))]] = 0
        return replace(found, labels=labels)

    monkeypatch.setattr(stability, "find_hotspots", luckiest_pair)
    shown = tried(posteriors, matrix, grouped(found, *range(2, 36, 3)), resamples=20)
    assert shown.inside is not None
    error = shown.inside[:, 0].std(axis=0) / np.sqrt(20)
    assert shown.mean_inside[0, 0] > 5 * error[0]
    assert abs(shown.mean_inside[0, 1]) < 3 * error[1]


def test_the_index_counts_channels_of_both_against_channels_of_either(
    posteriors: Posteriors, matrix: ChannelMatrix, found: Hotspots, looks: list[Any]
) -> None:
    shown = tried(posteriors, matrix, grouped(found, *range(0, 36, 3)), resamples=3)
    np.testing.assert_allclose(shown.images[:, 0], 6 / 13)
    drawn = np.array([len(np.unique(part.member)) for part, _ in looks[:3]])
    np.testing.assert_allclose(shown.members[:, 0], (drawn // 2) / (drawn + 1))


def test_what_was_drawn_twice_is_taken_once(
    posteriors: Posteriors, matrix: ChannelMatrix, found: Hotspots, looks: list[Any]
) -> None:
    tried(posteriors, matrix, found, resamples=30)
    over_members, over_images = [part for part, _ in looks[:30]], [part for part, _ in looks[30:]]
    for part in over_members:
        assert len(np.unique(part.channel_names, axis=0)) == part.n_channels
        assert part.n_images == IMAGES
    assert {part.n_channels for part in over_images} == {matrix.n_channels}
    share = 1 - (1 - 1 / IMAGES) ** IMAGES  # of all that are drawn at least once
    assert np.mean([part.n_images for part in over_images]) == pytest.approx(share * IMAGES, abs=2)
    share = 1 - (1 - 1 / MEMBERS) ** MEMBERS
    assert np.mean([len(np.unique(part.member)) for part in over_members]) == pytest.approx(share * MEMBERS, abs=0.6)


def test_a_density_that_was_asked_for_shrinks_with_the_members(
    posteriors: Posteriors, matrix: ChannelMatrix, found: Hotspots, looks: list[Any]
) -> None:
    tried(posteriors, matrix, found, resamples=10, min_samples=6)
    for part, config in looks[:10]:
        assert config.min_samples == max(2, round(6 * len(np.unique(part.member)) / MEMBERS))
    assert {config.min_samples for _, config in looks[10:]} == {6}


def test_an_exception_from_the_progress_ends_the_work(
    posteriors: Posteriors, matrix: ChannelMatrix, found: Hotspots
) -> None:
    told: list[tuple[int, int]] = []

    def stop_at_three(done: int, total: int) -> None:
        told.append((done, total))
        if done == 3:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        hotspot_stability(
            posteriors,
            matrix,
            {"nmi": found},
            HotspotConfig(),
            BootstrapConfig(resamples=RESAMPLES),
            on_progress=stop_at_three,
        )
    assert told == [(1, 40), (2, 40), (3, 40)]


def test_two_members_cannot_be_resampled_but_their_images_can() -> None:
    posteriors = planted()
    two = Posteriors(posteriors.mean[:2], posteriors.logvar[:2])
    matrix = compare_channels(two)
    shown = tried(two, matrix, grouped(find_hotspots(matrix), 0, 3), resamples=3)
    assert np.isnan(shown.returned("members")).all()
    assert np.isfinite(shown.returned("images")).all()


def test_a_hotspot_of_which_one_member_was_drawn_is_not_judged(
    posteriors: Posteriors, matrix: ChannelMatrix, found: Hotspots
) -> None:
    shown = tried(posteriors, matrix, grouped(found, 0, 3), resamples=30)
    judged = np.isfinite(shown.members[:, 0])
    assert 0 < judged.sum() < 30
    assert shown.mean_jaccard("members")[0] == pytest.approx(shown.members[judged, 0].mean())
    assert np.isfinite(shown.images).all()
