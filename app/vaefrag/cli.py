"""The `vaefrag` command: thin, and quick to start, since each command imports what it needs."""

import os
import sysconfig
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vaefrag import __version__, terminal
from vaefrag.commands import analysis_runs
from vaefrag.commands.atlas import atlas
from vaefrag.commands.certificate import certificate
from vaefrag.commands.combine import combine
from vaefrag.commands.compare import compare
from vaefrag.commands.datasets import datasets
from vaefrag.commands.fuse import fuse
from vaefrag.commands.import_export import export_file, import_file
from vaefrag.commands.jobs import jobs
from vaefrag.commands.listing import list_workspace
from vaefrag.commands.metrics import metrics
from vaefrag.commands.null import null
from vaefrag.commands.options import Device, EstimatorChoice, EstimatorOption, Json, Workspace
from vaefrag.commands.sensitivity import sensitivity
from vaefrag.commands.serve import serve
from vaefrag.commands.train import demo, train
from vaefrag.fault_sentences import MACHINE_FAULTS, fault_sentence
from vaefrag_core.errors import VaefragError

if TYPE_CHECKING:
    from vaefrag.settings import Settings


def _documentation() -> str | None:
    """Return a line that says where `docs/` lies, which messages name: in the checkout, or where the wheel put it."""
    checkout, installed = Path(__file__).parents[2], Path(sysconfig.get_path("data")) / "share" / "doc" / "vaefrag"
    folder = next((folder for folder in (checkout, installed) if (folder / "docs" / "training.md").is_file()), None)
    return None if folder is None else f"Documentation: {folder}"


cli = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    epilog=_documentation(),
    help="Train ensembles of variational autoencoders and find the fragments of information that come back in run"
    " after run.",
)
cli.add_typer(jobs, name="jobs")
cli.command("demo")(demo)
cli.command("train")(train)
cli.command("list")(list_workspace)
cli.command("import")(import_file)
cli.command("export")(export_file)
cli.command("metrics")(metrics)
cli.command("null")(null)
cli.command("sensitivity")(sensitivity)
cli.command("certificate")(certificate)
cli.command("compare")(compare)
cli.command("combine")(combine)
cli.command("datasets")(datasets)
cli.command("atlas")(atlas)
cli.command("fuse")(fuse)
cli.command("serve")(serve)


class MeasureChoice(StrEnum):
    """Measures of similarity."""

    nmi = "nmi"
    vi = "vi"


class BenchChoice(StrEnum):
    """Benchmarks."""

    measures = "measures"
    exact = "exact"
    train = "train"
    hotspots = "hotspots"
    nulls = "nulls"


class SpaceChoice(StrEnum):
    """What is compared: single channels, or members by all their channels together."""

    channels = "channels"
    full = "full"


def _print_version(asked: bool) -> None:
    if asked:
        print(f"vaefrag {__version__}")
        raise typer.Exit


@cli.callback()
def options_of_all_commands(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version, and exit."),
    ] = False,
) -> None:
    """Take the options that stand before the name of a command."""


