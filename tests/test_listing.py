"""`vaefrag list` names what a workspace holds by the ids that other commands ask for."""

import json
import shutil
from pathlib import Path

from support import sixty_digits
from test_cli import vaefrag
from vaefrag.commands.listing import contents
from vaefrag.jobs.engine_job_store import EngineJobStore
from vaefrag.jobs.job_store import JobStore
from vaefrag_core.channel_sets import SetStore
from vaefrag_core.config import EnsembleSpec, FusionConfig
from vaefrag_core.ensemble_store import EnsembleStore
from vaefrag_core.fusion_pipeline import fuse_ensemble
from vaefrag_core.sweeps import SweepStore
from vaefrag_core.synthesis.channel_pool import ChannelName


def test_everything_is_listed_with_its_id(kept: EnsembleStore, tmp_path: Path) -> None:
    store = EnsembleStore(shutil.copytree(kept.workspace, tmp_path / "workspace"))
    (sweep,) = SweepStore(store).sweeps()
    imported = store.add(sixty_digits(), "Sixty digits")
    fusion_id, _ = fuse_ensemble(imported.id, store, FusionConfig(steps=5, restarts=1, dimension=1, members=(0, 1)))
    saved = SetStore(store.workspace).save(
        "Two", [ChannelName(imported.id, 0, 0), ChannelName(imported.id, 1, 2)], None
    )
    failed = store.create(EnsembleSpec(name="x" * 80, members=2))
    job_store = JobStore(store.workspace)
    job = job_store.submit_training(failed.spec)
    engine_store = EngineJobStore(store.workspace)
    engine_store.sync()
    for member in range(2):
        engine_store.open[job].update_member(member, state="failed", error="No module named 'mine'.")
    engine_store.open[job].update(state="failed", ended=1.0)
    engine_store.flush()

    result = contents(store, job_store)
    found = {item["id"]: item for item in result["ensembles"]}
    assert set(found) == set(store.ids())
    assert (found[failed.id]["state"], found[failed.id]["members_done"]) == ("failed", 0)
    assert (found[imported.id]["state"], found[imported.id]["hotspots"]) == ("trained", None)
    for ensemble_id in sweep.ensembles:
        groups = store.analysis(ensemble_id).hotspots["nmi"].groups
        assert (found[ensemble_id]["members_done"], found[ensemble_id]["hotspots"]) == (3, len(groups))
    assert [item["sweep"] for item in result["sweeps"]] == [sweep.id]
    assert result["fusions"] == [{"fusion": fusion_id, "id": imported.id, "name": "1-channel fusion by vi"}]
    assert result["sets"] == [{"set": saved.id, "name": "Two", "channels": 2}]

    shown = vaefrag("list", "--workspace", str(store.workspace)).stderr
    ids = [*found, sweep.id, fusion_id, saved.id]
    assert [line.split()[0] for line in shown.splitlines() if line.split()[:1] and line.split()[0] in ids] == ids
    assert max(len(line.rstrip()) for line in shown.splitlines()) <= 80
    assert json.loads(vaefrag("list", "--workspace", str(store.workspace), "--json").stdout) == result


def test_what_is_damaged_is_said_and_hides_no_other(kept: EnsembleStore, tmp_path: Path) -> None:
    store = EnsembleStore(shutil.copytree(kept.workspace, tmp_path / "workspace"))
    damaged, whole = store.ids()
    index = store.analysis_index(damaged)
    (store.folder(damaged) / "analysis" / index.matrix / "vi_bits.npy").unlink()
    (store.workspace / "ensembles" / "aa").mkdir()
    (store.workspace / "ensembles" / "aa" / "spec.json").write_text("{")
    states = {item["id"]: item["state"] for item in contents(store, JobStore(store.workspace))["ensembles"]}
    assert states == {damaged: "analysis damaged", whole: "trained", "aa": "cannot be read"}


def test_an_empty_workspace_says_how_to_begin(tmp_path: Path) -> None:
    done = vaefrag("list", "--workspace", str(tmp_path))
    assert done.returncode == 0
    assert "holds no ensembles. `vaefrag demo` or `vaefrag train` makes one." in done.stderr
