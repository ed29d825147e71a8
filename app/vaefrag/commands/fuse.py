"""`vaefrag fuse`: one latent space from many."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vaefrag import terminal
from vaefrag.commands.options import Json, Workspace, by_option, is_set
from vaefrag.plurals import counted
from vaefrag_core.config import DEFAULT_PRICE
from vaefrag_core.errors import InvalidInputError, VaefragError

if TYPE_CHECKING:
    from vaefrag.jobs.job_models import JobSnapshot
    from vaefrag_core.artifacts import FusedSpace
    from vaefrag_core.ensemble_store import EnsembleStore


class FusionObjectiveChoice(StrEnum):
    """Objectives of a fusion; docs/fusion.md says how each fails."""

    vi = "vi"
    nmi = "nmi"
    mutual_information = "mutual-information"
    information_bottleneck = "information-bottleneck"


def fuse(
    source: Annotated[str, typer.Argument(metavar="ID", help="An ensemble, or a saved set, of the workspace.")],
    dimension: Annotated[int, typer.Option(help="Channels of the fused space.")] = 2,
    objective: Annotated[FusionObjectiveChoice, typer.Option(help="What is maximized.")] = FusionObjectiveChoice.vi,
    price: Annotated[
        float | None,
        typer.Option(
            help="Of information-bottleneck, for every bit: what more learners than this tell is kept.",
            show_default=f"{DEFAULT_PRICE:g}",
        ),
    ] = None,
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

    values = {"name": name, "dimension": dimension, "objective": objective.value, "price": price}
    settings = load_settings(workspace=workspace)
    store = EnsembleStore(settings.workspace)
    ensemble_id, learners = _learners(source, store, _parse_members(members), channels)
    with by_option({name: name for name in FusionConfig.model_fields}):
        config = parse(FusionConfig, values | {"steps": steps, "restarts": restarts, "seed": seed} | learners)
    fusions = FusionStore(store)
    fusions.learners(ensemble_id, config)  # refuses what cannot be fused, before a job is made of it
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
    """Return a fused space, without its posteriors, as JSON content.

    Args:
        ensemble_id: the ensemble it belongs to.
        fusion_id: its id.
        fused: the space.
        report: its evaluation, as `FusionStore.report` returns it.
    """
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


def _learners(
    source: str, store: "EnsembleStore", members: list[int] | None, channels: str
) -> tuple[str, dict[str, Any]]:
    """Return the ensemble that a fusion belongs to, and the fields of its config that name members or channels."""
    from vaefrag_core.channel_sets import SetStore
    from vaefrag_core.fusion_store import channels_of

    sets = SetStore(store.workspace)
    if not is_set(source, store, sets):
        return source, {"members": members, "channels": _parse_channels(channels, source)}
    if members or channels:
        raise InvalidInputError(f"{source} is a set and names its channels itself. Leave out --members and --channels.")
    names = sets.load(source).channels
    return names[0].ensemble, {"channels": channels_of(names, names[0].ensemble)}


def _parse_members(text: str) -> list[int] | None:
    """Read --members; None when it is not given."""
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if (text and not parts) or not all(part.isdecimal() for part in parts):
        raise InvalidInputError(f"Expected --members as numbers separated by commas, such as 0,1,2, got {text!r}.")
    return [int(part) for part in parts] or None


def _parse_channels(text: str, ensemble_id: str) -> list[tuple[int, int] | tuple[str, int, int]] | None:
    """Read --channels; None when it is not given."""
    from vaefrag_core.channel_sets import parse_channel
    from vaefrag_core.fusion_store import channels_of

    names = [parse_channel(part, ensemble_id) for part in text.split(",") if part.strip()]
    if text and not names:
        raise InvalidInputError(
            f"Expected --channels as MEMBER.CHANNEL separated by commas, such as 0.3,1.2, got {text!r}."
        )
    return channels_of(names, ensemble_id) or None


def _show(fusion_id: str, fused: "FusedSpace", report: dict[str, Any]) -> None:
    """Print a fused space and its evaluation for a person."""
    ending = {"flat": "", "steps": ", all that were allowed", "stopped": ", then stopped"}[fused.end]
    channels = counted(fused.mean.shape[1], "channel")
    terminal.print_message(
        f"[bold]{fusion_id}[/]: {len(fused.learner_names)} learners of {fused.learner_bits.mean():.2f} bits on average"
        f" became {channels} of {fused.information_bits:.2f} bits in {fused.steps:,} steps{ending};"
        f" objective {fused.objective:.4f}."
    )
    if fused.failure:
        terminal.print_message(f"[bold red]No success:[/] {fused.failure}")
    for line in (*fused.warnings, *report.get("notes", ()), report.get("encoder_note", "")):
        if line:
            terminal.print_message(line)
    if "continuity" in report:
        ring = report["continuity"]
        best = min(ring["learners"])
        terminal.print_message(
            f"Continuity of the ring (1 is perfect): {ring['fused']:.1f}; of the best learner {best:.1f}."
        )
    _show_probes(report.get("probes", ()), report.get("label_bits", ()))
    if encoder := report.get("encoder"):
        terminal.print_message(
            f"The encoder for new images explains {encoder['explained']:.0%} of the fused means on"
            f" {encoder['held_out']:,} held-out images; its error there is {encoder['error_bits']:.2f} bits."
        )


def _show_probes(probes: Sequence[Mapping[str, Any]], label_bits: Sequence[Mapping[str, Any]]) -> None:
    """Print how well labels are read, in each way, and what the fused space gains; then the bits about labels."""
    for title, value, first in (("read from", "accuracy", 0), ("fused gains over", "gain", 1)):
        cells: dict[tuple[str, str], dict[str, str]] = {}
        for probe in probes:
            for row in probe["spaces"][first:]:
                ends = row["interval" if value == "accuracy" else f"{value}_interval"]
                cell = cells.setdefault((probe["label"], row["space"]), {})
                cell[probe["kind"]] = f"{row[value]:.3f} ({_interval(ends)})"
        kinds = list(dict.fromkeys(probe["kind"] for probe in probes))
        if cells:
            rows = [[*names, *(cell.get(kind, "") for kind in kinds)] for names, cell in cells.items()]
            terminal.show_table(["label", title, *kinds], rows, right=kinds)
    if probes:
        chance = {probe["label"]: f"{probe['chance']:.3f} ({probe['label']})" for probe in probes}
        terminal.print_message(
            "Share of labels read right on held-out images, with 95 % intervals. overlap: by the ten images of largest"
            " overlap; draws: by Bayes' rule from a draw of each posterior; means: by the ten nearest means. Always"
            f" naming the commonest value is right in {', '.join(chance.values())}."
        )
    if label_bits:
        heads = ["label", "bits about it", "beyond chance", "95 %", "by chance", "of"]
        bits_rows = [
            [
                *(row["label"], row["space"], f"{row['bits']:.2f}", _interval(row["interval"], 2)),
                *(f"{row['chance_bits']:.2f}", f"{row['entropy_bits']:.2f}"),
            ]
            for row in label_bits
        ]
        terminal.show_table(heads, bits_rows, right=heads[2:])


def _interval(ends: Sequence[float], digits: int = 3) -> str:
    """Return an interval as text."""
    return f"{ends[0]:.{digits}f} … {ends[1]:.{digits}f}"
