"""How ensembles stand: by the record of jobs while one is open, else by their files and by what last failed."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from vaefrag.jobs.job_kinds import JobKind
from vaefrag.jobs.job_models import JobRecord
from vaefrag.jobs.job_store import JobStore
from vaefrag.jobs.job_watcher import as_statuses
from vaefrag_core.ensemble_record import TrainedSource
from vaefrag_core.ensemble_store import EnsembleRecord, EnsembleStore
from vaefrag_core.training.checkpoints import MemberStatus, member_statuses

Stage = Literal["in training", "paused", "being analysed", "stopped", "failed", "analysis failed", "trained"]
NOT_WHOLE: tuple[Stage, ...] = ("in training", "paused", "stopped")
AT_WORK: tuple[Stage, ...] = ("in training", "paused", "being analysed")


@dataclass(frozen=True)
class EnsembleStatus:
    """How an ensemble stands.

    Args:
        stage: in a word; "failed" when no member was trained to its end and none is left to be, "trained" when some
            were and nobody is at work.
        members: how far each is; none of an ensemble that came without networks.
        job: that is open; or that failed, where the stage says so or a member did.
    """

    stage: Stage
    members: Sequence[MemberStatus]
    job: JobRecord | None = None

    @property
    def done(self) -> int:
        """Members trained."""
        return sum(status.state == "done" for status in self.members)

    @property
    def failed(self) -> list[MemberStatus]:
        """Members that failed, with the reasons."""
        return [status for status in self.members if status.state == "failed"]

    @property
    def words(self) -> str:
        """Say it in words; those of an ensemble that is trained are left to what it is looked at for."""
        if self.stage in NOT_WHOLE:
            return f"{self.stage}, {self.done} of {len(self.members)} members trained"
        return self.stage


def status_of(record: EnsembleRecord, store: EnsembleStore, job_store: JobStore) -> EnsembleStatus:
    """Say how an ensemble stands.

    A member that fails before its first checkpoint leaves no file: its last training's record alone knows why.
    """
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
    """Give the job that is, or is to be, at work on an ensemble: its training before an analysis made along the way."""
    return job_store.open_job(ensemble_id, "train") or job_store.open_job(ensemble_id, "analyze")


def failed_of(ensemble_id: str, job_store: JobStore) -> int:
    """Count the members that the last training of an ensemble could not train."""
    training = job_store.newest_job(ensemble_id, "train")
    return training.counts.get("failed", 0) if training else 0


def go_on(record: EnsembleRecord, job_store: JobStore, *, who: str) -> None:
    """Ask for what is not trained of an ensemble to be trained; what had failed is tried again."""
    newest = job_store.newest_job(record.id, "train")
    if newest is not None and newest.ended and (newest.state == "failed" or newest.counts.get("failed")):
        job_store.retry(newest.id, who=who)
    else:
        job_store.submit_training(record.spec, who=who)


def _last_job(job_store: JobStore, ensemble_id: str, kind: JobKind) -> JobRecord | None:
    """Give the job that is open, though a later one has ended since; else the newest."""
    return job_store.open_job(ensemble_id, kind) or job_store.newest_job(ensemble_id, kind)


def _members(
    record: EnsembleRecord, store: EnsembleStore, job_store: JobStore, training: JobRecord | None
) -> list[MemberStatus]:
    """Believe the checkpoints; of members that are not at their end, what the last training says of them."""
    members = member_statuses(store.members_folder(record.id), record.source.n_members)
    if training is None or all(status.state in ("done", "failed") for status in members):
        return members
    rows = job_store.snapshot(training.id).members
    errors = {row.index: row.error for row in rows if row.state == "failed"}
    whole = training.progress.error if training.state == "failed" else ""
    return [
        replace(status, state="failed", message=errors.get(status.index, whole))
        if status.state in ("waiting", "running") and (status.index in errors or whole)
        else status
        for status in members
    ]
