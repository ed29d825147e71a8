"""A member on disk: whole or not at all, and readable without torch."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save, save_file

from vaefrag_core.errors import BrokenFileError
from vaefrag_core.training.checkpoints import (
    Checkpoint,
    History,
    MemberStatus,
    checkpoint_path,
    load_checkpoint,
    load_history,
    member_statuses,
    save_checkpoint,
)


def checkpoint(step: int = 25) -> Checkpoint:
    rng = np.random.default_rng(step)
    history = History.empty(3).with_row(25, 10.5, 9.0, np.array([0.1, 0.2, 0.3]))
    weights = {"encoder.weight": rng.normal(size=(3, 2)).astype(np.float32)}
    return Checkpoint(step, "running", weights, {"exp_avg.encoder.weight": np.ones((3, 2), np.float32)}, history)


def test_round_trip(tmp_path: Path) -> None:
    saved = checkpoint()
    save_checkpoint(tmp_path / "0", saved)
    loaded = load_checkpoint(tmp_path / "0")
    assert loaded is not None
    assert (loaded.step, loaded.state, loaded.message) == (25, "running", "")
    np.testing.assert_array_equal(loaded.weights["encoder.weight"], saved.weights["encoder.weight"])
    np.testing.assert_array_equal(loaded.optimizer["exp_avg.encoder.weight"], np.ones((3, 2)))
    np.testing.assert_array_equal(loaded.history.kl_nats, saved.history.kl_nats)
    np.testing.assert_allclose(loaded.history.kl_bits, saved.history.kl_nats / np.log(2))
    assert [path.name for path in (tmp_path / "0").iterdir()] == ["checkpoint.safetensors"]


def test_a_checkpoint_of_before_penalties_were_logged_can_be_read(tmp_path: Path) -> None:
    now = checkpoint()
    arrays = {f"weights.{name}": array for name, array in now.weights.items()}
    arrays |= {f"history.{name}": array for name, array in vars(now.history).items() if name != "penalty"}
    facts = {"format": "1", "step": "25", "state": "running", "loss": "10.5", "message": ""}
    checkpoint_path(tmp_path).write_bytes(save(arrays, metadata=facts))
    loaded, history = load_checkpoint(tmp_path), load_history(tmp_path)
    assert loaded is not None
    assert history is not None
    assert loaded.history.penalty.tolist() == history.penalty.tolist() == [0.0]
    assert history.loss.tolist() == [10.5]


def test_a_failed_write_leaves_the_last_checkpoint(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, checkpoint(25))
    broken = Checkpoint(50, "running", {"w": np.array([object()])}, {}, History.empty(3))
    with pytest.raises(Exception, match=r"object|dtype"):
        save_checkpoint(tmp_path, broken)
    loaded = load_checkpoint(tmp_path)
    assert loaded is not None
    assert loaded.step == 25
    assert len(list(tmp_path.iterdir())) == 1


def test_statuses_tell_the_four_states(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "1", checkpoint())
    checkpoint_path(tmp_path / "2").parent.mkdir()
    checkpoint_path(tmp_path / "2").write_bytes(b"not a checkpoint")
    waiting, running, broken = member_statuses(tmp_path, 3)
    assert waiting.state == "waiting"
    assert running == MemberStatus(1, "running", 25, 10.5)
    assert broken.state == "failed"
    assert "Delete it to train this member again" in broken.message


def test_a_cut_off_file_is_refused(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, checkpoint())
    path = checkpoint_path(tmp_path)
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(BrokenFileError, match="expected a whole checkpoint"):
        load_checkpoint(tmp_path)


def test_a_foreign_file_is_refused(tmp_path: Path) -> None:
    save_file({"w": np.zeros(2)}, checkpoint_path(tmp_path))
    with pytest.raises(BrokenFileError, match="format 1, got a file of another program"):
        load_checkpoint(tmp_path)


def test_a_file_of_a_later_version_is_refused(tmp_path: Path) -> None:
    facts = {"format": "1", "step": "25", "state": "running", "loss": "1.0", "message": ""}
    checkpoint_path(tmp_path).write_bytes(save({"teacher.w": np.zeros(2)}, metadata=facts))
    with pytest.raises(BrokenFileError, match=r"got 'teacher\.w': a later vaefrag wrote it.*Update vaefrag"):
        load_checkpoint(tmp_path)


def test_what_a_discriminator_knows_comes_back(tmp_path: Path) -> None:
    critic = {"weights.layers.0.bias": np.arange(3.0), "exp_avg.layers.0.bias": np.ones(3)}
    save_checkpoint(tmp_path, replace(checkpoint(), discriminator=critic))
    loaded = load_checkpoint(tmp_path)
    assert loaded is not None
    assert {name: array.tolist() for name, array in loaded.discriminator.items()} == {
        name: array.tolist() for name, array in critic.items()
    }
    assert set(loaded.weights) == {"encoder.weight"}


def test_snapshots_come_back_in_the_order_of_their_steps(tmp_path: Path) -> None:
    snapshots = {step: {"encoder.weight": np.full(2, step)} for step in (9, 10, 200)}
    save_checkpoint(tmp_path, replace(checkpoint(), snapshots=snapshots))
    loaded = load_checkpoint(tmp_path)
    assert loaded is not None
    assert list(loaded.snapshots) == [9, 10, 200]
    assert [encoder["encoder.weight"].tolist() for encoder in loaded.snapshots.values()] == [
        [9, 9],
        [10, 10],
        [200, 200],
    ]


def test_reading_a_state_needs_no_torch() -> None:
    code = "import sys, vaefrag_core.training.checkpoints; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "False"
