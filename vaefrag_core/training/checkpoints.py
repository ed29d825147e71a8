"""One member on disk: weights, optimizer and history in one file, which is replaced whole or not at all.

Reading a member's state needs no torch, so that pages can show it.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from vaefrag_core.array_types import AnyArray, FloatArray, IntArray
from vaefrag_core.errors import BrokenFileError

FORMAT = "1"
MemberState = Literal["waiting", "running", "done", "failed"]


@dataclass(frozen=True)
class MemberStatus:
    """How far a member is.

    Args:
        index: its number in the ensemble.
        state: "waiting" (not begun), "running" (begun, or stopped on the way), "done", "failed".
        step: steps trained, as far as the last checkpoint knows.
        loss: of the last logged steps, nats per image; NaN before there is one.
        message: why it failed.
        kl_nats: of each channel, of the last logged steps, nats per image; empty when only the head of the
            checkpoint was read.
    """

    index: int
    state: MemberState
    step: int = 0
    loss: float = float("nan")
    message: str = ""
    kl_nats: tuple[float, ...] = ()


@dataclass(frozen=True, eq=False)
class History:
    """What training logged: one row for every few steps, each the mean over those steps.

    Args:
        step: (T,) last step of each row, counted from 1.
        loss: (T,) objective, nats per image.
        reconstruction: (T,) nats per image.
        kl_nats: (T, D) of each channel, per image.
        penalty: (T,) of the objective's own term, as `models.losses.loss_and_penalty` gives it.
        discriminator: (T,) cross-entropy of factor-vae's discriminator, nats; 0 of other objectives.
    """

    step: IntArray
    loss: FloatArray
    reconstruction: FloatArray
    kl_nats: FloatArray
    penalty: FloatArray
    discriminator: FloatArray

    @property
    def kl_bits(self) -> FloatArray:
        """(T, D) the same in bits."""
        return np.asarray(self.kl_nats / np.log(2))

    @classmethod
    def empty(cls, channels: int) -> "History":
        """Give a history without rows."""
        return cls(
            np.zeros(0, dtype=np.int64), np.zeros(0), np.zeros(0), np.zeros((0, channels)), np.zeros(0), np.zeros(0)
        )

    def with_row(
        self,
        step: int,
        loss: float,
        reconstruction: float,
        kl_nats: FloatArray,
        penalty: float = 0.0,
        discriminator: float = 0.0,
    ) -> "History":
        """Give the history with one more row."""
        return History(
            np.append(self.step, step),
            np.append(self.loss, loss),
            np.append(self.reconstruction, reconstruction),
            np.concatenate([self.kl_nats, np.asarray(kl_nats, dtype=np.float64)[None]]),
            np.append(self.penalty, penalty),
            np.append(self.discriminator, discriminator),
        )


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A member as it stands after `step` steps.

    Args:
        step: steps trained.
        state: "running", "done" or "failed"; a failed member keeps its last sound weights.
        weights: parameters by name.
        optimizer: moments of Adam by parameter: `exp_avg.<name>`, `exp_avg_sq.<name>`.
        history: what was logged so far.
        message: why it failed.
        discriminator: of factor-vae: parameters `weights.<name>` and moments `exp_avg.<name>`, `exp_avg_sq.<name>`.
        snapshots: the encoder's parameters by name, as they were after the steps of `schedule.snapshot_steps` that lie
            behind; what they are at the end `weights` says.
    """

    step: int
    state: MemberState
    weights: Mapping[str, AnyArray]
    optimizer: Mapping[str, AnyArray]
    history: History
    message: str = ""
    discriminator: Mapping[str, AnyArray] = field(default_factory=dict)
    snapshots: Mapping[int, Mapping[str, AnyArray]] = field(default_factory=dict)


def save_checkpoint(folder: Path, checkpoint: Checkpoint) -> None:
    """Put a checkpoint in place of the last one; a crash leaves the last one whole."""
    folder.mkdir(parents=True, exist_ok=True)
    replace_checkpoint(folder, pack_checkpoint(checkpoint), via=folder)


def pack_checkpoint(checkpoint: Checkpoint) -> bytes:
    """Give a checkpoint as the content of its file."""
    arrays = {f"weights.{name}": array for name, array in checkpoint.weights.items()}
    arrays |= {f"optimizer.{name}": array for name, array in checkpoint.optimizer.items()}
    arrays |= {f"discriminator.{name}": array for name, array in checkpoint.discriminator.items()}
    arrays |= {f"history.{name}": array for name, array in vars(checkpoint.history).items()}
    for step, encoder in checkpoint.snapshots.items():
        arrays |= {f"snapshots.{step}.{name}": array for name, array in encoder.items()}
    last_loss = checkpoint.history.loss[-1] if len(checkpoint.history.loss) else float("nan")
    facts = {
        "format": FORMAT,
        "step": str(checkpoint.step),
        "state": checkpoint.state,
        "loss": repr(float(last_loss)),
        "message": checkpoint.message,
    }
    return save({name: np.ascontiguousarray(a) for name, a in arrays.items()}, metadata=facts)


