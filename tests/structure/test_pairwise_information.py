"""The compiled stream against float64, against torch, against itself on more threads, and on what is hard for it."""

import math

import numpy as np
import pytest
import torch

from vaefrag_core.artifacts import ChannelMatrix, Posteriors
from vaefrag_core.measures.gaussian import bhattacharyya_distance
from vaefrag_core.measures.information import information_bits
from vaefrag_core.measures.similarity import mutual_information_bits
from vaefrag_core.structure.compared_rows import Rows
from vaefrag_core.structure.matrices import compare_channels
from vaefrag_core.structure.pairwise_information import blocks, shared_bits, shared_bits_by_torch


def some_rows(count: int, n_images: int, labels: int = 1, seed: int = 0) -> Rows:
    """Give channels from nearly dead to sharp, and labels of three values."""
    rng = np.random.default_rng(seed)
    strength = np.logspace(-3, 2, count)[:, None]
    mean = rng.normal(size=(count, n_images)) * strength + rng.normal(size=(count, 1)) * 10
    logvar = rng.normal(-1, 1, (count, n_images)) * np.minimum(strength, 2)
    return Rows(mean, logvar, rng.integers(0, 3, size=(labels, n_images)))


def in_float64(rows: Rows) -> tuple[np.ndarray, np.ndarray]:
    """Work it out with the readable measures, channels only."""
    mean, logvar = (torch.tensor(array)[..., None] for array in (rows.mean, rows.logvar))
    distance = bhattacharyya_distance(mean, logvar)
    shared = [[mutual_information_bits(a, b).item() for b in distance] for a in distance]
    return information_bits(distance).numpy(), np.array(shared)


@pytest.mark.parametrize("n_images", [1, 2, 3, 17, 127])
def test_single_precision_errs_by_less_than_a_millionth_bit(n_images: int) -> None:
    rows = some_rows(8, n_images)
    information, shared = shared_bits(rows)
    expected_information, expected_shared = in_float64(rows)
    np.testing.assert_allclose(information[:8], expected_information, atol=1e-6)
    np.testing.assert_allclose(shared[:8, :8], expected_shared, atol=1e-6)


def test_narrow_posteriors_among_far_wider_ones_keep_their_digits() -> None:
    # A few posteriors a million times narrower than the rest, and off the median of all means.
    rng = np.random.default_rng(1)
    narrow = rng.random((3, 300)) < 0.03
    mean = np.where(narrow, rng.normal(0, 1e-4, (3, 300)), rng.normal(0, 500, (3, 300)))
    rows = Rows(mean, np.where(narrow, -20.0, 10.0), np.zeros((0, 300), dtype=np.int64))
    information, shared = shared_bits(rows)
    expected_information, expected_shared = in_float64(rows)
    np.testing.assert_allclose(information, expected_information, atol=1e-6)
    np.testing.assert_allclose(shared, expected_shared, atol=1e-6)


def test_what_hardly_tells_anything_keeps_its_digits() -> None:
    # Worked out in 60 digits: a difference of float64 informations would leave nothing of it.
    from mpmath import mp, mpf

    rng = np.random.default_rng(3)
    mean, logvar = rng.normal(size=(2, 2, 6)) * 1e-4
    with mp.workdps(60):

        def coefficient(c: int, i: int, j: int) -> mpf:
            s, r = mp.exp(mpf(logvar[c, i])), mp.exp(mpf(logvar[c, j]))
            return mp.exp(-((mpf(mean[c, i]) - mpf(mean[c, j])) ** 2) / (4 * (s + r))) * mp.sqrt(
                2 * mp.sqrt(s * r) / (s + r)
            )

        def information(*channels: int) -> mpf:
            terms = [
                mp.log(sum(mp.fprod(coefficient(c, i, j) for c in channels) for j in range(6)) / 6, 2) for i in range(6)
            ]
            return -sum(terms) / 6

        exact = [[float(information(a) + information(b) - information(a, b)) for b in (0, 1)] for a in (0, 1)]
    _, shared = shared_bits(Rows(mean, logvar, np.zeros((0, 6), dtype=np.int64)))
    assert 0 < exact[0][0] < 1e-15
    np.testing.assert_allclose(shared, exact, rtol=1e-4)


def test_torch_gives_the_same_for_other_devices() -> None:
    rows = some_rows(20, 60)
    given = shared_bits_by_torch(rows, torch.device("cpu"), lambda done, n_images: None)
    for found, expected in zip(shared_bits(rows), given, strict=True):
        np.testing.assert_allclose(found, expected, atol=2e-6)


def test_the_result_does_not_depend_on_threads_to_the_last_bit() -> None:
    rows = some_rows(300, 40)
    once = shared_bits(rows, threads=1)
    for threads in (1, 2, 5):
        for found, expected in zip(shared_bits(rows, threads=threads), once, strict=True):
            np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(("count", "known"), [(1, 0), (70, 0), (513, 0), (600, 590), (600, 300), (5, 5)])
def test_blocks_hold_every_pair_that_is_wanted(count: int, known: int) -> None:
    held = np.zeros((count, count), dtype=int)
    for u0, u1, v0, v1 in blocks(count, known):
        assert (u0, u1) == (v0, v1) or u1 <= v0  # a square on the diagonal, or beside it
        block = np.ones((u1 - u0, v1 - v0), dtype=int)
        held[u0:u1, v0:v1] += np.triu(block) if u0 == v0 else block  # BLAS computes half of a square
    wanted = np.triu(np.ones((count, count), dtype=bool))
    wanted[:known, :known] = False
    assert (held[wanted] == 1).all()
    assert not held[:known, :known].any()
    assert held.sum() == wanted.sum()


