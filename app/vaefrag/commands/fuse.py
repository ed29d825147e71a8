"""`vaefrag fuse`: one space from many."""

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vaefrag import terminal
from vaefrag.commands.options import Json, Workspace, by_option, is_set
from vaefrag.plurals import counted
from vaefrag_core.errors import InvalidInputError, VaefragError

if TYPE_CHECKING:
    from vaefrag.jobs.job_models import JobSnapshot
    from vaefrag_core.artifacts import FusedSpace


class FusionObjectiveChoice(StrEnum):
    """What is maximized; docs/fusion.md says what becomes of the last two."""

    vi = "vi"
    nmi = "nmi"
    mutual_information = "mutual-information"


def fuse(
    source: Annotated[str, typer.Argument(metavar="ID", help="An ensemble, or a saved set, of the workspace.")],
    dimension: Annotated[int, typer.Option(help="Channels of the fused space.")] = 2,
    objective: Annotated[FusionObjectiveChoice, typer.Option(help="What is maximized.")] = FusionObjectiveChoice.vi,
    members: Annotated[
        str, typer.Option(help="Members to fuse, separated by commas.", show_default="all of them")
    ] = "",
    channels: Annotated[
        str,
        typer.Option(
            help="Channels to fuse instead, as MEMBER.CHANNEL, or ENSEMBLE:MEMBER.CHANNEL of another ensemble on the"
            " same sample, separated by commas.",
            show_default="none",
        ),
    ] = "",
    steps: Annotated[int, typer.Option(help="Steps at most; it stops when nothing rises any more.")] = 1500,
    restarts: Annotated[int, typer.Option(help="Starts, of which the best is kept.")] = 3,
    seed: Annotated[int, typer.Option(help="Of the random starts.")] = 0,
    name: Annotated[str, typer.Option(help="What the fused space is called.")] = "",
    workspace: Workspace = None,
    as_json: Json = False,
) -> None:
    """Fit one space to many: members of an ensemble, channels, or a saved set. Judged by what was not optimized.

    Ctrl-C keeps the best so far; the same command goes on with it.
    """
    from vaefrag.commands.training_runs import StoppedError
    from vaefrag.jobs.engine_process import ensure_engine
    from vaefrag.jobs.job_store import JobStore
    from vaefrag.jobs.job_watcher import follow
    from vaefrag.settings import load_settings
    from vaefrag_core.config import FusionConfig
    from vaefrag_core.config_errors import parse
    from vaefrag_core.ensemble_store import EnsembleStore
    from vaefrag_core.fusion_store import FusionStore

    values = {"name": name, "dimension": dimension, "objective": objective.value, "steps": steps, "restarts": restarts}
    settings = load_settings(workspace=workspace)
    store = EnsembleStore(settings.workspace)
    ensemble_id, asked = _asked(source, store, _members(members), channels)
    with by_option({name: name for name in FusionConfig.model_fields}):
        config = parse(FusionConfig, values | {"seed": seed} | asked)
    fusions = FusionStore(store)
    fusions.learners(ensemble_id, config)  # refuses what cannot be fused before a job is made of it
    fusion_id = fusions.id_of(ensemble_id, config)
    job_store = JobStore(settings.workspace)
    with terminal.stop_on_interrupt() as should_stop, ensure_engine(settings) as supervisor:
        job_id = job_store.submit_fusion(ensemble_id, config)
        with terminal.analysis_progress() as on_stage:

            def show(snapshot: "JobSnapshot") -> None:
                if snapshot.job.progress.stage:
                    on_stage(snapshot.job.progress.stage, snapshot.job.progress.share)

            job = follow(job_store, job_id, supervisor, on_change=show, should_stop=should_stop).job
    if job.state == "failed":
        raise VaefragError(job.progress.error)
    if job.state != "done":
        raise StoppedError(f"Stopped; the best so far is kept. Repeat the same command to go on with {fusion_id}.")
    fused, report = fusions.fused(ensemble_id, fusion_id), fusions.report(ensemble_id, fusion_id)
    _show(fusion_id, fused, report)
    if as_json:
        terminal.print_json(fusion_result(ensemble_id, fusion_id, fused, report) | {"job": job_id})