def replace_checkpoint(folder: Path, content: bytes, *, via: Path) -> None:
    """Put the content of a checkpoint file in place of the last one, whole or not at all.

    Args:
        folder: of the member.
        content: from `pack_checkpoint`.
        via: an existing folder of the same file system, where the file is written before it takes its name.
            Taking that folder away keeps a writer from replacing anything.

    Raises:
        FileNotFoundError: when `via` is not there, or no longer.
        OSError: when it cannot be written, as on a full disk.
    """
    path = checkpoint_path(folder)
    temporary = via / f"{path.stem}.{os.getpid()}.partial"
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def load_checkpoint(folder: Path) -> Checkpoint | None:
    """Read a member; None when it has not begun.

    Raises:
        BrokenFileError: when the file is damaged or not a checkpoint of this project.
    """
    opened = _open(folder)
    if opened is None:
        return None
    facts, file = opened
    names = ("weights", "optimizer", "history", "discriminator", "snapshots")
    groups: dict[str, dict[str, Any]] = {name: {} for name in names}
    for name in file.keys():  # noqa: SIM118 - a safetensors file is no mapping
        group, _, rest = name.partition(".")
        if group not in groups:
            raise BrokenFileError(
                f"{checkpoint_path(folder)}: expected {', '.join(groups)}, got {name!r}: a later vaefrag wrote it, or"
                " another program. Update vaefrag, or delete the file to train this member again."
            )
        groups[group][rest] = file.get_tensor(name)
    return Checkpoint(
        step=int(facts["step"]),
        state=facts["state"],
        weights=groups["weights"],
        optimizer=groups["optimizer"],
        history=_history(groups["history"]),
        message=facts["message"],
        discriminator=groups["discriminator"],
        snapshots=_snapshots(groups["snapshots"]),
    )


def load_history(folder: Path) -> History | None:
    """Read what training has logged of a member, and nothing else; None when it has not begun.

    Raises:
        BrokenFileError: when the file is damaged or not a checkpoint of this project.
    """
    opened = _open(folder)
    if opened is None:
        return None
    _, file = opened
    names = [name for name in file.keys() if name.startswith("history.")]  # noqa: SIM118 - no mapping
    return _history({name.removeprefix("history."): file.get_tensor(name) for name in names})


def member_status(members: Path, index: int) -> MemberStatus:
    """Say how far one member is, from its checkpoint's head alone.

    Args:
        members: the ensemble's `members` folder.
        index: the member's number.
    """
    opened = _open(members / str(index))
    if opened is None:
        return MemberStatus(index, "waiting")
    facts, _ = opened
    return MemberStatus(index, facts["state"], int(facts["step"]), float(facts["loss"]), facts["message"])


def member_statuses(members: Path, count: int) -> list[MemberStatus]:
    """Say how far each of the first `count` members is; a damaged one counts as failed and says why."""
    found = []
    for index in range(count):
        try:
            found.append(member_status(members, index))
        except BrokenFileError as error:
            found.append(MemberStatus(index, "failed", message=str(error)))
    return found


def checkpoint_path(folder: Path) -> Path:
    """Give the checkpoint file in a member's folder."""
    return folder / "checkpoint.safetensors"


def _history(arrays: Mapping[str, AnyArray]) -> History:
    """Give what was logged; checkpoints of before there were penalties and discriminators have none."""
    none = np.zeros(len(arrays["step"]))
    return History(**{"penalty": none, "discriminator": none, **arrays})


def _snapshots(arrays: Mapping[str, AnyArray]) -> dict[int, dict[str, AnyArray]]:
    """Sort what is named by step and parameter by steps, ascending."""
    found: dict[int, dict[str, AnyArray]] = {}
    for name, array in arrays.items():
        step, _, parameter = name.partition(".")
        found.setdefault(int(step), {})[parameter] = array
    return dict(sorted(found.items()))


def _open(folder: Path) -> tuple[dict[str, Any], Any] | None:
    path = checkpoint_path(folder)
    if not path.exists():
        return None
    try:
        file: Any = safe_open(path, framework="numpy")
        facts = file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise BrokenFileError(
            f"{path}: expected a whole checkpoint, got a file that cannot be read ({error})."
            " Delete it to train this member again."
        ) from error
    if facts.get("format") != FORMAT:
        raise BrokenFileError(
            f"{path}: expected a checkpoint of format {FORMAT}, got {facts.get('format', 'a file of another program')}."
            " Delete it to train this member again."
        )
    return facts, file
