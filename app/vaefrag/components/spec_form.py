"""The form for an ensemble: its fields, how each is shown, and how what was typed becomes a spec.

There is none for a network by import path: that is code to be run, which nobody may name from a web page.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import dash_mantine_components as dmc
from dash import html
from dash.development.base_component import Component

from vaefrag.components.glossary import help_mark
from vaefrag.components.number_inputs import as_number, number_box, number_text
from vaefrag_core.config import DEFAULT_ESTIMATOR, DatasetConfig, EnsembleSpec, ModelConfig, TrainConfig
from vaefrag_core.config_errors import parse
from vaefrag_core.datasets.catalog import dataset_settings, describe_datasets, point_format
from vaefrag_core.objectives import OBJECTIVES, SETTINGS, Setting
from vaefrag_core.presets import PRESETS, with_preset

FieldKind = Literal["whole", "real", "choice", "text", "swept"]
AUTO = "auto"


@dataclass(frozen=True)
class Field:
    """One field.

    Args:
        path: the dotted name of the setting in an `EnsembleSpec`.
        label: the name above the box.
        help: one sentence below the box.
        kind: "whole" or "real" (numbers), "choice", "text", "swept" (a number, or several that make a sweep).
        choices: the options of a choice.
    """

    path: str
    label: str
    help: str
    kind: FieldKind
    choices: tuple[str, ...] = ()


def _choices(model: type[ModelConfig] | type[TrainConfig], name: str) -> tuple[str, ...]:
    return get_args(model.model_fields[name].annotation)


def _setting_field(setting: Setting) -> Field:
    kind: FieldKind = "text"
    if setting.kind == "whole number":
        kind = "whole"
    elif setting.kind == "number":
        kind = "swept" if setting.labels.coefficient else "real"
    return Field(f"train.{setting.name}", setting.labels.label, setting.labels.hint, kind)


IMAGES = (
    Field("dataset.name", "Data set", "The images that every member learns.", "choice"),
    Field(
        "dataset.path",
        "Folder or file",
        "Of its images, in a folder that the server may read: `datasets` in the workspace, or those of --data-folder.",
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
    *(_setting_field(setting) for setting in SETTINGS.values()),
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
        "auto: conv28 for images of 28×28 pixels, conv64 for 64×64, else mlp.",
        "choice",
        (AUTO, *_choices(ModelConfig, "architecture")),
    ),
    Field("model.channels", "Latent channels", "Of each member.", "whole"),
    Field(
        "fingerprint.size", "Fingerprint sample", "Images on which channels are compared: a number, or all.", "whole"
    ),
    Field("fingerprint.seed", "Fingerprint seed", "Which images are drawn.", "whole"),
)
MORE = (
    Field(
        "dataset.identifiers",
        "Identifiers",
        "Labels that name images, separated by commas: compared with nothing.",
        "text",
    ),
    Field("train.batch_size", "Batch size", "Images in a step.", "whole"),
    Field("train.learning_rate", "Learning rate", "Of Adam.", "real"),
    Field("train.clip_gradient", "Longest gradient", "Norm to which longer ones are cut. Empty: not cut.", "real"),
    Field(
        "train.precision",
        "Precision",
        "Of the networks' products. bfloat16 is for processors with instructions for it, and slower on others.",
        "choice",
        _choices(TrainConfig, "precision"),
    ),
    Field(
        "train.snapshots",
        "Snapshots",
        "Log-spaced steps at which encoders are kept, to follow channels over training. 0: none.",
        "whole",
    ),
    Field("model.widths", "Hidden layers", "Of the mlp: units of each, separated by commas.", "text"),
    Field("model.activation", "Activation", "Of the mlp.", "choice", _choices(ModelConfig, "activation")),
    Field(
        "model.likelihood",
        "Likelihood",
        "Of a pixel; mse: mean squared error.",
        "choice",
        _choices(ModelConfig, "likelihood"),
    ),
    Field("model.pixel_variance", "Pixel variance", "Of the Gaussian likelihood, for images in 0…1.", "real"),
)
LISTS = (
    "dataset.identifiers",
    "model.widths",
    *(f"train.{setting.name}" for setting in SETTINGS.values() if setting.kind == "widths"),
)
OPTIONAL = ("dataset.path", "dataset.image_size", "train.clip_gradient")  # may be left empty
OF_OBJECTIVE = ("train.lambda_d",)  # left empty, each objective takes its own default
FIELDS = {field.path: field for field in (*IMAGES, *LOSS, *SIZE, *NETWORK, *MORE)}


def initial_values(spec: EnsembleSpec | None = None) -> dict[str, Any]:
    """Return what the fields hold at first: the defaults, or another ensemble's settings.

    Args:
        spec: the other ensemble's; None for the defaults.

    Returns:
        Values by the path of their field.
    """
    content = (spec or EnsembleSpec()).model_dump(mode="json")
    content["dataset"].setdefault("identifiers", [])  # left out of what is stored where there are none
    values = {path: _value_at(content, path) for path in FIELDS}
    values["name"] = ""  # of the other ensemble: two would be told apart by their ids alone
    for path in LISTS:
        values[path] = ", ".join(str(number) for number in values[path])
    for field in FIELDS.values():
        if field.kind in ("whole", "real", "swept"):
            grouped = field.kind == "whole" and not field.path.endswith("seed")  # a seed is a name, not a quantity
            values[field.path] = number_text(values[field.path], grouped=grouped)
    values["dataset.path"] = values["dataset.path"] or ""
    for path in OF_OBJECTIVE:
        if spec is None or not is_read(path, spec.train.objective, spec.dataset.name):
            values[path] = ""
    if spec is None:
        values["model.architecture"] = AUTO
    return values


def preset_values(name: str) -> dict[str, Any]:
    """Return what the fields hold once a preset is selected: its settings, and the defaults for the rest."""
    return initial_values(parse(EnsembleSpec, with_preset(name, {})))


def preset_menu() -> html.Section:
    """Show the papers whose settings can be taken over, but for those of data sets that the catalog does not have."""
    datasets = {entry.name for entry in describe_datasets()}
    usable = [preset for preset in PRESETS.values() if preset.values["dataset"]["name"] in datasets]
    select = dmc.Select(
        id="preset",
        label="Preset",
        placeholder="None",
        description="Fills the fields below with the settings of a paper. Change what you like.",
        data=[{"value": preset.name, "label": f"{preset.name} · {preset.reference}"} for preset in usable],
        inputWrapperOrder=["label", "input", "error", "description"],
        comboboxProps={"shadow": "md"},
    )
    return html.Section(
        [select, html.P(id="preset-summary", className="quiet", style={"margin": "8px 0 0"})], className="card"
    )


def read_fields(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return what was typed as fields of an `EnsembleSpec`, one of which may be a list: not yet checked.

    What stands in a box that is hidden, because the objective or the data set does not read it, is left out.

    Args:
        values: what the fields hold, by path.
    """
    content: dict[str, Any] = {}
    for path, value in values.items():
        # A hidden box may hold what would be refused, and nobody could see what to mend.
        if not is_read(path, values["train.objective"], str(values["dataset.name"])):
            continue
        if path in OF_OBJECTIVE and not str(value or "").strip():
            continue
        *parents, name = path.split(".")
        group = content
        for parent in parents:
            group = group.setdefault(parent, {})
        group[name] = _field_value(path, value)
    return content


