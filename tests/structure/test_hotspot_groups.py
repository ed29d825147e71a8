"""The rule that cuts hotspots, tried on ensembles in which nothing comes back and on ones whose fragments are known."""

from collections.abc import Callable

import numpy as np
import pytest

from vaefrag_core.artifacts import Posteriors
from vaefrag_core.config import HotspotConfig
from vaefrag_core.structure.hotspot_groups import (
    _cohesive_groups,
    chance_spread,
    recurring_groups,
    required_members,
)
from vaefrag_core.structure.hotspots import hotspot_of_channels
from vaefrag_core.structure.matrices import compare_channels
from vaefrag_core.structure.planted_ensembles import (
    Planted,
    agreement_with_planted,
    independent,
    plant,
    with_copies_in_two_members,
    with_diverged_member,
)


def groups_of(posteriors: Posteriors) -> list[np.ndarray]:
    """Find the groups among live channels, by flat index."""
    matrix = compare_channels(posteriors)
    hotspot = hotspot_of_channels(matrix, HotspotConfig())
    return [np.flatnonzero(hotspot == number) for number in range(hotspot.max(initial=-1) + 1)]


def fragments_found(planted: Planted, seed: int) -> tuple[int, float]:
    """Return the number of groups, and how far they are the planted ones: the adjusted Rand index."""
    posteriors, truth = plant(planted, seed)
    groups = groups_of(posteriors)
    return len(groups), agreement_with_planted(truth, groups)


NULLS = {
    "three members": {"members": 3, "channels": 4, "images": 200},
    "100 images": {"members": 10, "channels": 10, "images": 100},
    "many channels": {"members": 4, "channels": 20, "images": 300},
    "heavy tails": {"members": 6, "channels": 5, "images": 300, "heavy_tails": True},
    "two fifths are copies": {"members": 6, "channels": 5, "images": 300, "copies": 0.4},
    "nine tenths are copies": {"members": 4, "channels": 5, "images": 500, "copies": 0.9},
    "one member": {"members": 1, "channels": 20, "images": 300},
    "two members": {"members": 2, "channels": 10, "images": 300},
    "two bits each": {"members": 10, "channels": 5, "images": 150, "bits": (2.0, 2.0)},
    "nearly deterministic encoders": {"members": 6, "channels": 5, "images": 150, "bits": (6.0, 12.0)},
}


@pytest.mark.parametrize("case", NULLS)
def test_where_nothing_comes_back_there_is_no_hotspot(case: str) -> None:
    false_alarms = sum(bool(groups_of(independent(**NULLS[case], seed=seed))) for seed in range(20))
    assert false_alarms <= 1  # 5 %


@pytest.mark.parametrize("spoil", [with_diverged_member, with_copies_in_two_members])
def test_neither_a_diverged_run_nor_copies_within_two_members_make_a_hotspot(
    spoil: Callable[[Posteriors, int], Posteriors],
) -> None:
    false_alarms = sum(bool(groups_of(spoil(independent(10, 5, 150, seed=seed), seed))) for seed in range(20))
    assert false_alarms <= 1  # 5 %


def test_a_diverged_run_takes_no_fragment_from_the_others() -> None:
    posteriors, truth = plant(Planted(members=8, images=200, noise=0.1, idle=0.5), seed=2)
    groups = groups_of(with_diverged_member(posteriors, seed=2))
    assert len(groups) == 3
    member = posteriors.channel_names[:, 0]
    assert {frozenset(group.tolist()) for group in groups} == {
        frozenset(np.flatnonzero((truth == k) & (member < 7)).tolist()) for k in range(3)
    }


def test_no_hotspot_among_independent_channels_on_5000_images() -> None:
    assert groups_of(independent(4, 3, 5_000, seed=0)) == []


