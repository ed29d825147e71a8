"""`vaefrag train` and `vaefrag demo`: ensembles from the command line."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vaefrag import terminal
from vaefrag.commands.objective_options import option_name, with_objective_options
from vaefrag.commands.options import (
    Device,
    EstimatorChoice,
    EstimatorOption,
    Json,
    Workspace,
    by_option,
    flag,
    warn_of_long_comparison,
)
from vaefrag.commands.serve import prepare_to_serve, show_pages
from vaefrag_core.config import DEFAULT_ESTIMATOR, Estimator
from vaefrag_core.objectives import OBJECTIVES, SETTINGS

if TYPE_CHECKING:
    from vaefrag.settings import Settings
    from vaefrag_core.config import EnsembleSpec
    from vaefrag_core.sweeps import Sweep

Workers = Annotated[
    int | None,
    typer.Option(min=1, help="Processes that train an ensemble side by side.", show_default="one per core"),
]


# The field of an `EnsembleSpec` that each option of `train` sets; they are read by this table, not one by one.
FIELDS = {
    "name": "name",
    "dataset": "dataset.name",
    "path": "dataset.path",
    "image_size": "dataset.image_size",
    "identifier": "dataset.identifiers",
    "fingerprint_size": "fingerprint.size",
    "fingerprint_seed": "fingerprint.seed",
    "members": "members",
    **{
        option: f"model.{option}"
        for option in ("architecture", "network", "widths", "activation", "channels", "likelihood", "pixel_variance")
    },
    **{
        option: f"train.{option}"
        for option in (
            *("objective", "steps", "batch_size", "learning_rate", "clip_gradient", "precision", "seed", "snapshots"),
        )
    },
    **{option_name(setting): f"train.{setting.name}" for setting in SETTINGS.values()},
}
# Options that hold values separated by commas.
LISTS = ("widths", *(option_name(setting) for setting in SETTINGS.values() if setting.kind == "widths"))


class ArchitectureChoice(StrEnum):
    """Networks; auto takes conv28 for images of 28×28 pixels, conv64 for those of 64×64, and mlp for others."""

    auto = "auto"
    mlp = "mlp"
    conv28 = "conv28"
    conv64 = "conv64"


def demo(
    members: Annotated[int, typer.Option(help="VAEs to train.")] = 30,
    steps: Annotated[int, typer.Option(help="Gradient steps of each.")] = 1500,
    workspace: Workspace = None,
    workers: Workers = None,
    device: Device = None,
    host: Annotated[str | None, typer.Option(help="Address to serve on.", show_default=False)] = None,
    port: Annotated[int | None, typer.Option(help="Port to serve on.", show_default=False)] = None,
    browser: Annotated[bool, typer.Option(help="Open the explorer in a browser.")] = True,
    serving: Annotated[bool, typer.Option("--serve/--no-serve", help="Show the result when it is there.")] = True,
    as_json: Json = False,
) -> None:
    """Train 30 small VAEs on real handwritten digits, find their hotspots and open the explorer. Offline."""
    from vaefrag.settings import load_settings
    from vaefrag_core.spec_validation import resolve

    settings = load_settings(workspace=workspace, host=host, port=port, device=device)
    values = {
        "name": "Demo: handwritten digits",
        "dataset": {"name": "digits"},
        "model": {"architecture": "mlp"},
        "train": {"beta": 1.0, "steps": steps},
        "members": members,
    }
    with by_option({"members": "members", "steps": "train.steps"}):
        spec = resolve(values)
    bound = prepare_to_serve(settings) if serving else None  # a refusal comes now, not after minutes of training
    result = _train_and_analyze(None, [spec], settings, workers, DEFAULT_ESTIMATOR)
    if as_json:
        terminal.print_json(result)
    if bound is not None:
        show_pages(settings, bound, browser, path=f"ensemble/{result['id']}")


@with_objective_options
def train(
    ctx: typer.Context,
    preset: Annotated[
        str | None, typer.Option(help="A paper's setting, which other options vary: see docs/training.md.")
    ] = None,
    dataset: Annotated[str, typer.Option(help="A name from `vaefrag datasets`.")] = "digits",
    path: Annotated[Path | None, typer.Option(help="The data set's folder or file.", show_default=False)] = None,
    image_size: Annotated[
        int | None, typer.Option(help="Of pictures of a folder: pixels of a side.", show_default=False)
    ] = None,
    identifier: Annotated[
        list[str] | None,
        typer.Option(
            help="A label that names images, so that it is compared with nothing; repeat for several.",
            show_default=False,
        ),
    ] = None,
    objective: Annotated[str, typer.Option(help=f"Loss: {', '.join(OBJECTIVES)}.")] = "beta-vae",
    members: Annotated[int, typer.Option(help="VAEs to train, each from its own seed.")] = 20,
    steps: Annotated[int, typer.Option(help="Gradient steps of each member.")] = 5000,
    batch_size: Annotated[int, typer.Option(help="Images in a step.")] = 64,
    learning_rate: Annotated[float, typer.Option(help="Of Adam.")] = 1e-3,
    clip_gradient: Annotated[
        float | None, typer.Option(help="Largest norm of a member's gradient.", show_default="not cut")
    ] = None,
    precision: Annotated[
        str,
        typer.Option(help="Of the networks' products: float32, or bfloat16 for processors with instructions for it."),
    ] = "float32",
    seed: Annotated[int, typer.Option(help="Of the ensemble; members' seeds are made from it.")] = 0,
    snapshots: Annotated[
        int, typer.Option(help="Log-spaced steps at which encoders are kept, to follow channels over training.")
    ] = 0,
    architecture: Annotated[ArchitectureChoice, typer.Option(help="Encoder and decoder.")] = ArchitectureChoice.auto,
    network: Annotated[
        str | None, typer.Option(help="Your own encoder and decoder, package.module:Class.", show_default=False)
    ] = None,
    widths: Annotated[str, typer.Option(help="Hidden layers of the mlp, separated by commas.")] = "128,128",
    activation: Annotated[str, typer.Option(help="Of the mlp: relu or tanh.")] = "relu",
    channels: Annotated[int, typer.Option(help="Latent channels of a member.")] = 10,
    likelihood: Annotated[
        str, typer.Option(help="Of a pixel: bernoulli, gaussian or mse (the mean over pixels).")
    ] = "bernoulli",
    pixel_variance: Annotated[float, typer.Option(help="Of the gaussian likelihood.")] = 0.05,
    fingerprint_size: Annotated[
        str, typer.Option(metavar="INTEGER|all", help="Images on which channels are compared; all of them by: all.")
    ] = "1000",
    fingerprint_seed: Annotated[int, typer.Option(help="Which images are drawn.")] = 0,
    name: Annotated[str, typer.Option(help="What the pages call the ensemble.")] = "",
    workspace: Workspace = None,
    workers: Workers = None,
    device: Device = None,
    analyze_after: Annotated[bool, typer.Option("--analyze/--no-analyze", help="Analyse when all are trained.")] = True,
    estimator: EstimatorOption = EstimatorChoice.bound,
    detach: Annotated[bool, typer.Option("--detach", help="Leave it to the engine, and return at once.")] = False,
    as_json: Json = False,
) -> None:
    """Train an ensemble, then analyse it. The same settings again go on where they were stopped.

    A list of one coefficient, such as --beta 1,2,4,8,16, trains a sweep: an ensemble for each value, and an atlas that
    follows their hotspots from value to value.
    """
    from vaefrag.settings import load_settings
    from vaefrag_core.sweeps import resolve_sweep

    values = _typed_values(ctx, preset)
    with by_option(FIELDS):
        sweep, specs = resolve_sweep(values)
    _refuse_unread([option for option in FIELDS if _is_typed(ctx, option)], specs[0])
    _warn_of_slow_products(specs[0])
    if analyze_after and estimator is EstimatorChoice.bound:  # by a job, in one thread
        warn_of_long_comparison(specs[0].members * specs[0].model.channels, specs[0].fingerprint.size, threads=1)
    settings = load_settings(workspace=workspace, device=device)
    after: Estimator | None = estimator.value if analyze_after else None
    if detach:
        result = _train_detached(sweep, specs, settings, workers, after)
    else:
        result = _train_and_analyze(sweep, specs, settings, workers, after)
    if as_json:
        terminal.print_json(result)


def _typed_values(ctx: typer.Context, preset: str | None) -> dict[str, Any]:
    """Return the options as fields of an `EnsembleSpec`; with a preset, only those that were typed, over it."""
    from vaefrag_core.presets import with_preset

    values: dict[str, Any] = {}
    for option, field in FIELDS.items():
        if preset is not None and not _is_typed(ctx, option):
            continue
        *parents, name = field.split(".")
        fields = values
        for parent in parents:
            fields = fields.setdefault(parent, {})
        fields[name] = _field_value(option, ctx.params[option])
    return values if preset is None else with_preset(preset, values)


def _is_typed(ctx: typer.Context, option: str) -> bool:
    source = ctx.get_parameter_source(option)
    return source is not None and source.name == "COMMANDLINE"


def _refuse_unread(typed: list[str], spec: "EnsembleSpec") -> None:
    """Refuse an option that nothing would come of, rather than train something else than was meant."""
    from vaefrag_core.errors import InvalidInputError

    model, train = spec.model, spec.train
    for option in typed:
        parent, _, name = FIELDS[option].rpartition(".")
        if parent == "train" and name in train.unread_settings:
            readers = " or ".join(SETTINGS[name].readers)
            reason, remedy = f"{train.objective} does not read it", f"choose --objective {readers}"
        elif parent == "model" and name in model.unread_settings:
            if name == "pixel_variance":
                reason, remedy = f"the likelihood {model.likelihood} does not read it", "choose --likelihood gaussian"
            else:
                reason = f"it is of the mlp, and {model.network or model.architecture} is to be trained"
                remedy = "choose --architecture mlp"
        else:
            continue
        raise InvalidInputError(f"Nothing would come of {flag(option)}: {reason}. Leave it out, or {remedy}.")


def _field_value(option: str, value: Any) -> Any:
    """Return the value of an option in the form that its field of an `EnsembleSpec` takes."""
    if option in LISTS:
        return [part.strip() for part in value.split(",")]
    if option == "identifier":
        return list(value or ())
    if option == "path":
        return str(Path(value).absolute()) if value else None  # the engine runs in another folder
    return value.value if isinstance(value, StrEnum) else value


def _warn_of_slow_products(spec: "EnsembleSpec") -> None:
    if spec.train.precision == "float32":
        return
    from vaefrag_core.training.precision import cpu_multiplies_bfloat16

    if not cpu_multiplies_bfloat16():
        terminal.print_message(
            "The CPU of this machine has no instructions for bfloat16: members that it trains take longer, not less,"
            " than with --precision float32."
        )


def _train_detached(
    sweep: "Sweep | None",
    specs: "list[EnsembleSpec]",
    settings: "Settings",
    workers: int | None,
    estimator: Estimator | None,
) -> dict[str, Any]:
    from vaefrag.commands import training_runs

    if sweep is None:
        result = training_runs.train_detached(specs[0], settings, workers=workers, estimator=estimator)
        what = f"Job {result['job']} trains {result['id']}"
    else:
        result = training_runs.train_sweep_detached(sweep, specs, settings, workers=workers, estimator=estimator)
        what = f"{len(specs)} jobs train the sweep {sweep.id}"
    terminal.print_message(f"{what} in the background; `vaefrag jobs list` shows how far.")
    return result


def _train_and_analyze(
    sweep: "Sweep | None",
    specs: "list[EnsembleSpec]",
    settings: "Settings",
    workers: int | None,
    estimator: Estimator | None,
) -> dict[str, Any]:
    from vaefrag.commands import training_runs

    try:
        if sweep is None:
            return training_runs.train_and_wait(specs[0], settings, workers=workers, estimator=estimator)
        return training_runs.train_sweep_and_wait(sweep, specs, settings, workers=workers, estimator=estimator)
    except training_runs.StoppedError as stopped:
        terminal.print_message(str(stopped))
        raise typer.Exit(130) from None
