"""The durable record of a workspace's jobs: what was asked for, what is wanted now, how it stands.

    <workspace>/jobs/        a diskcache of JSON, all of it in one SQLite file; opened on this machine alone
        format               the version of what follows; older ones are brought up when the engine opens them
        revision, inbox      counters: of all changes, and of what people asked for
        order                ids of all jobs, the oldest first
        job:<id>             a Submission, written once
        wish:<id>            a Wish, written by pages and commands
        progress:<id>, members:<id>:<block>, revision:<id>, log:<id>      written by the engine alone
        workers              the list of worker processes

Pages and commands read, submit and wish; reading takes no lock, and needs neither torch nor Dask.
"""

import getpass
import os
import secrets
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import diskcache

from vaefrag.jobs.job_kinds import KINDS, JobKind
from vaefrag.jobs.job_models import (
    DesiredState,
    JobRecord,
    JobSnapshot,
    LogLine,
    MemberRow,
    Progress,
    Submission,
    Want,
    WorkerRow,
    from_json,
    to_json,
    unpack_members,
)
from vaefrag_core.config import AnalysisConfig, Config, EnsembleSpec, FusionConfig, content_key
from vaefrag_core.ensemble_store import EnsembleStore
from vaefrag_core.errors import BrokenFileError, InvalidInputError, MissingDataError

FORMAT = 1
BLOCK = 64  # members in one entry: what a progress report writes again
LOG_LINES = 200  # kept of each job
WRITE_TIMEOUT_SECONDS = 30

MIGRATIONS: dict[int, Callable[[diskcache.Cache], None]] = {}  # from this format to the next