PLANTED = {
    "perfect repetition": Planted(noise=0.01, images=400),
    "perfect repetition in 20 members": Planted(members=20, noise=0.02, images=400),
    "near the resolution": Planted(noise=0.8, images=500),
    "four members": Planted(members=4, images=400),
    "50 members": Planted(members=50, fragments=2, images=200, idle=0.2, noise=0.1),
    "one fragment": Planted(fragments=1, images=400),
    "twelve fragments": Planted(members=6, fragments=12, images=400, idle=0.2),
    "three tenths of the members": Planted(members=20, held=0.3, images=400),
    "mostly idle": Planted(idle=0.8, fragments=2, images=400),
    "merged in some": Planted(variant="merged", images=400),
    "split in some": Planted(variant="split", images=400),
    "a continuum": Planted(variant="continuous", images=400),
}


@pytest.mark.parametrize("case", PLANTED)
def test_planted_fragments_are_the_hotspots(case: str) -> None:
    planted = PLANTED[case]
    for seed in range(3):
        number, agreement = fragments_found(planted, seed)
        assert number == planted.fragments
        assert agreement >= 0.95


def similarity_of(blocks: dict[tuple[int, int], float], sizes: list[int]) -> np.ndarray:
    """Build a similarity of groups: inside each, and between each two."""
    group = np.repeat(np.arange(len(sizes)), sizes)
    table = np.zeros((len(sizes), len(sizes)))
    for (a, b), value in blocks.items():
        table[a, b] = table[b, a] = value
    similarity = table[np.ix_(group, group)]
    np.fill_diagonal(similarity, 1.0)
    return similarity


def test_copies_within_two_members_are_no_hotspot() -> None:
    similarity = similarity_of({(0, 0): 0.99}, [8])
    assert recurring_groups(similarity, np.repeat([0, 1], 4)) == []
    padded = np.zeros((16, 16))
    padded[:8, :8] = similarity
    np.fill_diagonal(padded, 1.0)
    assert recurring_groups(padded, np.r_[np.repeat([0, 1], 4), np.arange(2, 10)]) == []


def test_a_redundant_member_does_not_make_up_for_members_that_are_missing() -> None:
    """Four channels of each of two members are one thing; a third member that hardly shares it does not confirm it."""
    similarity = similarity_of({(0, 0): 0.9, (0, 1): 0.05, (1, 1): 1.0}, [8, 1])
    assert recurring_groups(similarity, np.r_[np.repeat([0, 1], 4), 2]) == []


def test_two_that_share_nearly_what_each_shares_inside_are_one() -> None:
    member = np.tile(np.arange(5), 2)
    whole = recurring_groups(similarity_of({(0, 0): 0.9, (1, 1): 0.8, (0, 1): 0.7}, [5, 5]), member)
    assert [group.tolist() for group in whole] == [list(range(10))]
    apart = recurring_groups(similarity_of({(0, 0): 0.9, (1, 1): 0.8, (0, 1): 0.3}, [5, 5]), member)
    assert [group.tolist() for group in apart] == [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9]]


@pytest.mark.parametrize("seed", range(5))
def test_two_that_come_closer_become_one_and_never_part_again(seed: int) -> None:
    """What two share rises from nothing to what each shares inside, pairs scattering: once one, they stay one."""
    rng = np.random.default_rng(seed)
    scatter = rng.normal(0, 0.02, (12, 12))
    member = np.tile(np.arange(6), 2)
    numbers = []
    for between in np.linspace(0, 0.85, 18):
        similarity = similarity_of({(0, 0): 0.9, (1, 1): 0.8, (0, 1): between}, [6, 6]) + (scatter + scatter.T) / 2
        groups = recurring_groups(similarity, member)
        least = [similarity[np.ix_(group, group)].min() for group in groups]
        if len(groups) > 1:
            assert between <= min(least) + 0.05
        numbers.append(len(groups))
    assert numbers[0] == 2
    assert numbers[-1] == 1
    assert (np.diff(numbers) <= 0).all()


