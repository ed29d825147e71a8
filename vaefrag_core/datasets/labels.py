"""Labels of any kind become factors: numbered levels, each with a name."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from vaefrag_core.array_types import AnyArray, IntArray
from vaefrag_core.datasets.base import Factor
from vaefrag_core.errors import InvalidInputError

MAX_VALUES = 20  # of a label of fractions; with more, images fall into as many bins of equal population


def factors_of(labels: Any, names: Sequence[str] | None, n_images: int) -> tuple[Factor, ...]:
    """Make a factor of each label.

    Whole numbers and text keep their values, in order; fractions too, up to 20 of them. More fractions are cut into 20
    bins of equal population, called by their ends.

    Args:
        labels: (N,) or (N, F), numbers or text.
        names: of the labels; "label", or "label 0", "label 1", …, when not given.
        n_images: N.

    Raises:
        InvalidInputError: when they have another shape, or values that are not finite.

    Example:
        >>> factors_of(np.array([0.5, 2.0]), ["scale"], 2)[0].levels
        ('0.5', '2')
    """
    table = np.asarray(labels)
    if table.ndim not in (1, 2) or len(table) != n_images or table.dtype.kind not in "biufUS":
        raise InvalidInputError(
            f"Expected labels as numbers or text of shape ({n_images},) or ({n_images}, labels), got {table.shape} of"
            f" type {table.dtype}. Give every image its labels."
        )
    table = table[:, None] if table.ndim == 1 else table
    default = ["label"] if table.shape[1] == 1 else [f"label {f}" for f in range(table.shape[1])]
    given = list(default if names is None else names)
    if len(given) != table.shape[1]:
        raise InvalidInputError(f"Expected {table.shape[1]} label names, got {len(given)}. Name every label.")
    return tuple(_factor(name, column) for name, column in zip(given, table.T, strict=True))


def _factor(name: str, column: AnyArray) -> Factor:
    if column.dtype.kind == "f" and not np.isfinite(column).all():
        raise InvalidInputError(f"Expected finite values of label {name!r}, got NaN or infinity. Leave that label out.")
    values, codes = np.unique(column, return_inverse=True)
    if column.dtype.kind == "f" and len(values) > MAX_VALUES and not (values == np.round(values)).all():
        return _binned(name, column)
    texts = [value.decode(errors="replace") if isinstance(value, bytes) else _text(value) for value in values.tolist()]
    return Factor(name, codes, tuple(texts))


def _binned(name: str, column: AnyArray) -> Factor:
    """Cut a label into bins of equal population; equal values share a bin."""
    edges = np.quantile(column, np.arange(1, MAX_VALUES) / MAX_VALUES)
    bins: IntArray = np.searchsorted(edges, column, side="right")
    filled, codes = np.unique(bins, return_inverse=True)
    ends = [(column[bins == b].min(), column[bins == b].max()) for b in filled]
    return Factor(name, codes, tuple(f"{_text(low)}…{_text(high)}" for low, high in ends))


def _text(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
