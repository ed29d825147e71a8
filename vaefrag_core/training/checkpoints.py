"""Checkpoints: one member's weights, optimizer and history in one file, which is replaced whole or not at all.

Reading a member's state needs no torch, so that pages can show it.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load, save

from vaefrag_core.array_types import AnyArray, FloatArray, IntArray
from vaefrag_core.errors import BrokenFileError

FORMAT = "1"
CHECKSUM, BLANK = "checksum", 32 * "0"  # of the whole file, with a blank in its place
MemberState = Literal["waiting", "running", "done", "failed"]


class DamagedCheckpointError(BrokenFileError):
    """A checkpoint that is not what was written: its member can be trained anew, to the same weights."""


@dataclass(frozen=True)
class MemberStatus:
    """The state of a member's training.

    Args:
        index: the member's number in the ensemble.
        state: "waiting" (not begun), "running" (begun, or stopped before the end), "done", "failed".
        step: steps trained, as of the last checkpoint.
        loss: mean over the last logged steps, nats per image; NaN before there are any.
        message: the reason of a failure.
        kl_nats: KL of each channel over the last logged steps, nats per image; empty when only the header of the
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
    """The log of a member's training: one row for every few steps, the mean over those steps.

    Args:
        step: (T,) last step of each row, counted from 1.
        loss: (T,) objective, nats per image.
        reconstruction: (T,) reconstruction loss, nats per image.
        kl_nats: (T, D) KL of each channel, nats per image.
        penalty: (T,) the objective's own term, as `models.losses.loss_and_penalty` returns it.
        discriminator: (T,) cross-entropy of factor-vae's discriminator, nats; 0 for other objectives.
    """

    step: IntArray
    loss: FloatArray
    reconstruction: FloatArray
    kl_nats: FloatArray
    penalty: FloatArray
    discriminator: FloatArray

    @property
    def kl_bits(self) -> FloatArray:
        """(T, D) KL of each channel, bits per image."""
        return np.asarray(self.kl_nats / np.log(2))

    @classmethod
    def empty(cls, channels: int) -> "History":
        """Return a history without rows."""
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
        """Return the history with one more row."""
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
    """A member after `step` steps.

    Args:
        step: steps trained.
        state: "running", "done" or "failed"; a failed member keeps its last finite weights.
        weights: parameters by name.
        optimizer: moments of Adam by parameter: `exp_avg.<name>`, `exp_avg_sq.<name>`.
        history: the log so far.
        message: the reason of a failure.
        discriminator: for factor-vae: parameters `weights.<name>` and moments `exp_avg.<name>`, `exp_avg_sq.<name>`.
        snapshots: the encoder's parameters by name, by the steps of `batch_schedule.snapshot_steps` so far; those of
            the last step are in `weights`.
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
    """Replace the last checkpoint; a crash leaves the last one whole."""
    folder.mkdir(parents=True, exist_ok=True)
    replace_checkpoint(folder, pack_checkpoint(checkpoint), staging=folder)


def pack_checkpoint(checkpoint: Checkpoint) -> bytes:
    """Return a checkpoint as the content of its file."""
    arrays = {f"weights.{name}": array for name, array in checkpoint.weights.items()}
    arrays |= {f"optimizer.{name}": array for name, array in checkpoint.optimizer.items()}
    arrays |= {f"discriminator.{name}": array for name, array in checkpoint.discriminator.items()}
    arrays |= {f"history.{name}": array for name, array in vars(checkpoint.history).items()}
    for step, encoder in checkpoint.snapshots.items():
        arrays |= {f"snapshots.{step}.{name}": array for name, array in encoder.items()}
    last_loss = checkpoint.history.loss[-1] if len(checkpoint.history.loss) else float("nan")
    header = {
        "format": FORMAT,
        "step": str(checkpoint.step),
        "state": checkpoint.state,
        "loss": repr(float(last_loss)),
        "message": checkpoint.message,
    }
    header[CHECKSUM] = BLANK
    content = save({name: np.ascontiguousarray(a) for name, a in arrays.items()}, metadata=header)
    return content.replace(BLANK.encode(), _checksum(content).encode(), 1)


def replace_checkpoint(folder: Path, content: bytes, *, staging: Path) -> None:
    """Replace the last checkpoint file by another content, whole or not at all.

    Args:
        folder: the member's folder.
        content: the result of `pack_checkpoint`.
        staging: an existing folder of the same file system, in which the file is written before it is renamed.
            Removing that folder keeps a late writer from replacing anything.

    Raises:
        FileNotFoundError: when `staging` does not exist any more.
        OSError: when the file cannot be written, as on a full disk.
    """
    path = checkpoint_path(folder)
    temporary = staging / f"{path.stem}.{os.getpid()}.partial"
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(
                file.fileno()
            )  # a rename may reach the disk before the content, and a power cut leave an empty file
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def load_checkpoint(folder: Path) -> Checkpoint | None:
    """Read a member's checkpoint; None when it has not begun.

    Raises:
        BrokenFileError: when the file is damaged or not a checkpoint of this project.
    """
    path = checkpoint_path(folder)
    try:
        content = path.read_bytes()  # once: another checkpoint may take its place meanwhile
        arrays, header = load(content), _header_of(content)
    except FileNotFoundError:
        return None
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        raise _unreadable(path, error) from error
    _check_format(path, header)
    expected = header.get(CHECKSUM)  # None in a file of before there were any
    if expected is not None and _checksum(content.replace(expected.encode(), BLANK.encode(), 1)) != expected:
        raise DamagedCheckpointError(
            f"{path}: its checksum is not that of what was written. Delete it to train this member again, which leads"
            " to the same weights."
        )
    names = ("weights", "optimizer", "history", "discriminator", "snapshots")
    groups: dict[str, dict[str, Any]] = {name: {} for name in names}
    for name, array in arrays.items():
        group, _, rest = name.partition(".")
        if group not in groups:
            raise BrokenFileError(
                f"{path}: expected {', '.join(groups)}, got {name!r}: a later vaefrag wrote it, or"
                " another program. Update vaefrag, or delete the file to train this member again."
            )
        groups[group][rest] = array
    return Checkpoint(
        step=int(header["step"]),
        state=header["state"],
        weights=groups["weights"],
        optimizer=groups["optimizer"],
        history=_history(groups["history"]),
        message=header["message"],
        discriminator=groups["discriminator"],
        snapshots=_snapshots(groups["snapshots"]),
    )


def load_history(folder: Path) -> History | None:
    """Read a member's history, and nothing else; None when it has not begun.

    Raises:
        BrokenFileError: when the file is damaged or not a checkpoint of this project.
    """
    opened = _open_checkpoint(folder)
    if opened is None:
        return None
    _, file = opened
    names = [name for name in file.keys() if name.startswith("history.")]  # noqa: SIM118 - no mapping
    return _history({name.removeprefix("history."): file.get_tensor(name) for name in names})


def member_status(members: Path, index: int) -> MemberStatus:
    """Read the status of a member from its checkpoint's header alone.

    Args:
        members: the ensemble's `members` folder.
        index: the member's number.
    """
    opened = _open_checkpoint(members / str(index))
    if opened is None:
        return MemberStatus(index, "waiting")
    header, _ = opened
    return MemberStatus(index, header["state"], int(header["step"]), float(header["loss"]), header["message"])


def member_statuses(members: Path, count: int) -> list[MemberStatus]:
    """Read the status of each of the first `count` members; one with a damaged checkpoint counts as failed."""
    statuses = []
    for index in range(count):
        try:
            statuses.append(member_status(members, index))
        except BrokenFileError as error:
            statuses.append(MemberStatus(index, "failed", message=str(error)))
    return statuses


def set_aside(folder: Path) -> Path:
    """Rename a damaged checkpoint, so that its member begins anew; return its new path."""
    aside = folder / "damaged.safetensors"
    checkpoint_path(folder).replace(aside)
    return aside


def checkpoint_path(folder: Path) -> Path:
    """Return the path of the checkpoint file in a member's folder."""
    return folder / "checkpoint.safetensors"


