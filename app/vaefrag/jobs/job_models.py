"""What the record says: jobs, members, wishes, workers. Values only."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal, TypeVar

from vaefrag.jobs.job_kinds import JobKind

State = Literal["queued", "running", "paused", "done", "failed", "cancelled"]
Want = Literal["run", "pause", "cancel"]
ENDED: frozenset[State] = frozenset({"done", "failed", "cancelled"})


@dataclass(frozen=True)
class Submission:
    """A job as it was asked for; never changed.

    Args:
        id: of the job.
        kind: of the job.
        ensemble_id: the ensemble it works on.
        title: what pages call it.
        request: fields of the kind's request, checked.
        members: how many members the job has; 0 for a job without members.
        who: asked for it.
        created: when, seconds since 1970.
        analyze: whether the ensemble is analysed as members are done.
        most_slots: processes it may use at once; None for as many as there are.
        partial: an analysis that the engine asked for while members still train.
    """

    id: str
    kind: JobKind
    ensemble_id: str
    title: str
    request: Mapping[str, Any]
    members: int
    who: str
    created: float
    analyze: bool = True
    most_slots: int | None = None
    partial: bool = False


@dataclass(frozen=True)
class DesiredState:
    """What people want of a job; the engine follows it.

    Args:
        want: "run", "pause" or "cancel".
        retries: how often a retry of what failed has been asked for.
        who: asked last.
    """

    want: Want = "run"
    retries: int = 0
    who: str = ""


@dataclass(frozen=True)
class Progress:
    """How a job stands; written by the engine alone.

    Args:
        state: of the job.
        error: why it failed.
        started: when its first work was handed out, seconds since 1970.
        ended: when it was done, failed or cancelled.
        retries: as many of the wish's retries have been followed.
        analysed: members that the newest analysis covers.
        analysed_at: when it ended.
        stage: of an analysis, at work.
        share: of that stage, done.
        attempt: of a job without members.
        deaths: of its workers, without progress in between.
        counts: members in each state; empty before the engine has taken the job in.
    """

    state: State = "queued"
    error: str = ""
    started: float | None = None
    ended: float | None = None
    retries: int = 0
    analysed: int = 0
    analysed_at: float = 0.0
    stage: str = ""
    share: float = 0.0
    attempt: int = 0
    deaths: int = 0
    counts: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class MemberRow:
    """One member of a job.

    Args:
        index: its number in the ensemble.
        state: "queued", "running", "done", "failed" or "cancelled".
        attempt: how often it was handed to a worker; the newest attempt alone may write its checkpoint.
        worker: the process that has it, or had it last.
        error: why it failed, or what ended its last attempt.
        step: trained, as last heard.
        loss: of the last logged steps, nats per image.
        kl_nats: the same of each channel.
        steps_per_second: as last heard.
        seen: when last heard of, seconds since 1970.
        task: the key of the work it is part of.
        deaths: of its workers, without progress in between.
        died_at: the furthest step at which one died.
    """

    index: int
    state: State = "queued"
    attempt: int = 0
    worker: str = ""
    error: str = ""
    step: int = 0
    loss: float | None = None
    kl_nats: tuple[float, ...] = ()
    steps_per_second: float | None = None
    seen: float | None = None
    task: str = ""
    deaths: int = 0
    died_at: int = -1


@dataclass(frozen=True)
class JobRecord:
    """A job as a page shows it."""

    submission: Submission
    wish: DesiredState
    progress: Progress
    revision: int

    @property
    def counts(self) -> Mapping[str, int]:
        """Members in each state."""
        return self.progress.counts or {"queued": self.submission.members}

    @property
    def id(self) -> str:
        """Of the job."""
        return self.submission.id

    @property
    def state(self) -> State:
        """Of the job."""
        return self.progress.state

    @property
    def ended(self) -> bool:
        """Whether nothing more happens to it unless somebody asks."""
        return self.state in ENDED


@dataclass(frozen=True)
class JobSnapshot:
    """A job with its members."""

    job: JobRecord
    members: Sequence[MemberRow]


@dataclass(frozen=True)
class WorkerRow:
    """A process that takes work.

    Args:
        address: where Dask reaches it.
        name: host and process id.
        offers: its resources, such as cpu 1, workspace 1.
        job: whose work it has; empty when idle.
        members: that it trains.
        cpu_percent: of one core.
        memory_bytes: resident.
    """

    address: str
    name: str
    offers: Mapping[str, float] = field(default_factory=dict)
    job: str = ""
    members: tuple[int, ...] = ()
    cpu_percent: float = 0.0
    memory_bytes: int = 0


@dataclass(frozen=True)
class LogLine:
    """Something that happened to a job, and when (seconds since 1970)."""

    at: float
    text: str


AnyRow = TypeVar("AnyRow", Submission, DesiredState, Progress, MemberRow, WorkerRow)
_FIELDS = [f.name for f in fields(MemberRow)]


def to_json(row: Submission | DesiredState | Progress | WorkerRow) -> dict[str, Any]:
    """Give a value as JSON content."""
    return asdict(row)


def from_json(kind: type[AnyRow], content: Mapping[str, Any]) -> AnyRow:
    """Read a value; what an older version did not write has its default, what a newer one added is left out."""
    known = {f.name for f in fields(kind)}
    values = {name: tuple(v) if isinstance(v, list) else v for name, v in content.items() if name in known}
    return kind(**values)


def pack_members(rows: Sequence[MemberRow]) -> dict[str, Any]:
    """Give rows as JSON content, the fields' names once."""
    return {"fields": [*_FIELDS], "rows": [[getattr(row, name) for name in _FIELDS] for row in rows]}


def unpack_members(content: Mapping[str, Any]) -> list[MemberRow]:
    """Read rows, by the names they were written with."""
    if content["fields"] == _FIELDS:
        kl = _FIELDS.index("kl_nats")
        return [MemberRow(*row[:kl], tuple(row[kl]), *row[kl + 1 :]) for row in content["rows"]]
    return [from_json(MemberRow, dict(zip(content["fields"], row, strict=True))) for row in content["rows"]]
