"""Encoders kept on the way: the same whatever happened on it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from support import loaded
from vaefrag_core.config import EnsembleSpec, ModelConfig, TrainConfig
from vaefrag_core.datasets.base import ImageDataset
from vaefrag_core.datasets.digits import digits
from vaefrag_core.training.batch_schedule import snapshot_steps
from vaefrag_core.training.checkpoints import Checkpoint, save_checkpoint
from vaefrag_core.training.group_training import train_members

STEPS = 75
FILE = "checkpoint.safetensors"
KEPT = (10, 20, 38)  # before the end; two lie within one slice


def spec_of(**train: Any) -> EnsembleSpec:
    return EnsembleSpec(
        model=ModelConfig(widths=(23,), channels=3),
        train=TrainConfig(**{"steps": STEPS, "learning_rate": 3e-3, "snapshots": 4, **train}),
        members=6,
    )


@pytest.fixture(scope="module")
def dataset() -> ImageDataset:
    return digits()


@pytest.fixture(scope="module")
def through(dataset: ImageDataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("through")
    train_members(spec_of(), dataset, [0, 1], folder)
    return folder


def content(folder: Path, member: int) -> dict[str, bytes]:
    """Give every array of a member's file; the order of its few words of text is not the same twice."""
    return {name: array.tobytes() for name, array in load_file(folder / str(member) / FILE).items()}


def test_steps_are_spaced_evenly_on_a_log_axis_and_end_at_the_end() -> None:
    steps = snapshot_steps(TrainConfig(steps=10_000, snapshots=4))
    assert steps == (10, 100, 1000, 10_000)
    assert snapshot_steps(TrainConfig(steps=12, snapshots=20)) == (10, 11, 12)
    assert (
        snapshot_steps(TrainConfig(steps=3, snapshots=5)) == snapshot_steps(TrainConfig(steps=3, snapshots=1)) == (3,)
    )
    assert snapshot_steps(TrainConfig()) == ()
    assert snapshot_steps(spec_of().train) == (*KEPT, STEPS)


def test_what_is_kept_is_the_encoder_as_it_was_after_that_many_steps(
    dataset: ImageDataset, through: Path, tmp_path: Path
) -> None:
    snapshots = loaded(through, 1).snapshots
    assert tuple(snapshots) == KEPT
    for step in KEPT:
        train_members(spec_of(steps=step, snapshots=0), dataset, [1], tmp_path / str(step))
        then = loaded(tmp_path / str(step), 1).weights
        assert set(snapshots[step]) == {name for name in then if name.startswith("encoder.")}
        assert all(np.array_equal(array, then[name]) for name, array in snapshots[step].items())


def test_keeping_changes_nothing_else(dataset: ImageDataset, through: Path, tmp_path: Path) -> None:
    train_members(spec_of(snapshots=0), dataset, [0], tmp_path)
    without, with_them = loaded(tmp_path, 0), loaded(through, 0)
    assert without.snapshots == {}
    assert not any(name.startswith("snapshots.") for name in content(tmp_path, 0))
    for a, b in ((without.weights, with_them.weights), (vars(without.history), vars(with_them.history))):
        assert all(np.array_equal(a[name], b[name]) for name in a)


def test_alone_or_beside_others_a_member_keeps_the_same(dataset: ImageDataset, through: Path, tmp_path: Path) -> None:
    train_members(spec_of(), dataset, [1], tmp_path)
    assert content(tmp_path, 1) == content(through, 1)


@pytest.mark.parametrize("saves", [1, 2, 3])
def test_one_killed_on_the_way_ends_in_the_same_file(
    dataset: ImageDataset, through: Path, tmp_path: Path, saves: int
) -> None:
    with pytest.raises(KeyboardInterrupt):
        train_members(spec_of(), dataset, [0, 1], tmp_path, save=_killed_at(saves), checkpoint_seconds=0)
    train_members(spec_of(), dataset, [0, 1], tmp_path)
    for member in (0, 1):
        assert content(tmp_path, member) == content(through, member)


def _killed_at(saves: int) -> Callable[[Path, Checkpoint], None]:
    """Save, but die in the place of the save of this number."""
    done: list[int] = []

    def save(folder: Path, checkpoint: Checkpoint) -> None:
        done.append(1)
        if len(done) > saves:
            raise KeyboardInterrupt
        save_checkpoint(folder, checkpoint)

    return save


def test_one_that_fails_keeps_what_was_sound(dataset: ImageDataset, tmp_path: Path) -> None:
    pixels = dataset.batch(np.arange(dataset.n_images))
    asked: list[int] = []

    class Broken(ImageDataset):
        def batch(self, index: Any) -> Any:
            asked.append(1)
            found = pixels[index]
            return np.full_like(found, np.nan) if len(asked) == 2 else found

    broken = Broken(dataset.name, dataset.images, (), dataset.origin)
    (status,) = train_members(spec_of(), broken, [0], tmp_path, checkpoint_seconds=0)
    assert (status.state, status.step) == ("failed", 25)
    assert tuple(loaded(tmp_path, 0).snapshots) == KEPT[:2]  # and not the third, in the slice that failed