@cli.command()
def analyze(
    ensemble_id: Annotated[str, typer.Argument(metavar="ID", help="An ensemble of the workspace.")],
    measure: Annotated[MeasureChoice, typer.Option(help="Similarity of channels.")] = MeasureChoice.nmi,
    estimator: EstimatorOption = EstimatorChoice.bound,
    min_bits: Annotated[float, typer.Option(help="Information below which a channel counts as dead, bits.")] = 0.01,
    min_samples: Annotated[
        int | None, typer.Option(help="Neighbours by which channels are ordered.", show_default="0.4 × members")
    ] = None,
    member_share: Annotated[float, typer.Option(help="Share of the members that a hotspot spans at least.")] = 0.25,
    cohesion: Annotated[
        float, typer.Option(help="Share of their inner similarity that a hotspot's halves share with each other.")
    ] = 0.6,
    min_similarity: Annotated[
        float, typer.Option(help="Least mean similarity inside a hotspot, corrected for chance.")
    ] = 0.1,
    bootstrap: Annotated[int, typer.Option(help="Resamples that hotspots have to return in; 100 will do.")] = 0,
    seed: Annotated[int, typer.Option(help="Of the maps, resamples and draws.")] = 0,
    space: Annotated[
        SpaceChoice, typer.Option(help="Compare channels, or members by their full latent spaces.")
    ] = SpaceChoice.channels,
    over_training: Annotated[
        bool, typer.Option("--over-training", help="Follow channels over training, where --snapshots kept encoders.")
    ] = False,
    draws: Annotated[int, typer.Option(help="Monte Carlo draws of full spaces.")] = 10_000,
    workspace: Workspace = None,
    as_json: Json = False,
) -> None:
    """Compare all channels of an ensemble, find its hotspots, map them and paint its traversals.

    With --space full: estimate what each member's whole latent space tells and how alike these spaces are, by Monte
    Carlo, with standard errors. With --over-training: show the channels' information at each step of training kept.
    """
    if space is SpaceChoice.full:
        result = analysis_runs.analyze_spaces(
            ensemble_id, {"draws": draws, "seed": seed}, _settings(workspace=workspace)
        )
        if as_json:
            terminal.print_json(result)
        return
    values = {
        "hotspots": {
            "measure": measure.value,
            "estimator": estimator.value,
            "min_bits": min_bits,
            "member_share": member_share,
            "cohesion": cohesion,
            "min_similarity": min_similarity,
            "min_samples": min_samples,
        },
        "map": {"seed": seed},
        "bootstrap": {"resamples": bootstrap, "seed": seed},
    }
    result = analysis_runs.analyze_channels(
        ensemble_id, values, _settings(workspace=workspace), over_training=over_training
    )
    if as_json:
        terminal.print_json(result)


@cli.command()
def bench(
    what: Annotated[
        BenchChoice, typer.Argument(help="What to time, or to try: hotspots, nulls.")
    ] = BenchChoice.measures,
    threads: Annotated[
        int | None,
        typer.Option(
            min=1, help="Of our loops; of training, the plain one. [default: as torch uses]", show_default=False
        ),
    ] = None,
    repeats: Annotated[int, typer.Option(min=1, help="Turns of each; the least time counts.")] = 3,
    large: Annotated[bool, typer.Option("--large", help="Also 5,000 channels; of exact, and 60,000 images.")] = False,
    quick: Annotated[
        bool,
        typer.Option(
            "--quick", help="Only 200 channels on 300 images, no growth; or only small networks, or few ensembles."
        ),
    ] = False,
    estimator: Annotated[
        EstimatorChoice, typer.Option(help="Of information, in `hotspots`: the published bound, or exact integrals.")
    ] = EstimatorChoice.bound,
    as_json: Json = False,
) -> None:
    """Time the comparison of all channels, or training, against simpler ways of the same run, and print a table.

    `measures` is of the bound, `exact` of exact information. `hotspots` instead tries the rule that finds them, and
    other rules, on 1,500 ensembles whose hotspots are known, or on 280 by exact information;
    `nulls` tries the p-values and percentiles of `vaefrag null`.
    """
    if what is BenchChoice.train:
        from vaefrag.commands import bench_train

        cases = bench_train.CASES if not quick else (bench_train.QUICK,)
        precision = bench_train.PRECISION if not quick else (bench_train.QUICK_PRECISION,)
        result = bench_train.bench_train(cases, precision, repeats=repeats, threads=threads)
        show = bench_train.show_train
    elif what is BenchChoice.exact:
        from vaefrag.commands import bench_exact

        exact_sizes = bench_exact.QUICK if quick else bench_exact.SIZES + (bench_exact.LARGE if large else ())
        result = bench_exact.bench_exact(exact_sizes, repeats=repeats, threads=threads)
        show = bench_exact.show_exact
    elif what is BenchChoice.hotspots:
        from vaefrag.commands import bench_hotspots

        seeds = bench_hotspots.SEEDS[estimator.value]
        result = bench_hotspots.bench_hotspots(seeds=2 if quick else seeds, estimator=estimator.value)
        show = bench_hotspots.show_hotspots
    elif what is BenchChoice.nulls:
        from vaefrag.commands import bench_nulls

        result = bench_nulls.bench_nulls(seeds=2 if quick else 70)
        show = bench_nulls.show_nulls
    else:
        from vaefrag.commands import bench as bench_measures

        sizes = bench_measures.SIZES[:1] if quick else bench_measures.SIZES + ((bench_measures.LARGE,) if large else ())
        result = bench_measures.bench_measures(sizes, repeats=repeats, threads=threads, growth=not quick)
        show = bench_measures.show_measures
    if as_json:
        terminal.print_json(result)
    else:
        show(result)


