"""The fields of a form for an ensemble: what each asks, how it is shown, and how what was typed becomes a spec."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import dash_mantine_components as dmc
from dash import html

from vaefrag_core.config import COEFFICIENTS, DatasetConfig, EnsembleSpec, ModelConfig, TrainConfig
from vaefrag_core.datasets.catalog import describe_datasets, points_of, settings_of

AUTO = "auto"


@dataclass(frozen=True)
class Field:
    """One field.

    Args:
        path: of the spec, dotted.
        label: what it is called.
        help: one sentence below the label.
        kind: "whole" or "real" (numbers), "choice", "text".
        choices: of a choice.
    """

    path: str
    label: str
    help: str
    kind: Literal["whole", "real", "choice", "text"]
    choices: tuple[str, ...] = ()


def _choices(model: type[ModelConfig] | type[TrainConfig], name: str) -> tuple[str, ...]:
    return get_args(model.model_fields[name].annotation)


IMAGES = (
    Field("dataset.name", "Data set", "The images that every member learns.", "choice"),
    Field(
        "dataset.path",
        "Folder or file",
        "Of its images, on the server's disk.",
        "text",
    ),
    Field(
        "dataset.image_size", "Image size", "Pixels of a side. Left empty: that of most pictures, at most 64.", "whole"
    ),
)
LOSS = (
    Field(
        "train.objective", "Objective", "The loss that training lowers.", "choice", _choices(TrainConfig, "objective")
    ),
    Field("train.beta", "β", "Weight of the KL term: the larger, the fewer bits channels may carry.", "real"),
    Field("train.gamma", "γ", "Weight of the KL's distance from the capacity.", "real"),
    Field("train.capacity_nats", "Capacity C", "KL that is allowed at the end, nats.", "real"),
    Field("train.capacity_steps", "Capacity steps", "Over which C grows from 0.", "whole"),
    Field("train.lambda_od", "λ off the diagonal", "Weight of the covariances between channels.", "real"),
    Field("train.lambda_d", "λ on the diagonal", "Weight of the variances' distance from 1.", "real"),
)
SIZE = (
    Field("name", "Name", "What the pages call it. Left empty: data set, objective and β.", "text"),
    Field("members", "Members", "VAEs to train, each from its own random seed.", "whole"),
    Field("train.steps", "Steps", "Gradient steps of each member.", "whole"),
    Field("train.seed", "Seed", "Of the ensemble; members' seeds are made from it.", "whole"),
)
NETWORK = (
    Field(
        "model.architecture",
        "Architecture",
        "auto: conv28 for images of 28×28 pixels, else mlp.",
        "choice",
        (AUTO, *_choices(ModelConfig, "architecture")),
    ),
    Field("model.channels", "Latent channels", "Of each member.", "whole"),
    Field("fingerprint.size", "Fingerprint sample", "Images on which channels are compared.", "whole"),
    Field("fingerprint.seed", "Fingerprint seed", "Which images are drawn.", "whole"),
)
MORE = (
    Field("train.batch_size", "Batch size", "Images in a step.", "whole"),
    Field("train.learning_rate", "Learning rate", "Of Adam.", "real"),
    Field("model.widths", "Hidden layers", "Of the mlp: units of each, separated by commas.", "text"),
    Field("model.activation", "Activation", "Of the mlp.", "choice", _choices(ModelConfig, "activation")),
    Field("model.likelihood", "Likelihood", "Of a pixel.", "choice", _choices(ModelConfig, "likelihood")),
    Field("model.pixel_variance", "Pixel variance", "Of the Gaussian likelihood, for images in 0…1.", "real"),
)
FIELDS = {field.path: field for field in (*IMAGES, *LOSS, *SIZE, *NETWORK, *MORE)}


def start(spec: EnsembleSpec | None = None) -> dict[str, Any]:
    """Give what the fields hold at first: the defaults, or another ensemble's settings, the name aside."""
    content = (spec or EnsembleSpec()).model_dump(mode="json")
    values = {path: _at(content, path) for path in FIELDS}
    values["name"] = ""
    for path in ("dataset.path", "dataset.image_size"):
        values[path] = values[path] or ""
    values["model.widths"] = ", ".join(str(width) for width in values["model.widths"])
    if spec is None:
        values["model.architecture"] = AUTO
    return values


def read(values: Mapping[str, Any]) -> dict[str, Any]:
    """Give what was typed as fields of an `EnsembleSpec`, not yet checked."""
    content: dict[str, Any] = {}
    for path, value in values.items():
        *parents, name = path.split(".")
        place = content
        for parent in parents:
            place = place.setdefault(parent, {})
        place[name] = value
    dataset = content["dataset"]
    taken = settings_of(str(dataset["name"]))  # what is left in a hidden field was meant for another data set
    dataset["path"] = (dataset["path"] or "").strip() or None if "path" in taken else None
    dataset["image_size"] = dataset["image_size"] or None if "image_size" in taken else None
    content["model"]["widths"] = [part.strip() for part in str(content["model"]["widths"]).split(",")]
    return content


def control(field: Field, value: Any) -> Any:
    """Show a field."""
    shared = {"id": {"field": field.path}, "label": field.label, "description": field.help, "value": value}
    shared["inputWrapperOrder"] = ["label", "input", "error", "description"]
    if field.kind == "choice":
        data: Any = _datasets() if field.path == "dataset.name" else list(field.choices)
        return dmc.Select(data=data, allowDeselect=False, comboboxProps={"shadow": "md"}, **shared)
    if field.kind == "text":
        return dmc.TextInput(**shared)
    whole = field.kind == "whole"
    grouped = "," if whole and not field.path.endswith("seed") else ""
    return dmc.NumberInput(allowDecimal=not whole, hideControls=True, thousandSeparator=grouped, **shared)


def is_read(path: str, objective: str, dataset: str) -> bool:
    """Say whether a field is read: coefficients by some objectives, paths by some data sets, others always."""
    if path in ("dataset.path", "dataset.image_size"):
        return path.removeprefix("dataset.") in settings_of(dataset)
    name = path.removeprefix("train.")
    return name in COEFFICIENTS.get(objective, ()) or not any(name in names for names in COEFFICIENTS.values())


def group(title: str, fields: tuple[Field, ...], values: Mapping[str, Any]) -> html.Section:
    """Show fields that belong together; coefficients in a box that comes and goes with the objective."""
    boxes = [
        html.Div(
            control(field, values[field.path]),
            id={"box": field.path},
            hidden=not is_read(field.path, values["train.objective"], values["dataset.name"]),
        )
        for field in fields
    ]
    controls = html.Div(boxes, className="form-grid")
    return html.Section([html.H2(title), controls], className="card")


def _datasets() -> list[dict[str, Any]]:
    found = []
    for entry in describe_datasets():
        label = f"{entry.name} · {entry.description}"
        if entry.image_shape is not None:
            height, width, _ = entry.image_shape
            points = points_of(DatasetConfig(name=entry.name)) is not None
            what = "points" if points else f"images of {height}×{width}"
            label = f"{entry.name} · {entry.n_images:,} {what}"
        if not entry.available:
            label += " · not on this machine"
        found.append({"value": entry.name, "label": label})
    return found


def _at(content: Mapping[str, Any], path: str) -> Any:
    value: Any = content
    for part in path.split("."):
        value = value[part]
    return value
