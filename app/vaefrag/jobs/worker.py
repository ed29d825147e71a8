"""What a worker process does with the work it is handed. The core is called through callbacks, and knows no Dask."""

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

from vaefrag.jobs.attempt_lease import LeaseLostError, acquire_lease, write_checkpoint
from vaefrag.jobs.checkpoint_transfer import begin_remotely, save_remotely, sees_workspace
from vaefrag.jobs.job_kinds import JobKind
from vaefrag_core.config import AnalysisConfig, EnsembleSpec, FusionConfig
from vaefrag_core.config_errors import parse
from vaefrag_core.ensemble_store import EnsembleStore
from vaefrag_core.errors import BrokenFileError, VaefragError
from vaefrag_core.training.checkpoints import (
    Checkpoint,
    MemberStatus,
    checkpoint_path,
    load_checkpoint,
    pack_checkpoint,
    replace_checkpoint,
)

TOPIC = "vaefrag"
REPORT_SECONDS = 0.5  # between two reports of progress
MOST_TOLD = 2_000  # characters of an error that is not foreseen, and of where it came from


@dataclass(frozen=True)
class Work:
    """A piece of work.

    Args:
        key: names it; an attempt that is repeated has another.
        kind: of the job.
        workspace: its folder, which this process may not see.
        token: that it finds there when it does.
        ensemble_id: the ensemble.
        request: fields of the kind's request.
        attempts: the number of the attempt at each member.
        checkpoint_seconds: between two checkpoints.
        device: where networks run: "cpu", or what the worker's settings call its GPU.
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


def run(work: Work) -> None:
    """Do a piece of work. How it went is told to the engine, what goes wrong with it in words.

    The last event, "end", has an outcome with the last state of each of the "members", the number of members
    "analysed", the fusion "fused", or the "error" for which it failed as a whole.
    """
    line = _Line(work.key)
    line.say("begin", address=line.worker.address, pid=os.getpid(), host=socket.gethostname())
    try:
        outcome = RUNS[work.kind](work, line)
    except LeaseLostError as error:
        outcome = {"superseded": str(error)}
    except (VaefragError, OSError) as error:
        outcome = {"error": _reason(error)}
    except Exception as error:  # whatever it is, the job has to say it
        what = f"{type(error).__name__}: {error}"[:MOST_TOLD]
        outcome = {
            "error": f"An error that is not foreseen: {what}. The job's log has where it came from.",
            "trace": "".join(traceback.format_exception(error))[-MOST_TOLD:],
        }
    line.say("end", outcome=outcome)


class _Line:
    """The way back to the engine, and what comes along it.

    Args:
        key: of the work.
    """

    def __init__(self, key: str) -> None:
        self.key, self.worker = key, get_worker()
        self._told = 0.0

    def say(self, event: str, **facts: Any) -> None:
        """Tell the engine."""
        self.worker.log_event(TOPIC, {"event": event, "key": self.key, "at": time.time(), **facts})

    def due(self) -> bool:
        """Say whether it is time for the next report of progress."""
        if time.monotonic() - self._told < REPORT_SECONDS:
            return False
        self._told = time.monotonic()
        return True

    def stopped(self) -> bool:
        """Say whether the work is no longer wanted: Dask changes the state of the task under our feet."""
        task = self.worker.state.tasks.get(self.key)
        return task is None or task.state in ("cancelled", "resumed", "released")


def _train(work: Work, line: _Line) -> dict[str, Any]:
    import torch

    from vaefrag_core.datasets.catalog import load_dataset
    from vaefrag_core.training.group_training import train_members

    if line.stopped():
        return {}  # while PyTorch was loaded
    torch.set_num_threads(1)
    spec = parse(EnsembleSpec, work.request)
    statuses: dict[int, MemberStatus] = {}
    pace = _Pace()

    def report(moved: Sequence[MemberStatus]) -> None:
        statuses.update({status.index: status for status in moved})
        if line.due():
            line.say("progress", members=[_row(s, pace.of(s)) for s in moved])

    with _folder(work) as (folder, save):
        ready, broken = _ready(folder, sorted(work.attempts), save)
        statuses |= {m: MemberStatus(m, "failed", message=reason) for m, reason in broken.items()}
        line.say("progress", members=[_row(status) for status in ready.values()])
        try:
            dataset = load_dataset(spec.dataset)
            train_members(
                spec,
                dataset,
                list(ready),
                folder,
                device=work.device,
                on_progress=report,
                should_stop=line.stopped,
                save=save,
                checkpoint_seconds=work.checkpoint_seconds,
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
    return {"members": [_row(status) for status in (ready | statuses).values()]}


def _analyze(work: Work, line: _Line) -> dict[str, Any]:
    import torch

    from vaefrag_core import pipeline
    from vaefrag_core.errors import MissingDataError

    torch.set_num_threads(1)
    store = EnsembleStore(work.workspace)

    def on_stage(stage: str, share: float) -> None:
        if line.stopped():
            raise LeaseLostError("This analysis is no longer wanted.")
        if share in (0.0, 1.0) or line.due():
            line.say("progress", stage=stage, share=share)

    done = pipeline.trained_members(work.ensemble_id, store)  # none of an ensemble that was imported
    try:
        encoded = set(store.posteriors(work.ensemble_id).member_ids.tolist())
    except MissingDataError:
        encoded = set()
    if not encoded or (done and done != encoded):
        posteriors = pipeline.encode(work.ensemble_id, store)
        encoded = set(posteriors.member_ids.tolist())
    pipeline.analyze(work.ensemble_id, store, parse(AnalysisConfig, work.request), on_stage=on_stage)
    pipeline.renew_atlases(work.ensemble_id, store, on_stage=on_stage)
    return {"analysed": len(encoded)}


def _fuse(work: Work, line: _Line) -> dict[str, Any]:
    import torch

    from vaefrag_core.fusion_pipeline import fuse_ensemble

    torch.set_num_threads(1)

    def on_stage(stage: str, share: float, step: Any) -> None:
        if stage != "fuse" and line.stopped():
            raise LeaseLostError("This fusion is no longer wanted.")
        if share in (0.0, 1.0) or line.due():
            line.say("progress", stage=stage, share=share)

    fusion_id, fused = fuse_ensemble(
        work.ensemble_id,
        EnsembleStore(work.workspace),
        parse(FusionConfig, work.request),
        on_stage=on_stage,
        should_stop=line.stopped,
    )
    if fused.end == "stopped":
        raise LeaseLostError("This fusion is no longer wanted; its best so far is kept.")
    return {"fused": fusion_id}


RUNS: dict[JobKind, Callable[[Work, _Line], dict[str, Any]]] = {"train": _train, "analyze": _analyze, "fuse": _fuse}


@contextmanager
def _folder(work: Work) -> Iterator[tuple[Path, Callable[[Path, Checkpoint], None]]]:
    """Give a folder with the members' last checkpoints, and the way to save one: here, or by way of the scheduler."""
    if sees_workspace(work.workspace, work.token):
        home = EnsembleStore(work.workspace).members_folder(work.ensemble_id)
        for m, attempt in work.attempts.items():
            acquire_lease(home / str(m), attempt)

        def save(member: Path, checkpoint: Checkpoint) -> None:
            write_checkpoint(member, work.attempts[int(member.name)], pack_checkpoint(checkpoint))

        yield home, save
        return
    scratch = Path(tempfile.mkdtemp(prefix="vaefrag-"))
    try:
        for m, attempt in work.attempts.items():
            content = begin_remotely(work.ensemble_id, m, attempt)
            if content is not None:
                (scratch / str(m)).mkdir()
                checkpoint_path(scratch / str(m)).write_bytes(content)

        def send(member: Path, checkpoint: Checkpoint) -> None:
            m, content = int(member.name), pack_checkpoint(checkpoint)
            save_remotely(work.ensemble_id, m, work.attempts[m], content)
            member.mkdir(exist_ok=True)
            replace_checkpoint(member, content, via=member)

        yield scratch, send
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _ready(
    folder: Path, members: Sequence[int], save: Callable[[Path, Checkpoint], None]
) -> tuple[dict[int, MemberStatus], dict[int, str]]:
    """Give how far each member is, and why some cannot begin. One that had failed goes on from its last sound state."""
    ready: dict[int, MemberStatus] = {}
    broken: dict[int, str] = {}
    for m in members:
        try:
            checkpoint = load_checkpoint(folder / str(m))
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
    return ready, broken


class _Pace:
    """Steps per second of each member, from one report to the next."""

    def __init__(self) -> None:
        self._last: dict[int, tuple[float, int]] = {}

    def of(self, status: MemberStatus) -> float | None:
        """Give the pace of a member since it was last asked for."""
        now, before = time.monotonic(), self._last.get(status.index)
        self._last[status.index] = (now, status.step)
        if before is None or status.step <= before[1]:
            return None
        return (status.step - before[1]) / (now - before[0])


def _row(status: MemberStatus, pace: float | None = None) -> dict[str, Any]:
    """Give a member's state as plain values; numbers that are not finite are not there."""
    return {
        "index": status.index,
        "state": status.state,
        "step": status.step,
        "loss": status.loss if abs(status.loss) < float("inf") else None,
        "kl_nats": list(status.kl_nats),
        "error": status.message,
        "steps_per_second": pace,
    }


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        where = f" ({error.filename})" if error.filename else ""
        return f"{error.strerror}{where}. Mend that, then retry."
    return str(error)
