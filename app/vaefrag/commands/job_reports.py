"""Reports on jobs: as JSON for scripts, as tables for people."""

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from vaefrag import terminal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vaefrag.jobs.job_models import JobRecord, JobSnapshot, LogLine


SHORT_TIME = "%d %b %H:%M"  # the table of jobs has to fit 80 columns


def job_result(job: "JobRecord") -> dict[str, Any]:
    """Return a job as JSON content."""
    submission, progress = job.submission, job.progress
    return {
        "job": job.id,
        "kind": submission.kind,
        "id": submission.ensemble_id,
        "title": submission.title,
        "state": job.state,
        "want": job.desired.state,
        "members": submission.members,
        "counts": dict(job.counts),
        "error": progress.error,
        "who": submission.who,
        "created": submission.created,
        "started": progress.started,
        "ended": progress.ended,
        "stage": progress.stage,
        "share": progress.share,
        "device": progress.device,
        "revision": job.revision,
    }


def snapshot_result(snapshot: "JobSnapshot") -> dict[str, Any]:
    """Return a job with its members as JSON content."""
    return job_result(snapshot.job) | {"rows": [vars(member) for member in snapshot.members]}


def show_jobs(result: Mapping[str, Any]) -> None:
    """Show jobs as a table, and the engine's workers in a line."""
    rows = [
        [
            job["job"],
            job["kind"],
            job["state"],
            _format_counts(job),
            job["id"],
            _format_time(job["created"], SHORT_TIME),
        ]
        for job in result["jobs"]
    ]
    columns = ["job", "kind", "state", "members", "ensemble", "asked for"]
    terminal.show_table(columns, rows, whole=["job", "ensemble"])
    if not result["engine"]["running"]:
        terminal.print_message("No engine runs on this workspace; `vaefrag engine` or `vaefrag serve` starts one.")
        return
    workers = result["workers"]
    busy = sum(bool(worker["job"]) for worker in workers)
    address = result["engine"]["address"] or "an address yet to come"
    terminal.print_message(f"{busy} of {len(workers)} workers are busy; others join at {address}.")


def show_snapshot(snapshot: "JobSnapshot") -> None:
    """Show a job and its members as a table."""
    job = job_result(snapshot.job)
    terminal.print_message(f"{job['title']} ({job['id']}): {job['state']}, {_format_counts(job)}", markup=False)
    terminal.print_message(f"Asked for by {job['who']}, {_format_time(job['created'])}.", markup=False)
    if job["error"]:
        terminal.print_message(job["error"])
    rows = [
        [
            member.index,
            member.state,
            f"{member.step:,}",
            "–" if member.loss is None else f"{member.loss:.2f}",
            "–" if member.steps_per_second is None else f"{member.steps_per_second:.0f}",
            member.attempt,
            member.worker,
            member.error,
        ]
        for member in snapshot.members
    ]
    columns = ["member", "state", "step", "loss", "steps/s", "attempt", "worker", "error"]
    terminal.show_table(columns, rows, right=["member", "step", "loss", "steps/s", "attempt"])


def show_log(lines: "Sequence[LogLine]") -> None:
    """Show the log of a job."""
    for line in lines:
        terminal.print_message(f"{_format_time(line.at)}  {line.text}")


def _format_counts(job: Mapping[str, Any]) -> str:
    return ", ".join(f"{count} {state}" for state, count in sorted(job["counts"].items()) if count)


def _format_time(seconds: float, form: str = "%Y-%m-%d %H:%M:%S") -> str:
    return datetime.fromtimestamp(seconds).astimezone().strftime(form)
