"""The form for a fusion: its fields, what they hold at first, and how what was typed is read."""

from typing import Any, get_args

import dash_mantine_components as dmc
from dash import html

from vaefrag.components.glossary import help_mark
from vaefrag.components.number_inputs import as_number, number_box, number_text
from vaefrag_core.config import DEFAULT_PRICE, FusionConfig, FusionObjective

OBJECTIVES: dict[FusionObjective, str] = {
    "vi": "mean exp(−VI)",
    "nmi": "mean NMI",
    "mutual-information": "mean I(U;V), bits",
    "information-bottleneck": "Σ I(U;V) − λ I(X;U)",
}
FIELDS = ("name", "objective", "price", "dimension", "steps", "restarts")


def form(title: str, text: str) -> html.Div:
    """Show the form.

    Args:
        title: heading that says what would be fused.
        text: a sentence below it.
    """
    head = html.Div(html.H2([title, help_mark("fused space")]), className="card-head")
    boxes = [html.Div(_input(name), className=f"fuse-{name}") for name in FIELDS]
    button = html.Button("Fuse", id="fuse", type="button", className="button primary")
    hint = html.Span("It is fused in the background. This page can be closed meanwhile.", className="quiet")
    launch = html.Div([button, hint], className="launch")
    grid = html.Div(boxes, className="fuse-grid")
    return html.Div([head, html.P(text, className="note"), grid, html.Div(id="fuse-problem"), launch], className="fuse")


def _input(name: str) -> dmc.TextInput | dmc.Select:
    field = FusionConfig.model_fields[name]
    properties: dict[str, Any] = {"id": {"fuse": name}, "value": field.default, "inputWrapperOrder": _ORDER}
    match name:
        case "name":
            return dmc.TextInput(
                label="Name of the space", description="What the pages call it. May be empty.", **properties
            )
        case "objective":
            options = [
                {"value": value, "label": f"{value}: {OBJECTIVES[value]}"} for value in get_args(FusionObjective)
            ]
            label = html.Span(["Objective", help_mark("objective of a fusion")])
            return dmc.Select(
                label=label,
                description="What is maximized. nmi and mutual-information have no end.",
                data=options,
                allowDeselect=False,
                comboboxProps={"shadow": "md"},
                **properties,
            )
    title, description = _NUMBERS[name]
    text = number_text(properties.pop("value"), grouped=True)
    return number_box(text, label=title, description=description, whole=name != "price", **properties)


def read_field(name: str, value: Any) -> Any:
    """Return what stands in a field as a `FusionConfig` takes it: not yet checked."""
    if name == "price" and not value:
        return None
    return as_number(value) if name in _NUMBERS else value


_ORDER = ["label", "input", "error", "description"]  # an error stands at its input, not below the description
_NUMBERS = {
    "price": (
        "Price of a bit, λ",
        f"information-bottleneck only: what more learners than this tell is kept. Empty: {DEFAULT_PRICE:g}.",
    ),
    "dimension": ("Dimension", "Channels of the fused space. Up to 3 are drawn whole."),
    "steps": ("Steps", "At most; it ends when nothing rises."),
    "restarts": ("Restarts", "Starts, the best of which is kept."),
}
