"""The options of `vaefrag train` that belong to an objective, made from its declaration."""

import functools
import inspect
from collections.abc import Callable
from typing import Annotated, Any

import typer

from vaefrag_core.objectives import SETTINGS, Setting

SWEEP_METAVAR = "NUMBER[,…]"  # a coefficient: one value, or the values of a sweep


def option_name(setting: Setting) -> str:
    """Return the name by which the command line library holds an option: capacity_steps for --capacity-steps."""
    return setting.flag.removeprefix("--").replace("-", "_")


def with_objective_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add an option for every setting of an objective, after `objective`. Commands read them from their context."""
    own = inspect.signature(command).parameters
    parameters = []
    for parameter in own.values():
        parameters.append(parameter)
        if parameter.name == "objective":
            parameters += [_parameter(setting) for setting in SETTINGS.values()]

    @functools.wraps(command)
    def run(**values: Any) -> None:
        command(**{name: value for name, value in values.items() if name in own})

    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined] # where typer looks for options
    return run


def _parameter(setting: Setting) -> inspect.Parameter:
    description = setting.field.description or ""
    if ":" not in description:  # before a colon stand names of objectives, as they are typed
        description = description[0].upper() + description[1:]
    kind: type
    default: Any
    if setting.labels.coefficient:  # text: several values, separated by commas, make a sweep
        kind, default = str, f"{setting.default:g}"
    elif setting.kind == "widths":
        kind, default = str, ",".join(map(str, setting.default))
        description += ", separated by commas"
    else:
        kind, default = (int if setting.kind == "whole number" else float), setting.default
    option = typer.Option(
        setting.flag, metavar=SWEEP_METAVAR if setting.labels.coefficient else None, help=f"{description}."
    )
    return inspect.Parameter(
        option_name(setting),
        inspect.Parameter.POSITIONAL_OR_KEYWORD,
        default=default,
        annotation=Annotated[kind, option],
    )
