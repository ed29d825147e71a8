"""The durable store of a workspace's jobs: what was submitted, the state it is to be in, and the state it is in.

    <workspace>/jobs/        a diskcache of JSON, all of it in one SQLite file; opened on this machine alone
        format               the version of what follows; the engine migrates an older one when it opens it
        revision, inbox      counters: of all changes, and of what people requested
        order                ids of all jobs, the oldest first
        job:<id>             a Submission, written once
        wish:<id>            a DesiredState, written by pages and commands
        progress:<id>, members:<id>:<block>, revision:<id>, log:<id>      written by the engine alone
        workers              the list of worker processes

Pages and commands read jobs, submit them and set their desired state; reading takes no lock, and needs neither torch
nor Dask.
"""

import getpass
import os
import secrets
import socket
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from vaefrag.jobs.job_file import JobFile
from vaefrag.jobs.job_kinds import KINDS, JobKind
from vaefrag.jobs.job_models import (
    DesiredState,
    DesiredStateName,
    JobRecord,
    JobSnapshot,
    LogLine,
    MemberRecord,
    Progress,
    Submission,
    WorkerRecord,
    from_json,
    to_json,
    unpack_members,
)
from vaefrag_core.config import (
    DEFAULT_ESTIMATOR,
    AnalysisConfig,
    Config,
    EnsembleSpec,
    Estimator,
    FusionConfig,
    content_key,
)
from vaefrag_core.ensemble_store import EnsembleStore
from vaefrag_core.errors import InvalidInputError, MissingDataError

BLOCK = 64  # members in one entry: as many are written again when one of them reports progress
LOG_LINES = 200  # the newest of each job, which are kept


