"""What comes of a piece of work, as rows of the record: done, failed, to be gone on with, or its worker dead."""

import math
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from vaefrag.jobs.dask_cluster import ConnectedWorker
from vaefrag.jobs.engine_job_store import EngineJobStore, OpenJob
from vaefrag.jobs.job_models import State, WorkerRow
from vaefrag.jobs.worker import Work
from vaefrag_core.ensemble_store import EnsembleStore
from vaefrag_core.training.checkpoints import member_statuses

LEAST_TO_ANALYZE = 3  # members done before an ensemble is analysed while others still train
MOST_DEATHS = 3  # of workers, without progress in between, until a member counts as failed


@dataclass
class RunningTask:
    """Work that was handed out.

    Args:
        job_id: whose it is.
        work: what was handed out.
        address: of the worker that it was handed to; "" for work of an earlier engine that no worker is at.
        since: when, on the monotonic clock.
        pid, host: of its worker, once it has begun.
        outcome: what the worker said at its end.
        moved: whether it has told of progress; before, its process loads what it needs.
        stopping_since: when it was asked to stop.
        given_up: whether it was asked that before it had moved: nothing will come of it, but for a free slot.
        killed_at: when its worker was killed for not listening.
    """

    job_id: str
    work: Work
    address: str
    since: float = field(default_factory=time.monotonic)
    pid: int = 0
    host: str = ""
    outcome: Mapping[str, Any] | None = None
    moved: bool = False
    stopping_since: float | None = None
    given_up: bool = False
    killed_at: float | None = None

    @property
    def worker(self) -> str:
        """Name its worker."""
        return f"{self.host} {self.pid}" if self.pid else "one that had not begun"


def record_progress(job: OpenJob, event: Mapping[str, Any]) -> None:
    """Write down how far a piece of work is."""
    if "stage" in event:
        job.update(stage=event["stage"], share=event["share"])
    for row in event.get("members", ()):
        job.update_row(row["index"], seen=event["at"], **_shown(row))


def record_outcome(job: OpenJob, task: RunningTask, store: EnsembleStore) -> None:
    """Write down how a piece of work ended. How far came what was stopped, or never said, the checkpoints know."""
    outcome = task.outcome or {}
    error = "" if task.stopping_since is not None else outcome.get("error", "")
    if error:
        job.say(f"Failed: {error}")
        if trace := outcome.get("trace"):
            job.say(trace)
    if "analysed" in outcome:
        job.update(state="done", stage="", share=1.0, analysed=outcome["analysed"], error="")
        job.say(f"Done, with {outcome['analysed']} members.")
    elif "fused" in outcome:
        job.update(state="done", stage="", share=1.0, error="")
        job.say(f"Done: fusion {outcome['fused']}.")
    elif error and not task.work.attempts:
        job.update(state="failed", error=error)
    for row in outcome.get("members", ()):
        if row["state"] != "running":  # else it was stopped on the way
            job.update_row(row["index"], state=row["state"], seen=time.time(), deaths=0, **_shown(row))
            job.say(row["error"] or f"Member {row['index']} is done.")
    left = [m for m in task.work.attempts if job.rows[m].state == "running"]
    if error:
        for m in left:
            job.update_row(m, state="failed", error=f"Member {m} stopped: {error}")
    elif left:
        read_checkpoints(job, left, store)


def record_death(job: OpenJob, task: RunningTask) -> None:
    """Write down that a worker is gone: its members wait again, unless that keeps happening."""
    job.say(f"A worker died ({task.worker}); its work goes on from the last checkpoints.")
    if not task.work.attempts:
        deaths = job.progress.deaths + 1
        job.update(deaths=deaths)
        if deaths >= MOST_DEATHS:
            job.update(state="failed", error=f"Its worker died {deaths} times. Perhaps it needs more memory.")
    for m in task.work.attempts:
        row = job.rows[m]
        deaths = 1 if row.step > row.died_at else row.deaths + 1
        job.update_row(m, deaths=deaths, died_at=max(row.step, row.died_at), error=f"Its worker died ({task.worker}).")
        if deaths >= MOST_DEATHS:
            reason = (
                f"Member {m} stopped: its worker died {deaths} times without progress in between, at step {row.step}."
                " Perhaps it needs more memory."
            )
            job.update_row(m, state="failed", error=reason)
            job.say(reason)


def read_checkpoints(job: OpenJob, members: Iterable[int], store: EnsembleStore) -> None:
    """Believe the checkpoints: what is done is done, whoever did it; the rest waits."""
    statuses = member_statuses(store.members_folder(job.submission.ensemble_id), job.submission.members)
    for m in members:
        status = statuses[m]
        state: State = status.state if status.state in ("done", "failed") else "queued"
        loss = status.loss if math.isfinite(status.loss) else None
        error = status.message or (job.rows[m].error if state == "queued" else "")
        job.update_row(m, state=state, step=status.step, loss=loss, error=error, task="", steps_per_second=None)


def see_to_analysis(job: OpenJob, engine_store: EngineJobStore, rest_seconds: float) -> bool:
    """Ask for an analysis when members are done that the last one does not know.

    Args:
        job: that trains them.
        engine_store: the record.
        rest_seconds: between two analyses while others still train.

    Returns:
        Whether all that are done now are, or soon will be, part of one.
    """
    submission, progress = job.submission, job.progress
    done = len(job.members_in("done"))
    if submission.kind != "train" or not submission.analyze or done <= progress.analysed:
        return True
    complete = not job.members_in("queued", "running")
    rested = time.time() - max(progress.analysed_at, progress.started or 0) > rest_seconds
    if not complete and not (done >= LEAST_TO_ANALYZE and rested):
        return False
    for other in engine_store.open.values():
        if other.submission.kind == "analyze" and other.submission.ensemble_id == submission.ensemble_id:
            return False  # it may have begun without the newest members: theirs comes after it
    engine_store.submit_analysis(submission.ensemble_id, who="engine", partial=not complete)
    job.update(analysed=done, analysed_at=time.time())
    job.say(f"Asked for an analysis of the {done} members that are done.")
    return True


def worker_rows(running: Iterable[RunningTask], workers: Iterable[ConnectedWorker]) -> list[WorkerRow]:
    """Say who works on what. Loads are rounded, so that the record changes only when they do."""
    busy = {task.address: task for task in running if task.address}
    rows = []
    for worker in workers:
        task = busy.get(worker.address)
        rows.append(
            WorkerRow(
                address=worker.address,
                name=worker.name,
                offers=dict(worker.offers),
                job=task.job_id if task else "",
                members=tuple(task.work.attempts) if task else (),
                cpu_percent=5 * round(worker.cpu_percent / 5),
                memory_bytes=round(worker.memory_bytes, -7),
            )
        )
    return rows


def _shown(row: Mapping[str, Any]) -> dict[str, Any]:
    """Give what a worker says of a member as fields of its row."""
    shown = {name: row[name] for name in ("step", "loss", "error", "steps_per_second")}
    return shown | ({"kl_nats": tuple(row["kl_nats"])} if row["kl_nats"] else {})
