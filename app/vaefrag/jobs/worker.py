"""The work of worker processes: training, analysis and fusion. The core is called with callbacks, and knows no Dask."""

import os
import shutil
import socket
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from distributed import get_worker

from vaefrag.fault_sentences import fault_sentence
from vaefrag.jobs.attempt_lease import LeaseLostError, acquire_lease, write_checkpoint
from vaefrag.jobs.checkpoint_transfer import begin_remotely, save_remotely, sees_workspace
from vaefrag.jobs.job_kinds import JobKind
from vaefrag_core.config import AnalysisConfig, EnsembleSpec, FusionConfig
from vaefrag_core.config_errors import parse
from vaefrag_core.ensemble_store import EnsembleStore
from vaefrag_core.errors import BrokenFileError, VaefragError
from vaefrag_core.training.checkpoints import (
    Checkpoint,
    DamagedCheckpointError,
    MemberStatus,
    checkpoint_path,
    load_checkpoint,
    pack_checkpoint,
    replace_checkpoint,
    set_aside,
)

TOPIC = "vaefrag"
REPORT_SECONDS = 0.5  # between two reports of progress
ERROR_CHARACTERS = 2_000  # of an unforeseen error, and of its traceback, that are reported


@dataclass(frozen=True)
class TaskSpec:
    """A task as it is dispatched to a worker.

    Args:
        key: the name of the task; every attempt has another.
        kind: the kind of its job.
        workspace: the workspace's folder, which the worker may not see.
        token: the text that it finds there when it does.
        ensemble_id: the ensemble to work on.
        request: the fields of the kind's config.
        attempts: the number of the attempt at each member.
        checkpoint_seconds: the time between two checkpoints.
        device: where networks run and exact information is compared: "cpu", or torch's name of a GPU.
    """

    key: str
    kind: JobKind
    workspace: str
    token: str
    ensemble_id: str
    request: Mapping[str, Any]
    attempts: Mapping[int, int]
    checkpoint_seconds: float
    device: str = "cpu"


def run(task: TaskSpec) -> None:
    """Do a task. The engine learns from events how it goes; errors travel as words.

    The last event, "end", has a result: the last state of each of the "members", the number of members "analysed", the
    id of the fusion "fused", or the "error" for which the task failed as a whole.
    """
    reporter = _Reporter(task.key)
    reporter.send("begin", address=reporter.worker.address, pid=os.getpid(), host=socket.gethostname())
    try:
        result = RUNNERS[task.kind](task, reporter)
    except (LeaseLostError, _TaskCancelledError) as error:
        result = {"stopped": str(error)}
    except (VaefragError, OSError) as error:
        result = {"error": _reason(error)}
    except Exception as error:  # whatever it is, people read it in the job
        what = f"{type(error).__name__}: {error}"[:ERROR_CHARACTERS]
        result = {
            "error": f"An error that is not foreseen: {what}. The job's log has where it came from.",
            "trace": "".join(traceback.format_exception(error))[-ERROR_CHARACTERS:],
        }
    reporter.send("end", result=result)


class _TaskCancelledError(VaefragError):
    """The task was cancelled, and has stopped."""


class _Reporter:
    """The events of a task, sent to the engine, and the engine's request to stop it.

    Args:
        key: the key of the task.
    """

    def __init__(self, key: str) -> None:
        self.key, self.worker = key, get_worker()
        self._reported_at = 0.0

    def send(self, event: str, **facts: Any) -> None:
        """Send an event to the engine."""
        self.worker.log_event(TOPIC, {"event": event, "key": self.key, "at": time.time(), **facts})

    def report_due(self) -> bool:
        """Return whether it is time for the next report of progress."""
        if time.monotonic() - self._reported_at < REPORT_SECONDS:
            return False
        self._reported_at = time.monotonic()
        return True

    def cancelled(self) -> bool:
        """Return whether the task was cancelled."""
        # Dask has no call for this: it changes the state of the task while its function runs.
        task = self.worker.state.tasks.get(self.key)
        return task is None or task.state in ("cancelled", "resumed", "released")


def _train(task: TaskSpec, reporter: _Reporter) -> dict[str, Any]:
    import torch

    from vaefrag_core import pipeline

    if reporter.cancelled():
        return {}  # loading PyTorch takes seconds
    torch.set_num_threads(1)  # a slot is one core
    spec = parse(EnsembleSpec, task.request)
    statuses: dict[int, MemberStatus] = {}
    rates = _StepRates()

    def report(changed: Sequence[MemberStatus]) -> None:
        statuses.update({status.index: status for status in changed})
        if reporter.report_due():
            reporter.send("progress", members=[_member_report(s, rates.update(s)) for s in changed])

    with _member_folder(task) as (folder, save):
        ready, broken, remarks = _load_members(folder, sorted(task.attempts), save)
        statuses |= {m: MemberStatus(m, "failed", message=reason) for m, reason in broken.items()}
        reporter.send("progress", members=[_member_report(status) for status in ready.values()], remarks=remarks)
        try:
            pipeline.train_group(
                spec,
                list(ready),
                folder,
                device=task.device,
                on_progress=report,
                should_stop=reporter.cancelled,
                save=save,
                checkpoint_seconds=task.checkpoint_seconds,
            )
        except LeaseLostError:
            raise
        except (VaefragError, OSError) as error:
            reason = _reason(error)
            for m in ready:
                status = statuses.get(m, ready[m])
                if status.state == "running":
                    message = f"Member {m} stopped: {reason}"
                    statuses[m] = replace(status, state="failed", message=message)
    return {"members": [_member_report(status) for status in (ready | statuses).values()]}


