"""Dead channels and collapsed members, told while they train."""

from pathlib import Path

import pytest

from vaefrag.commands.collapse_watch import CollapseWatch
from vaefrag_core.config import EnsembleSpec, ModelConfig, TrainConfig
from vaefrag_core.datasets.digits import digits
from vaefrag_core.training.checkpoints import MemberStatus
from vaefrag_core.training.collapse import collapse_sentence, collapsed_members, live_channels, warm_up_steps
from vaefrag_core.training.group_training import train_members

DEAD, ALIVE = (0.0, 0.0099), (0.0, 0.0101)


def test_a_member_has_collapsed_when_all_channels_are_dead_after_the_warm_up_and_until_one_lives() -> None:
    def told(*members: MemberStatus) -> list[int]:
        return collapsed_members(members, TrainConfig())

    assert told(MemberStatus(0, "running", 475, 1.0, "", DEAD)) == []
    assert told(MemberStatus(0, "running", 500, 1.0, "", DEAD), MemberStatus(1, "done", 500, 1.0, "", ALIVE)) == [0]
    assert told(MemberStatus(0, "running", 525, 1.0, "", ALIVE)) == []  # it has recovered
    assert told(MemberStatus(0, "failed", 900, 1.0, "", DEAD), MemberStatus(1, "running", 900)) == []
    assert [live_channels(kl) for kl in (DEAD, ALIVE)] == [0, 1]


@pytest.mark.parametrize(
    ("capacity_nats", "capacity_steps", "steps"),
    [(25.0, 100_000, 4_000), (25.0, 5_000, 500), (0.5, 100, float("inf"))],
)
def test_a_growing_capacity_is_given_the_time_to_be_a_nat(
    capacity_nats: float, capacity_steps: int, steps: float
) -> None:
    train = TrainConfig(objective="annealed-vae", capacity_nats=capacity_nats, capacity_steps=capacity_steps)
    assert warm_up_steps(train) == steps


def test_a_sentence_names_a_few() -> None:
    assert collapse_sentence([], 20) == ""
    assert collapse_sentence(range(7), 20).startswith("7 of 20 members have collapsed (0, 1, 2, 3, 4, …): no channel")


def test_an_overwhelming_beta_collapses_a_member_and_the_same_without_it_does_not(tmp_path: Path) -> None:
    told = []
    for beta in (1e3, 1.0):
        train = TrainConfig(beta=beta, steps=500, learning_rate=3e-3, batch_size=16)
        spec = EnsembleSpec(model=ModelConfig(widths=(8,), channels=2), train=train)
        statuses = train_members(spec, digits(), [0, 1], tmp_path / str(beta))
        told.append(collapsed_members(statuses, train))
    assert told == [[0, 1], []]


def test_the_command_says_so_once_and_takes_it_back(capsys: pytest.CaptureFixture[str]) -> None:
    watch = CollapseWatch(TrainConfig())
    for step, kl in ((475, DEAD), (500, DEAD), (525, DEAD), (550, ALIVE), (575, ALIVE)):
        watch([MemberStatus(0, "running", step, 1.0, "", kl), MemberStatus(1, "waiting")])
    told = " ".join(capsys.readouterr().err.split())
    assert told.count("Member 0 of 2 has collapsed: no channel has a KL") == 1
    assert told.count("Recovered: member 0.") == 1
