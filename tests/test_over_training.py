"""A small real ensemble that kept snapshots, from its training to the page."""

import base64
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from support import Trained
from test_cli import vaefrag
from vaefrag_core import pipeline
from vaefrag_core.artifacts import OverTraining, Snapshots
from vaefrag_core.config import HotspotConfig
from vaefrag_core.ensemble_store import EnsembleStore
from vaefrag_core.measures.gaussian import bhattacharyya_distance
from vaefrag_core.measures.similarity import nmi
from vaefrag_core.structure.over_training import follow_training
from webpages import Tab, app_of

STEPS = [10, 32, 100]


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """Four members that were kept at three steps, analysed."""
    spec = pipeline.resolve(
        {
            "name": "Followed",
            "dataset": {"name": "digits"},
            "model": {"architecture": "mlp", "widths": [32], "channels": 3},
            "train": {"steps": 100, "learning_rate": 1e-2, "beta": 0.2, "snapshots": 3},
            "fingerprint": {"size": 100},
            "members": 4,
        }
    )
    store = EnsembleStore(tmp_path_factory.mktemp("kept"))
    pipeline.train(spec, store)
    (ensemble_id,) = store.ids()
    pipeline.analyze(ensemble_id, store)
    return Trained(store, ensemble_id, spec)


@pytest.fixture(scope="module")
def found(kept: Trained) -> OverTraining:
    over_training = kept.store.analysis(kept.id).over_training
    assert over_training is not None
    return over_training


def snapshots_of(kept: Trained) -> Snapshots:
    (folder,) = (kept.store.folder(kept.id) / "analysis").glob("snapshots-*")
    return Snapshots.load(folder)


def numbers(part: Any) -> Any:
    """Read an array of a figure as it is sent."""
    return np.frombuffer(base64.b64decode(part["bdata"]), part["dtype"]) if isinstance(part, dict) else np.array(part)


def test_the_last_snapshot_is_the_end_to_the_last_bit(kept: Trained, found: OverTraining) -> None:
    snapshots, end = snapshots_of(kept), kept.store.posteriors(kept.id)
    assert snapshots.steps.tolist() == found.steps.tolist() == STEPS
    np.testing.assert_array_equal(snapshots.mean[-1], end.mean)
    np.testing.assert_array_equal(snapshots.logvar[-1], end.logvar)
    analysis = kept.store.analysis(kept.id)
    np.testing.assert_array_equal(found.information_bits[-1], analysis.matrix.information_bits)
    np.testing.assert_array_equal(found.live[-1], ~analysis.hotspots["nmi"].dead)
    assert found.hotspots[-1] == len(analysis.hotspots["nmi"].groups)


def test_channels_become_what_they_are(found: OverTraining) -> None:
    np.testing.assert_allclose(found.nmi_with_end[-1], 1, atol=1e-6)
    assert found.mean_nmi_with_end[-1] == pytest.approx(1, abs=1e-6)
    assert found.mean_nmi_with_end[0] < 0.9
    assert found.information_bits[0].sum() < found.information_bits[-1].sum() / 2
    assert found.live_of_members.shape == (3, 4)
    assert found.live_of_members[-1].sum() == found.live[-1].sum() > found.live[0].sum()


def test_nmi_with_the_end_is_what_the_formula_says(kept: Trained, found: OverTraining) -> None:
    snapshots, end = snapshots_of(kept), kept.store.posteriors(kept.id)
    for c, (m, d) in enumerate(end.channel_names):  # members are numbered as they stand here
        then = (snapshots.mean[1, m, :, d], snapshots.logvar[1, m, :, d])
        at_end = (end.mean[m][:, d], end.logvar[m][:, d])
        first, second = (
            bhattacharyya_distance(*(torch.tensor(part, dtype=torch.float64)[:, None] for part in channel))
            for channel in (then, at_end)
        )
        assert found.nmi_with_end[1, c] == pytest.approx(float(nmi(first, second)), abs=1e-5)


