"""Sets of channels against brute force, hard clusterings and exhaustive search."""

import math
from dataclasses import replace
from itertools import combinations, permutations

import numpy as np
import pytest
import torch

from vaefrag_core.artifacts import Posteriors
from vaefrag_core.errors import InvalidInputError
from vaefrag_core.measures.gaussian import bhattacharyya_distance
from vaefrag_core.measures.information import information_bits, label_distance
from vaefrag_core.measures.similarity import mutual_information_bits, nmi, variation_of_information
from vaefrag_core.synthesis import carried_share, greedy
from vaefrag_core.synthesis.channel_pool import ChannelName, pool_ensembles
from vaefrag_core.synthesis.combination import (
    combine,
    joint_information,
    member_information,
    rank_additions,
    select_greedily,
)


def drawn(members: int = 3, channels: int = 4, images: int = 90, seed: int = 0, **more: object) -> Posteriors:
    rng = np.random.default_rng(seed)
    mean = 2 * rng.normal(size=(members, images, channels))
    labels = np.stack([rng.integers(0, 4, images), mean[0, :, 0] > 0], axis=1)
    return Posteriors(mean, rng.normal(-1, 0.7, mean.shape), labels=labels, label_names=("four", "sign"), **more)  # type: ignore[arg-type]


def hard(*codes: list[int]) -> Posteriors:
    """Return channels that separate the values of labels for sure."""
    mean = 1e3 * np.array(codes, dtype=np.float64).T[None]
    return Posteriors(mean, np.zeros_like(mean))


def distance(posteriors: Posteriors, channels: list[int]) -> torch.Tensor:
    mean, logvar = (torch.as_tensor(array[channels].T) for array in posteriors.flat())
    return bhattacharyya_distance(mean, logvar)


def bits(posteriors: Posteriors, channels: list[int]) -> float:
    return float(information_bits(distance(posteriors, channels))) if channels else 0.0


@pytest.mark.parametrize("channels", [[0], [3, 1], [0, 5, 7, 11], list(range(12))])
def test_joint_information_is_that_of_the_added_distances(channels: list[int]) -> None:
    posteriors = drawn()
    assert joint_information(posteriors, channels) == pytest.approx(bits(posteriors, channels), abs=1e-9)
    assert combine(posteriors, channels).joint_bits == pytest.approx(bits(posteriors, channels), abs=1e-5)


def test_means_far_apart_and_odd_variances_change_nothing() -> None:
    rng = np.random.default_rng(3)
    mean = rng.normal(size=(1, 60, 3)) * [1.0, 1e6, 1e-4] + [0.0, 1e8, 1e5]
    posteriors = Posteriors(mean, rng.normal(size=mean.shape) * [3, 1, 0.1] + [0, 20, -18])
    assert joint_information(posteriors, [0, 1, 2]) == pytest.approx(bits(posteriors, [0, 1, 2]), abs=1e-6)


@pytest.mark.parametrize("logvar", [90.0, -90.0, 300.0, -300.0])
def test_one_posterior_far_wider_or_narrower_than_the_others_changes_little(logvar: float) -> None:
    rng = np.random.default_rng(5)
    posteriors = Posteriors(3 * rng.normal(size=(1, 60, 2)), rng.normal(size=(1, 60, 2)))
    posteriors.logvar[0, 7, 0] = logvar
    assert joint_information(posteriors, [0]) == pytest.approx(bits(posteriors, [0]), abs=1e-9)
    assert combine(posteriors, [0, 1]).joint_bits == pytest.approx(bits(posteriors, [0, 1]), abs=1e-5)
    assert rank_additions(posteriors, [1]).joint_bits == pytest.approx([bits(posteriors, [0, 1])], abs=1e-5)


def test_narrow_posteriors_keep_their_differences_beside_wide_ones() -> None:
    rng = np.random.default_rng(6)
    narrow = rng.random(80) < 0.5
    logvar = np.where(narrow, -60.0, 0.0)
    mean = np.where(narrow, 300 * np.exp(-15) + 2 * np.exp(-30) * rng.normal(size=80), 0)
    posteriors = Posteriors(mean[None, :, None], logvar[None, :, None])
    assert combine(posteriors, [0]).joint_bits == pytest.approx(bits(posteriors, [0]), abs=1e-5)


