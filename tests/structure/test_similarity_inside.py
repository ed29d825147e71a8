"""The mean inside a hotspot: over which pairs it is, and what it says of channels that share nothing."""

import numpy as np
import pytest

from vaefrag_core.artifacts import Posteriors
from vaefrag_core.structure.matrices import compare_channels
from vaefrag_core.structure.planted_ensembles import independent
from vaefrag_core.structure.similarity_inside import mean_inside, similarity_inside


def test_the_mean_is_over_defined_pairs_of_different_members() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(7, 7))
    values = values + values.T
    values[1, 4] = values[4, 1] = np.nan
    member = np.array([0, 0, 0, 1, 1, 2, 2])
    pairs = [values[u, v] for u in range(7) for v in range(u) if member[u] != member[v] and not np.isnan(values[u, v])]
    assert len(pairs) == 15
    assert mean_inside(values, member) == pytest.approx(np.mean(pairs), rel=1e-12)
    assert np.isnan(mean_inside(values[:3, :3], member[:3]))  # one member has no such pair


@pytest.mark.parametrize("measure", ["nmi", "vi"])
def test_it_is_0_on_average_where_nothing_is_shared(measure: str) -> None:
    inside = []
    for seed in range(12):
        matrix = compare_channels(independent(5, 3, 60, seed))
        inside.append(similarity_inside(matrix, [range(15)], measure)[0])
    # Counted from 0 to 1 alone, pairs below chance would lift every one of these means.
    assert abs(np.mean(inside)) < 3 * np.std(inside) / np.sqrt(12) + 1e-3
    assert min(inside) < 0


def test_channels_that_make_the_same_distinctions_share_1() -> None:
    mean = np.random.default_rng(0).normal(size=(1, 80, 1)) * np.array([1.0, -2.0, 0.5])[:, None, None]
    logvar = np.log(0.05 * np.array([1.0, 4.0, 0.25]))[:, None, None] + np.zeros((3, 80, 1))
    matrix = compare_channels(Posteriors(mean, logvar))
    for measure in ("nmi", "vi"):
        assert similarity_inside(matrix, [[0, 1, 2]], measure)[0] == pytest.approx(1.0, abs=1e-5)
