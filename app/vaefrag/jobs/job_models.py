"""The values of the job store: jobs, their members, desired states, log lines, workers; and their JSON form."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal, TypeVar

from vaefrag.jobs.job_kinds import JobKind
from vaefrag_core.config import DEFAULT_ESTIMATOR, Estimator

State = Literal["queued", "running", "paused", "done", "failed", "cancelled"]
DesiredStateName = Literal["run", "pause", "cancel"]
ACTIVE: frozenset[State] = frozenset({"queued", "running"})
ENDED: frozenset[State] = frozenset({"done", "failed", "cancelled"})


@dataclass(frozen=True)
class Submission:
    """A job as it was submitted; never changed.

    Args:
        id: the id of the job.
        kind: the kind of the job.
        ensemble_id: the ensemble it works on.
        title: the name that pages show.
        request: the fields of the kind's config, validated.
        members: the number of members; 0 for a job without members.
        who: the person or program that submitted it.
        created: the time of submission, seconds since 1970.
        analyze: whether the ensemble is analysed as members are done.
        estimator: of information, in these analyses.
        most_slots: the number of processes it may use at once; None for as many as there are.
        partial: whether it is an analysis that the engine submitted while members were still training.
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
    estimator: Estimator = DEFAULT_ESTIMATOR
    most_slots: int | None = None
    partial: bool = False


@dataclass(frozen=True)
class DesiredState:
    """The state that people want a job to be in; the engine brings it about.

    Args:
        state: "run", "pause" or "cancel".
        retries: how often a retry of what failed has been requested.
        who: the person or program that made the last change.
    """

    state: DesiredStateName = "run"
    retries: int = 0
    who: str = ""


@dataclass(frozen=True)
class Progress:
    """The state that a job is in; written by the engine alone.

    Args:
        state: the state of the job.
        error: the reason why it failed, or what it waits for.
        started: when its first task was dispatched, seconds since 1970.
        ended: when it was done, failed or cancelled, seconds since 1970.
        retries: how many of the requested retries have been begun.
        analysed: the number of members that the newest analysis covers.
        analysed_at: when that analysis was submitted, seconds since 1970.
        stage: the stage that an analysis or a fusion is in.
        share: the part of that stage that is done, 0…1.
        attempt: the number of the newest attempt, of a job without members.
        deaths: how many workers died at a job without members.
        device: torch's name of the device that its newest task runs on; empty before the first.
        counts: the number of members in each state; empty before the engine has accepted the job.
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
    device: str = ""
    counts: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class MemberRecord:
    """One member of a job.

    Args:
        index: its number in the ensemble.
        state: "queued", "running", "done", "failed" or "cancelled".
        attempt: how often it was dispatched; the newest attempt alone may write its checkpoint.
        worker: the process that has it, or had it last.
        error: the reason why it failed, or what ended its last attempt.
        step: the number of steps trained, as last reported.
        loss: the loss of the last logged steps, nats per image.
        kl_nats: the KL divergence of each channel over the same steps, nats per image.
        steps_per_second: the training speed, as last reported.
        seen: when it was last reported, seconds since 1970.
        task: the key of the task that it is part of.
        deaths: how many workers died at it without progress in between.
        died_at: the furthest step at which one died.
        device: torch's name of the device that its newest attempt runs on; empty before the first.
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
    device: str = ""


@dataclass(frozen=True)
class JobRecord:
    """A job as it is read from the store.

    Args:
        submission: the job as it was submitted.
        desired: the state that people want it to be in.
        progress: the state that it is in.
        revision: the number of changes of this job so far.
    """

    submission: Submission
    desired: DesiredState
    progress: Progress
    revision: int

    @property
    def counts(self) -> Mapping[str, int]:
        """The number of members in each state."""
        return self.progress.counts or {"queued": self.submission.members}

    @property
    def id(self) -> str:
        """The id of the job."""
        return self.submission.id

    @property
    def state(self) -> State:
        """The state that the job is in."""
        return self.progress.state

    @property
    def ended(self) -> bool:
        """Whether nothing more happens to it unless somebody retries it."""
        return self.state in ENDED


@dataclass(frozen=True)
class JobSnapshot:
    """A job with its members."""

    job: JobRecord
    members: Sequence[MemberRecord]


@dataclass(frozen=True)
class WorkerRecord:
    """A process that does the engine's work.

    Args:
        address: the address at which Dask reaches it.
        name: its host and process id.
        offers: its Dask resources, such as cpu 1, workspace 1.
        job: the id of the job that it works on; empty when idle.
        members: the members that it trains.
        cpu_percent: its load, percent of one core.
        memory_bytes: its resident memory.
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


StoredModel = TypeVar("StoredModel", Submission, DesiredState, Progress, MemberRecord, WorkerRecord)

# The stored name of a field keeps what the first version wrote, so that every version reads every other's stores.
_STORED_NAMES: Mapping[type, Mapping[str, str]] = {DesiredState: {"state": "want"}}
_MEMBER_FIELDS = [f.name for f in fields(MemberRecord)]


def to_json(model: Submission | DesiredState | Progress | WorkerRecord) -> dict[str, Any]:
    """Return a model as JSON content."""
    renamed = _STORED_NAMES.get(type(model), {})
    return {renamed.get(name, name): value for name, value in asdict(model).items()}


def from_json(kind: type[StoredModel], content: Mapping[str, Any]) -> StoredModel:
    """Read a model from JSON content.

    Args:
        kind: the class of the model.
        content: the stored fields. A field that an older version did not write has its default; one that a newer
            version added is ignored.
    """
    renamed = _STORED_NAMES.get(kind, {})
    stored = {renamed.get(f.name, f.name): f.name for f in fields(kind)}
    values: dict[str, Any] = {
        stored[name]: tuple(value) if isinstance(value, list) else value
        for name, value in content.items()
        if name in stored
    }
    return kind(**values)


def pack_members(members: Sequence[MemberRecord]) -> dict[str, Any]:
    """Return members as JSON content that names the fields once."""
    rows = [[getattr(member, name) for name in _MEMBER_FIELDS] for member in members]
    return {"fields": [*_MEMBER_FIELDS], "rows": rows}


def unpack_members(content: Mapping[str, Any]) -> list[MemberRecord]:
    """Read members by the field names that they were written with."""
    if content["fields"] != _MEMBER_FIELDS:
        return [from_json(MemberRecord, dict(zip(content["fields"], row, strict=True))) for row in content["rows"]]
    # By position, the usual case, takes half the time; pages read hundreds of members at every poll.
    kl = _MEMBER_FIELDS.index("kl_nats")
    rows: list[list[Any]] = [[*row[:kl], tuple(row[kl]), *row[kl + 1 :]] for row in content["rows"]]
    return [MemberRecord(*row) for row in rows]