class JobStore:
    """The jobs of one workspace.

    Args:
        workspace: its folder; nothing is made there before something is asked for.
    """

    def __init__(self, workspace: str | Path) -> None:
        self.workspace = Path(workspace).absolute()
        self.folder = self.workspace / "jobs"
        self._submissions: dict[str, Submission] = {}  # those that were read: they never change

    def revision(self, job_id: str | None = None) -> int:
        """Give the number of changes so far, of one job or of all: while it stays, so does what was read."""
        return int(self._get(f"revision:{job_id}" if job_id else "revision", 0))

    def job_ids(self) -> list[str]:
        """Give the ids of all jobs, the oldest first."""
        return list(self._get("order", []))

    def jobs(self, limit: int = 100) -> list[JobRecord]:
        """Give the newest jobs, the newest first."""
        return [self.job(job_id) for job_id in reversed(self.job_ids()[-limit:])]

    def job(self, job_id: str) -> JobRecord:
        """Give one job.

        Raises:
            MissingDataError: when there is no such job.
        """
        revision = self.revision(job_id)  # read first: what changes meanwhile is noticed at the next look
        return JobRecord(
            submission=self._submission(job_id),
            wish=from_json(DesiredState, self._get(f"wish:{job_id}", {})),
            progress=from_json(Progress, self._get(f"progress:{job_id}", {})),
            revision=revision,
        )

    def snapshot(self, job_id: str) -> JobSnapshot:
        """Give one job with its members.

        Raises:
            MissingDataError: when there is no such job.
        """
        job = self.job(job_id)
        return JobSnapshot(job, self._members(job.submission))

    def log(self, job_id: str, lines: int = LOG_LINES) -> list[LogLine]:
        """Give the last lines of a job's log, the oldest first."""
        self._submission(job_id)
        return [LogLine(*line) for line in self._get(f"log:{job_id}", [])[-lines:]]

    def workers(self) -> list[WorkerRow]:
        """Give the worker processes, as the engine last saw them."""
        return [from_json(WorkerRow, row) for row in self._get("workers", [])]

    def open_job(self, ensemble_id: str, kind: JobKind, request: Mapping[str, Any] | None = None) -> JobRecord | None:
        """Give the job that is at work on an ensemble, waits or is paused, if there is one.

        Args:
            ensemble_id: the ensemble.
            kind: of the job.
            request: that it has, where several of one kind may be at work.
        """
        for job_id in self._of(ensemble_id, kind):
            if request is None or _same(request, self._submission(job_id).request):
                job = self.job(job_id)
                if not job.ended:
                    return job
        return None

    def newest_job(self, ensemble_id: str, kind: JobKind) -> JobRecord | None:
        """Give the job that was asked for last of an ensemble, of one kind, ended or not; None when there is none."""
        return next((self.job(job_id) for job_id in self._of(ensemble_id, kind)), None)

    def submit_training(
        self, spec: EnsembleSpec, *, who: str = "", analyze: bool = True, most_slots: int | None = None
    ) -> str:
        """Ask for an ensemble, from `specs.resolve`, to be trained.

        Asking again while it is being trained, or is paused, gives the same job, and lets it go on.

        Args:
            spec: of the ensemble.
            who: asks; by default the user of this process.
            analyze: whether it is analysed as members are done.
            most_slots: processes that may train it side by side; None for as many as there are.

        Returns:
            The id of the job.
        """
        return self._submit(
            Submission(
                id=_new_id(),
                kind="train",
                ensemble_id=EnsembleStore(self.workspace).id_of(spec),
                title=spec.name,
                request=_checked("train", spec),
                members=spec.members,
                who=who or this_user(),
                created=time.time(),
                analyze=analyze,
                most_slots=most_slots,
            )
        )

    def submit_analysis(
        self, ensemble_id: str, config: AnalysisConfig | None = None, *, who: str = "", partial: bool = False
    ) -> str:
        """Ask for an ensemble of the workspace to be analysed; gives the id of the job, the same while one is open."""
        return self._submit(
            Submission(
                id=_new_id(),
                kind="analyze",
                ensemble_id=ensemble_id,
                title=f"Analysis of {ensemble_id}",
                request=_checked("analyze", config or AnalysisConfig()),
                members=0,
                who=who or this_user(),
                created=time.time(),
                partial=partial,
            )
        )

    def submit_fusion(self, ensemble_id: str, config: FusionConfig, *, who: str = "") -> str:
        """Ask for members or channels of an ensemble to be fused; gives the job's id, the same while one is open."""
        return self._submit(
            Submission(
                id=_new_id(),
                kind="fuse",
                ensemble_id=ensemble_id,
                title=config.title,
                request=_checked("fuse", config),
                members=0,
                who=who or this_user(),
                created=time.time(),
            )
        )

    def wish(self, job_id: str, want: Want, *, who: str = "") -> None:
        """Ask for a job to run, to pause or to be cancelled.

        Raises:
            MissingDataError: when there is no such job.
            InvalidInputError: when it has ended.
        """
        with self._writing() as cache:
            job = self.job(job_id)
            if job.ended:
                raise InvalidInputError(
                    f"Job {job_id} is {job.state}. Only a job that runs, waits or is paused can be asked to {want}."
                )
            cache[f"wish:{job_id}"] = to_json(replace(job.wish, want=want, who=who or this_user()))
            self._bump(cache, job_id, asked=True)

    def retry(self, job_id: str, *, who: str = "") -> None:
        """Ask for the failed and cancelled members of a job to be trained again, or a failed analysis to be repeated.

        Raises:
            MissingDataError: when there is no such job.
            InvalidInputError: when nothing of it has failed or was cancelled.
        """
        with self._writing() as cache:
            job = self.job(job_id)
            if not (job.state in ("failed", "cancelled") or job.counts.get("failed") or job.counts.get("cancelled")):
                raise InvalidInputError(f"Job {job_id} is {job.state}: nothing of it failed or was cancelled.")
            same = None if job.submission.kind == "train" else job.submission.request
            other = self.open_job(job.submission.ensemble_id, job.submission.kind, same)
            if other is not None and other.id != job_id:
                raise InvalidInputError(f"Job {other.id} is at work on the same. Wait for it, or cancel it first.")
            wish = DesiredState("run", job.wish.retries + 1, who or this_user())
            cache[f"wish:{job_id}"] = to_json(wish)
            self._bump(cache, job_id, asked=True)

    def close(self) -> None:
        """Close the file; it is opened again when something is read."""
        cache = self.__dict__.pop("_cache", None)
        if cache is not None:
            cache.close()

    def _submit(self, submission: Submission) -> str:
        with self._writing() as cache:
            same = None if submission.kind == "train" else submission.request  # one ensemble is trained by one job
            open_job = self.open_job(submission.ensemble_id, submission.kind, same)
            if open_job is not None:
                if open_job.wish.want == "pause":
                    self.wish(open_job.id, "run", who=submission.who)
                return open_job.id
            cache[f"job:{submission.id}"] = to_json(submission)
            cache["order"] = [*self.job_ids(), submission.id]
            self._bump(cache, submission.id, asked=True)
        return submission.id

    def _of(self, ensemble_id: str, kind: JobKind) -> Iterator[str]:
        """Give the ids of an ensemble's jobs of one kind, the newest first."""
        for job_id in reversed(self.job_ids()):
            submission = self._submission(job_id)
            if (submission.ensemble_id, submission.kind) == (ensemble_id, kind):
                yield job_id

    def _submission(self, job_id: str) -> Submission:
        if job_id not in self._submissions:
            content = self._get(f"job:{job_id}", None)
            if content is None:
                raise MissingDataError(
                    f"There is no job {job_id!r} in {self.workspace}. `vaefrag jobs list` shows them."
                )
            self._submissions[job_id] = from_json(Submission, content)
        return self._submissions[job_id]

    def _members(self, submission: Submission) -> list[MemberRow]:
        """Read the rows of all members; before the engine has taken the job in, all of them wait."""
        rows = [
            row
            for block in range(blocks(submission.members))
            if (content := self._get(f"members:{submission.id}:{block}", None)) is not None
            for row in unpack_members(content)
        ]
        return rows if len(rows) == submission.members else [MemberRow(m) for m in range(submission.members)]

    def _get(self, key: str, default: Any) -> Any:
        if "_cache" not in self.__dict__ and not (self.folder / diskcache.core.DBNAME).is_file():
            return default
        return self._cache.get(key, default)

    @cached_property
    def _cache(self) -> diskcache.Cache:
        """The opened file; made, for this user alone, when it is not there."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        cache = diskcache.Cache(
            str(self.folder),
            timeout=WRITE_TIMEOUT_SECONDS,
            disk=diskcache.JSONDisk,  # JSON is never unpickled
            disk_min_file_size=2**40,  # everything in the one file, so that its transactions cover everything
            eviction_policy="none",
            cull_limit=0,
            size_limit=2**50,
            sqlite_synchronous=2,  # what was written survives a loss of power
        )
        written = cache.add("format", FORMAT) or cache["format"]
        if written is not True and written > FORMAT:
            raise BrokenFileError(
                f"{self.folder}: expected a record of format {FORMAT} or older, got {written}. Use a newer vaefrag."
            )
        return cache

    @contextmanager
    def _writing(self) -> Iterator[diskcache.Cache]:
        """One transaction: all of it happens, or nothing."""
        with self._cache.transact(retry=True):
            yield self._cache

    @staticmethod
    def _bump(cache: diskcache.Cache, job_id: str, *, asked: bool = False) -> None:
        for counter in ("revision", f"revision:{job_id}", *(["inbox"] if asked else [])):
            cache[counter] = cache.get(counter, 0) + 1


def migrate(cache: diskcache.Cache) -> None:
    """Bring an older record to today's format, one step at a time, each in one transaction."""
    while (found := cache["format"]) < FORMAT:
        with cache.transact(retry=True):
            MIGRATIONS[found](cache)
            cache["format"] = found + 1


def blocks(members: int) -> int:
    """Say how many entries hold the rows of that many members."""
    return -(-members // BLOCK)


def this_user() -> str:
    """Name who runs this process, and where."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError):  # a container may run under a number without a name
        user = f"user {os.getuid()}" if hasattr(os, "getuid") else "unknown"
    return f"{user}@{socket.gethostname()}"


def _same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return content_key(dict(one)) == content_key(dict(other))


def _new_id() -> str:
    return f"{time.strftime('%y%m%d', time.gmtime())}-{secrets.token_hex(3)}"


def _checked(kind: JobKind, request: Config) -> Mapping[str, Any]:
    if not isinstance(request, KINDS[kind].request):
        raise InvalidInputError(
            f"A job of kind {kind} takes {KINDS[kind].request.__name__}, got {type(request).__name__}."
        )
    return request.model_dump(mode="json")