def test_a_step_is_found_as_an_ensemble_would_be_that_ended_there(kept: Trained, found: OverTraining) -> None:
    store = EnsembleStore(kept.store.workspace.parent / "shorter")
    values = kept.spec.model_dump(mode="json")
    values["train"] |= {"steps": STEPS[1], "snapshots": 0}
    pipeline.train(pipeline.resolve(values), store)
    (ensemble_id,) = store.ids()
    ended = pipeline.analyze(ensemble_id, store)
    assert ended.over_training is None
    np.testing.assert_allclose(found.information_bits[1], ended.matrix.information_bits, atol=1e-6)
    assert found.hotspots[1] == len(ended.hotspots["nmi"].groups)
    assert not list((store.folder(ensemble_id) / "analysis").glob("snapshots-*"))


def test_it_is_worked_out_once_can_be_stopped_and_tells_how_far_it_is(kept: Trained, tmp_path: Path) -> None:
    store = EnsembleStore(tmp_path)
    shutil.copytree(kept.store.folder(kept.id), store.folder(kept.id))
    folder = store.folder(kept.id) / "analysis"
    for path in folder.glob("over-training-*"):
        shutil.rmtree(path)
    told: list[float] = []

    def on_stage(stage: str, share: float) -> None:
        if stage == "over-training":
            told.append(share)
            if share > 0.5 and not stopped:
                stopped.append(stage)
                raise InterruptedError

    stopped: list[str] = []
    with pytest.raises(InterruptedError):
        pipeline.analyze(kept.id, store, on_stage=on_stage)
    assert not [path for path in folder.iterdir() if path.name.startswith((".", "over-training"))]
    told.clear()
    pipeline.analyze(kept.id, store, on_stage=on_stage)
    assert told[-1] == 1.0
    assert told == sorted(told)
    told.clear()
    pipeline.analyze(kept.id, store, on_stage=on_stage)
    assert told == [0.0]


def test_without_live_channels_there_is_no_mean(kept: Trained) -> None:
    matrix, posteriors = kept.store.analysis(kept.id).matrix, kept.store.posteriors(kept.id)
    dead = follow_training(snapshots_of(kept), posteriors, matrix, HotspotConfig(min_bits=50))
    assert np.isnan(dead.mean_live_bits).all()
    assert np.isnan(dead.mean_nmi_with_end).all()
    assert dead.hotspots.tolist() == dead.live_of_members.sum(axis=1).tolist() == [0, 0, 0]


def test_an_index_without_snapshots_is_what_it_was_before_there_were_any(trained: Trained) -> None:
    path = trained.store.folder(trained.id) / "analysis" / "latest.json"
    assert "over_training" not in json.loads(path.read_text(encoding="utf-8"))
    assert "snapshots" in trained.store.record(trained.id).spec.model_dump()["train"]


def test_the_command_shows_every_step(kept: Trained, found: OverTraining) -> None:
    done = vaefrag("analyze", kept.id, "--over-training", "--workspace", str(kept.store.workspace), "--json")
    rows = json.loads(done.stdout)["over_training"]
    assert [row["step"] for row in rows] == STEPS
    assert [row["hotspots"] for row in rows] == found.hotspots.tolist()
    assert rows[0]["live_channels"] == found.live_of_members[0].tolist()
    assert rows[-1]["mean_live_bits"] == pytest.approx(found.mean_live_bits[-1])
    assert "NMI with the end" in done.stderr


def test_the_command_says_what_to_do_where_none_were_kept(trained: Trained) -> None:
    done = vaefrag("analyze", trained.id, "--over-training", "--workspace", str(trained.store.workspace))
    assert done.returncode == 1
    assert "has kept no snapshots of its training. Train one that does with" in done.stderr


def test_details_draw_a_channel_over_training_where_there_are_snapshots(
    kept: Trained, trained: Trained, found: OverTraining, tmp_path: Path
) -> None:
    tab = Tab(app_of(kept.store, tmp_path / "kept"), f"/ensemble/{kept.id}", "?channel=2.1")
    assert "Over training" in tab.words
    bits, nmi_with_end = tab.holding("over-training")["figure"]["data"]
    np.testing.assert_allclose(numbers(bits["y"]), found.information_bits[:, 7])
    np.testing.assert_allclose(numbers(nmi_with_end["y"]), found.nmi_with_end[:, 7])
    assert numbers(bits["x"]).tolist() == STEPS
    other = Tab(app_of(trained.store, tmp_path / "other"), f"/ensemble/{trained.id}", "?channel=2.1")
    assert "Over training" not in other.words
