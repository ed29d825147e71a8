"""Maps of planted groups: neighbours stay neighbours."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from vaefrag_core.artifacts import ChannelMap, ChannelMatrix
from vaefrag_core.config import HotspotConfig, MapConfig
from vaefrag_core.structure.channel_maps import map_channels


def matrix_of(distance: np.ndarray, bits: np.ndarray) -> ChannelMatrix:
    names = np.stack([np.arange(len(bits)), np.zeros(len(bits), dtype=int)], axis=1)
    return ChannelMatrix(names, bits, bits, np.exp(-distance), distance, n_images=100)


@pytest.fixture(scope="module")
def plane() -> np.ndarray:
    """Give 30 points of the plane in three clusters."""
    rng = np.random.default_rng(0)
    return np.repeat([[0.0, 0.0], [6.0, 0.0], [0.0, 4.0]], 10, axis=0) + rng.normal(0, 0.4, (30, 2))


@pytest.fixture(scope="module")
def laid_out(plane: np.ndarray) -> ChannelMap:
    distance = np.linalg.norm(plane[:, None] - plane[None], axis=-1)
    bits = np.ones(32)
    bits[30:] = 0.0
    padded = np.pad(distance, (0, 2), constant_values=9.0)
    return map_channels(matrix_of(padded, bits), HotspotConfig(measure="vi"))


def test_mds_gives_points_of_the_plane_back(plane: np.ndarray, laid_out: ChannelMap) -> None:
    expected = np.linalg.norm(plane[:, None] - plane[None], axis=-1)
    found = np.linalg.norm(laid_out.mds[:30, None] - laid_out.mds[None, :30], axis=-1)
    np.testing.assert_allclose(found, expected, atol=0.05)
    assert laid_out.stress < 0.01


@pytest.mark.parametrize("method", ["mds", "umap"])
def test_clusters_stay_together(laid_out: ChannelMap, method: str) -> None:
    layout = laid_out.coordinates(method)[:30]
    distance = np.linalg.norm(layout[:, None] - layout[None], axis=-1)
    np.fill_diagonal(distance, np.inf)
    assert (distance.argmin(axis=1) // 10 == np.arange(30) // 10).all()


def test_dead_channels_have_no_place(laid_out: ChannelMap) -> None:
    assert np.isnan(laid_out.mds[30:]).all()
    assert np.isnan(laid_out.umap[30:]).all()
    assert np.isfinite(laid_out.umap[:30]).all()


def test_the_same_seed_gives_the_same_map(plane: np.ndarray) -> None:
    matrix = matrix_of(np.linalg.norm(plane[:, None] - plane[None], axis=-1), np.ones(30))
    first, second = (map_channels(matrix, HotspotConfig(measure="vi"), MapConfig(seed=3)) for _ in range(2))
    np.testing.assert_array_equal(first.mds, second.mds)
    np.testing.assert_array_equal(first.umap, second.umap)


def test_few_channels_are_mapped_with_fewer_neighbours_or_not_at_all() -> None:
    distance = np.abs(np.subtract.outer(np.arange(5.0), np.arange(5.0)))
    five = map_channels(matrix_of(distance, np.ones(5)), HotspotConfig(measure="vi"))
    assert np.isfinite(five.umap).all()
    assert "4 neighbours, not 15" in five.messages[0]
    two = map_channels(matrix_of(distance[:2, :2], np.ones(2)), HotspotConfig(measure="vi"))
    assert np.isnan(two.mds).all()
    assert two.messages == ("Too few live channels for a map.",)


def test_machine_code_of_layouts_is_kept(laid_out: ChannelMap) -> None:
    del laid_out
    assert sys.modules["umap.utils"].fast_knn_indices.stats.cache_path is not None


def test_machine_code_of_other_packages_is_read_again_by_another_process(tmp_path: Path) -> None:
    (tmp_path / "strangers.py").write_text("import numba\n\n\n@numba.njit\ndef twice(x):\n    return 2 * x\n")
    script = (
        "import strangers; from vaefrag_core.measures.numba_compile import keep_compiled; keep_compiled('strangers');"
        "print(strangers.twice(21), sum(strangers.twice.stats.cache_hits.values()))"
    )
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path / "kept"), "PYTHONPATH": str(tmp_path)}
    told = [
        subprocess.run(
            [sys.executable, "-c", script], env=environment, check=True, capture_output=True, text=True
        ).stdout.split()
        for _ in range(2)
    ]
    assert told == [["42", "0"], ["42", "1"]]