def test_channels_that_are_sure_tell_the_entropy_of_their_joint_labels() -> None:
    rng = np.random.default_rng(1)
    codes = rng.integers(0, 3, (3, 200))
    combination = combine(hard(*codes.tolist()), [0, 1, 2])
    share = np.unique(codes, axis=1, return_counts=True)[1] / 200
    assert combination.joint_bits == pytest.approx(-(share * np.log2(share)).sum(), abs=1e-5)


def test_copies_are_redundant_and_independent_channels_are_not() -> None:
    a, b = [0, 0, 1, 1] * 8, [0, 1, 0, 1] * 8
    copies, different = combine(hard(a, a), [0, 1]), combine(hard(a, b), [0, 1])
    assert (copies.redundancy_bits, different.redundancy_bits) == pytest.approx((1, 0), abs=1e-6)
    assert copies.marginal_bits == pytest.approx([0, 0], abs=1e-6)
    assert copies.shapley_bits == pytest.approx([0.5, 0.5], abs=1e-6)


@pytest.mark.parametrize("k", [1, 2, 5, 12])
def test_shapley_shares_sum_to_the_whole(k: int) -> None:
    combination = combine(drawn(), list(range(k)))
    assert combination.shapley_bits is not None
    assert combination.shapley_bits.sum() == pytest.approx(combination.joint_bits, abs=1e-9)


def test_shapley_shares_are_the_mean_over_all_orders() -> None:
    posteriors, channels = drawn(), [1, 4, 6, 9]
    value = {frozenset(s): bits(posteriors, list(s)) for size in range(5) for s in combinations(channels, size)}
    gains = {c: 0.0 for c in channels}
    for order in permutations(channels):
        for before, c in enumerate(order):
            gains[c] += value[frozenset(order[: before + 1])] - value[frozenset(order[:before])]
    expected = [gains[c] / math.factorial(4) for c in channels]
    assert combine(posteriors, channels).shapley_bits == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("shapley", [True, False])
def test_a_marginal_share_is_what_the_others_lack(shapley: bool) -> None:
    posteriors, channels = drawn(), [0, 2, 5, 8, 9]
    combination = combine(posteriors, channels, shapley=shapley)
    others = [bits(posteriors, [c for c in channels if c != left]) for left in channels]
    assert combination.marginal_bits == pytest.approx(bits(posteriors, channels) - np.array(others), abs=1e-5)
    assert combination.single_bits == pytest.approx([bits(posteriors, [c]) for c in channels], abs=1e-5)


def test_more_than_twelve_channels_go_without_shapley_shares() -> None:
    posteriors = drawn(members=4)
    combination = combine(posteriors, list(range(13)))
    assert combination.shapley_bits is None
    assert combination.joint_bits == pytest.approx(bits(posteriors, list(range(13))), abs=1e-5)


def test_labels_are_compared_like_channels() -> None:
    posteriors, channels = drawn(), [0, 3, 7]
    combination, joint = combine(posteriors, channels), distance(posteriors, channels)
    for f in range(2):
        label = label_distance(torch.as_tensor(posteriors.labels[:, f]))
        assert combination.label_nmi[f] == pytest.approx(float(nmi(joint, label)), abs=1e-5)
        assert combination.label_vi_bits[f] == pytest.approx(float(variation_of_information(joint, label)), abs=1e-5)
        assert combination.label_shared_bits[f] == pytest.approx(float(mutual_information_bits(joint, label)), abs=1e-5)


def test_a_label_that_nobody_knows_has_no_nmi_above_chance_however_rich_the_set() -> None:
    plain, corrected, told = [], [], []
    for seed in range(12):
        rng = np.random.default_rng(seed)
        mean = rng.normal(size=(1, 150, 5))
        labels = np.stack([rng.integers(2, size=150), rng.integers(10, size=150)], axis=1)
        found = combine(Posteriors(mean, np.full_like(mean, -1.0), labels=labels), range(5), shapley=False)
        plain.append(found.label_nmi)
        corrected.append(found.label_corrected_nmi)
        told.append(found.label_shared_bits - found.label_chance_bits)
    assert (np.mean(plain, axis=0) > [0.05, 0.2]).all()
    error = np.std(corrected, axis=0, ddof=1) / np.sqrt(12)
    assert (np.abs(np.mean(corrected, axis=0)) < 3 * error).all()
    assert (error < 0.02).all()
    assert np.mean(told, axis=0) == pytest.approx([0, 0], abs=0.05)


