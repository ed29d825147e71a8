"""Labels of the sample: as channels, that is hard clusterings beside the soft ones, and as factors of a few values."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

MAX_VALUES = 20  # of a numeric factor; with more, its images fall into as many bins of equal population


@dataclass(frozen=True, eq=False)
class Factors:
    """Labels that can serve as factors, their values numbered.

    Args:
        names: (F,) of the labels taken.
        classes: (F, N) the value of each image, 0 … K−1.
        messages: what was left out or binned, and why.
    """

    names: tuple[str, ...]
    classes: NDArray[np.int64]
    messages: tuple[str, ...] = ()


def label_codes(labels: Any, n_images: int) -> NDArray[np.int64]:
    """Number the values of each label.

    Args:
        labels: (N, F) values, numbers or text, or None.
        n_images: N.

    Returns:
        (F, N) codes: equal where and only where the values are equal.
    """
    if labels is None:
        return np.zeros((0, n_images), dtype=np.int64)
    columns = [np.unique(column, return_inverse=True)[1] for column in np.asarray(labels).T]
    return np.array(columns, dtype=np.int64).reshape(len(columns), n_images)


def usable_factors(labels: Any, names: tuple[str, ...], n_images: int) -> Factors:
    """Take the labels that can serve as factors.

    Left out are labels of one value, numbers that are not finite, and identifiers: text or whole numbers of more than
    N/2 values. Numbers of more than 20 values become 20 bins of equal population.

    Args:
        labels: (N, F) values, numbers or text, or None.
        names: (F,) of the labels.
        n_images: N.

    Returns:
        What is left; no factor at all is possible.
    """
    taken, classes, messages = [], [], []
    for name, codes, column in zip(names, label_codes(labels, n_images), _columns(labels), strict=True):
        count, numbers = int(codes.max()) + 1, _as_numbers(column)
        whole = numbers is None or bool(np.all(numbers == np.round(numbers)))
        if numbers is not None and not np.isfinite(numbers).all():
            messages.append(f"Label {name} is left out: it has values that are not finite.")
        elif count == 1:
            messages.append(f"Label {name} is left out: all images have the same value.")
        elif whole and count > max(n_images / 2, MAX_VALUES):
            messages.append(
                f"Label {name} is left out: {count:,} values on {n_images:,} images name images, no factor."
            )
        else:
            if numbers is not None and count > MAX_VALUES:
                codes = np.unique(equal_bins(numbers[:, None], MAX_VALUES)[:, 0], return_inverse=True)[1]
                messages.append(f"Label {name} has {count:,} values: it is cut into {codes.max() + 1} equal bins.")
            taken.append(name)
            classes.append(codes)
    table = np.array(classes, dtype=np.int64).reshape(len(taken), n_images)
    return Factors(tuple(taken), table, tuple(messages))


def equal_bins(values: NDArray[np.float64], bins: int) -> NDArray[np.int64]:
    """Cut each column into bins of equal population; equal values share a bin.

    Args:
        values: (N, D).
        bins: how many.

    Returns:
        (N, D) 0 … bins−1.
    """
    from scipy.stats import rankdata

    share = (rankdata(values, axis=0) - 0.5) / len(values)
    return np.floor(share * bins).astype(np.int64)


def _columns(labels: Any) -> list[NDArray[Any]]:
    return [] if labels is None else list(np.asarray(labels).T)


def _as_numbers(column: NDArray[Any]) -> NDArray[np.float64] | None:
    """Give the values as numbers, also where text holds them, as in a table with a text label beside."""
    try:
        return column.astype(np.float64)
    except ValueError:
        return None