def fusion_result(ensemble_id: str, fusion_id: str, fused: "FusedSpace", report: dict[str, Any]) -> dict[str, Any]:
    """Give a fused space, without its posteriors, as JSON content."""
    learners = zip(
        fused.learner_names,
        fused.learner_bits.tolist(),
        fused.learner_vi_bits.tolist(),
        fused.learner_nmi.tolist(),
        strict=True,
    )
    return {
        "id": ensemble_id,
        "fusion": fusion_id,
        "config": fused.config.model_dump(mode="json"),
        "success": fused.success,
        "failure": fused.failure,
        "warnings": list(fused.warnings),
        "objective": fused.objective,
        "information_bits": fused.information_bits,
        "ceiling_bits": fused.ceiling_bits,
        "steps": fused.steps,
        "end": fused.end,
        "learners": [
            {"name": learner, "information_bits": bits, "vi_bits": vi, "nmi": nmi}
            for learner, bits, vi, nmi in learners
        ],
        **report,
    }


def _asked(source: str, store: Any, members: list[int] | None, channels: str) -> tuple[str, dict[str, Any]]:
    """Give the ensemble that a fusion is asked of, and the members or channels that it names."""
    from vaefrag_core.channel_sets import SetStore
    from vaefrag_core.fusion_store import channels_of

    sets = SetStore(store.workspace)
    if not is_set(source, store, sets):
        return source, {"members": members, "channels": _channels(channels, source)}
    if members or channels:
        raise InvalidInputError(f"{source} is a set and names its channels itself. Leave out --members and --channels.")
    found = sets.load(source).channels
    return found[0].ensemble, {"channels": channels_of(found, found[0].ensemble)}


def _members(text: str) -> list[int] | None:
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not all(part.isdecimal() for part in parts):
        raise InvalidInputError(f"Expected --members as numbers separated by commas, such as 0,1,2, got {text!r}.")
    return [int(part) for part in parts] or None


def _channels(text: str, ensemble_id: str) -> list[tuple[int, int] | tuple[str, int, int]] | None:
    from vaefrag_core.channel_sets import parse_channel
    from vaefrag_core.fusion_store import channels_of

    found = [parse_channel(part, ensemble_id) for part in text.split(",") if part.strip()]
    return channels_of(found, ensemble_id) or None


def _show(fusion_id: str, fused: "FusedSpace", report: dict[str, Any]) -> None:
    how = {"flat": "", "steps": ", all that were allowed", "stopped": ", then stopped"}[fused.end]
    channels = counted(fused.mean.shape[1], "channel")
    terminal.print_message(
        f"[bold]{fusion_id}[/]: {len(fused.learner_names)} learners of {fused.learner_bits.mean():.2f} bits on average"
        f" became {channels} of {fused.information_bits:.2f} bits in {fused.steps:,} steps{how};"
        f" objective {fused.objective:.4f}."
    )
    if fused.failure:
        terminal.print_message(f"[bold red]No success:[/] {fused.failure}")
    for line in (*fused.warnings, *report.get("notes", ()), report.get("encoder_note", "")):
        if line:
            terminal.print_message(line)
    if "continuity" in report:
        found = report["continuity"]
        best = min(found["learners"])
        terminal.print_message(
            f"Continuity of the ring (1 is perfect): {found['fused']:.1f}; of the best learner {best:.1f}."
        )
    rows = [
        [
            probe["label"],
            row["space"],
            f"{row['accuracy']:.3f}",
            _interval(row["interval"]),
            "" if r == 0 else _interval(row["gain_interval"]),  # the first is the fused space itself
        ]
        for probe in report.get("probes", ())
        for r, row in enumerate(probe["spaces"])
    ]
    if rows:
        terminal.show_table(["label", "read from", "right", "95 % of repeats", "fused gains"], rows, right=["right"])
    if encoder := report.get("encoder"):
        terminal.print_message(
            f"The encoder for new images explains {encoder['explained']:.0%} of the fused means on"
            f" {encoder['held_out']:,} held-out images; its error there is {encoder['error_bits']:.2f} bits."
        )


def _interval(ends: list[float]) -> str:
    return f"{ends[0]:.3f} … {ends[1]:.3f}"
