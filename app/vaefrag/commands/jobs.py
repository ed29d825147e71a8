"""`vaefrag jobs`: look at the work of a workspace, and steer it."""

from pathlib import Path
from typing import Annotated, Any

import typer

from vaefrag import terminal
from vaefrag.commands import job_reports
from vaefrag.commands.options import Json, Workspace

jobs = typer.Typer(no_args_is_help=True, help="Look at the jobs of a workspace, and steer them.")

Id = Annotated[str, typer.Argument(metavar="JOB", help="A job, as `vaefrag jobs list` shows it.")]


@jobs.command("list")
def list_jobs(
    limit: Annotated[int, typer.Option(min=1, help="Most jobs shown.")] = 30,
    workspace: Workspace = None,
    as_json: Json = False,
) -> None:
    """List the newest jobs, and the workers."""
    job_store, settings = _book(workspace)
    from vaefrag.jobs.engine_process import engine_state

    found, state = job_store.jobs(limit), engine_state(settings.workspace)
    result = {
        "engine": {"running": state.running, "address": state.address},
        "jobs": [job_reports.job_result(job) for job in found],
        "workers": [vars(row) for row in job_store.workers()] if state.running else [],
    }
    _give(result, as_json, lambda: job_reports.show_jobs(result))


@jobs.command()
def show(job_id: Id, workspace: Workspace = None, as_json: Json = False) -> None:
    """Show one job with its members."""
    job_store, _ = _book(workspace)
    snapshot = job_store.snapshot(job_id)
    _give(job_reports.snapshot_result(snapshot), as_json, lambda: job_reports.show_snapshot(snapshot))


@jobs.command()
def logs(
    job_id: Id,
    lines: Annotated[int, typer.Option(min=1, help="Most lines shown.")] = 50,
    workspace: Workspace = None,
    as_json: Json = False,
) -> None:
    """Show what has happened to a job."""
    job_store, _ = _book(workspace)
    found = job_store.log_lines(job_id, lines)
    result = {"id": job_id, "lines": [vars(line) for line in found]}
    _give(result, as_json, lambda: job_reports.show_log(found))


@jobs.command()
def cancel(job_id: Id, workspace: Workspace = None, as_json: Json = False) -> None:
    """End a job. What its members have learnt so far is kept."""
    _steer(job_id, "cancel", workspace, as_json)


@jobs.command()
def pause(job_id: Id, workspace: Workspace = None, as_json: Json = False) -> None:
    """Let a job stop at its checkpoints, and wait."""
    _steer(job_id, "pause", workspace, as_json)


@jobs.command()
def resume(job_id: Id, workspace: Workspace = None, as_json: Json = False) -> None:
    """Let a paused job go on from its checkpoints."""
    _steer(job_id, "run", workspace, as_json)


@jobs.command()
def retry(job_id: Id, workspace: Workspace = None, as_json: Json = False) -> None:
    """Train the failed and cancelled members of a job again; the others stay as they are."""
    _steer(job_id, "retry", workspace, as_json)


def _book(workspace: Path | None) -> tuple[Any, Any]:
    from vaefrag.jobs.job_store import JobStore
    from vaefrag.settings import load_settings

    settings = load_settings(workspace=workspace)
    return JobStore(settings.workspace), settings


def _steer(job_id: str, wish: str, workspace: Path | None, as_json: bool) -> None:
    """Write a wish down, and see that there is an engine to follow it."""
    from vaefrag.jobs.engine_process import ensure_engine

    job_store, settings = _book(workspace)
    job_store.job(job_id)
    with ensure_engine(settings):
        if wish == "retry":
            job_store.retry(job_id)
        else:
            job_store.set_desired_state(job_id, wish)
    job = job_store.job(job_id)
    words = {"cancel": "is being cancelled", "pause": "is being paused", "run": "goes on", "retry": "is tried again"}
    _give(job_reports.job_result(job), as_json, lambda: terminal.print_message(f"Job {job_id} {words[wish]}."))


def _give(result: dict[str, Any], as_json: bool, show: Any) -> None:
    if as_json:
        terminal.print_json(result)
    else:
        show()
