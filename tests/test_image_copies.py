"""Copies among the images of a sample: told by the command line, in JSON and on the pages, with the lower ceiling."""

import json
from pathlib import Path

import numpy as np
import pytest

from test_cli import vaefrag
from vaefrag_core.ensemble_store import EnsembleStore
from webpages import Tab, app_of

SHOWN = np.concatenate([np.repeat(np.arange(20), 3), np.arange(20, 60)])  # 100 images, 40 of them copies
ENTROPY_BITS = -(20 * 0.03 * np.log2(0.03) + 40 * 0.01 * np.log2(0.01))
SENTENCE = "40 of 100 images are identical, pixel for pixel, to an earlier one of the fingerprint sample."


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("copies")
    rng = np.random.default_rng(0)
    mean = np.stack([rng.permutation(60) for _ in range(12)]).reshape(4, 3, 60)[:, :, SHOWN].transpose(0, 2, 1)
    pictures = rng.integers(0, 256, (60, 4, 4), dtype=np.uint8)[SHOWN]
    np.savez(folder / "mine.npz", mean=1000.0 * mean, logvar=np.zeros(mean.shape), images=pictures)
    done = vaefrag("import", str(folder / "mine.npz"), "--name", "Copied", "--workspace", str(folder))
    assert done.returncode == 0, done.stderr
    return folder


def test_copies_reach_whoever_reads_the_results(workspace: Path, tmp_path: Path) -> None:
    (ensemble_id,) = EnsembleStore(workspace).ids()
    result = json.loads(vaefrag("analyze", ensemble_id, "--workspace", str(workspace), "--json").stdout)
    assert any(message.startswith(SENTENCE) for message in result["messages"])
    assert result["ceiling_bits"] == pytest.approx(ENTROPY_BITS, abs=1e-9)
    assert result["channels_near_ceiling"] == 12
    plain = vaefrag("analyze", ensemble_id, "--workspace", str(workspace))
    assert SENTENCE in " ".join((plain.stdout + plain.stderr).split())
    tab = Tab(app_of(EnsembleStore(workspace), tmp_path / "cache"), f"/ensemble/{ensemble_id}")
    assert SENTENCE in tab.words


def test_combining_names_the_lower_ceiling(workspace: Path) -> None:
    (ensemble_id,) = EnsembleStore(workspace).ids()
    done = vaefrag("combine", ensemble_id, "0.0", "1.0", "--workspace", str(workspace), "--json")
    result = json.loads(done.stdout)
    assert result["ceiling_bits"] == pytest.approx(ENTROPY_BITS, abs=1e-9)
    assert result["joint_bits"] == pytest.approx(ENTROPY_BITS, abs=1e-6)
    assert result["near_ceiling"]