def test_a_label_that_is_known_keeps_its_nmi_and_copies_count_as_one() -> None:
    label = np.random.default_rng(0).integers(4, size=300)
    mean = 1e3 * label[None, :, None].astype(np.float64)
    once = combine(Posteriors(mean, np.zeros_like(mean), labels=label[:, None]), [0])
    assert once.label_corrected_nmi == pytest.approx([1], abs=0.02)
    codes = np.random.default_rng(1).integers(4, size=(2, 150))  # where chance alone makes 2.5 of 4 bits
    cells = replace(hard(*codes.tolist()), labels=(4 * codes[0] + codes[1])[:, None], label_names=("cell",))
    assert combine(cells, [0, 1]).label_corrected_nmi == pytest.approx([1], abs=0.04)
    twice = np.repeat(np.arange(300), 2)
    again = Posteriors(mean[:, twice], np.zeros((1, 600, 1)), labels=label[twice, None], copy_of=2 * twice)
    assert combine(again, [0]).label_chance_bits == pytest.approx(once.label_chance_bits, rel=0.6)


def test_the_order_of_a_set_changes_nothing() -> None:
    posteriors = drawn()
    one, other = combine(posteriors, [2, 7, 4]), combine(posteriors, [4, 2, 7])
    assert one.joint_bits == pytest.approx(other.joint_bits, abs=1e-6)
    assert one.shapley_bits is not None
    assert other.shapley_bits is not None
    assert one.shapley_bits[[2, 0, 1]] == pytest.approx(other.shapley_bits, abs=1e-6)


def test_the_ceiling_is_near_only_when_it_is() -> None:
    assert combine(hard(list(range(64))), [0]).near_ceiling
    assert not combine(hard([0, 1] * 32), [0]).near_ceiling


@pytest.mark.parametrize("label", [None, "sign"])
def test_additions_are_ranked_by_what_each_adds(label: str | None) -> None:
    posteriors, start = drawn(), [1, 6]
    codes = label_distance(torch.as_tensor(posteriors.labels[:, 1]))

    def told_bits(channels: list[int]) -> float:
        joint = distance(posteriors, channels)
        return float(information_bits(joint) if label is None else mutual_information_bits(joint, codes))

    additions = rank_additions(posteriors, start, label=label)
    assert sorted(additions.channels.tolist()) == [c for c in range(12) if c not in start]
    expected = [told_bits([*start, c]) - told_bits(start) for c in additions.channels.tolist()]
    assert additions.gain_bits == pytest.approx(expected, abs=1e-5)
    assert (np.diff(additions.gain_bits) <= 0).all()


def test_dead_channels_are_never_added() -> None:
    rng = np.random.default_rng(0)
    mean = rng.normal(size=(1, 80, 4)) * [2, 0, 2, 1e-3]
    assert sorted(rank_additions(Posteriors(mean, np.full_like(mean, -2)), []).channels.tolist()) == [0, 2]


@pytest.mark.parametrize("seed", range(4))
def test_greedy_sets_are_near_the_best(seed: int) -> None:
    posteriors = drawn(members=2, channels=4, images=40, seed=seed)
    best = max(joint_information(posteriors, list(channels)) for channels in combinations(range(8), 3))
    selection = select_greedily(posteriors, 3, draws=2)
    assert selection.bits[-1] >= (1 - 1 / math.e) * best
    assert selection.bits == pytest.approx(
        [bits(posteriors, list(selection.channels[: k + 1])) for k in range(3)], abs=1e-5
    )


