"""What becomes of a task, written to its job: progress, results, deaths of workers, and the analysis that follows."""

import math
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from vaefrag.jobs.dask_cluster import ConnectedWorker
from vaefrag.jobs.engine_job_store import EngineJobStore, OpenJob
from vaefrag.jobs.job_models import State, WorkerRecord
from vaefrag.jobs.worker import TaskSpec
from vaefrag_core.config import default_analysis
from vaefrag_core.ensemble_store import EnsembleStore
from vaefrag_core.training.checkpoints import member_statuses

LEAST_TO_ANALYZE = 3  # members done before an ensemble is analysed while others still train
MOST_DEATHS = 3  # of workers, without progress in between, until a member counts as failed


@dataclass
class RunningTask:
    """A task that was dispatched.

    Args:
        job_id: the job that it belongs to.
        spec: the task as it was dispatched.
        address: the address of its worker; "" for a task of an earlier engine that no worker has.
        since: when it was dispatched, seconds on the monotonic clock.
        pid: the process id of its worker, once it has begun.
        host: the host of its worker, once it has begun.
        result: the result that the worker reported at the end.
        progressed: whether it has reported progress; before, its process loads what it needs.
        stopping_since: when it was cancelled, seconds on the monotonic clock.
        abandoned: whether it was cancelled before it reported any progress: its job goes on, or ends, without it, and
            it holds nothing but its slot.
        killed_at: when its worker was killed because it did not stop, seconds on the monotonic clock.
    """

    job_id: str
    spec: TaskSpec
    address: str
    since: float = field(default_factory=time.monotonic)
    pid: int = 0
    host: str = ""
    result: Mapping[str, Any] | None = None
    progressed: bool = False
    stopping_since: float | None = None
    abandoned: bool = False
    killed_at: float | None = None

    @property
    def worker(self) -> str:
        """The name of its worker."""
        return f"{self.host} {self.pid}" if self.pid else "one that had not begun"


def record_progress(job: OpenJob, event: Mapping[str, Any]) -> None:
    """Record how far a task is, from an event of its worker."""
    if "stage" in event:
        job.update(stage=event["stage"], share=event["share"])
    for remark in event.get("remarks", ()):
        job.log(remark)
    for report in event.get("members", ()):
        job.update_member(report["index"], seen=event["at"], **_reported_fields(report))


def record_result(job: OpenJob, task: RunningTask, store: EnsembleStore) -> None:
    """Record how a task ended. How far members came that were stopped, or never reported, is read from checkpoints."""
    result = task.result or {}
    error = "" if task.stopping_since is not None else result.get("error", "")
    if error:
        job.log(f"Failed: {error}")
        if trace := result.get("trace"):
            job.log(trace)
    if "analysed" in result:
        job.update(state="done", stage="", share=1.0, analysed=result["analysed"], error="")
        job.log(f"Done, with {result['analysed']} members.")
    elif "fused" in result:
        job.update(state="done", stage="", share=1.0, error="")
        job.log(f"Done: fusion {result['fused']}.")
    elif error and not task.spec.attempts:
        job.update(state="failed", error=error)
    for report in result.get("members", ()):
        if report["state"] != "running":  # else it was stopped on the way, and waits for its next turn
            job.update_member(
                report["index"], state=report["state"], seen=time.time(), deaths=0, **_reported_fields(report)
            )
            job.log(report["error"] or f"Member {report['index']} is done.")
    unreported = [m for m in task.spec.attempts if job.members[m].state == "running"]
    if error:
        for m in unreported:
            job.update_member(m, state="failed", error=f"Member {m} stopped: {error}")
    elif unreported:
        read_checkpoints(job, unreported, store)


def record_death(job: OpenJob, task: RunningTask) -> None:
    """Record that a task's worker died: its members wait again, and fail when that keeps happening."""
    job.log(f"A worker died ({task.worker}); its work goes on from the last checkpoints.")
    if not task.spec.attempts:
        deaths = job.progress.deaths + 1
        job.update(deaths=deaths)
        if deaths >= MOST_DEATHS:
            job.update(state="failed", error=f"Its worker died {deaths} times. Perhaps it needs more memory.")
    for m in task.spec.attempts:
        member = job.members[m]
        deaths = 1 if member.step > member.died_at else member.deaths + 1
        job.update_member(
            m, deaths=deaths, died_at=max(member.step, member.died_at), error=f"Its worker died ({task.worker})."
        )
        if deaths >= MOST_DEATHS:
            reason = (
                f"Member {m} stopped: its worker died {deaths} times without progress in between, at step"
                f" {member.step}. Perhaps it needs more memory."
            )
            job.update_member(m, state="failed", error=reason)
            job.log(reason)


def read_checkpoints(job: OpenJob, members: Iterable[int], store: EnsembleStore) -> None:
    """Set the state of members by their checkpoints: what is done is done, whoever did it; the rest waits."""
    statuses = member_statuses(store.members_folder(job.submission.ensemble_id), job.submission.members)
    for m in members:
        status = statuses[m]
        state: State = status.state if status.state in ("done", "failed") else "queued"
        loss = status.loss if math.isfinite(status.loss) else None
        error = status.message or (job.members[m].error if state == "queued" else "")
        job.update_member(m, state=state, step=status.step, loss=loss, error=error, task="", steps_per_second=None)


def request_analysis(job: OpenJob, engine_store: EngineJobStore, rest_seconds: float) -> bool:
    """Submit an analysis when members are done that the last one does not cover.

    Args:
        job: the job that trains them.
        engine_store: the job store.
        rest_seconds: the time between two analyses while other members still train.

    Returns:
        Whether all members that are done are part of an analysis, now or soon.
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
    engine_store.submit_analysis(
        submission.ensemble_id, default_analysis(submission.estimator), who="engine", partial=not complete
    )
    job.update(analysed=done, analysed_at=time.time())
    job.log(f"Asked for an analysis of the {done} members that are done.")
    return True


def worker_records(running: Iterable[RunningTask], workers: Iterable[ConnectedWorker]) -> list[WorkerRecord]:
    """Return the workers, each with the task that it has."""
    busy = {task.address: task for task in running if task.address}
    records = []
    for worker in workers:
        task = busy.get(worker.address)
        records.append(
            WorkerRecord(
                address=worker.address,
                name=worker.name,
                offers=dict(worker.offers),
                job=task.job_id if task else "",
                members=tuple(task.spec.attempts) if task else (),
                # Rounded: every change of this list is a change of the store, at which all open pages look anew.
                cpu_percent=5 * round(worker.cpu_percent / 5),
                memory_bytes=round(worker.memory_bytes, -7),
            )
        )
    return records


def _reported_fields(report: Mapping[str, Any]) -> dict[str, Any]:
    """Return a worker's report on a member as fields of its record."""
    reported = {name: report[name] for name in ("step", "loss", "error", "steps_per_second")}
    # Reports between two logged steps carry no KL: the last one stays.
    return reported | ({"kl_nats": tuple(report["kl_nats"])} if report["kl_nats"] else {})
