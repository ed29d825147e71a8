"""Boxes for numbers. They hold text: what was typed reaches the server as it was, and is told so when it is wrong."""

import re
from typing import Any

import dash_mantine_components as dmc
from dash import MATCH, Dash, Input, Output

GROUPED = r"\d{1,3}(,\d{3})+"


def number_box(text: str, *, whole: bool, **properties: Any) -> dmc.TextInput:
    """Show a box for a number.

    Args:
        text: what it holds at first.
        whole: whether the number is a whole one.
        properties: of the text input, such as its label.
    """
    # Not an input of type number: where a browser cannot read a number it hands over an empty text, and nobody could
    # say what is wrong with what was typed. The mode only decides which keys a phone shows.
    return dmc.TextInput(value=text, inputProps={"inputMode": "numeric" if whole else "decimal"}, **properties)


def number_text(value: float | None, *, grouped: bool = False) -> str:
    """Write a number for such a box; nothing for None.

    Example:
        >>> number_text(5000, grouped=True), number_text(0.05), number_text(None)
        ('5,000', '0.05', '')
    """
    if value is None:
        return ""
    return f"{value:,}" if grouped else f"{value:.12g}" if isinstance(value, float) else str(value)


def as_number(content: Any) -> Any:
    """Return what stands in such a box without the commas between thousands: not yet checked."""
    text = content.strip() if isinstance(content, str) else content
    return text.replace(",", "") if isinstance(text, str) and re.fullmatch(GROUPED, text) else text


def clear_errors(app: Dash, kind: str) -> None:
    """Take the error of a form's field away as soon as the field is changed.

    Args:
        app: the app.
        kind: key of the ids of the form's fields.
    """
    app.clientside_callback(
        "() => null",
        Output({kind: MATCH}, "error", allow_duplicate=True),
        Input({kind: MATCH}, "value"),
        prevent_initial_call=True,
    )
