"""How ensembles stand: by the record of jobs while one is open, else by their files and by what last failed."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from app.jobs.follow import as_statuses
from app.jobs.kinds import JobKind
from app.jobs.record import JobBook
from app.jobs.rows import JobRecord
from vaefrag_core.store import EnsembleRecord, EnsembleStore
from vaefrag_core.training.checkpoints import MemberStatus, member_statuses

Stage = Literal["in training", "paused", "being analysed", "stopped", "failed", "analysis failed", "trained"]
NOT_WHOLE: tuple[Stage, ...] = ("in training", "paused", "stopped")
AT_WORK: tuple[Stage, ...] = ("in training", "paused", "being analysed")


@dataclass(frozen=True)
class Standing:
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


def standing_of(record: EnsembleRecord, store: EnsembleStore, book: JobBook) -> Standing:
    """Say how an ensemble stands.

    A member that fails before its first checkpoint leaves no file: its last training's record alone knows why.
    """
    training = _last_job(book, record.id, "train")
    if training is not None and not training.ended:
        members = as_statuses(book.snapshot(training.id).members)
        return Standing("paused" if training.state == "paused" else "in training", members, training)
    members = [] if record.imported else _members(record, store, book, training)
    count = Counter(status.state for status in members)
    if not record.imported and count["failed"] == len(members):
        return Standing("failed", members, training)
    analysis = _last_job(book, record.id, "analyze")
    if analysis is not None and not analysis.ended:
        return Standing("being analysed", members, analysis)
    if count["running"] or count["waiting"]:
        return Standing("stopped", members, training)
    if analysis is not None and analysis.state == "failed":
        return Standing("analysis failed", members, analysis)
    return Standing("trained", members, training if count["failed"] else None)


def open_job(ensemble_id: str, book: JobBook) -> JobRecord | None:
    """Give the job that is, or is to be, at work on an ensemble: its training before an analysis made along the way."""
    return book.open_job(ensemble_id, "train") or book.open_job(ensemble_id, "analyze")


def failed_of(ensemble_id: str, book: JobBook) -> int:
    """Count the members that the last training of an ensemble could not train."""
    training = book.newest_job(ensemble_id, "train")
    return training.counts.get("failed", 0) if training else 0


def go_on(record: EnsembleRecord, book: JobBook, *, who: str) -> None:
    """Ask for what is not trained of an ensemble to be trained; what had failed is tried again."""
    newest = book.newest_job(record.id, "train")
    if newest is not None and newest.ended and (newest.state == "failed" or newest.counts.get("failed")):
        book.retry(newest.id, who=who)
    else:
        book.submit_training(record.spec, who=who)


def _last_job(book: JobBook, ensemble_id: str, kind: JobKind) -> JobRecord | None:
    """Give the job that is open, though a later one has ended since; else the newest."""
    return book.open_job(ensemble_id, kind) or book.newest_job(ensemble_id, kind)


def _members(
    record: EnsembleRecord, store: EnsembleStore, book: JobBook, training: JobRecord | None
) -> list[MemberStatus]:
    """Believe the checkpoints; of members that are not at their end, what the last training says of them."""
    members = member_statuses(store.members_folder(record.id), record.spec.members)
    if training is None or all(status.state in ("done", "failed") for status in members):
        return members
    rows = book.snapshot(training.id).members
    errors = {row.index: row.error for row in rows if row.state == "failed"}
    whole = training.progress.error if training.state == "failed" else ""
    return [
        replace(status, state="failed", message=errors.get(status.index, whole))
        if status.state in ("waiting", "running") and (status.index in errors or whole)
        else status
        for status in members
    ]
