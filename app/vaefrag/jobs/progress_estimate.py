"""How far a job is and how long it will take, from what its members last said."""

from dataclasses import dataclass

from vaefrag.jobs.job_models import JobSnapshot


@dataclass(frozen=True)
class Estimate:
    """How far a job is.

    Args:
        share: of all its work, done; 0…1.
        steps_per_second: of all members together; None when none is training.
        seconds_left: at that pace; None when nobody can say.
    """

    share: float
    steps_per_second: float | None = None
    seconds_left: float | None = None


def steps_wanted(snapshot: JobSnapshot) -> int:
    """Give the steps of one member of a training; 0 for another job."""
    return int(snapshot.job.submission.request["train"]["steps"]) if snapshot.members else 0


def estimate(snapshot: JobSnapshot) -> Estimate:
    """Say how far a job is. What has failed or was cancelled keeps its steps and is not waited for."""
    if not snapshot.members:
        return Estimate(1.0 if snapshot.job.state == "done" else snapshot.job.progress.share)
    steps = steps_wanted(snapshot)
    share = sum(row.step for row in snapshot.members) / (steps * len(snapshot.members))
    left = sum(steps - row.step for row in snapshot.members if row.state in ("queued", "running"))
    paces = [row.steps_per_second for row in snapshot.members if row.state == "running" and row.steps_per_second]
    pace = sum(paces) if paces else None
    return Estimate(share, pace, left / pace if pace else None)
