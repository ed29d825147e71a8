"""Fusions as jobs: a worker's death costs seconds and changes nothing, and what is cancelled keeps its best."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import torch

from support import sixty_digits
from support_jobs import Lab, kill
from vaefrag_core.artifacts import Posteriors
from vaefrag_core.config import FusionConfig
from vaefrag_core.ensemble_store import EnsembleStore
from vaefrag_core.fusion_pipeline import fuse_ensemble
from vaefrag_core.fusion_store import FusionStore

CONFIG = FusionConfig(steps=400, restarts=32)  # seconds of work


def digits() -> Posteriors:
    """Give them without labels and images: nothing to judge by, and nothing to teach an encoder with."""
    return replace(sixty_digits(), labels=None, label_names=None, images=None)


def workers_of(lab: Lab) -> list[int]:
    """Give the processes that do the engine's work."""
    children = psutil.Process(lab.processes[-1].pid).children(recursive=True)
    return [child.pid for child in children if "spawn_main" in " ".join(child.cmdline())]


def test_killed_on_the_way_it_comes_out_as_never_killed(busy: Lab, tmp_path: Path) -> None:
    posteriors = digits()
    ensemble_id = busy.store.add(posteriors, "Sixty digits").id
    fusions = FusionStore(busy.store)
    folder = fusions.folder(ensemble_id, fusions.id_of(ensemble_id, CONFIG))
    job = busy.job_store.submit_fusion(ensemble_id, CONFIG)
    busy.wait(lambda: (folder / "state.safetensors").exists())
    assert not (folder / "fused.npz").exists()
    for pid in workers_of(busy):
        kill(pid)
    busy.wait(lambda: busy.state(job) == "done", seconds=120)
    texts = [line.text for line in busy.job_store.log_lines(job)]
    assert any(text.startswith("A worker died") for text in texts)
    assert texts[-1] == f"Done: fusion {folder.name}."
    threads, plain = torch.get_num_threads(), EnsembleStore(tmp_path)
    torch.set_num_threads(1)  # as a worker does
    try:
        _, expected = fuse_ensemble(plain.add(posteriors, "Sixty digits").id, plain, CONFIG)
    finally:
        torch.set_num_threads(threads)
    found = FusionStore(busy.store).fused(ensemble_id, folder.name)
    np.testing.assert_array_equal(found.mean, expected.mean)
    np.testing.assert_array_equal(found.objectives, expected.objectives)
    assert FusionStore(busy.store).report(ensemble_id, folder.name)["encoder"] is None


def test_cancelled_it_keeps_the_best_so_far(busy: Lab) -> None:
    # Half a minute of work, of which the first seconds are done.
    means, config = np.random.default_rng(0).normal(size=(5, 200, 3)), FusionConfig(steps=1_000_000, restarts=64)
    ensemble_id = busy.store.add(Posteriors(3 * means, np.zeros_like(means), sample_id="noise"), "Noise").id
    fusion_id = FusionStore(busy.store).id_of(ensemble_id, config)
    job = busy.job_store.submit_fusion(ensemble_id, config)
    busy.wait(lambda: (FusionStore(busy.store).folder(ensemble_id, fusion_id) / "state.safetensors").exists())
    busy.job_store.set_desired_state(job, "cancel")
    busy.wait(lambda: busy.state(job) == "cancelled")
    found = FusionStore(busy.store).fused(ensemble_id, fusion_id)
    assert found.end == "stopped"
    assert found.objective == found.objectives.max()
    assert FusionStore(busy.store).report(ensemble_id, fusion_id) == {}
