"""Watching jobs from a command. Only the job store is read, so any number of commands may watch."""

import time
from collections.abc import Callable, Sequence

from vaefrag.jobs.engine_process import EngineSupervisor
from vaefrag.jobs.job_models import JobRecord, JobSnapshot, MemberRecord
from vaefrag.jobs.job_store import JobStore
from vaefrag_core.config import default_analysis
from vaefrag_core.errors import VaefragError
from vaefrag_core.training.checkpoints import MemberState, MemberStatus

POLL_SECONDS = 0.1
CHECK_SECONDS = 3.0  # between two checks whether the engine is alive

_STATES: dict[str, MemberState] = {"running": "running", "done": "done", "failed": "failed"}


class EngineFailedError(VaefragError):
    """The engine has failed."""


def follow(
    job_store: JobStore,
    job_id: str,
    supervisor: EngineSupervisor,
    *,
    on_change: Callable[[JobSnapshot], None] = lambda snapshot: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> JobSnapshot:
    """Watch a job until it has ended or is paused.

    Args:
        job_store: the job store.
        job_id: the job.
        supervisor: the supervisor of the engine, which starts it again when it is gone.
        on_change: the function to call with the job whenever it has changed.
        should_stop: called often; when it returns True, the job is paused.

    Returns:
        The job as it ended.

    Raises:
        EngineFailedError: when the engine cannot run.
    """
    return follow_all(job_store, [job_id], supervisor, on_change=on_change, should_stop=should_stop)[0]


def follow_all(
    job_store: JobStore,
    job_ids: Sequence[str],
    supervisor: EngineSupervisor,
    *,
    on_change: Callable[[JobSnapshot], None] = lambda snapshot: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> list[JobSnapshot]:
    """Watch several jobs, as `follow` watches one, until all have ended or are paused."""
    revisions: dict[str, int] = {}
    snapshots: dict[str, JobSnapshot] = {}
    checked_at, pausing = time.monotonic(), False
    while True:
        if should_stop() and not pausing:
            pausing = True
            for job_id in job_ids:
                if not job_store.job(job_id).ended:
                    job_store.set_desired_state(job_id, "pause")
        for job_id in job_ids:
            revision = job_store.revision(job_id)
            if revision != revisions.get(job_id):
                revisions[job_id] = revision
                snapshots[job_id] = job_store.snapshot(job_id)
                on_change(snapshots[job_id])
        if all(_is_at_rest(snapshots[job_id].job) for job_id in job_ids):
            return [snapshots[job_id] for job_id in job_ids]
        if time.monotonic() - checked_at > CHECK_SECONDS:
            checked_at = time.monotonic()
            if reason := supervisor.failure():
                raise EngineFailedError(f"The engine cannot run: {reason}.")
            supervisor.ensure()
        time.sleep(POLL_SECONDS)


def _is_at_rest(job: JobRecord) -> bool:
    return job.ended or (job.state == "paused" and job.desired.state == "pause")


def analysis_of(job_store: JobStore, training: JobRecord) -> str:
    """Return the id of the newest job that analyses what a training has trained; submit one when there is none.

    Args:
        job_store: the job store.
        training: the training, which has ended.
    """
    submission = training.submission
    newest = job_store.newest_job(submission.ensemble_id, "analyze")
    if newest and newest.submission.created >= submission.created and not newest.submission.partial:
        return newest.id
    return job_store.submit_analysis(submission.ensemble_id, default_analysis(submission.estimator))


def as_statuses(members: Sequence[MemberRecord]) -> list[MemberStatus]:
    """Return members as the core describes them."""
    return [
        MemberStatus(
            index=member.index,
            state=_STATES.get(member.state, "waiting"),
            step=member.step,
            loss=float("nan") if member.loss is None else member.loss,
            message=member.error if member.state == "failed" else "",
            kl_nats=member.kl_nats,
        )
        for member in members
    ]
