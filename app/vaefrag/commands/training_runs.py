"""Training as commands run it: the engine does the work, and the job store tells how far it is."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from vaefrag import terminal
from vaefrag.commands import job_reports, reports, sweep_reports
from vaefrag.commands.collapse_watch import CollapseWatch
from vaefrag.jobs.engine_process import EngineSupervisor, count_cores, ensure_engine
from vaefrag.jobs.job_models import JobRecord, JobSnapshot
from vaefrag.jobs.job_store import JobStore
from vaefrag.jobs.job_watcher import analysis_of, as_statuses, follow, follow_all
from vaefrag_core.config import Estimator
from vaefrag_core.ensemble_store import EnsembleStore
from vaefrag_core.errors import VaefragError
from vaefrag_core.sweeps import SweepStore

if TYPE_CHECKING:
    from vaefrag.settings import Settings
    from vaefrag_core.config import EnsembleSpec
    from vaefrag_core.sweeps import Sweep


class StoppedError(VaefragError):
    """The work was stopped, and can be continued."""


def train_detached(
    spec: "EnsembleSpec", settings: "Settings", *, workers: int | None, estimator: Estimator | None
) -> dict[str, Any]:
    """Submit the training of an ensemble, and ensure that there is an engine.

    Returns:
        The job, as JSON content.
    """
    show_remarks(spec)
    EnsembleStore(settings.workspace).create(spec)
    job_store = JobStore(settings.workspace)
    with ensure_engine(settings, slots=_slots(settings, workers)):
        job_id = job_store.submit_training(spec, **after_training(estimator), most_slots=workers)
    return job_reports.job_result(job_store.job(job_id))


def after_training(estimator: Estimator | None) -> dict[str, Any]:
    """Say to the engine whether, and by which estimator, an ensemble is analysed when its members are done."""
    return {"analyze": False} if estimator is None else {"estimator": estimator}


def show_remarks(spec: "EnsembleSpec") -> None:
    """Show what is unusual about images that users bring along, and copies in the fingerprint sample."""
    from vaefrag_core.datasets.catalog import dataset_remarks, load_dataset
    from vaefrag_core.datasets.fingerprint import draw_fingerprint

    copies = draw_fingerprint(load_dataset(spec.dataset), spec.fingerprint).message
    for remark in (*dataset_remarks(spec.dataset), *([copies] if copies else [])):
        terminal.print_message(remark, markup=False)


def train_and_wait(
    spec: "EnsembleSpec", settings: "Settings", *, workers: int | None, estimator: Estimator | None
) -> dict[str, Any]:
    """Train and analyse an ensemble, show its progress, and its hotspots.

    Returns:
        The result of the command, as JSON content.

    Raises:
        StoppedError: when it was stopped on the way, here or elsewhere.
        VaefragError: when the analysis fails, or the engine.
    """
    show_remarks(spec)
    EnsembleStore(settings.workspace).create(spec)
    job_store = JobStore(settings.workspace)
    with (
        terminal.stop_on_interrupt() as should_stop,
        ensure_engine(settings, slots=_slots(settings, workers)) as supervisor,
    ):
        job_id = job_store.submit_training(spec, **after_training(estimator), most_slots=workers)
        waiting_shown, watch = False, CollapseWatch(spec.train)

        with terminal.training_progress(spec.members, spec.train.steps) as on_progress:

            def show(snapshot: JobSnapshot) -> None:
                nonlocal waiting_shown
                statuses = as_statuses(snapshot.members)
                on_progress(statuses)
                watch(statuses)
                if snapshot.job.state == "queued" and snapshot.job.progress.error and not waiting_shown:
                    waiting_shown = True
                    terminal.print_message(snapshot.job.progress.error)

            ended = follow(job_store, job_id, supervisor, on_change=show, should_stop=should_stop)
        statuses = as_statuses(ended.members)
        result = reports.training_result(ended.job.submission.ensemble_id, statuses)
        reports.show_failures(statuses)
        if ended.job.state not in ("done", "failed") or result["state"] == "stopped":
            raise StoppedError(f"Stopped. Repeat the same command to go on with {result['id']}.")
        if not result["members_done"]:
            raise VaefragError(f"No member of {result['id']} was trained to its end. {_retry_hint(job_id)}")
        if estimator is not None:
            result |= _wait_for_analysis(job_store, ended.job, settings, supervisor, should_stop)
    terminal.print_message(f"It is [bold]{result['id']}[/]; `vaefrag serve` shows it.")
    return result


def train_sweep_detached(
    sweep: "Sweep",
    specs: "list[EnsembleSpec]",
    settings: "Settings",
    *,
    workers: int | None,
    estimator: Estimator | None,
) -> dict[str, Any]:
    """Submit the trainings of a sweep's ensembles, and ensure that there is an engine.

    Returns:
        The sweep with its jobs, as JSON content.
    """
    show_remarks(specs[0])
    job_store = JobStore(settings.workspace)
    sweep = SweepStore(EnsembleStore(settings.workspace)).create(sweep, specs)
    with ensure_engine(settings, slots=_slots(settings, workers)):
        jobs = [job_store.submit_training(spec, **after_training(estimator), most_slots=workers) for spec in specs]
    results = [job_reports.job_result(job_store.job(job_id)) for job_id in jobs]
    return sweep_reports.sweep_result(sweep, results)


def train_sweep_and_wait(
    sweep: "Sweep",
    specs: "list[EnsembleSpec]",
    settings: "Settings",
    *,
    workers: int | None,
    estimator: Estimator | None,
) -> dict[str, Any]:
    """Train and analyse the ensembles of a sweep, show their progress, and the atlas.

    Returns:
        The result of the command, as JSON content.

    Raises:
        StoppedError: when it was stopped on the way, here or elsewhere.
        VaefragError: when the engine fails, or there is no atlas in the end.
    """
    show_remarks(specs[0])
    job_store, sweeps = JobStore(settings.workspace), SweepStore(EnsembleStore(settings.workspace))
    sweep = sweeps.create(sweep, specs)
    with (
        terminal.stop_on_interrupt() as should_stop,
        ensure_engine(settings, slots=_slots(settings, workers)) as supervisor,
    ):
        jobs = [job_store.submit_training(spec, **after_training(estimator), most_slots=workers) for spec in specs]
        labels = {job: f"{sweep.symbol} = {value:g}" for job, value in zip(jobs, sweep.values, strict=True)}
        watches = {job: CollapseWatch(spec.train, labels[job]) for job, spec in zip(jobs, specs, strict=True)}
        with terminal.sweep_progress(labels, specs[0].members, specs[0].train.steps) as on_progress:

            def show(snapshot: JobSnapshot) -> None:
                statuses = as_statuses(snapshot.members)
                on_progress(snapshot.job.id, statuses)
                watches[snapshot.job.id](statuses)

            ended = follow_all(job_store, jobs, supervisor, on_change=show, should_stop=should_stop)
        results = []
        for snapshot in ended:
            statuses = as_statuses(snapshot.members)
            results.append(reports.training_result(snapshot.job.submission.ensemble_id, statuses))
            reports.show_failures(statuses)
        if any(result["state"] == "stopped" for result in results):
            raise StoppedError(f"Stopped. Repeat the same command to go on with {sweep.name}.")
        trained = [job for job, result in zip(ended, results, strict=True) if result["members_done"]]
        if not trained:
            raise VaefragError(
                f"No member of any ensemble of {sweep.name} was trained to its end. {_retry_hint('JOB')}"
                " `vaefrag jobs list` names the jobs."
            )
        result = sweep_reports.sweep_result(sweep, results)
        if estimator is not None:
            analyses = [analysis_of(job_store, snapshot.job) for snapshot in trained]
            with terminal.count_progress("Analysing", len(analyses)) as on_count:
                done: set[str] = set()

                def count(snapshot: JobSnapshot) -> None:
                    done.update([snapshot.job.id] if snapshot.job.ended else [])
                    on_count(len(done))

                analysed = follow_all(job_store, analyses, supervisor, on_change=count, should_stop=should_stop)
            for snapshot in analysed:
                if snapshot.job.state == "failed":
                    terminal.print_message(snapshot.job.progress.error)
            if any(not snapshot.job.ended for snapshot in analysed):
                raise StoppedError(f"Stopped. Repeat the same command to go on with {sweep.name}.")
            atlas = sweeps.atlas(sweep.id)
            sweep_reports.show_atlas(sweep, atlas)
            result["atlas"] = sweep_reports.atlas_result(sweep, atlas)
    terminal.print_message(
        f"It is the sweep [bold]{sweep.id}[/]; `vaefrag serve` shows it, `vaefrag list` names its ensembles."
    )
    return result


def _retry_hint(job: str) -> str:
    return f"Mend what is named above, then `vaefrag jobs retry {job}`; or train with other settings."


def _wait_for_analysis(
    job_store: JobStore,
    training: JobRecord,
    settings: "Settings",
    supervisor: EngineSupervisor,
    should_stop: Callable[[], bool],
) -> dict[str, Any]:
    with terminal.analysis_progress() as on_stage:

        def show(snapshot: JobSnapshot) -> None:
            if snapshot.job.progress.stage:
                on_stage(snapshot.job.progress.stage, snapshot.job.progress.share)

        analysis_id = analysis_of(job_store, training)
        job = follow(job_store, analysis_id, supervisor, on_change=show, should_stop=should_stop).job
    if job.state == "failed":
        raise VaefragError(job.progress.error)
    ensemble_id = training.submission.ensemble_id
    if job.state != "done":
        raise StoppedError(f"Stopped. Repeat the same command to go on with {ensemble_id}.")
    analysis = EnsembleStore(settings.workspace).analysis(ensemble_id)
    reports.show_analysis(analysis)
    return reports.analysis_result(ensemble_id, analysis)


def _slots(settings: "Settings", workers: int | None) -> int:
    return max(workers or 1, settings.slots or count_cores())
