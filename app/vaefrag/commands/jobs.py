"""`vaefrag jobs`: list the jobs of a workspace, and pause, resume, cancel or retry them."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from vaefrag import terminal
from vaefrag.commands import job_reports
from vaefrag.commands.options import Json, Workspace

if TYPE_CHECKING:
    from vaefrag.jobs.job_store import JobStore
    from vaefrag.settings import Settings

jobs = typer.Typer(no_args_is_help=True, help="Look at the jobs of a workspace, and steer them.")

Id = Annotated[str, typer.Argument(metavar="JOB", help="A job, as `vaefrag jobs list` shows it.")]


@jobs.command("list")
def list_jobs(
    limit: Annotated[int, typer.Option(min=1, help="Most jobs shown.")] = 30,
    workspace: Workspace = None,
    as_json: Json = False,
) -> None:
    """List the newest jobs, and the workers."""
    job_store, settings = _open_job_store(workspace)
    from vaefrag.jobs.engine_process import engine_state

    state = engine_state(settings.workspace)
    result = {
        "engine": {"running": state.running, "address": state.address},
        "jobs": [job_reports.job_result(job) for job in job_store.jobs(limit)],
        "workers": [vars(worker) for worker in job_store.workers()] if state.running else [],
    }
    _report(result, as_json, lambda: job_reports.show_jobs(result))


@jobs.command()
def show(job_id: Id, workspace: Workspace = None, as_json: Json = False) -> None:
    """Show one job with its members."""
    job_store, _ = _open_job_store(workspace)
    snapshot = job_store.snapshot(job_id)
    _report(job_reports.snapshot_result(snapshot), as_json, lambda: job_reports.show_snapshot(snapshot))


@jobs.command()
def logs(
    job_id: Id,
    lines: Annotated[int, typer.Option(min=1, help="Most lines shown.")] = 50,
    workspace: Workspace = None,
    as_json: Json = False,
) -> None:
    """Show what has happened to a job."""
    job_store, _ = _open_job_store(workspace)
    log_lines = job_store.log_lines(job_id, lines)
    result = {"id": job_id, "lines": [vars(line) for line in log_lines]}
    _report(result, as_json, lambda: job_reports.show_log(log_lines))


@jobs.command()
def cancel(job_id: Id, workspace: Workspace = None, as_json: Json = False) -> None:
    """End a job. What its members have learnt so far is kept."""
    _request(job_id, "cancel", workspace, as_json)


@jobs.command()
def pause(job_id: Id, workspace: Workspace = None, as_json: Json = False) -> None:
    """Let a job stop at its checkpoints, and wait."""
    _request(job_id, "pause", workspace, as_json)


@jobs.command()
def resume(job_id: Id, workspace: Workspace = None, as_json: Json = False) -> None:
    """Let a paused job go on from its checkpoints."""
    _request(job_id, "run", workspace, as_json)


@jobs.command()
def retry(job_id: Id, workspace: Workspace = None, as_json: Json = False) -> None:
    """Train the failed and cancelled members of a job again; the others stay as they are."""
    _request(job_id, "retry", workspace, as_json)


@jobs.command()
def restore(workspace: Workspace = None, as_json: Json = False) -> None:
    """Bring back the good copy of a record of jobs that is damaged, gone or emptied; ensembles are not touched."""
    from vaefrag.jobs.engine_process import restore as restore_record
    from vaefrag.settings import load_settings

    folder = load_settings(workspace=workspace).workspace
    done = restore_record(folder)
    words = done or "The record of jobs is sound: nothing was done."
    _report({"restored": bool(done), "message": words}, as_json, lambda: terminal.print_message(words, markup=False))


def _open_job_store(workspace: Path | None) -> "tuple[JobStore, Settings]":
    from vaefrag.jobs.job_store import JobStore
    from vaefrag.settings import load_settings

    settings = load_settings(workspace=workspace)
    return JobStore(settings.workspace), settings


def _request(
    job_id: str, request: Literal["run", "pause", "cancel", "retry"], workspace: Path | None, as_json: bool
) -> None:
    """Write a request to the job store, and ensure that there is an engine to carry it out."""
    from vaefrag.jobs.engine_process import ensure_engine

    job_store, settings = _open_job_store(workspace)
    job_store.job(job_id)  # before an engine starts for nothing
    with ensure_engine(settings):
        if request == "retry":
            job_store.retry(job_id)
        else:
            job_store.set_desired_state(job_id, request)
    job = job_store.job(job_id)
    words = {"cancel": "is being cancelled", "pause": "is being paused", "run": "goes on", "retry": "is tried again"}
    _report(job_reports.job_result(job), as_json, lambda: terminal.print_message(f"Job {job_id} {words[request]}."))


def _report(result: dict[str, Any], as_json: bool, show: Callable[[], None]) -> None:
    if as_json:
        terminal.print_json(result)
    else:
        show()
