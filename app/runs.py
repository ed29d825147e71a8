"""Training as a command shows it: the engine does the work, the record says how it goes."""

from typing import TYPE_CHECKING, Any

from app import reports, terminal
from app.jobs.follow import analysis_of, as_statuses, follow
from app.jobs.record import JobBook
from app.jobs.rows import JobRecord, JobSnapshot
from app.jobs.service import EngineKeeper, cores, needed_engine
from vaefrag_core.errors import VaefragError
from vaefrag_core.store import EnsembleStore

if TYPE_CHECKING:
    from app.settings import Settings
    from vaefrag_core.config import EnsembleSpec


class StoppedError(VaefragError):
    """The work was stopped, and can go on."""


def train_detached(
    spec: "EnsembleSpec", settings: "Settings", *, workers: int | None, analyze_after: bool
) -> dict[str, Any]:
    """Ask for an ensemble to be trained, and see that there is an engine."""
    _say_remarks(spec)
    book = JobBook(settings.workspace)
    with needed_engine(settings, slots=_slots(settings, workers)):
        job_id = book.submit_training(spec, analyze=analyze_after, most_slots=workers)
    return reports.job_result(book.job(job_id))


def _say_remarks(spec: "EnsembleSpec") -> None:
    """Say what is odd about images that someone brought along."""
    from vaefrag_core.datasets.catalog import remarks_on

    for remark in remarks_on(spec.dataset):
        terminal.say(remark, markup=False)


def train_and_wait(
    spec: "EnsembleSpec", settings: "Settings", *, workers: int | None, analyze_after: bool
) -> dict[str, Any]:
    """Train an ensemble, show how it goes, and what was found.

    Returns:
        The result of the command.

    Raises:
        StoppedError: when it was stopped on the way, here or elsewhere.
        VaefragError: when the analysis fails, or the engine.
    """
    _say_remarks(spec)
    book = JobBook(settings.workspace)
    with (
        terminal.stop_on_interrupt() as should_stop,
        needed_engine(settings, slots=_slots(settings, workers)) as keeper,
    ):
        job_id = book.submit_training(spec, analyze=analyze_after, most_slots=workers)
        told = False

        with terminal.training_progress(spec.members, spec.train.steps) as on_progress:

            def show(snapshot: JobSnapshot) -> None:
                nonlocal told
                on_progress(as_statuses(snapshot.members))
                if snapshot.job.state == "queued" and snapshot.job.progress.error and not told:
                    told = True
                    terminal.say(snapshot.job.progress.error)

            ended = follow(book, job_id, keeper, on_change=show, should_stop=should_stop)
        statuses = as_statuses(ended.members)
        result = reports.training_result(ended.job.submission.ensemble_id, statuses)
        reports.show_failures(statuses)
        if ended.job.state not in ("done", "failed") or result["state"] == "stopped":
            raise StoppedError(f"Stopped. Repeat the same command to go on with {result['id']}.")
        if analyze_after:
            result |= _wait_for_analysis(book, ended.job, settings, keeper, should_stop)
    return result


def _wait_for_analysis(
    book: JobBook, training: JobRecord, settings: "Settings", keeper: EngineKeeper, should_stop: Any
) -> dict[str, Any]:
    with terminal.analysis_progress() as on_stage:

        def show(snapshot: JobSnapshot) -> None:
            if snapshot.job.progress.stage:
                on_stage(snapshot.job.progress.stage, snapshot.job.progress.share)

        analysis_id = analysis_of(book, training)
        job = follow(book, analysis_id, keeper, on_change=show, should_stop=should_stop).job
    if job.state == "failed":
        raise VaefragError(job.progress.error)
    ensemble_id = training.submission.ensemble_id
    if job.state != "done":
        raise StoppedError(f"Stopped. Repeat the same command to go on with {ensemble_id}.")
    analysis = EnsembleStore(settings.workspace).analysis(ensemble_id)
    reports.show_analysis(analysis)
    return reports.analysis_result(ensemble_id, analysis)


def _slots(settings: "Settings", workers: int | None) -> int:
    return max(workers or 1, settings.slots or cores())
