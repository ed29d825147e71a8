"""How ensembles stand: by the record of jobs while one is open, else by their files and by what last failed."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from app.jobs.follow import as_statuses
from app.jobs.kinds import JobKind
from app.jobs.rows import JobRecord
from app.pages.live import asker
from app.pages.site import Site
from vaefrag_core.errors import VaefragError
from vaefrag_core.store import EnsembleRecord
from vaefrag_core.training.checkpoints import MemberStatus

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


def standing_of(site: Site, record: EnsembleRecord) -> Standing:
    """Say how an ensemble stands.

    A member that fails before its first checkpoint leaves no file: its last training's record alone knows why.
    """
    training = _last_job(site, record.id, "train")
    if training is not None and not training.ended:
        members = as_statuses(site.book.snapshot(training.id).members)
        return Standing("paused" if training.state == "paused" else "in training", members, training)
    members = [] if record.imported else _with_failures(site, site.queries.members(record), training)
    count = Counter(status.state for status in members)
    if not record.imported and count["failed"] == len(members):
        return Standing("failed", members, training)
    analysis = _last_job(site, record.id, "analyze")
    if analysis is not None and not analysis.ended:
        return Standing("being analysed", members, analysis)
    if count["running"] or count["waiting"]:
        return Standing("stopped", members, training)
    if analysis is not None and analysis.state == "failed":
        return Standing("analysis failed", members, analysis)
    return Standing("trained", members, training if count["failed"] else None)


def go_on(site: Site, record: EnsembleRecord) -> None:
    """Ask for what is not trained of an ensemble to be trained; what had failed is tried again."""
    newest = site.book.newest_job(record.id, "train")
    if newest is not None and newest.ended and (newest.state == "failed" or newest.counts.get("failed")):
        site.book.retry(newest.id, who=asker())
    else:
        site.book.submit_training(record.spec, who=asker())


def _last_job(site: Site, ensemble_id: str, kind: JobKind) -> JobRecord | None:
    """Give the job that is open, though a later one has ended since; else the newest."""
    return site.book.open_job(ensemble_id, kind) or site.book.newest_job(ensemble_id, kind)


def _with_failures(site: Site, members: list[MemberStatus], training: JobRecord | None) -> list[MemberStatus]:
    """Believe the last training of members that it could not train, where no checkpoint says otherwise."""
    if training is None or all(status.state in ("done", "failed") for status in members):
        return members
    rows = site.book.snapshot(training.id).members
    errors = {row.index: row.error for row in rows if row.state == "failed"}
    whole = training.progress.error if training.state == "failed" else ""
    return [
        replace(status, state="failed", message=errors.get(status.index, whole))
        if status.state in ("waiting", "running") and (status.index in errors or whole)
        else status
        for status in members
    ]


@dataclass(frozen=True)
class SweepStanding:
    """How one ensemble of a sweep stands.

    Args:
        value: of the coefficient.
        ensemble_id: the ensemble.
        word: in short.
        done: members trained.
        failed: members that failed.
        members: all of them.
        at_work: whether a job is open.
        current: whether its newest analysis is in the atlas.
        snapshots: steps at which its members are kept.
    """

    value: float
    ensemble_id: str
    word: str
    done: int = 0
    failed: int = 0
    members: int = 0
    at_work: bool = False
    current: bool = False
    snapshots: int = 0


def sweep_standing(site: Site, value: float, ensemble_id: str, drawn_from: str | None) -> SweepStanding:
    """Say how an ensemble of a sweep stands.

    Args:
        site: queries and the record.
        value: of the coefficient.
        ensemble_id: the ensemble.
        drawn_from: the key of the analysis from which the atlas was drawn; None when it is not in it.
    """
    try:
        record = site.queries.store.record(ensemble_id)
    except VaefragError:
        return SweepStanding(value, ensemble_id, "cannot be read")
    try:
        key = site.queries.store.analysis_index(ensemble_id).key
    except VaefragError:
        key = ""
    current = bool(key) and drawn_from == key
    standing = standing_of(site, record)
    at_work, failed = standing.stage in AT_WORK, len(standing.failed)
    members, snapshots = record.spec.members, record.spec.train.snapshots
    if current and not at_work:
        word, done = "analysed" + (f", {failed} of {members} members failed" if failed else ""), members - failed
    elif standing.stage == "trained":
        word, done = "analysed, not in the atlas yet" if key else "not analysed yet", standing.done
    else:
        word, done = standing.words, standing.done
    return SweepStanding(value, ensemble_id, word, done, failed, members, at_work, current, snapshots)