class JobStore(JobFile):
    """The jobs of one workspace.

    Args:
        workspace: the workspace's folder; nothing is created there before a job is submitted.
    """

    def __init__(self, workspace: str | Path) -> None:
        super().__init__(Path(workspace).absolute() / "jobs")
        self.workspace = Path(workspace).absolute()
        self._submissions: dict[str, Submission] = {}  # read so far: one never changes

    def revision(self, job_id: str | None = None) -> int:
        """Return the number of changes so far, of one job or of all: as long as it stays, so does what was read."""
        return int(self._get(f"revision:{job_id}" if job_id else "revision", 0))

    def job_ids(self) -> list[str]:
        """Return the ids of all jobs, the oldest first."""
        return list(self._get("order", []))

    def jobs(self, limit: int = 100) -> list[JobRecord]:
        """Return the newest jobs, the newest first."""
        records = (self._job_if_present(job_id) for job_id in reversed(self.job_ids()[-limit:]))
        return [record for record in records if record is not None]

    def job(self, job_id: str) -> JobRecord:
        """Return one job.

        Raises:
            MissingDataError: when there is no such job.
        """
        revision = self.revision(job_id)  # read first: what changes meanwhile is noticed at the next read
        return JobRecord(
            submission=self._submission(job_id),
            desired=from_json(DesiredState, self._get_of_job("wish", job_id, {})),
            progress=from_json(Progress, self._get_of_job("progress", job_id, {})),
            revision=revision,
        )

    def snapshot(self, job_id: str) -> JobSnapshot:
        """Return one job with its members.

        Raises:
            MissingDataError: when there is no such job.
        """
        job = self.job(job_id)
        return JobSnapshot(job, self._members(job.submission))

    def log_lines(self, job_id: str, limit: int = LOG_LINES) -> list[LogLine]:
        """Return the last lines of a job's log, the oldest first.

        Raises:
            MissingDataError: when there is no such job.
        """
        return [LogLine(*line) for line in self._get_of_job("log", job_id, [])[-limit:]]

    def workers(self) -> list[WorkerRecord]:
        """Return the worker processes, as the engine last saw them."""
        return [from_json(WorkerRecord, content) for content in self._get("workers", [])]

    def open_job(self, ensemble_id: str, kind: JobKind, request: Mapping[str, Any] | None = None) -> JobRecord | None:
        """Return the newest job of an ensemble that has not ended; None when there is none.

        Args:
            ensemble_id: the ensemble.
            kind: the kind of the job.
            request: the request of the job, where several jobs of one kind may be open; None for any.
        """
        return next((job for job in self._jobs_of(ensemble_id, kind, request) if not job.ended), None)

    def newest_job(self, ensemble_id: str, kind: JobKind) -> JobRecord | None:
        """Return the newest job of an ensemble, ended or not; None when there is none."""
        return next(self._jobs_of(ensemble_id, kind), None)

    def submit_training(
        self,
        spec: EnsembleSpec,
        *,
        who: str = "",
        analyze: bool = True,
        estimator: Estimator = DEFAULT_ESTIMATOR,
        most_slots: int | None = None,
    ) -> str:
        """Submit the training of an ensemble.

        While a job for it is open, that job goes on, even if it was paused or is being cancelled.

        Args:
            spec: the ensemble to train, from `spec_validation.resolve`.
            who: the person or program that submits it; by default the user of this process.
            analyze: whether it is analysed as members are done.
            estimator: of information, in these analyses.
            most_slots: the number of processes that may train it side by side; None for as many as there are.

        Returns:
            The id of the job.
        """
        return self._submit(
            Submission(
                id=_new_id(),
                kind="train",
                ensemble_id=EnsembleStore(self.workspace).id_of(spec),
                title=spec.name,
                request=_request_fields("train", spec),
                members=spec.members,
                who=who or this_user(),
                created=time.time(),
                analyze=analyze,
                estimator=estimator,
                most_slots=most_slots,
            )
        )

    def submit_analysis(
        self, ensemble_id: str, config: AnalysisConfig | None = None, *, who: str = "", partial: bool = False
    ) -> str:
        """Submit the analysis of an ensemble of the workspace.

        Args:
            ensemble_id: the ensemble to analyse.
            config: the settings of the analysis; None for the defaults.
            who: the person or program that submits it; by default the user of this process.
            partial: whether members of it are still training.

        Returns:
            The id of the job; that of the open one when the same is being done already.
        """
        return self._submit(
            Submission(
                id=_new_id(),
                kind="analyze",
                ensemble_id=ensemble_id,
                title=f"Analysis of {ensemble_id}",
                request=_request_fields("analyze", config or AnalysisConfig()),
                members=0,
                who=who or this_user(),
                created=time.time(),
                partial=partial,
            )
        )

    def submit_fusion(self, ensemble_id: str, config: FusionConfig, *, who: str = "") -> str:
        """Submit the fusion of members or channels of an ensemble.

        Args:
            ensemble_id: the ensemble.
            config: the members or channels to fuse, and the settings of the fusion.
            who: the person or program that submits it; by default the user of this process.

        Returns:
            The id of the job; that of the open one when the same is being done already.
        """
        return self._submit(
            Submission(
                id=_new_id(),
                kind="fuse",
                ensemble_id=ensemble_id,
                title=config.title,
                request=_request_fields("fuse", config),
                members=0,
                who=who or this_user(),
                created=time.time(),
            )
        )

    def set_desired_state(self, job_id: str, state: DesiredStateName, *, who: str = "") -> None:
        """Request that a job runs, pauses or is cancelled.

        Raises:
            MissingDataError: when there is no such job.
            InvalidInputError: when it has ended.
        """
        with self._writing() as cache:
            job = self.job(job_id)
            if job.ended:
                raise InvalidInputError(
                    f"Job {job_id} is {job.state}. Only a job that runs, waits or is paused can be asked to {state}."
                )
            who = who or this_user()
            desired = _resumed(job.desired, who) if state == "run" else replace(job.desired, state=state, who=who)
            cache[f"wish:{job_id}"] = to_json(desired)
            self._count_change(cache, job_id, requested=True)

    def retry(self, job_id: str, *, who: str = "") -> None:
        """Request that the failed and cancelled members of a job are trained again, or a failed analysis is repeated.

        Raises:
            MissingDataError: when there is no such job.
            InvalidInputError: when nothing of it has failed or was cancelled.
        """
        with self._writing() as cache:
            job = self.job(job_id)
            if not (job.state in ("failed", "cancelled") or job.counts.get("failed") or job.counts.get("cancelled")):
                raise InvalidInputError(f"Job {job_id} is {job.state}: nothing of it failed or was cancelled.")
            request = None if job.submission.kind == "train" else job.submission.request
            other = self.open_job(job.submission.ensemble_id, job.submission.kind, request)
            if other is not None and other.id != job_id:
                raise InvalidInputError(f"Job {other.id} is at work on the same. Wait for it, or cancel it first.")
            desired = DesiredState("run", job.desired.retries + 1, who or this_user())
            cache[f"wish:{job_id}"] = to_json(desired)
            self._count_change(cache, job_id, requested=True)

    def _submit(self, submission: Submission) -> str:
        with self._writing() as cache:
            request = None if submission.kind == "train" else submission.request  # one ensemble is trained by one job
            open_job = self.open_job(submission.ensemble_id, submission.kind, request)
            if open_job is not None:
                if open_job.desired.state != "run":
                    self.set_desired_state(open_job.id, "run", who=submission.who)
                return open_job.id
            cache[f"job:{submission.id}"] = to_json(submission)
            cache["order"] = [*self.job_ids(), submission.id]
            self._count_change(cache, submission.id, requested=True)
        return submission.id

    def _jobs_of(
        self, ensemble_id: str, kind: JobKind, request: Mapping[str, Any] | None = None
    ) -> Iterator[JobRecord]:
        """Yield an ensemble's jobs of one kind, the newest first."""
        for job_id in reversed(self.job_ids()):
            try:
                submission = self._submission(job_id)
            except MissingDataError:
                continue  # deleted since the ids were read
            if (submission.ensemble_id, submission.kind) != (ensemble_id, kind):
                continue
            if request is None or _is_same_request(request, submission.request):
                job = self._job_if_present(job_id)
                if job is not None:
                    yield job

    def _job_if_present(self, job_id: str) -> JobRecord | None:
        """Return a job; None when it was deleted since its id was read, as the engine does with partial analyses."""
        try:
            return self.job(job_id)
        except MissingDataError:
            return None

    def _submission(self, job_id: str) -> Submission:
        if job_id not in self._submissions:
            content = self._get(f"job:{job_id}", None)
            if content is None:
                raise MissingDataError(
                    f"There is no job {job_id!r} in {self.workspace}. `vaefrag jobs list` shows them."
                )
            self._submissions[job_id] = from_json(Submission, content)
        return self._submissions[job_id]

    def _members(self, submission: Submission) -> list[MemberRecord]:
        """Read all members; before the engine has accepted the job, all of them are queued."""
        members = [
            member
            for block in range(count_blocks(submission.members))
            if (content := self._get(f"members:{submission.id}:{block}", None)) is not None
            for member in unpack_members(content)
        ]
        if len(members) == submission.members:
            return members
        return [MemberRecord(m) for m in range(submission.members)]

    def _get_of_job(self, key: str, job_id: str, default: Any) -> Any:
        """Return an entry of a job, the default when it has none yet.

        Raises:
            MissingDataError: when there is no such job.
        """
        content = self._get(f"{key}:{job_id}", None)
        if content is not None:
            return content
        # Either not written yet, or the job was deleted after its submission was read, which this process still has.
        self._submissions.pop(job_id, None)
        self._submission(job_id)
        return default


def count_blocks(members: int) -> int:
    """Return the number of entries that hold that many members."""
    return -(-members // BLOCK)


def this_user() -> str:
    """Return the name of the user and of the machine that run this process."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError):  # a container may run under a number without a name
        user = f"user {os.getuid()}" if hasattr(os, "getuid") else "unknown"
    return f"{user}@{socket.gethostname()}"


def _resumed(desired: DesiredState, who: str) -> DesiredState:
    """Return the desired state of a job that is to run, though it may be being cancelled just now."""
    # Members that the cancelling has reached are cancelled for good; it takes a retry to bring them back.
    return DesiredState("run", desired.retries + (desired.state == "cancel"), who)


def _is_same_request(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return content_key(dict(one)) == content_key(dict(other))


def _new_id() -> str:
    return f"{time.strftime('%y%m%d', time.gmtime())}-{secrets.token_hex(3)}"


def _request_fields(kind: JobKind, request: Config) -> Mapping[str, Any]:
    if not isinstance(request, KINDS[kind].request):
        raise InvalidInputError(
            f"A job of kind {kind} takes {KINDS[kind].request.__name__}, got {type(request).__name__}."
        )
    return request.model_dump(mode="json")