@pytest.mark.parametrize(("count", "known"), [(2, 1), (600, 590), (700, 300)])
def test_across_blocks_hold_the_rectangle_and_nothing_else(count: int, known: int) -> None:
    held = np.zeros((count, count), dtype=int)
    for u0, u1, v0, v1 in blocks(count, known, across=True):
        held[u0:u1, v0:v1] += 1
    assert (held[:known, known:] == 1).all()
    assert held.sum() == known * (count - known)


@pytest.mark.parametrize("by_torch", [False, True])
def test_across_only_pairs_of_the_rectangle_are_given(by_torch: bool) -> None:
    whole = some_rows(9, 40, labels=0)
    rows = Rows(whole.mean, whole.logvar, whole.codes, n_first=4, across=True)
    tell = (lambda done, n_images: None) if by_torch else None
    _, found = shared_bits_by_torch(rows, torch.device("cpu"), tell) if tell else shared_bits(rows)
    _, expected = shared_bits(whole)
    np.testing.assert_allclose(found[:4, 4:], expected[:4, 4:], atol=2e-6)
    np.testing.assert_allclose(found.diagonal(), expected.diagonal(), atol=2e-6)
    apart = ~np.eye(9, dtype=bool)
    assert np.isnan(found[:4, :4][apart[:4, :4]]).all()
    assert np.isnan(found[4:, 4:][apart[4:, 4:]]).all()


def test_more_images_than_share_a_logarithm_do_not_overflow() -> None:
    n_images = 400  # 115 images share one; hard channels have the largest ratios there are
    mean = np.arange(n_images, dtype=float)[None].repeat(2, axis=0) * 1e3
    rows = Rows(mean, np.zeros_like(mean), np.zeros((0, n_images), dtype=np.int64))
    assert rows.images_per_logarithm < n_images
    _, shared = shared_bits(rows)
    np.testing.assert_allclose(shared, math.log2(n_images), atol=1e-5)


@pytest.mark.parametrize(
    ("mean", "logvar"),
    [
        ([0, 1e3, 2e3, 0, 1e3, 2e3], [-80.0] * 6),
        ([0, 1e-30, 1e30, -1e30, 5, 5], [80.0, -80, 0, 0, 80, -80]),
        ([1e6, 1e6 + 1e-3, 1e6, 1e6, 1e6, 1e6], [-80.0, -79, -78, -80, -79, 80]),
        ([0] * 6, [80.0, 80, -80, -80, 79, -79]),
        ([1.234375, 0, -1e6, 0.5, 2e6, 2e6 + 0.7], [0.0] * 6),
    ],
)
def test_extremes_equal_float64(mean: list[float], logvar: list[float]) -> None:
    ordinary = np.random.default_rng(0).normal(size=(2, 6))
    rows = Rows(
        np.array([mean, ordinary[0]], dtype=float),
        np.array([logvar, ordinary[1]]),
        np.zeros((0, 6), dtype=np.int64),
    )
    information, shared = shared_bits(rows)
    expected_information, expected_shared = in_float64(rows)
    np.testing.assert_allclose(information, expected_information, atol=1e-6)
    np.testing.assert_allclose(shared, expected_shared, atol=1e-6)


def members(which: list[int], n_images: int = 40) -> Posteriors:
    """Give some members of one ensemble, that differ in channels, with a label."""
    arrays = [np.random.default_rng(m).normal(size=(2, n_images, 2 + m % 2)) for m in range(6)]
    return Posteriors(
        [arrays[m][0] for m in which],
        [arrays[m][1] for m in which],
        labels=np.arange(n_images) % 3,
        sample_id="one sample",
        member_ids=np.array(which),
    )


def test_added_members_cost_their_own_pairs_and_change_no_number() -> None:
    before = compare_channels(members([1, 2, 4]))
    now = members([0, 1, 2, 3, 4, 5])
    whole, added = compare_channels(now), compare_channels(now, earlier=before)
    for name in ("information_bits", "information_twice_bits", "nmi", "vi_bits", "label_nmi", "label_vi_bits"):
        np.testing.assert_allclose(getattr(added, name), getattr(whole, name), atol=1e-6, err_msg=name)
    marked = ChannelMatrix(**vars(before) | {"nmi": np.full_like(before.nmi, 7.0)})
    taken = compare_channels(now, earlier=marked).nmi == 7.0
    kept = np.isin(now.channel_names[:, 0], [1, 2, 4])
    np.testing.assert_array_equal(taken, np.outer(kept, kept))


def test_members_with_other_posteriors_or_another_sample_are_not_taken_over() -> None:
    now = members([0, 1, 2])
    other = Posteriors([m + 1e-3 for m in now.mean], now.logvar, sample_id="one sample")
    renamed = Posteriors(now.mean, now.logvar, sample_id="another sample")
    for posteriors in (other, renamed):
        before = compare_channels(posteriors)
        marked = ChannelMatrix(**vars(before) | {"nmi": np.full_like(before.nmi, 7.0)})
        assert not (compare_channels(now, earlier=marked).nmi == 7.0).any()
