"""Hotspots among fewer members: counts that follow from what was planted."""

import numpy as np

from vaefrag_core.artifacts import ChannelMatrix, MemberCurve
from vaefrag_core.config import HotspotConfig
from vaefrag_core.structure.hotspots import find_hotspots
from vaefrag_core.structure.matrices import compare_channels
from vaefrag_core.structure.member_curve import member_curve
from vaefrag_core.structure.planted_ensembles import Planted, independent, plant

CONFIG = HotspotConfig()


def curve_of(matrix: ChannelMatrix, **settings: int) -> MemberCurve:
    return member_curve(matrix, find_hotspots(matrix, CONFIG), CONFIG, **settings)


def test_what_every_member_holds_is_found_in_any_three() -> None:
    posteriors, _ = plant(Planted(members=7, fragments=2, images=200, noise=0.1), seed=0)
    curve = curve_of(compare_channels(posteriors), choices=6)
    assert curve.members.tolist() == [3, 4, 5, 6, 7]
    assert (curve.hotspots == 2).all()
    assert (curve.refound == 2).all()
    assert curve.settled_from == 3
    assert curve.total == 2


def test_what_some_members_hold_is_found_in_the_choices_that_hold_three_of_them() -> None:
    held = 4
    names = np.array([(m, 0) for m in range(8)])
    same = np.arange(8) < held
    nmi = np.where(np.outer(same, same), 0.8, 0.0)
    np.fill_diagonal(nmi, 1.0)
    matrix = ChannelMatrix(names, np.ones(8), np.ones(8), nmi, 1 - nmi, n_images=100)
    curve = curve_of(matrix, choices=400)
    # of m members of 8, at least three of the four holders: the hypergeometric distribution
    from scipy.stats import hypergeom

    expected = [float(hypergeom(8, held, m).sf(2)) for m in curve.members]
    np.testing.assert_allclose(curve.hotspots.mean(axis=1), expected, atol=0.09)
    np.testing.assert_array_equal(curve.hotspots, curve.refound)
    assert curve.settled_from == next(int(m) for m, share in zip(curve.members, expected, strict=True) if share >= 0.9)


def test_where_nothing_comes_back_the_curve_is_flat_at_none() -> None:
    curve = curve_of(compare_channels(independent(5, 3, 150, seed=1)), choices=4)
    assert not curve.hotspots.any()
    assert curve.settled_from is None


def test_many_members_take_few_points_and_two_take_none() -> None:
    posteriors, _ = plant(Planted(members=40, fragments=1, images=60, noise=0.1, idle=0.0), seed=2)
    curve = curve_of(compare_channels(posteriors), choices=1)
    assert len(curve.members) == 16
    assert (curve.members[0], curve.members[-1]) == (3, 40)
    assert len(curve_of(compare_channels(independent(2, 3, 60, seed=3))).members) == 0


def test_the_same_seed_gives_the_same_and_progress_is_told() -> None:
    posteriors, _ = plant(Planted(members=5, fragments=2, images=100, noise=0.8, held=0.6), seed=3)
    matrix, seen = compare_channels(posteriors), list[tuple[int, int]]()
    hotspots = find_hotspots(matrix, CONFIG)
    once = member_curve(matrix, hotspots, CONFIG, seed=1, on_progress=lambda *step: seen.append(step))
    again = member_curve(matrix, hotspots, CONFIG, seed=1)
    np.testing.assert_array_equal(once.hotspots, again.hotspots)
    assert (once.hotspots != member_curve(matrix, hotspots, CONFIG, seed=2).hotspots).any()
    assert seen == [(1, 3), (2, 3), (3, 3)]
