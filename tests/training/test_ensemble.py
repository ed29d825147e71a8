"""Many members, several processes, the same numbers."""

from pathlib import Path

import numpy as np
import pytest

from vaefrag_core.config import EnsembleSpec, ModelConfig, TrainConfig
from vaefrag_core.training.checkpoints import MemberStatus, load_checkpoint
from vaefrag_core.training.ensemble import group_members, train_ensemble


def spec_of(members: int, steps: int = 50) -> EnsembleSpec:
    return EnsembleSpec(model=ModelConfig(widths=(16,), channels=3), train=TrainConfig(steps=steps), members=members)


def test_processes_give_what_one_process_gives(tmp_path: Path) -> None:
    spec = spec_of(3)
    told: list[list[MemberStatus]] = []
    train_ensemble(spec, tmp_path / "one")
    statuses = train_ensemble(
        spec, tmp_path / "two", workers=2, on_progress=lambda statuses: told.append(list(statuses))
    )
    assert [s.state for s in statuses] == ["done"] * 3
    assert all(len(statuses) == 3 for statuses in told)
    for member in range(3):
        one, two = (load_checkpoint(tmp_path / name / str(member)) for name in ("one", "two"))
        assert one is not None
        assert two is not None
        assert all(np.array_equal(one.weights[name], two.weights[name]) for name in one.weights)


def test_a_stop_reaches_every_process_and_leaves_checkpoints(tmp_path: Path) -> None:
    statuses = train_ensemble(spec_of(2, steps=100_000), tmp_path, workers=2, should_stop=lambda: True)
    assert all(s.state in ("running", "waiting") for s in statuses)
    assert any(0 < s.step < 100_000 for s in statuses)


@pytest.mark.parametrize(
    ("architecture", "members", "workers", "sizes"),
    [("mlp", 30, 2, [15, 15]), ("mlp", 5, 2, [3, 2]), ("mlp", 100, 2, [32, 32, 32, 4]), ("conv28", 3, 2, [1, 1, 1])],
)
def test_small_networks_are_stacked_and_convolutions_stay_alone(
    architecture: str, members: int, workers: int, sizes: list[int]
) -> None:
    spec = EnsembleSpec(model=ModelConfig(architecture=architecture), members=members)  # type: ignore[arg-type]
    groups = group_members(spec, list(range(members)), workers)
    assert [len(group) for group in groups] == sizes
    assert [member for group in groups for member in group] == list(range(members))
