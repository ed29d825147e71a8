"""The `vaefrag` command: thin, and quick to start, since each command imports what it needs."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from app import analyses, reports, terminal
from app.combine_cli import combine
from app.exchange_cli import export_file, import_file
from app.jobs_cli import jobs
from app.metrics_cli import metrics
from app.options import Json, Workspace
from vaefrag_core.errors import VaefragError

cli = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Train ensembles of variational autoencoders and find the fragments of information that come back in run"
    " after run.",
)
cli.add_typer(jobs, name="jobs")
cli.command("import")(import_file)
cli.command("export")(export_file)
cli.command("metrics")(metrics)
cli.command("combine")(combine)

Workers = Annotated[
    int | None,
    typer.Option(min=1, help="Processes that train side by side.", show_default="one per core"),
]


class MeasureChoice(StrEnum):
    """The two measures of similarity."""

    nmi = "nmi"
    vi = "vi"


class BenchChoice(StrEnum):
    """What can be timed."""

    measures = "measures"


class SpaceChoice(StrEnum):
    """What is compared: single channels, or members by all their channels together."""

    channels = "channels"
    full = "full"


class ArchitectureChoice(StrEnum):
    """Networks to choose from; auto takes conv28 for images of 28×28 pixels and mlp for others."""

    auto = "auto"
    mlp = "mlp"
    conv28 = "conv28"


@cli.command()
def demo(
    members: Annotated[int, typer.Option(help="VAEs to train.")] = 30,
    steps: Annotated[int, typer.Option(help="Gradient steps of each.")] = 1500,
    workspace: Workspace = None,
    workers: Workers = None,
    host: Annotated[str | None, typer.Option(help="Address to serve on.", show_default=False)] = None,
    port: Annotated[int | None, typer.Option(help="Port to serve on.", show_default=False)] = None,
    browser: Annotated[bool, typer.Option(help="Open the explorer in a browser.")] = True,
    serving: Annotated[bool, typer.Option("--serve/--no-serve", help="Show the result when it is there.")] = True,
    as_json: Json = False,
) -> None:
    """Train 30 small VAEs on real handwritten digits, find their hotspots and open the explorer. Offline."""
    settings = _settings(workspace=workspace, host=host, port=port)
    values = {
        "name": "Demo: handwritten digits",
        "dataset": {"name": "digits"},
        "model": {"architecture": "mlp"},
        "train": {"beta": 1.0, "steps": steps},
        "members": members,
    }
    if serving:
        _check_door(settings)  # now, not after minutes of training
    result = _train_and_analyze(values, settings, workers, analyze_after=True)
    if as_json:
        terminal.emit(result)
    if serving:
        _serve(settings, browser, path=f"/ensemble/{result['id']}")


@cli.command()
def train(
    dataset: Annotated[str, typer.Option(help="A name from `vaefrag datasets`.")] = "digits",
    path: Annotated[Path | None, typer.Option(help="Folder of the data set's files.", show_default=False)] = None,
    objective: Annotated[
        str, typer.Option(help="Loss: beta-vae, annealed-vae, beta-tcvae, dip-vae-i or dip-vae-ii.")
    ] = "beta-vae",
    beta: Annotated[float, typer.Option(help="Weight of the KL term; in beta-tcvae, of the total correlation.")] = 1.0,
    gamma: Annotated[float, typer.Option(help="annealed-vae: weight of the KL's distance from the capacity.")] = 1000.0,
    capacity: Annotated[float, typer.Option(help="annealed-vae: KL that is allowed at the end, nats.")] = 25.0,
    capacity_steps: Annotated[int, typer.Option(help="annealed-vae: steps over which it grows from 0.")] = 100_000,
    lambda_od: Annotated[float, typer.Option(help="dip-vae: weight of covariances between channels.")] = 10.0,
    lambda_d: Annotated[float, typer.Option(help="dip-vae: weight of the variances' distance from 1.")] = 100.0,
    members: Annotated[int, typer.Option(help="VAEs to train, each from its own seed.")] = 20,
    steps: Annotated[int, typer.Option(help="Gradient steps of each member.")] = 5000,
    batch_size: Annotated[int, typer.Option(help="Images in a step.")] = 64,
    learning_rate: Annotated[float, typer.Option(help="Of Adam.")] = 1e-3,
    seed: Annotated[int, typer.Option(help="Of the ensemble; members' seeds are made from it.")] = 0,
    architecture: Annotated[ArchitectureChoice, typer.Option(help="Encoder and decoder.")] = ArchitectureChoice.auto,
    widths: Annotated[str, typer.Option(help="Hidden layers of the mlp, separated by commas.")] = "128,128",
    activation: Annotated[str, typer.Option(help="Of the mlp: relu or tanh.")] = "relu",
    channels: Annotated[int, typer.Option(help="Latent channels of a member.")] = 10,
    likelihood: Annotated[str, typer.Option(help="Of a pixel: bernoulli or gaussian.")] = "bernoulli",
    pixel_variance: Annotated[float, typer.Option(help="Of the gaussian likelihood.")] = 0.05,
    fingerprint_size: Annotated[int, typer.Option(help="Images on which channels are compared.")] = 1000,
    fingerprint_seed: Annotated[int, typer.Option(help="Which images are drawn.")] = 0,
    name: Annotated[str, typer.Option(help="What the pages call the ensemble.")] = "",
    workspace: Workspace = None,
    workers: Workers = None,
    analyze_after: Annotated[bool, typer.Option("--analyze/--no-analyze", help="Analyse when all are trained.")] = True,
    detach: Annotated[bool, typer.Option("--detach", help="Leave it to the engine, and return at once.")] = False,
    as_json: Json = False,
) -> None:
    """Train an ensemble, then analyse it. The same settings again go on where they were stopped."""
    values = {
        "name": name,
        "dataset": {"name": dataset, "path": str(path.absolute()) if path else None},
        "model": {
            "architecture": architecture.value,
            "widths": [part.strip() for part in widths.split(",")],
            "activation": activation,
            "channels": channels,
            "likelihood": likelihood,
            "pixel_variance": pixel_variance,
        },
        "train": {
            "objective": objective,
            "beta": beta,
            "gamma": gamma,
            "capacity_nats": capacity,
            "capacity_steps": capacity_steps,
            "lambda_od": lambda_od,
            "lambda_d": lambda_d,
            "steps": steps,
            "batch_size": batch_size,
            "learning_rate": learning_rate,
            "seed": seed,
        },
        "fingerprint": {"size": fingerprint_size, "seed": fingerprint_seed},
        "members": members,
    }
    settings = _settings(workspace=workspace)
    if detach:
        from app import runs
        from vaefrag_core.specs import resolve

        spec = resolve(values)
        result = runs.train_detached(spec, settings, workers=workers, analyze_after=analyze_after)
        terminal.say(f"Job {result['job']} trains {result['id']} in the background; `vaefrag jobs list` shows how far.")
    else:
        result = _train_and_analyze(values, settings, workers, analyze_after)
    if as_json:
        terminal.emit(result)


@cli.command()
def analyze(
    ensemble_id: Annotated[str, typer.Argument(metavar="ID", help="An ensemble of the workspace.")],
    measure: Annotated[MeasureChoice, typer.Option(help="Similarity of channels.")] = MeasureChoice.nmi,
    min_bits: Annotated[float, typer.Option(help="Information below which a channel counts as dead, bits.")] = 0.01,
    min_samples: Annotated[int | None, typer.Option(help="Density of a hotspot.", show_default="0.4 × members")] = None,
    xi: Annotated[float, typer.Option(help="Relative drop of reachability at a hotspot's edge.")] = 0.02,
    seed: Annotated[int, typer.Option(help="Of the maps, and of draws.")] = 0,
    space: Annotated[
        SpaceChoice, typer.Option(help="Compare channels, or members by their full latent spaces.")
    ] = SpaceChoice.channels,
    draws: Annotated[int, typer.Option(help="Monte Carlo draws of full spaces.")] = 10_000,
    workspace: Workspace = None,
    as_json: Json = False,
) -> None:
    """Compare all channels of an ensemble, find its hotspots, map them and paint its traversals.

    With --space full: estimate what each member's whole latent space tells and how alike these spaces are, by Monte
    Carlo, with standard errors.
    """
    if space is SpaceChoice.full:
        result = analyses.analyze_spaces(ensemble_id, {"draws": draws, "seed": seed}, _settings(workspace=workspace))
        if as_json:
            terminal.emit(result)
        return
    values = {
        "hotspots": {"measure": measure.value, "min_bits": min_bits, "min_samples": min_samples, "xi": xi},
        "map": {"seed": seed},
    }
    result = analyses.analyze_channels(ensemble_id, values, _settings(workspace=workspace))
    if as_json:
        terminal.emit(result)


@cli.command()
def datasets(as_json: Json = False) -> None:
    """List the data sets, and whether their files are on this machine."""
    from vaefrag_core.datasets.catalog import describe_datasets

    entries = [vars(entry) for entry in describe_datasets()]
    if as_json:
        terminal.emit({"datasets": entries})
    else:
        reports.show_datasets(entries)


@cli.command()
def bench(
    what: Annotated[BenchChoice, typer.Argument(help="What to time.")] = BenchChoice.measures,
    threads: Annotated[
        int | None, typer.Option(min=1, help="Of our loops. [default: as torch uses]", show_default=False)
    ] = None,
    repeats: Annotated[int, typer.Option(min=1, help="Turns of each; the least time counts.")] = 3,
    large: Annotated[bool, typer.Option("--large", help="Also 5,000 channels on 300 images.")] = False,
    quick: Annotated[bool, typer.Option("--quick", help="Only 200 channels on 300 images, no growth.")] = False,
    as_json: Json = False,
) -> None:
    """Time the comparison of all channels against simpler ways of the same run, and print a table."""
    del what
    from app import bench as benches

    sizes = benches.SIZES[:1] if quick else (*benches.SIZES, *([benches.LARGE] if large else []))
    result = benches.bench_measures(sizes, repeats=repeats, threads=threads, growth=not quick)
    if as_json:
        terminal.emit(result)
    else:
        benches.show_measures(result)


@cli.command()
def serve(
    workspace: Workspace = None,
    host: Annotated[
        str | None,
        typer.Option(help="Address; any but this machine's own needs a token.", show_default="127.0.0.1"),
    ] = None,
    port: Annotated[int | None, typer.Option(help="Port.", show_default="8050")] = None,
    new_token: Annotated[
        bool, typer.Option("--new-token", help="Make an access token, keep it in the workspace, and serve with it.")
    ] = False,
    start_engine: Annotated[
        bool | None,
        typer.Option("--engine/--no-engine", help="Start an engine when none runs.", show_default="yes"),
    ] = None,
    browser: Annotated[bool, typer.Option(help="Open the pages in a browser.")] = True,
    as_json: Json = False,
) -> None:
    """Show the ensembles of a workspace in a browser, until Ctrl-C.

    What other machines can reach is served with an access token only: --new-token makes one, VAEFRAG_TOKEN sets one.
    """
    settings = _settings(workspace=workspace, host=host, port=port, start_engine=start_engine)
    if new_token:
        from app.door.token import make_token

        token, path = make_token(settings)
        on_screen = terminal.console.is_terminal  # a log, by contrast, is no place for it
        terminal.say(
            f"{f'Access token: [bold]{token}[/]' if on_screen else 'There is a new access token.'}\n"
            "People type it to sign in; programs send it as `Authorization: Bearer …`."
            f" It is kept in {path}, where every `vaefrag serve` finds it. Delete that file to do without."
        )
    _serve(settings, browser, as_json=as_json)


@cli.command()
def health(
    of_engine: Annotated[bool, typer.Option("--engine", help="Ask for the engine of the workspace instead.")] = False,
    workspace: Workspace = None,
    as_json: Json = False,
) -> None:
    """Ask the pages on this machine whether they are alive; exit code 1 when they are not."""
    from app.alive import ask_engine, ask_pages

    settings = _settings(workspace=workspace)
    result = ask_engine(settings) if of_engine else ask_pages(settings)
    if as_json:
        terminal.emit(result)
    else:
        terminal.say("Alive." if result["engine"] else "Alive, without an engine.")


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
) -> None:
    """Do the work of a workspace in the background, until Ctrl-C. `serve` and `train` start one by themselves."""
    from app.jobs.service import run_engine

    settings = _settings(
        workspace=workspace, slots=slots, scheduler=scheduler, engine_host=host, engine_port=port, tls=tls
    )
    run_engine(settings, idle_seconds=idle)


@cli.command()
def worker(
    address: Annotated[str, typer.Argument(help="Where the engine takes workers; `vaefrag jobs list` shows it.")],
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
    from app.jobs.node import work_for

    settings = _settings(tls=tls)
    work_for(address, slots=slots, gpus=gpus, host=host, tls=settings.tls, once=once, device=settings.gpu_device)


def _settings(**flags: object) -> Any:
    from app.settings import load_settings

    return load_settings(**flags)


def _train_and_analyze(
    values: dict[str, Any], settings: Any, workers: int | None, analyze_after: bool
) -> dict[str, Any]:
    from app import runs
    from vaefrag_core.specs import resolve

    spec = resolve(values)
    try:
        return runs.train_and_wait(spec, settings, workers=workers, analyze_after=analyze_after)
    except runs.StoppedError as stopped:
        terminal.say(str(stopped))
        raise typer.Exit(130) from None


def _check_door(settings: Any) -> None:
    """Refuse now what the pages would refuse when they are made."""
    from app.door.token import find_token

    find_token(settings)


def _serve(settings: Any, browser: bool, *, path: str = "/", as_json: bool = False) -> None:
    from contextlib import nullcontext

    from app.server import serve_until_stopped

    def make_server() -> Any:
        from app.main import create_app
        from vaefrag_core.store import EnsembleStore

        return create_app(settings, EnsembleStore(settings.workspace)).server

    def beside() -> Any:
        from app.jobs.service import kept_engine

        return kept_engine(settings) if settings.start_engine else nullcontext()

    _check_door(settings)
    serve_until_stopped(make_server, settings, beside, path=path, browser=browser, as_json=as_json)


def main() -> None:
    """Run the command; what a user can mend becomes one line and exit code 1."""
    try:
        cli()
    except VaefragError as error:
        terminal.fail(str(error))
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
