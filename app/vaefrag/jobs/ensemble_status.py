"""The status of ensembles: from the job store while a job is open, else from their files and from what last failed."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from vaefrag.jobs.job_kinds import JobKind
from vaefrag.jobs.job_models import JobRecord
from vaefrag.jobs.job_store import JobStore
from vaefrag.jobs.job_watcher import as_statuses
from vaefrag_core.config import DEFAULT_ESTIMATOR
from vaefrag_core.ensemble_record import TrainedSource
from vaefrag_core.ensemble_store import EnsembleRecord, EnsembleStore
from vaefrag_core.training.checkpoints import MemberStatus, member_statuses

EnsembleState = Literal["in training", "paused", "being analysed", "stopped", "failed", "analysis failed", "trained"]
INCOMPLETE: tuple[EnsembleState, ...] = ("in training", "paused", "stopped")
ACTIVE_STATES: tuple[EnsembleState, ...] = ("in training", "paused", "being analysed")


@dataclass(frozen=True)
class EnsembleStatus:
    """The status of an ensemble.

    Args:
        state: the state of the ensemble; "failed" when no member was trained to its end and none is left to be,
            "trained" when some were and no job is open.
        members: the status of each member; none of an imported ensemble.
        job: the job that is open, or the one that failed, if the state or a member is "failed".
    """

    state: EnsembleState
    members: Sequence[MemberStatus]
    job: JobRecord | None = None

    @property
    def done(self) -> int:
        """The number of members that are trained to the end."""
        return sum(status.state == "done" for status in self.members)

    @property
    def failed(self) -> list[MemberStatus]:
        """The members that failed, with the reasons."""
        return [status for status in self.members if status.state == "failed"]

    @property
    def words(self) -> str:
        """The status in words, with the number of trained members while it is not complete."""
        if self.state in INCOMPLETE:
            return f"{self.state}, {self.done} of {len(self.members)} members trained"
        return self.state


def status_of(record: EnsembleRecord, store: EnsembleStore, job_store: JobStore) -> EnsembleStatus:
    """Return the status of an ensemble."""
    training = _last_job(job_store, record.id, "train")
    if training is not None and not training.ended:
        members = as_statuses(job_store.snapshot(training.id).members)
        return EnsembleStatus("paused" if training.state == "paused" else "in training", members, training)
    trained_here = isinstance(record.source, TrainedSource)
    members = _members(record, store, job_store, training) if trained_here else []
    count = Counter(status.state for status in members)
    if members and count["failed"] == len(members):
        return EnsembleStatus("failed", members, training)
    analysis = _last_job(job_store, record.id, "analyze")
    if analysis is not None and not analysis.ended:
        return EnsembleStatus("being analysed", members, analysis)
    if count["running"] or count["waiting"]:
        return EnsembleStatus("stopped", members, training)
    if analysis is not None and analysis.state == "failed":
        return EnsembleStatus("analysis failed", members, analysis)
    return EnsembleStatus("trained", members, training if count["failed"] else None)


def open_job(ensemble_id: str, job_store: JobStore) -> JobRecord | None:
    """Return the open job of an ensemble, its training before its analysis; None when there is none."""
    return job_store.open_job(ensemble_id, "train") or job_store.open_job(ensemble_id, "analyze")


def count_failed_members(ensemble_id: str, job_store: JobStore) -> int:
    """Return the number of members that the last training of an ensemble could not train."""
    training = job_store.newest_job(ensemble_id, "train")
    return training.counts.get("failed", 0) if training else 0


def continue_training(record: EnsembleRecord, job_store: JobStore, *, who: str) -> None:
    """Submit the training of the members that are not trained to the end; those that had failed are tried again."""
    newest = job_store.newest_job(record.id, "train")
    if newest is not None and newest.ended and (newest.state == "failed" or newest.counts.get("failed")):
        job_store.retry(newest.id, who=who)  # a new job would believe the files of members that failed
    else:
        estimator = newest.submission.estimator if newest else DEFAULT_ESTIMATOR
        job_store.submit_training(record.spec, who=who, estimator=estimator)


def _last_job(job_store: JobStore, ensemble_id: str, kind: JobKind) -> JobRecord | None:
    """Return the job that is open, even if a later one has ended since; else the newest."""
    return job_store.open_job(ensemble_id, kind) or job_store.newest_job(ensemble_id, kind)


def _members(
    record: EnsembleRecord, store: EnsembleStore, job_store: JobStore, training: JobRecord | None
) -> list[MemberStatus]:
    """Return the status of members from their checkpoints, and of unfinished ones from their last training."""
    members = member_statuses(store.members_folder(record.id), record.source.n_members)
    if training is None or all(status.state in ("done", "failed") for status in members):
        return members
    # A member that fails before its first checkpoint leaves no file: its last training alone knows why.
    records = job_store.snapshot(training.id).members
    errors = {member.index: member.error for member in records if member.state == "failed"}
    job_error = training.progress.error if training.state == "failed" else ""
    return [
        replace(status, state="failed", message=errors.get(status.index, job_error))
        if status.state in ("waiting", "running") and (status.index in errors or job_error)
        else status
        for status in members
    ]
