"""Watching a job from a command: its record is all that is looked at, so any number of commands may watch."""

import time
from collections.abc import Callable, Sequence

from vaefrag.jobs.engine_process import EngineKeeper
from vaefrag.jobs.job_models import JobRecord, JobSnapshot, MemberRow
from vaefrag.jobs.job_store import JobStore
from vaefrag_core.errors import VaefragError
from vaefrag_core.training.checkpoints import MemberState, MemberStatus

LOOK_SECONDS = 0.1
CHECK_SECONDS = 3.0  # between two looks whether the engine is alive

_STATES: dict[str, MemberState] = {"running": "running", "done": "done", "failed": "failed"}


class EngineFailedError(VaefragError):
    """The engine ended by itself."""


def follow(
    job_store: JobStore,
    job_id: str,
    keeper: EngineKeeper,
    *,
    on_change: Callable[[JobSnapshot], None] = lambda snapshot: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> JobSnapshot:
    """Watch a job until it has ended or is paused.

    Args:
        job_store: the record.
        job_id: the job.
        keeper: of the engine; it is started again when it is gone.
        on_change: called with the job whenever it has changed.
        should_stop: asked often; when it says yes, the job is asked to pause.

    Raises:
        EngineFailedError: when the engine cannot run.
    """
    return follow_all(job_store, [job_id], keeper, on_change=on_change, should_stop=should_stop)[0]


def follow_all(
    job_store: JobStore,
    job_ids: Sequence[str],
    keeper: EngineKeeper,
    *,
    on_change: Callable[[JobSnapshot], None] = lambda snapshot: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> list[JobSnapshot]:
    """Watch several jobs, as `follow` does one, until all have ended or are paused."""
    seen: dict[str, int] = {}
    snapshots: dict[str, JobSnapshot] = {}
    checked, asked = time.monotonic(), False
    while True:
        if should_stop() and not asked:
            asked = True
            for job_id in job_ids:
                if not job_store.job(job_id).ended:
                    job_store.wish(job_id, "pause")
        for job_id in job_ids:
            revision = job_store.revision(job_id)
            if revision != seen.get(job_id):
                seen[job_id] = revision
                snapshots[job_id] = job_store.snapshot(job_id)
                on_change(snapshots[job_id])
        if all(_at_rest(snapshots[job_id].job) for job_id in job_ids):
            return [snapshots[job_id] for job_id in job_ids]
        if time.monotonic() - checked > CHECK_SECONDS:
            checked = time.monotonic()
            if reason := keeper.failure():
                raise EngineFailedError(f"The engine cannot run: {reason}.")
            keeper.ensure()
        time.sleep(LOOK_SECONDS)


def _at_rest(job: JobRecord) -> bool:
    return job.ended or (job.state == "paused" and job.wish.want == "pause")


def analysis_of(job_store: JobStore, training: JobRecord) -> str:
    """Give the job that analyses what a training has made, the newest; asked for here when there is none.

    Args:
        job_store: the record.
        training: a job that has ended.
    """
    asked = training.submission
    newest = job_store.newest_job(asked.ensemble_id, "analyze")
    if newest and newest.submission.created >= asked.created and not newest.submission.partial:
        return newest.id
    return job_store.submit_analysis(asked.ensemble_id)


def as_statuses(rows: Sequence[MemberRow]) -> list[MemberStatus]:
    """Give members as the core describes them."""
    return [
        MemberStatus(
            index=row.index,
            state=_STATES.get(row.state, "waiting"),
            step=row.step,
            loss=float("nan") if row.loss is None else row.loss,
            message=row.error if row.state == "failed" else "",
            kl_nats=row.kl_nats,
        )
        for row in rows
    ]
