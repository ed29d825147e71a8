"""Boxes for numbers. They hold text: what was typed reaches the server as it was, and is told so when it is wrong."""

import re
from typing import Any

import dash_mantine_components as dmc
from dash import MATCH, Dash, Input, Output

GROUPED = r"\d{1,3}(,\d{3})+"


def number_box(text: str, *, whole: bool, **shared: Any) -> dmc.TextInput:
    """Show a box for a number.

    Args:
        text: it holds at first.
        whole: whether the number is a whole one.
        shared: of every box, such as its label.
    """
    return dmc.TextInput(value=text, inputProps={"inputMode": "numeric" if whole else "decimal"}, **shared)


def number_text(value: float | None, *, grouped: bool = False) -> str:
    """Write a number for such a box; nothing for None.

    Example:
        >>> number_text(5000, grouped=True), number_text(0.05), number_text(None)
        ('5,000', '0.05', '')
    """
    if value is None:
        return ""
    return f"{value:,}" if grouped else f"{value:.12g}" if isinstance(value, float) else str(value)


def as_number(typed: Any) -> Any:
    """Give what stands in such a box, without the commas between thousands: not yet checked."""
    text = typed.strip() if isinstance(typed, str) else typed
    return text.replace(",", "") if isinstance(text, str) and re.fullmatch(GROUPED, text) else text


def forget_errors(app: Dash, kind: str) -> None:
    """Take what is said to be wrong with a field of a form away as soon as it is changed.

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
