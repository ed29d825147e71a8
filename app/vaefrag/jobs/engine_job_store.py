"""The engine's side of the job store, the one writer of states: open jobs in memory, changes written together."""

import logging
import sqlite3
import time
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import diskcache

from vaefrag.jobs.job_file import migrate
from vaefrag.jobs.job_models import (
    DesiredState,
    LogLine,
    MemberRecord,
    Progress,
    State,
    Submission,
    WorkerRecord,
    from_json,
    pack_members,
    to_json,
)
from vaefrag.jobs.job_store import BLOCK, LOG_LINES, JobStore, count_blocks
from vaefrag.jobs.record_file import copy_record

log = logging.getLogger("vaefrag.engine")

COPY_SECONDS = 10.0  # between two copies of the record, while it changes
COPY_REQUESTS_SECONDS = 1.0  # where people have requested something since
FLUSH_SECONDS = 0.3  # progress is written at most this often; changes of state at once


@dataclass
class OpenJob:
    """A job that has not ended, as the engine holds it in memory.

    Args:
        submission: the job as it was submitted.
        desired: the state that people want it to be in, as last read.
        progress: the state that it is in.
        members: its members.
        log_lines: the last lines of its log.
        was_started: whether an earlier engine has begun it.
        accepted: whether this engine has begun to look after it.
        changed_blocks: the blocks of members that are to be written.
        changed: whether anything is to be written.
    """

    submission: Submission
    desired: DesiredState
    progress: Progress
    members: list[MemberRecord]
    log_lines: list[LogLine]
    was_started: bool
    accepted: bool = False
    changed_blocks: set[int] = field(default_factory=set)
    changed: bool = False

    @property
    def id(self) -> str:
        """The id of the job."""
        return self.submission.id

    def update(self, **changes: Any) -> None:
        """Change fields of the job's progress."""
        self.progress = replace(self.progress, **changes)
        self.changed = True

    def update_member(self, index: int, **changes: Any) -> None:
        """Change fields of a member."""
        self.members[index] = replace(self.members[index], **changes)
        self.changed_blocks.add(index // BLOCK)
        self.changed = True

    def log(self, text: str) -> None:
        """Add a line to the job's log."""
        self.log_lines = [*self.log_lines, LogLine(time.time(), text)][-LOG_LINES:]
        self.changed = True

    def members_in(self, *states: State) -> list[int]:
        """Return the indices of the members in one of these states, in order."""
        return [member.index for member in self.members if member.state in states]


class EngineJobStore(JobStore):
    """The job store of a workspace, for the engine.

    Args:
        workspace: the workspace's folder.
    """

    def __init__(self, workspace: str | Path) -> None:
        super().__init__(workspace)
        self.open: dict[str, OpenJob] = {}
        self._inbox = -1
        self._flushed = 0.0
        self._workers: list[dict[str, Any]] | None = None
        self._copied_at, self._copied_state = 0.0, (-1, -1)  # inbox and revision that the good copy has
        self._open()
        migrate(self._cache)

    def sync(self) -> None:
        """Read what people requested since the last time: new jobs, desired states, retries of jobs that had ended."""
        inbox = int(self._get("inbox", 0))
        self._copy_when_due(inbox)
        if inbox == self._inbox:
            return
        for job_id in self.job_ids():
            if job_id in self.open:
                self.open[job_id].desired = from_json(DesiredState, self._get(f"wish:{job_id}", {}))
                continue
            job = self.job(job_id)
            if not job.ended or job.desired.retries > job.progress.retries:
                was_started = bool(job.progress.counts) or job.progress.started is not None
                self.open[job_id] = OpenJob(
                    submission=job.submission,
                    desired=job.desired,
                    progress=job.progress,
                    members=self._members(job.submission),
                    log_lines=self.log_lines(job_id),
                    was_started=was_started,
                    changed_blocks=set() if was_started else set(range(count_blocks(job.submission.members))),
                )
        # Only now, and as it was before the jobs were read: a read that failed, or a change meanwhile, is made up for.
        self._inbox = inbox

    def _copy_when_due(self, inbox: int) -> None:
        """Keep a good copy of the record: soon after people have requested something, else now and then.

        Raises:
            sqlite3.DatabaseError: when the record is damaged, which writing it alone may not meet for long.
        """
        state = (inbox, self.revision())
        rest = COPY_REQUESTS_SECONDS if inbox != self._copied_state[0] else COPY_SECONDS
        if state == self._copied_state or time.monotonic() - self._copied_at < rest:
            return
        try:
            copy_record(self.folder)
        except (sqlite3.OperationalError, OSError) as error:
            log.warning("The record of jobs cannot be copied (%s).", error)
        self._copied_at, self._copied_state = time.monotonic(), state

    def flush(self, *, progress_too: bool = True) -> None:
        """Write all changes in one transaction, and close jobs that have ended.

        Args:
            progress_too: whether to write even though nothing but progress has changed, and the last write was a
                moment ago.

        Raises:
            sqlite3.OperationalError, diskcache.Timeout: when the store cannot be written. Nothing is lost: the next
                call writes it.
        """
        changed = [job for job in self.open.values() if job.changed]
        if not changed or not (progress_too or time.monotonic() - self._flushed > FLUSH_SECONDS):
            return
        with self._writing() as cache:
            for job in changed:
                job.progress = replace(job.progress, counts=dict(Counter(member.state for member in job.members)))
                for block in job.changed_blocks:
                    members = job.members[block * BLOCK : (block + 1) * BLOCK]
                    cache[f"members:{job.id}:{block}"] = pack_members(members)
                cache[f"progress:{job.id}"] = to_json(job.progress)
                cache[f"log:{job.id}"] = [[line.at, line.text] for line in job.log_lines]
                self._count_change(cache, job.id)
                if job.submission.partial and job.progress.ended is not None:
                    self._delete_earlier_partial(cache, job.submission)
        for job in changed:
            job.changed = False
            job.changed_blocks.clear()
            # A retry that was read since is still to be begun, so that the job stays open for it.
            if job.progress.ended is not None and job.desired.retries == job.progress.retries:
                del self.open[job.id]
        self._flushed = time.monotonic()

    def _delete_earlier_partial(self, cache: diskcache.Cache, newest: Submission) -> None:
        """Delete earlier partial analyses of an ensemble from the store: one a minute would flood it."""
        for job_id in self.job_ids():
            earlier = self._submission(job_id)
            if earlier.partial and earlier.ensemble_id == newest.ensemble_id and job_id != newest.id:
                if job_id in self.open or not self.job(job_id).ended:
                    continue
                for key in ("job", "wish", "progress", "revision", "log"):
                    cache.pop(f"{key}:{job_id}")
                cache["order"] = [other for other in self.job_ids() if other != job_id]

    def write_workers(self, workers: list[WorkerRecord]) -> None:
        """Write the list of workers when it differs from the last one."""
        content = [to_json(worker) for worker in workers]
        if content != self._workers:
            with self._writing() as cache:
                cache["workers"] = content
                self._count_change(cache)
            self._workers = content
