"""One small real ensemble for all tests that look at results."""

import os
from pathlib import Path

import pytest

from support import Trained
from vaefrag_core.ensemble_store import EnsembleStore
from vaefrag_core.sweeps import SweepStore, resolve_sweep

os.environ["VAEFRAG_ENGINE_IDLE_SECONDS"] = "1"  # engines that commands start end soon after their tests
os.environ["OMP_NUM_THREADS"] = "1"  # small work is no faster on more; read as torch loads


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """Train and analyse it once; tests only read it."""
    from vaefrag_core import pipeline

    spec = pipeline.resolve(
        {
            "name": "Six members on digits",
            "dataset": {"name": "digits"},
            "model": {"architecture": "mlp", "widths": [48], "channels": 6},
            "train": {"steps": 400, "learning_rate": 3e-3, "beta": 0.5},
            "fingerprint": {"size": 300},
            "members": 6,
        }
    )
    store = EnsembleStore(tmp_path_factory.mktemp("workspace"))
    pipeline.train(spec, store)
    ensemble_id = store.ids()[0]
    pipeline.analyze(ensemble_id, store)
    return Trained(store, ensemble_id, spec)


@pytest.fixture(scope="session")
def kept(tmp_path_factory: pytest.TempPathFactory) -> EnsembleStore:
    """A sweep of three members each that were kept at steps 10, 32 and 100, analysed; tests only read it."""
    from vaefrag_core import pipeline

    sweep, specs = resolve_sweep(
        {
            "dataset": {"name": "digits"},
            "model": {"architecture": "mlp", "widths": [32], "channels": 3},
            "train": {"steps": 100, "learning_rate": 1e-2, "beta": "0.01, 0.02", "snapshots": 3, "seed": 1},
            "fingerprint": {"size": 100},
            "members": 3,
        }
    )
    store = EnsembleStore(tmp_path_factory.mktemp("kept"))
    assert sweep is not None
    SweepStore(store).create(sweep, specs)
    for spec, ensemble_id in zip(specs, sweep.ensembles, strict=True):
        pipeline.train(spec, store)
        pipeline.analyze(ensemble_id, store)
    pipeline.follow_hotspots(sweep.id, store)
    return store


@pytest.fixture
def workspace(tmp_path: Path) -> EnsembleStore:
    """Give an empty workspace."""
    return EnsembleStore(tmp_path / "workspace")