def _history(arrays: Mapping[str, AnyArray]) -> History:
    # Checkpoints of versions before penalties and discriminators have no such arrays.
    zeros = np.zeros(len(arrays["step"]))
    return History(**{"penalty": zeros, "discriminator": zeros, **arrays})


def _snapshots(arrays: Mapping[str, AnyArray]) -> dict[int, dict[str, AnyArray]]:
    """Return arrays named "step.parameter" as mappings by parameter, by step, ascending."""
    snapshots: dict[int, dict[str, AnyArray]] = {}
    for name, array in arrays.items():
        step, _, parameter = name.partition(".")
        snapshots.setdefault(int(step), {})[parameter] = array
    return dict(sorted(snapshots.items()))


def _open_checkpoint(folder: Path) -> tuple[dict[str, Any], Any] | None:
    path = checkpoint_path(folder)
    if not path.exists():
        return None
    try:
        file: Any = safe_open(path, framework="numpy")
        header = file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise _unreadable(path, error) from error
    _check_format(path, header)
    return header, file


def _header_of(content: bytes) -> dict[str, Any]:
    """Return the facts in the header of a safetensors file: a length of 8 bytes, then JSON."""
    length = int.from_bytes(content[:8], "little")
    header: dict[str, Any] = json.loads(content[8 : 8 + length]).get("__metadata__", {})
    return header


def _checksum(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=len(BLANK) // 2).hexdigest()


def _unreadable(path: Path, error: Exception) -> "DamagedCheckpointError":
    return DamagedCheckpointError(
        f"{path}: expected a whole checkpoint, got a file that cannot be read ({error})."
        " Delete it to train this member again."
    )


def _check_format(path: Path, header: Mapping[str, str]) -> None:
    if header.get("format") != FORMAT:
        raise BrokenFileError(
            f"{path}: expected a checkpoint of format {FORMAT}, got"
            f" {header.get('format', 'a file of another program')}. Delete it to train this member again."
        )
