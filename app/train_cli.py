"""`vaefrag train` and `vaefrag demo`: ensembles from the command line."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from app import terminal
from app.options import Json, Workspace
from app.serve_cli import check_door, show_pages

Workers = Annotated[
    int | None,
    typer.Option(min=1, help="Processes that train side by side.", show_default="one per core"),
]


class ArchitectureChoice(StrEnum):
    """Networks to choose from; auto takes conv28 for images of 28×28 pixels and mlp for others."""

    auto = "auto"
    mlp = "mlp"
    conv28 = "conv28"


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
    from app.settings import load_settings

    settings = load_settings(workspace=workspace, host=host, port=port)
    values = {
        "name": "Demo: handwritten digits",
        "dataset": {"name": "digits"},
        "model": {"architecture": "mlp"},
        "train": {"beta": 1.0, "steps": steps},
        "members": members,
    }
    if serving:
        check_door(settings)  # now, not after minutes of training
    result = _train_and_analyze(values, settings, workers, analyze_after=True)
    if as_json:
        terminal.emit(result)
    if serving:
        show_pages(settings, browser, path=f"/ensemble/{result['id']}")


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
    from app.settings import load_settings

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
    settings = load_settings(workspace=workspace)
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
