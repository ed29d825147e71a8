"""Atlas, training and sets show hotspots of one rule: none where nothing comes back, the planted ones where some do."""

import numpy as np
import pytest

from vaefrag_core.artifacts import Posteriors, Snapshots
from vaefrag_core.config import HotspotConfig
from vaefrag_core.structure.atlas import SweepEnsemble, draw_atlas
from vaefrag_core.structure.hotspots import find_hotspots
from vaefrag_core.structure.matrices import compare_channels
from vaefrag_core.structure.over_training import follow_training
from vaefrag_core.structure.planted_ensembles import IDLE, Planted, independent, plant

SAMPLE = "planted"


def on_one_sample(posteriors: Posteriors) -> Posteriors:
    return Posteriors(posteriors.mean, posteriors.logvar, sample_id=SAMPLE, copy_of=posteriors.copy_of)


def at(value: float, posteriors: Posteriors) -> SweepEnsemble:
    matrix = compare_channels(posteriors)
    return SweepEnsemble.at_end(value, f"at-{value:g}", posteriors, (matrix, find_hotspots(matrix)))


def test_an_atlas_of_ensembles_in_which_nothing_comes_back_is_empty() -> None:
    atlas = draw_atlas([at(k, on_one_sample(independent(6, 4, 150, seed=k))) for k in range(4)])
    assert [point.hotspots for point in atlas.points] == [()] * 4
    assert atlas.lineages == ((),) * 4


def test_an_atlas_follows_the_planted_fragments_through_noise_and_idle_channels() -> None:
    """One draw of fragments, ever more noise in the channels that tell them: as many lineages as fragments."""
    ensembles = [at(noise, on_one_sample(plant(Planted(8, 3, 200, noise), seed=5)[0])) for noise in (0.05, 0.2, 0.5)]
    atlas = draw_atlas(ensembles)
    assert [len(point.hotspots) for point in atlas.points] == [3, 3, 3]
    assert sorted({lineage for row in atlas.lineages for lineage in row}) == [0, 1, 2]


def test_hotspots_over_training_appear_with_what_is_planted() -> None:
    """Nothing comes back at the first step, three fragments at the last, and their channels are those of the end."""
    end, truth = plant(Planted(8, 3, 200, noise=0.1, idle=0.4), seed=2)
    end = on_one_sample(end)
    start = independent(8, end.channels_of_member[0], 200, seed=3)
    steps = Snapshots(np.array([0, 100]), np.stack([start.mean, end.mean]), np.stack([start.logvar, end.logvar]))
    followed = follow_training(steps, end, compare_channels(end), HotspotConfig())
    assert followed.hotspots.tolist() == [0, 3]
    found = {frozenset(group.channels) for group in followed.groups[1]}
    assert found == {frozenset(np.flatnonzero(truth == k).tolist()) for k in range(3)}
    assert not np.isin(np.flatnonzero(truth == IDLE), [c for group in found for c in group]).any()


@pytest.mark.parametrize("seed", range(3))
def test_copied_images_make_no_hotspot_at_an_earlier_step_either(seed: int) -> None:
    """Nine tenths are copies, as the images say that only the ensemble at the end still has beside it."""
    end = on_one_sample(independent(4, 5, 400, seed=seed, copies=0.9))
    steps = Snapshots(np.array([0, 100]), np.stack([end.mean] * 2), np.stack([end.logvar] * 2))
    followed = follow_training(steps, end, compare_channels(end), HotspotConfig())
    assert followed.hotspots.tolist() == [0, 0]
