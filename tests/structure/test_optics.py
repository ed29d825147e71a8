"""The walk is scikit-learn's, to the bit, ties and all."""

import numpy as np
import pytest
from sklearn.cluster import OPTICS

from vaefrag_core.structure.optics import optics_walk


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("min_samples", [2, 5])
def test_the_walk_is_that_of_scikit_learn(seed: int, min_samples: int) -> None:
    points = np.random.default_rng(seed).normal(size=(40, 2))
    points[:8] = np.round(points[:8])  # some ties, and some equal points
    points[8:12] = points[8]
    distance = np.linalg.norm(points[:, None] - points[None], axis=2)
    expected = OPTICS(metric="precomputed", min_samples=min_samples, cluster_method="dbscan", eps=1.0).fit(distance)
    order, reachability, predecessor = optics_walk(distance, min_samples)
    np.testing.assert_array_equal(order, expected.ordering_)
    np.testing.assert_array_equal(reachability, expected.reachability_)
    np.testing.assert_array_equal(predecessor, expected.predecessor_)


@pytest.mark.parametrize("seed", range(4))
def test_a_walk_held_by_groups_leaves_none_of_them_unfinished(seed: int) -> None:
    """Of what is left of the group, or of all, it takes what lies nearest to all points visited before it."""
    rng = np.random.default_rng(seed)
    points = rng.normal(size=(40, 2))
    distance = np.linalg.norm(points[:, None] - points[None], axis=2)
    group = rng.integers(-1, 4, size=40)  # scattered at random, so that only the walk can gather them
    order, reachability, _ = optics_walk(distance, 3, group)
    assert sorted(order.tolist()) == list(range(40))
    core = np.sort(distance, axis=1)[:, 2]
    for place in range(1, 40):
        before, point = order[:place], order[place]
        reached = np.maximum(core[before, None], distance[before]).min(axis=0)
        entered = group[order[place - 1]]
        rest = [p for p in order[place:] if group[p] == entered] if entered >= 0 else []
        assert reachability[point] == pytest.approx(reached[point], rel=1e-12)
        assert reached[point] == pytest.approx(min(reached[rest or order[place:]]), rel=1e-12)
    for k in range(4):
        places = np.flatnonzero(group[order] == k)
        assert len(places) == places[-1] - places[0] + 1


def test_without_groups_or_with_none_nothing_holds_the_walk() -> None:
    points = np.random.default_rng(9).normal(size=(30, 2))
    distance = np.linalg.norm(points[:, None] - points[None], axis=2)
    for free, held in zip(optics_walk(distance, 4), optics_walk(distance, 4, np.full(30, -1)), strict=True):
        np.testing.assert_array_equal(free, held)