@cli.command()
def health(
    of_engine: Annotated[bool, typer.Option("--engine", help="Ask for the engine of the workspace instead.")] = False,
    ready: Annotated[
        bool, typer.Option("--ready", help="Ask whether they take work: the record of jobs, its disk, the engine.")
    ] = False,
    workspace: Workspace = None,
    as_json: Json = False,
) -> None:
    """Ask the pages on this machine whether they are alive; exit code 1 when they are not."""
    from vaefrag.health_check import check_engine, check_pages, check_readiness

    settings = _settings(workspace=workspace)
    result = check_engine(settings) if of_engine else check_readiness(settings) if ready else check_pages(settings)
    if as_json:
        terminal.print_json(result)
    elif ready:
        terminal.print_message("Ready.")
    else:
        terminal.print_message("Alive." if result["engine"] else "Alive, without an engine.")


@cli.command()
def engine(
    workspace: Workspace = None,
    slots: Annotated[
        int | None,
        typer.Option(min=1, help="Processes that train side by side.", show_default="one per core"),
    ] = None,
    scheduler: Annotated[
        str | None, typer.Option(help="Address of a Dask scheduler that runs elsewhere.", show_default=False)
    ] = None,
    host: Annotated[str | None, typer.Option(help="Address at which workers join.", show_default="127.0.0.1")] = None,
    port: Annotated[int | None, typer.Option(help="Port at which workers join.", show_default="any")] = None,
    tls: Annotated[
        Path | None, typer.Option(help="Folder of ca.pem, cert.pem and key.pem.", show_default=False)
    ] = None,
    idle: Annotated[
        float | None,
        typer.Option(min=0.1, help="Seconds without work, after which it ends.", show_default="never"),
    ] = None,
    device: Device = None,
) -> None:
    """Do the work of a workspace in the background, until Ctrl-C. `serve` and `train` start one by themselves."""
    from vaefrag.jobs.engine_process import run_engine

    settings = _settings(
        workspace=workspace,
        slots=slots,
        scheduler=scheduler,
        engine_host=host,
        engine_port=port,
        tls=tls,
        device=device,
    )
    run_engine(settings, idle_seconds=idle)


@cli.command()
def worker(
    address: Annotated[
        str | None,
        typer.Argument(
            help="Where an engine with certificates of its own takes workers; `vaefrag jobs list` shows it.",
            show_default="the engine of the workspace, on this machine",
        ),
    ] = None,
    workspace: Workspace = None,
    slots: Annotated[int, typer.Option(min=1, help="Processes that train side by side.")] = 1,
    gpus: Annotated[int, typer.Option(min=0, help="GPUs that they train on, in turn; 0 for the CPU.")] = 0,
    host: Annotated[
        str | None, typer.Option(help="Address of this machine that the engine reaches.", show_default=False)
    ] = None,
    tls: Annotated[
        Path | None, typer.Option(help="Folder of ca.pem, cert.pem and key.pem.", show_default=False)
    ] = None,
    once: Annotated[bool, typer.Option("--once", help="End when the engine is lost, as a batch job should.")] = False,
) -> None:
    """Lend this machine's cores to an engine, and join it again whenever it was lost."""
    from vaefrag.jobs.worker_node import meet_at, meet_engine_of, run_worker_node

    settings = _settings(workspace=workspace, tls=tls)
    meet = meet_at(address, settings.tls) if address else meet_engine_of(settings.workspace)
    run_worker_node(meet, slots=slots, gpus=gpus, host=host, once=once, device=settings.gpu_device)


def _settings(**flags: object) -> "Settings":
    from vaefrag.settings import load_settings

    return load_settings(**flags)


def main() -> None:
    """Run the command; what a user can mend becomes one line and exit code 1."""
    # Python processes that this one starts must not take modules from the current folder either. multiprocessing, and
    # with it Dask, starts them by `python -c`, which without this looks there first.
    os.environ.setdefault("PYTHONSAFEPATH", "1")
    try:
        cli(prog_name="vaefrag")
    except VaefragError as error:
        terminal.print_error(str(error))
        raise SystemExit(1) from None
    except BrokenPipeError:
        raise  # whoever read the output has gone
    except MACHINE_FAULTS as error:
        terminal.print_error(fault_sentence(error))
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
