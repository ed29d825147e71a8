"""Many members, one after the other or side by side."""

from pathlib import Path

import pytest

from vaefrag_core.config import EnsembleSpec, ModelConfig, TrainConfig
from vaefrag_core.training.checkpoints import MemberStatus
from vaefrag_core.training.ensemble_training import train_ensemble
from vaefrag_core.training.group_size import group_size


def spec_of(members: int, steps: int = 50) -> EnsembleSpec:
    return EnsembleSpec(model=ModelConfig(widths=(16,), channels=3), train=TrainConfig(steps=steps), members=members)


def test_whoever_asks_is_told_of_all_members(tmp_path: Path) -> None:
    told: list[list[MemberStatus]] = []
    statuses = train_ensemble(spec_of(3), tmp_path, on_progress=lambda moved: told.append(list(moved)))
    assert [s.state for s in statuses] == ["done"] * 3
    assert [len(moved) for moved in told] == [3, 3]
    assert all(len(status.kl_nats) == 3 for status in told[-1])


def test_a_stop_leaves_checkpoints(tmp_path: Path) -> None:
    asked = iter([False, True, True])
    statuses = train_ensemble(spec_of(40, steps=100_000), tmp_path, should_stop=lambda: next(asked))
    assert [s.step for s in statuses] == [25] * 32 + [0] * 8


@pytest.mark.parametrize(
    ("architecture", "members", "slots", "size"),
    [("mlp", 30, 2, 15), ("mlp", 5, 2, 3), ("mlp", 100, 2, 32), ("mlp", 1, 4, 1), ("conv28", 3, 2, 1)],
)
def test_small_networks_are_stacked_and_convolutions_stay_alone(
    architecture: str, members: int, slots: int, size: int
) -> None:
    spec = EnsembleSpec(model=ModelConfig(architecture=architecture), members=members)  # type: ignore[arg-type]
    assert group_size(spec, members, slots) == size