def _analyze(task: TaskSpec, reporter: _Reporter) -> dict[str, Any]:
    import torch

    from vaefrag_core import pipeline

    torch.set_num_threads(1)
    store = EnsembleStore(task.workspace)

    def on_stage(stage: str, share: float) -> None:
        if reporter.cancelled():
            raise _TaskCancelledError("This analysis is no longer wanted.")
        if share in (0.0, 1.0) or reporter.report_due():
            reporter.send("progress", stage=stage, share=share)

    posteriors = pipeline.update_posteriors(task.ensemble_id, store, on_stage=on_stage)
    config = parse(AnalysisConfig, task.request)
    pipeline.analyze(task.ensemble_id, store, config, device=task.device, on_stage=on_stage)
    pipeline.renew_atlases(task.ensemble_id, store, on_stage=on_stage)
    return {"analysed": posteriors.n_members}


def _fuse(task: TaskSpec, reporter: _Reporter) -> dict[str, Any]:
    import torch

    from vaefrag_core.fusion_pipeline import fuse_ensemble

    torch.set_num_threads(1)

    def on_stage(stage: str, share: float, step: Any) -> None:
        # A fusion under way ends by `should_stop`, which keeps its best so far; other stages have nothing to keep.
        if stage != "fuse" and reporter.cancelled():
            raise _TaskCancelledError("This fusion is no longer wanted.")
        if share in (0.0, 1.0) or reporter.report_due():
            reporter.send("progress", stage=stage, share=share)

    fusion_id, fused = fuse_ensemble(
        task.ensemble_id,
        EnsembleStore(task.workspace),
        parse(FusionConfig, task.request),
        on_stage=on_stage,
        should_stop=reporter.cancelled,
    )
    if fused.end == "stopped":
        raise _TaskCancelledError("This fusion is no longer wanted; its best so far is kept.")
    return {"fused": fusion_id}


RUNNERS: dict[JobKind, Callable[[TaskSpec, _Reporter], dict[str, Any]]] = {
    "train": _train,
    "analyze": _analyze,
    "fuse": _fuse,
}


@contextmanager
def _member_folder(task: TaskSpec) -> Iterator[tuple[Path, Callable[[Path, Checkpoint], None]]]:
    """Open a folder with the members' last checkpoints.

    Yields:
        The folder, and the function that saves a checkpoint: in the workspace, or through the scheduler.
    """
    if sees_workspace(task.workspace, task.token):
        folder = EnsembleStore(task.workspace).members_folder(task.ensemble_id)
        for m, attempt in task.attempts.items():
            acquire_lease(folder / str(m), attempt)

        def save(member: Path, checkpoint: Checkpoint) -> None:
            write_checkpoint(member, task.attempts[int(member.name)], pack_checkpoint(checkpoint))

        yield folder, save
        return
    scratch = Path(tempfile.mkdtemp(prefix="vaefrag-"))
    try:
        for m, attempt in task.attempts.items():
            content = begin_remotely(task.ensemble_id, m, attempt)
            if content is not None:
                (scratch / str(m)).mkdir()
                checkpoint_path(scratch / str(m)).write_bytes(content)

        def send(member: Path, checkpoint: Checkpoint) -> None:
            m, content = int(member.name), pack_checkpoint(checkpoint)
            save_remotely(task.ensemble_id, m, task.attempts[m], content)
            member.mkdir(exist_ok=True)
            replace_checkpoint(member, content, staging=member)

        yield scratch, send
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _load_members(
    folder: Path, members: Sequence[int], save: Callable[[Path, Checkpoint], None]
) -> tuple[dict[int, MemberStatus], dict[int, str], list[str]]:
    """Load the checkpoints of members; one that had failed goes on from its last sound state.

    Returns:
        The status of each member that can be trained, the reason of each that cannot, and what people should know: a
        member with a damaged checkpoint begins anew.
    """
    ready: dict[int, MemberStatus] = {}
    broken: dict[int, str] = {}
    remarks: list[str] = []
    for m in members:
        try:
            checkpoint = load_checkpoint(folder / str(m))
        except DamagedCheckpointError:
            aside = set_aside(folder / str(m))
            remarks.append(
                f"The checkpoint of member {m} was damaged: it is kept as {aside}, and the member begins anew."
            )
            checkpoint = None
        except BrokenFileError as error:
            broken[m] = str(error)
            continue
        if checkpoint is None:
            ready[m] = MemberStatus(m, "running")
            continue
        if checkpoint.state == "failed":
            checkpoint = replace(checkpoint, state="running", message="")
            save(folder / str(m), checkpoint)
        loss = float(checkpoint.history.loss[-1]) if len(checkpoint.history.loss) else float("nan")
        ready[m] = MemberStatus(m, checkpoint.state, checkpoint.step, loss)
    return ready, broken, remarks


class _StepRates:
    """Steps per second of each member, from one report to the next."""

    def __init__(self) -> None:
        self._last: dict[int, tuple[float, int]] = {}

    def update(self, status: MemberStatus) -> float | None:
        """Return a member's steps per second since its last report; None when it has not moved."""
        now, last = time.monotonic(), self._last.get(status.index)
        self._last[status.index] = (now, status.step)
        if last is None or status.step <= last[1]:
            return None
        return (status.step - last[1]) / (now - last[0])


def _member_report(status: MemberStatus, steps_per_second: float | None = None) -> dict[str, Any]:
    """Return a member's status as plain values."""
    return {
        "index": status.index,
        "state": status.state,
        "step": status.step,
        "loss": status.loss if abs(status.loss) < float("inf") else None,  # JSON has no NaN
        "kl_nats": list(status.kl_nats),
        "error": status.message,
        "steps_per_second": steps_per_second,
    }


def _reason(error: Exception) -> str:
    return str(error) if isinstance(error, VaefragError) else fault_sentence(error)
