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
