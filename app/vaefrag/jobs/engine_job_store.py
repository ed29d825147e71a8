"""The engine's hand on the record: the one writer of states. Open jobs stand in memory; changes go out together."""

import time
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import diskcache

from vaefrag.jobs.job_models import (
    DesiredState,
    LogLine,
    MemberRow,
    Progress,
    Submission,
    WorkerRow,
    from_json,
    pack_members,
    to_json,
)
from vaefrag.jobs.job_store import BLOCK, LOG_LINES, JobStore, blocks, migrate

FLUSH_SECONDS = 0.3  # progress is written at most this often; changes of state at once


@dataclass
class OpenJob:
    """A job that has not ended, as the engine sees it."""

    submission: Submission
    wish: DesiredState
    progress: Progress
    rows: list[MemberRow]
    known_before: bool
    log: list[LogLine]
    met: bool = False
    changed_blocks: set[int] = field(default_factory=set)
    changed: bool = False

    @property
    def id(self) -> str:
        """Of the job."""
        return self.submission.id

    def update(self, **changes: Any) -> None:
        """Change how the job stands."""
        self.progress = replace(self.progress, **changes)
        self.changed = True

    def update_row(self, index: int, **changes: Any) -> None:
        """Change how a member stands."""
        self.rows[index] = replace(self.rows[index], **changes)
        self.changed_blocks.add(index // BLOCK)
        self.changed = True

    def say(self, text: str) -> None:
        """Add a line to the job's log."""
        self.log = [*self.log, LogLine(time.time(), text)][-LOG_LINES:]
        self.changed = True

    def members_in(self, *states: str) -> list[int]:
        """Give the members in one of these states, in order."""
        return [row.index for row in self.rows if row.state in states]


class EngineJobStore(JobStore):
    """The record, for its one writer.

    Args:
        workspace: its folder.
    """

    def __init__(self, workspace: str | Path) -> None:
        super().__init__(workspace)
        self.open: dict[str, OpenJob] = {}
        self._inbox = -1
        self._flushed = 0.0
        self._workers: list[dict[str, Any]] | None = None
        migrate(self._cache)

    def take_in(self) -> None:
        """Look for what people asked for since the last look: new jobs, wishes, retries of jobs that had ended."""
        inbox = int(self._get("inbox", 0))
        if inbox == self._inbox:
            return
        self._inbox = inbox
        for job_id in self.job_ids():
            if job_id in self.open:
                self.open[job_id].wish = from_json(DesiredState, self._get(f"wish:{job_id}", {}))
                continue
            job = self.job(job_id)
            if not job.ended or job.wish.retries > job.progress.retries:
                known = bool(job.progress.counts) or job.progress.started is not None
                self.open[job_id] = OpenJob(
                    submission=job.submission,
                    wish=job.wish,
                    progress=job.progress,
                    rows=self._members(job.submission),
                    known_before=known,
                    log=self.log(job_id),
                    changed_blocks=set() if known else set(range(blocks(job.submission.members))),
                )

    def flush(self, *, progress_too: bool = True) -> None:
        """Write what has changed, all in one transaction; ended jobs are closed.

        Args:
            progress_too: whether to write though nothing but progress has changed since the last time, and that
                was a moment ago.

        Raises:
            sqlite3.OperationalError, diskcache.Timeout: when it cannot be written. Nothing is lost: it stays to be
                written the next time.
        """
        changed = [job for job in self.open.values() if job.changed]
        if not changed or not (progress_too or time.monotonic() - self._flushed > FLUSH_SECONDS):
            return
        with self._writing() as cache:
            for job in changed:
                job.progress = replace(job.progress, counts=dict(Counter(row.state for row in job.rows)))
                for block in job.changed_blocks:
                    rows = job.rows[block * BLOCK : (block + 1) * BLOCK]
                    cache[f"members:{job.id}:{block}"] = pack_members(rows)
                cache[f"progress:{job.id}"] = to_json(job.progress)
                cache[f"log:{job.id}"] = [[line.at, line.text] for line in job.log]
                self._bump(cache, job.id)
                if job.submission.partial and job.progress.ended is not None:
                    self._forget_earlier(cache, job.submission)
        for job in changed:
            job.changed = False
            job.changed_blocks.clear()
            if job.progress.ended is not None and job.wish.retries == job.progress.retries:
                del self.open[job.id]
        self._flushed = time.monotonic()

    def _forget_earlier(self, cache: diskcache.Cache, newest: Submission) -> None:
        """Take earlier analyses of an ensemble, made along the way, out of the record: one a minute would flood it."""
        for job_id in self.job_ids():
            earlier = self._submission(job_id)
            if earlier.partial and earlier.ensemble_id == newest.ensemble_id and job_id != newest.id:
                if job_id in self.open or not self.job(job_id).ended:
                    continue
                for key in ("job", "wish", "progress", "revision", "log"):
                    cache.pop(f"{key}:{job_id}")
                cache["order"] = [other for other in self.job_ids() if other != job_id]

    def show_workers(self, workers: list[WorkerRow]) -> None:
        """Write the list of workers, when it is not what was written last."""
        content = [to_json(row) for row in workers]
        if content != self._workers:
            with self._writing() as cache:
                cache["workers"] = content
                cache["revision"] = cache.get("revision", 0) + 1
            self._workers = content