def test_the_numbers_of_members_and_their_order_change_nothing() -> None:
    posteriors, _ = plant(Planted(members=8, noise=0.6, images=150, held=0.7), seed=6)
    plain = {frozenset(group.tolist()) for group in groups_of(posteriors)}
    assert len(plain) == 3
    starts = np.cumsum([0, *posteriors.channels_of_member])
    for seed in range(3):
        order = np.random.default_rng(seed).permutation(8)
        mixed = Posteriors([posteriors.mean[m] for m in order], [posteriors.logvar[m] for m in order])
        channel = np.concatenate([np.arange(starts[m], starts[m + 1]) for m in order])
        assert {frozenset(channel[group].tolist()) for group in groups_of(mixed)} == plain


@pytest.mark.parametrize("seed", range(4))
def test_higher_demands_leave_no_channel_that_lower_ones_leave_out(seed: int) -> None:
    rng = np.random.default_rng(seed)
    member, place = np.repeat(np.arange(8), 5), rng.normal(size=(40, 2))
    similarity = np.exp(-np.linalg.norm(place[:, None] - place[None], axis=2))
    across = member[:, None] != member[None, :]

    def covered(**settings: float) -> set[int]:
        span = required_members(8, config := HotspotConfig(**settings))
        groups = _cohesive_groups(similarity, across, member, span, config.min_similarity, config.cohesion)
        return {int(channel) for group in groups for channel in group}

    for name, values in {"min_similarity": (0.1, 0.4, 0.7), "member_share": (0.25, 0.5, 0.75)}.items():
        left = [covered(**{name: value}) for value in values]
        assert left[0] >= left[1] >= left[2]


def test_every_group_is_what_the_definition_says() -> None:
    """On similarities as ragged as real ones: the four conditions, each checked pair by pair."""
    config, seen = HotspotConfig(), 0
    for seed in range(25):
        rng = np.random.default_rng(seed)
        member = np.repeat(np.arange(8), 6)
        place = rng.normal(size=(48, 2))
        similarity = np.exp(-np.linalg.norm(place[:, None] - place[None], axis=2)) + 0.05 * rng.normal(size=(48, 48))
        similarity = (similarity + similarity.T) / 2
        np.fill_diagonal(similarity, 1.0)
        groups = recurring_groups(similarity, member, config)
        seen += len(groups)
        shown = np.clip(similarity, 0, 1)
        for group in groups:
            pairs = [(a, b) for a in group for b in group if member[a] != member[b]]
            inside = [shown[a, b] for a, b in pairs]
            assert len(set(member[group])) >= 3
            assert np.mean(inside) > config.min_similarity
            for other in groups:
                if other is not group:
                    assert not set(group) & set(other)
                    between = np.mean([shown[a, b] for a in group for b in other])
                    # What two groups share below chance's own scatter, five times .05 / √2, parts nothing.
                    assert between <= max(min(inside), 5 * 0.036 / 2)
    assert seen >= 25


def test_the_order_of_channels_changes_nothing() -> None:
    posteriors, _ = plant(Planted(noise=0.6, images=300), seed=4)
    matrix = compare_channels(posteriors)
    live = np.flatnonzero(matrix.information_bits >= 0.01)
    similarity, member = matrix.corrected_nmi(live), matrix.member[live]
    plain = {frozenset(group.tolist()) for group in recurring_groups(similarity, member)}
    for seed in range(5):
        order = np.random.default_rng(seed).permutation(len(live))
        mixed = recurring_groups(similarity[np.ix_(order, order)], member[order])
        assert {frozenset(order[group].tolist()) for group in mixed} == plain


def test_the_spread_of_chance_is_that_of_independent_channels() -> None:
    matrix = compare_channels(independent(10, 5, 300, seed=1))
    similarity = matrix.corrected_nmi(np.arange(50))
    across = matrix.member[:, None] != matrix.member[None, :]
    spread = similarity[np.triu(across, 1)].std()
    assert chance_spread(similarity, across) == pytest.approx(spread, rel=0.15)
    assert chance_spread(np.ones((4, 4)), across[:4, :4]) == 0.0


@pytest.mark.parametrize(("members", "required"), [(1, 3), (3, 3), (12, 3), (13, 4), (20, 5), (50, 13)])
def test_a_hotspot_spans_a_quarter_of_the_members_and_three(members: int, required: int) -> None:
    assert required_members(members, HotspotConfig()) == required
