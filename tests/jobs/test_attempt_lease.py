"""A checkpoint is written by the newest attempt, whoever wakes up."""

import os
from pathlib import Path

import numpy as np
import pytest

from vaefrag.jobs.attempt_lease import LeaseLostError, acquire_lease, lease_path, read_checkpoint, write_checkpoint
from vaefrag_core.training.checkpoints import Checkpoint, History, load_checkpoint, pack_checkpoint, replace_checkpoint


def content(step: int) -> bytes:
    return pack_checkpoint(Checkpoint(step, "running", {"w": np.full(3, step)}, {}, History.empty(2)))


def step_of(member: Path) -> int:
    checkpoint = load_checkpoint(member)
    assert checkpoint is not None
    return checkpoint.step


def test_the_newest_attempt_writes(tmp_path: Path) -> None:
    acquire_lease(tmp_path, 1)
    write_checkpoint(tmp_path, 1, content(25))
    acquire_lease(tmp_path, 2)
    write_checkpoint(tmp_path, 2, content(50))
    assert step_of(tmp_path) == 50


def test_one_that_was_cut_off_and_comes_back_cannot(tmp_path: Path) -> None:
    acquire_lease(tmp_path, 1)
    write_checkpoint(tmp_path, 1, content(25))
    acquire_lease(tmp_path, 2)
    with pytest.raises(LeaseLostError, match=r"Attempt 1 at member .* ended: a later one has begun"):
        write_checkpoint(tmp_path, 1, content(99))
    assert step_of(tmp_path) == 25


def test_not_even_between_writing_and_renaming(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    acquire_lease(tmp_path, 1)
    write_checkpoint(tmp_path, 1, content(25))
    synced = os.fsync

    def overtaken(descriptor: int) -> None:
        synced(descriptor)
        monkeypatch.setattr(os, "fsync", synced)
        acquire_lease(tmp_path, 2)
        write_checkpoint(tmp_path, 2, content(50))

    monkeypatch.setattr(os, "fsync", overtaken)
    with pytest.raises(LeaseLostError):
        write_checkpoint(tmp_path, 1, content(99))
    assert step_of(tmp_path) == 50


def test_one_that_begins_too_late_does_not_begin(tmp_path: Path) -> None:
    acquire_lease(tmp_path, 2)
    with pytest.raises(LeaseLostError):
        acquire_lease(tmp_path, 1)
    assert lease_path(tmp_path, 2).is_dir()
    assert not lease_path(tmp_path, 1).exists()


def test_an_attempt_may_begin_twice(tmp_path: Path) -> None:
    acquire_lease(tmp_path, 1)
    acquire_lease(tmp_path, 1)
    write_checkpoint(tmp_path, 1, content(25))
    assert step_of(tmp_path) == 25
    assert read_checkpoint(tmp_path) is not None


def test_what_a_killed_attempt_left_behind_goes(tmp_path: Path) -> None:
    (acquire_lease(tmp_path, 1) / "checkpoint.77.partial").write_bytes(b"half")
    acquire_lease(tmp_path, 2)
    assert [path.name for path in tmp_path.iterdir()] == [".attempt-2"]


def test_a_full_disk_is_named_and_leaves_the_last_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    acquire_lease(tmp_path, 1)
    write_checkpoint(tmp_path, 1, content(25))
    monkeypatch.setattr(os, "fsync", _full)
    with pytest.raises(OSError, match="No space left on device"):
        write_checkpoint(tmp_path, 1, content(50))
    assert step_of(tmp_path) == 25
    assert list(lease_path(tmp_path, 1).iterdir()) == []


def _full(descriptor: int) -> None:
    raise OSError(28, "No space left on device")


def test_a_folder_that_is_gone_keeps_a_checkpoint_from_being_replaced(tmp_path: Path) -> None:
    replace_checkpoint(tmp_path, content(1), staging=tmp_path)
    with pytest.raises(FileNotFoundError):
        replace_checkpoint(tmp_path, content(2), staging=tmp_path / "gone")
    assert step_of(tmp_path) == 1
