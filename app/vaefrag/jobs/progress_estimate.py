"""Estimates of how far a job is and how long it will take, from the last reports on its members."""

from dataclasses import dataclass

from vaefrag.jobs.job_models import ACTIVE, JobSnapshot


@dataclass(frozen=True)
class Estimate:
    """How far a job is.

    Args:
        share: the part of its work that is done, 0…1.
        steps_per_second: the training speed of all members together; None when none is training.
        seconds_left: the time left at that speed; None when it is not known.
    """

    share: float
    steps_per_second: float | None = None
    seconds_left: float | None = None


def steps_per_member(snapshot: JobSnapshot) -> int:
    """Return the number of steps that each member of a training is to train; 0 for another job."""
    return int(snapshot.job.submission.request["train"]["steps"]) if snapshot.members else 0


def estimate(snapshot: JobSnapshot) -> Estimate:
    """Estimate how far a job is.

    Members that failed or were cancelled count with the steps that they have, and are not waited for.
    """
    if not snapshot.members:
        return Estimate(1.0 if snapshot.job.state == "done" else snapshot.job.progress.share)
    steps = steps_per_member(snapshot)
    members = snapshot.members
    share = sum(member.step for member in members) / (steps * len(members))
    steps_left = sum(steps - member.step for member in members if member.state in ACTIVE)
    rates = [member.steps_per_second for member in members if member.state == "running" and member.steps_per_second]
    rate = sum(rates) if rates else None
    return Estimate(share, rate, steps_left / rate if rate else None)
