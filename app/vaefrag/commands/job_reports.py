"""What commands say of jobs: as JSON for scripts, as tables for people."""

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from vaefrag import terminal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vaefrag.jobs.job_models import JobRecord, JobSnapshot, LogLine


SHORT = "%d %b %H:%M"  # for 80 columns


def job_result(job: "JobRecord") -> dict[str, Any]:
    """Give a job as JSON content."""
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
        "revision": job.revision,
    }


def snapshot_result(snapshot: "JobSnapshot") -> dict[str, Any]:
    """Give a job with its members as JSON content."""
    return job_result(snapshot.job) | {"rows": [vars(row) for row in snapshot.members]}


def show_jobs(result: Mapping[str, Any]) -> None:
    """Show jobs as a table, and who works on them."""
    rows = [
        [job["job"], job["kind"], job["state"], _counts(job), job["id"], _when(job["created"], SHORT)]
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
    terminal.print_message(f"{job['title']} ({job['id']}): {job['state']}, {_counts(job)}", markup=False)
    terminal.print_message(f"Asked for by {job['who']}, {_when(job['created'])}.", markup=False)
    if job["error"]:
        terminal.print_message(job["error"])
    rows = [
        [
            row.index,
            row.state,
            f"{row.step:,}",
            "–" if row.loss is None else f"{row.loss:.2f}",
            "–" if row.steps_per_second is None else f"{row.steps_per_second:.0f}",
            row.attempt,
            row.worker,
            row.error,
        ]
        for row in snapshot.members
    ]
    columns = ["member", "state", "step", "loss", "steps/s", "attempt", "worker", "error"]
    terminal.show_table(columns, rows, right=["member", "step", "loss", "steps/s", "attempt"])


def show_log(lines: "Sequence[LogLine]") -> None:
    """Show what has happened to a job."""
    for line in lines:
        terminal.print_message(f"{_when(line.at)}  {line.text}")


def _counts(job: Mapping[str, Any]) -> str:
    return ", ".join(f"{count} {state}" for state, count in sorted(job["counts"].items()) if count)


def _when(seconds: float, form: str = "%Y-%m-%d %H:%M:%S") -> str:
    return datetime.fromtimestamp(seconds).astimezone().strftime(form)
