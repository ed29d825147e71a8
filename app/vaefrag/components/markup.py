"""What the content of a page may be, and attributes that Dash's classes take but do not name."""

from collections.abc import Sequence
from typing import Any

from dash.development.base_component import Component

Child = str | int | float | Component | None
Children = Child | Sequence[Child]


def aria(**attributes: str | int) -> dict[str, Any]:
    """Return attributes for assistive technology, to be unpacked into a component.

    Dash's classes take any `aria-…` attribute, but a keyword of Python cannot have a hyphen.

    Args:
        attributes: names without the prefix, and their values.

    Example:
        >>> aria(label="Similarity", valuenow=40)
        {'aria-label': 'Similarity', 'aria-valuenow': 40}
    """
    return {f"aria-{name}": value for name, value in attributes.items()}
