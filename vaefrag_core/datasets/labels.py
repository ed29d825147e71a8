"""Labels of any kind as factors: numbered levels, each with a name."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from vaefrag_core.array_types import AnyArray, IntArray
from vaefrag_core.datasets.base import Factor
from vaefrag_core.errors import InvalidInputError

DIGITS = 6  # of a fraction's name
MAX_VALUES = 20  # of a label of fractions; with more, images fall into as many bins of equal population


def factors_of(labels: Any, names: Sequence[str] | None, n_images: int) -> tuple[Factor, ...]:
    """Turn each label into a factor.

    Whole numbers and text keep their values, in order; fractions too, up to 20 of them. More fractions are cut into 20
    bins of equal population, named by their ends.

    Args:
        labels: (N,) or (N, F), numbers or text.
        names: the labels' names, as text or bytes; "label", or "label 0", "label 1", … when None.
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
    label_names = default if names is None else [_decoded(name) for name in names]
    if len(label_names) != table.shape[1]:
        raise InvalidInputError(f"Expected {table.shape[1]} label names, got {len(label_names)}. Name every label.")
    repeated = [name for name in label_names if label_names.count(name) > 1]
    if repeated:  # before training: posteriors with such labels would be refused after it
        raise InvalidInputError(f"Expected label names that differ, got {repeated[0]!r} more than once. Rename one.")
    return tuple(_factor(name, column) for name, column in zip(label_names, table.T, strict=True))


def _factor(name: str, column: AnyArray) -> Factor:
    if column.dtype.kind == "f" and not np.isfinite(column).all():
        raise InvalidInputError(f"Expected finite values of label {name!r}, got NaN or infinity. Leave that label out.")
    values, codes = np.unique(column, return_inverse=True)
    if column.dtype.kind == "f" and len(values) > MAX_VALUES and not (values == np.round(values)).all():
        return _binned(name, column)
    if column.dtype.kind == "f":
        return Factor(name, codes, _distinct_texts([(value,) for value in values.tolist()]))
    return Factor(name, codes, tuple(_decoded(value) for value in values.tolist()))


def _binned(name: str, column: AnyArray) -> Factor:
    """Cut a label into bins of equal population; equal values share a bin."""
    edges = np.quantile(column, np.arange(1, MAX_VALUES) / MAX_VALUES)
    bins: IntArray = np.searchsorted(edges, column, side="right")
    filled, codes = np.unique(bins, return_inverse=True)
    ends = [(float(column[bins == b].min()), float(column[bins == b].max())) for b in filled]
    return Factor(name, codes, _distinct_texts(ends))


def _distinct_texts(levels: Sequence[tuple[float, ...]]) -> tuple[str, ...]:
    """Write each level's numbers with six digits, or with as many more as tell all levels apart."""
    # Labels go on as text: two values that read the same would become one.
    texts: tuple[str, ...] = ()
    for digits in (DIGITS, 9, 12, 17):  # 17 write every float64 in a way of its own
        texts = tuple("…".join(f"{number:.{digits}g}" for number in numbers) for numbers in levels)
        if len(set(texts)) == len(texts):
            break
    return texts


def _decoded(value: Any) -> str:
    return value.decode(errors="backslashreplace") if isinstance(value, bytes) else str(value)