def test_a_greedy_set_takes_at_every_step_what_adds_most(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(greedy, "CANDIDATES_OF_A_TASK", 2)  # so that most are never looked at again
    posteriors = drawn()
    selection = select_greedily(posteriors, 5, draws=1)
    for k in range(1, 5):
        assert selection.channels[k] == rank_additions(posteriors, selection.channels[:k]).channels[0]


def test_greedy_is_the_best_where_channels_are_independent() -> None:
    images = np.arange(64)
    halves = [(images >> bit & 1).tolist() for bit in range(6)]
    posteriors = hard(halves[0], halves[0], halves[1], halves[1], (images % 4).tolist(), halves[3])
    selection = select_greedily(posteriors, 2, draws=4)
    best = max(joint_information(posteriors, list(pair)) for pair in combinations(range(6), 2))
    assert selection.bits[-1] == pytest.approx(best, abs=1e-6)
    assert (selection.random_bits <= selection.bits + 1e-6).all()


def test_random_sets_are_the_same_for_the_same_seed() -> None:
    posteriors = drawn()
    one, same, other = (select_greedily(posteriors, 3, draws=3, seed=seed).random_bits for seed in (5, 5, 6))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


def test_a_set_carries_of_a_member_what_both_tell() -> None:
    posteriors, channels = drawn(), [0, 5]
    members = member_information(posteriors, channels)
    for member in range(3):
        space = list(range(4 * member, 4 * member + 4))
        assert members.bits[member] == pytest.approx(bits(posteriors, space), abs=1e-5)
        shared = mutual_information_bits(distance(posteriors, channels), distance(posteriors, space))
        assert members.shared_bits[member] == pytest.approx(float(shared), abs=1e-5)


def two_bit_channels(seed: int, images: int, channels: int) -> Posteriors:
    mean = np.random.default_rng(seed).normal(size=(2, images, channels))
    return Posteriors(mean, np.full_like(mean, -np.log(15)))


@pytest.mark.parametrize(("channels", "images"), [(3, 400), (5, 700)])
def test_channels_and_members_that_share_nothing_show_nothing_above_chance(channels: int, images: int) -> None:
    redundant, carried = [], []
    for seed in range(3):
        posteriors = two_bit_channels(seed, images, channels)
        combination = combine(posteriors, range(channels), shapley=False)
        redundant.append(combination.redundancy_above_chance_bits)
        assert combination.redundancy_bits > 0.1
        spaces = member_information(posteriors, range(channels))
        carried.append(spaces.carried[1])
        assert spaces.carried[0] == pytest.approx(1, abs=0.12)
        assert spaces.shared_bits[1] / spaces.bits[1] > 0.3
    assert np.mean(redundant) == pytest.approx(0, abs=0.06)
    assert np.mean(carried) == pytest.approx(0, abs=0.04)


def carried_by_the_first(members: int, images: int, channels: int, shared: int, seed: int) -> tuple[float, float]:
    """Return what the first member carries of the others, which have some of its channels, and the error said."""
    mean = np.random.default_rng(seed).normal(size=(members, images, channels))
    mean[:, :, :shared] = mean[0, :, :shared]
    spaces = member_information(Posteriors(mean, np.zeros_like(mean)), range(channels))
    others = replace(spaces, carried=spaces.carried[1:], carried_left_out=spaces.carried_left_out[1:])
    return others.carried_mean, others.carried_error


def test_half_of_ten_channels_carry_half_of_ten_members() -> None:
    share, error = carried_by_the_first(11, 150, 10, 5, seed=0)
    assert abs(share - 0.5) < 3 * error < 0.3
    assert share == pytest.approx(0.5, abs=0.1)


def test_the_error_of_what_is_carried_is_that_of_other_images(monkeypatch: pytest.MonkeyPatch) -> None:
    share, error = np.array([carried_by_the_first(3, 150, 4, 1, seed) for seed in range(12)]).T
    assert np.mean(share) == pytest.approx(0.25, abs=0.03)
    assert 0.5 < np.std(share, ddof=1) / np.mean(error) < 2
    monkeypatch.setattr(carried_share, "COEFFICIENTS", 1)
    monkeypatch.setattr(carried_share, "FEWEST_ROWS", 60)
    on_fewer, _ = carried_by_the_first(3, 150, 4, 1, seed=0)
    assert on_fewer == pytest.approx(share[0], abs=4 * error[0])
    assert on_fewer != share[0]


def test_what_is_redundant_is_found_near_the_ceiling() -> None:
    alone, copies = two_bit_channels(0, 400, 1), two_bit_channels(0, 400, 5)
    for mean in copies.mean:
        mean[:, 4] = mean[:, 0]
    combination = combine(copies, range(5), shapley=False)
    twice = combine(two_copies(alone), [0, 1], shapley=False)
    assert twice.redundancy_above_chance_bits == pytest.approx(twice.redundancy_bits, abs=0.05)  # far below the ceiling
    assert combination.redundancy_above_chance_bits == pytest.approx(twice.redundancy_above_chance_bits, abs=0.2)
    assert combination.redundancy_bits > twice.redundancy_bits + 0.5


def two_copies(posteriors: Posteriors) -> Posteriors:
    mean, logvar = (np.repeat(part[:1], 2, axis=-1) for part in (posteriors.mean, posteriors.logvar))
    return Posteriors(mean, logvar)


def test_sets_that_tell_all_images_apart_cannot_be_held_against_chance() -> None:
    posteriors = two_bit_channels(0, 100, 9)
    assert np.isnan(combine(posteriors, range(9), shapley=False).redundancy_above_chance_bits)
    assert np.isnan(member_information(posteriors, range(9)).carried).all()


@pytest.mark.parametrize(
    ("channels", "sentence"),
    [
        ([], "at least one channel to combine, got none"),
        ([0, 99], "channels from 0 to 11, got 99"),
        ([-1], "channels from 0 to 11, got -1"),
        ([5, 2, 5], r"different channels, got 1\.1 more than once"),
    ],
)
def test_what_is_no_set_is_refused(channels: list[int], sentence: str) -> None:
    for ask in (joint_information, combine):
        with pytest.raises(InvalidInputError, match=sentence):
            ask(drawn(), channels)


def test_dead_channels_are_refused_by_name() -> None:
    mean = np.zeros((2, 30, 2))
    mean[0] = np.random.default_rng(0).normal(size=(30, 2))
    with pytest.raises(InvalidInputError, match=r"dead ones: 1\.0 tells 0\.000 bits"):
        combine(Posteriors(mean, np.zeros_like(mean)), [0, 2])


def test_a_channel_is_dead_below_its_own_threshold() -> None:
    posteriors = drawn()
    alone = np.array([bits(posteriors, [c]) for c in range(12)])
    least = np.where(np.arange(12) < 6, alone - 1e-3, alone + 1e-3)
    assert sorted(rank_additions(posteriors, [0], min_bits=least).channels.tolist()) == [1, 2, 3, 4, 5]
    assert set(select_greedily(posteriors, 9, min_bits=least, draws=1).channels) == set(range(6))
    assert combine(posteriors, range(6), min_bits=least).channels == tuple(range(6))
    with pytest.raises(InvalidInputError, match=rf"at least {least[7]:g} bits, got dead ones: 1\.3 tells"):
        combine(posteriors, [0, 7], min_bits=least)
    whole, live = (
        member_information(posteriors, min_bits=least, information_bits=alone).bits,
        bits(posteriors, [4, 5]),
    )
    assert whole[1] == pytest.approx(live, abs=1e-5)


def test_unknown_labels_and_sizes_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="no label 'colour': there is four, sign"):
        rank_additions(drawn(), [], label="colour")
    with pytest.raises(InvalidInputError, match="size of at least 2, got 1"):
        select_greedily(drawn(), 1, start=[0, 1])
    with pytest.raises(InvalidInputError, match="No channel is live"):
        select_greedily(Posteriors(np.zeros((1, 9, 2)), np.zeros((1, 9, 2))), 1)


def test_ensembles_of_one_sample_are_combined_and_others_refused() -> None:
    one, other = drawn(sample_id="s"), drawn(members=1, channels=2, seed=4, sample_id="s")
    both = pool_ensembles({"a": one, "b": other})
    channels = both.flat_indices([ChannelName("a", 2, 1), ChannelName("b", 0, 1)])
    apart = distance(one, [9]) + distance(other, [1])
    assert joint_information(both.posteriors, channels) == pytest.approx(float(information_bits(apart)), abs=1e-9)
    with pytest.raises(InvalidInputError, match="different samples of images"):
        pool_ensembles({"a": one, "b": drawn(sample_id="t")})
    with pytest.raises(InvalidInputError, match="b does not say which sample"):
        pool_ensembles({"a": one, "b": drawn()})
    with pytest.raises(InvalidInputError, match=r"There is no channel 7\.0 in b"):
        both.flat_indices([ChannelName("b", 7, 0)])
