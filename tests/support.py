"""What tests of several files share."""

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from vaefrag_core.artifacts import Posteriors
from vaefrag_core.config import EnsembleSpec
from vaefrag_core.ensemble_store import EnsembleStore
from vaefrag_core.sweeps import Sweep, SweepStore, resolve_sweep
from vaefrag_core.training.checkpoints import Checkpoint, load_checkpoint

TOKEN = "a token made for this test"


class Trained(NamedTuple):
    """A workspace with one analysed ensemble: 6 members, 400 steps on digits."""

    store: EnsembleStore
    id: str
    spec: EnsembleSpec


def sweep_with(trained: Trained, workspace: EnsembleStore) -> Sweep:
    """Put a sweep of β into a workspace: over the small real ensemble and one at β = 2, both untrained."""
    values = trained.spec.model_dump(mode="json", exclude={"name"})
    values["train"] |= {"beta": "0.5, 2"}
    sweep, specs = resolve_sweep(values)
    assert sweep is not None
    assert sweep.ensembles[0] == trained.id
    return SweepStore(workspace).create(sweep, specs)


def take_over(trained: Trained, workspace: EnsembleStore, ensemble_id: str) -> None:
    """Let an ensemble of a workspace have found what the small real one has."""
    for part in ("posteriors.npz", "analysis"):
        source, target = trained.store.folder(trained.id) / part, workspace.folder(ensemble_id) / part
        (shutil.copytree if source.is_dir() else shutil.copy)(source, target)


def sixty_digits() -> Posteriors:
    """Give posteriors of five members of three channels on sixty digits: pixels added up at random."""
    from sklearn.datasets import load_digits

    images = load_digits().images[:60]
    weights = np.random.default_rng(0).normal(size=(5, 64, 3)) / 8
    mean = (images.reshape(60, 64) - 5) @ weights
    return Posteriors(
        mean,
        np.full_like(mean, 1.0),
        labels=load_digits().target[:60],
        label_names=["digit"],
        images=(images * 15).astype(np.uint8),
        sample_id="sixty",
    )


def wait_until(condition: Callable[[], object], seconds: float = 60) -> None:
    """Wait for what another process does and cannot announce."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def loaded(folder: Path, member: int) -> Checkpoint:
    """Read the checkpoint of a member, which has to be there."""
    checkpoint = load_checkpoint(folder / str(member))
    assert checkpoint is not None
    return checkpoint


def same(a: Checkpoint, b: Checkpoint) -> bool:
    """Say whether two checkpoints agree to the last bit."""
    arrays = [(a.weights, b.weights), (a.optimizer, b.optimizer), (vars(a.history), vars(b.history))]
    arrays.append((a.discriminator, b.discriminator))
    return a.step == b.step and all(np.array_equal(x[name], y[name]) for x, y in arrays for name in x)