def _field_value(path: str, value: Any) -> Any:
    if path in LISTS:
        parts = [part.strip() for part in str(value).split(",")]
        return [part for part in parts if part] if path == "dataset.identifiers" else parts
    text = value.strip() if isinstance(value, str) else value
    if path in OPTIONAL and text == "":  # Dash sends "" for a box that was emptied
        return None
    return as_number(text) if FIELDS[path].kind in ("whole", "real") else text


def field_input(field: Field, value: Any) -> dmc.TextInput | dmc.Select:
    """Show a field with what it holds."""
    properties: dict[str, Any] = {"id": {"field": field.path}, "label": field.label, "description": field.help}
    properties["inputWrapperOrder"] = ["label", "input", "error", "description"]
    if field.kind == "choice":
        options: Any = _dataset_options() if field.path == "dataset.name" else list(field.choices)
        return dmc.Select(data=options, allowDeselect=False, value=value, comboboxProps={"shadow": "md"}, **properties)
    if field.kind in ("text", "swept"):
        placeholder = "that of the objective" if field.path in OF_OBJECTIVE else None
        return dmc.TextInput(value=value, placeholder=placeholder, **properties)
    return number_box(value, whole=field.kind == "whole", **properties)


def estimator_input() -> dmc.Select:
    """Show the field of the estimator that the analysis after training goes by: no setting of the ensemble."""
    return dmc.Select(
        id="estimator",
        label="Estimator",
        description=["Of information, in the analysis that follows. ", help_mark("estimator")],
        data=[{"value": "bound", "label": "the published bound"}, {"value": "exact", "label": "exact integrals"}],
        value=DEFAULT_ESTIMATOR,
        allowDeselect=False,
        comboboxProps={"shadow": "md"},
        inputWrapperOrder=["label", "input", "error", "description"],
    )


def is_read(path: str, objective: str, dataset: str) -> bool:
    """Return whether a field is read: coefficients by some objectives, paths by some data sets, others always."""
    if path in ("dataset.path", "dataset.image_size"):
        return path.removeprefix("dataset.") in dataset_settings(dataset)
    setting = SETTINGS.get(path.removeprefix("train."))
    return setting is None or objective not in OBJECTIVES or objective in setting.readers


def field_group(
    title: str, fields: tuple[Field, ...], values: Mapping[str, Any], note: str = "", others: Sequence[Component] = ()
) -> html.Section:
    """Show fields that belong together; coefficients in a box that comes and goes with the objective.

    Args:
        title: the heading.
        fields: the fields, in order.
        values: what they hold, by path.
        note: a sentence below.
        others: further inputs, after the fields.
    """
    boxes = [
        html.Div(
            field_input(field, values[field.path]),
            id={"box": field.path},
            hidden=not is_read(field.path, values["train.objective"], values["dataset.name"]),
        )
        for field in fields
    ]
    controls = html.Div([*boxes, *others], className="form-grid")
    foot = [html.P(note, className="note")] if note else []
    return html.Section([html.H2(title), controls, *foot], className="card")


def _dataset_options() -> list[dict[str, str]]:
    options = []
    for entry in describe_datasets():
        label = f"{entry.name} · {entry.description}"
        if entry.image_shape is not None:
            height, width, _ = entry.image_shape
            points = point_format(DatasetConfig(name=entry.name)) is not None
            items = "points" if points else f"images of {height}×{width}"
            label = f"{entry.name} · {entry.n_images:,} {items}"
        if not entry.available:
            label += " · not on this machine"
        options.append({"value": entry.name, "label": label})
    return options


def _value_at(content: Mapping[str, Any], path: str) -> Any:
    value: Any = content
    for part in path.split("."):
        value = value[part]
    return value
