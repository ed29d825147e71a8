"""Labels of the sample: as channels, that is hard clusterings beside the soft ones, and as factors of a few values."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from vaefrag_core.array_types import AnyArray, BoolArray, FloatArray, IntArray

MAX_VALUES = 20  # of a numeric label; with more, its images fall into as many bins of equal population
UNKNOWN = -1  # code of an image of which a label is not known
NO_VALUE = ("", "nan")  # texts that stand for no value; the second is what numpy makes of NaN beside text


@dataclass(frozen=True)
class Label:
    """One label, its values numbered.

    Args:
        name: of the label.
        codes: (N,) 0 … K−1: equal where and only where values are equal, or share a bin; −1 where it is not known.
        values: how many different ones it has, before they are binned.
        identifier: whether it names images rather than tells something of them: text or whole numbers of more values
            than half the images of which it is known.
    """

    name: str
    codes: IntArray
    values: int
    identifier: bool

    @property
    def known(self) -> BoolArray:
        """(N,) the images of which it is known."""
        return np.asarray(self.codes != UNKNOWN)

    @property
    def bins(self) -> int:
        """How many bins its values fall into; 0 when every value stands for itself."""
        count = int(self.codes.max(initial=UNKNOWN)) + 1
        return count if count < self.values else 0

    @property
    def messages(self) -> tuple[str, ...]:
        """What a user should know about it."""
        found, known = [], int(self.known.sum())
        if known < len(self.codes):
            found.append(f"Label {self.name} is known of {known:,} of {len(self.codes):,} images; only these count.")
        if self.identifier:
            found.append(
                f"Label {self.name} has {self.values:,} values on {known:,} images: it seems to name images, so it is"
                " never called a best label."
            )
        return (*found, *self._binned())

    def _binned(self) -> list[str]:
        if not self.bins:
            return []
        return [f"Label {self.name} has {self.values:,} values: it is cut into {self.bins} equal bins."]


@dataclass(frozen=True, eq=False)
class Factors:
    """Labels that can serve as factors, their values numbered.

    Args:
        names: (F,) of the labels taken.
        classes: (F, N) the value of each image, 0 … K−1.
        messages: what was left out or binned, and why.
    """

    names: tuple[str, ...]
    classes: IntArray
    messages: tuple[str, ...] = ()


def read_labels(labels: Any, names: tuple[str, ...]) -> list[Label]:
    """Number the values of each label.

    Not known is a label where it is NaN, infinite or empty. Numbers of more than 20 values become 20 bins of equal
    population, also where text holds them; not so identifiers.

    Args:
        labels: (N, F) values, numbers or text, or None.
        names: (F,) of the labels.
    """
    columns = [] if labels is None else list(np.asarray(labels).T)
    return [_read(name, column) for name, column in zip(names, columns, strict=True)]


def usable_factors(labels: Any, names: tuple[str, ...], n_images: int) -> Factors:
    """Take the labels that can serve as factors of all images.

    Left out are labels of one value, labels that are not known of all images, and identifiers.

    Args:
        labels: (N, F) values, numbers or text, or None.
        names: (F,) of the labels.
        n_images: N.

    Returns:
        What is left; no factor at all is possible.
    """
    taken, messages = [], []
    for label in read_labels(labels, names):
        if not label.known.all():
            known = int(label.known.sum())
            messages.append(f"Label {label.name} is left out: it is known of {known:,} of {n_images:,} images only.")
        elif label.values == 1:
            messages.append(f"Label {label.name} is left out: all images have the same value.")
        elif label.identifier:
            messages.append(
                f"Label {label.name} is left out: {label.values:,} values on {n_images:,} images name images, no"
                " factor."
            )
        else:
            taken.append(label)
            messages.extend(label.messages)
    table = np.array([label.codes for label in taken], dtype=np.int64).reshape(len(taken), n_images)
    return Factors(tuple(label.name for label in taken), table, tuple(messages))


def equal_bins(values: FloatArray, bins: int) -> IntArray:
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


def _read(name: str, column: AnyArray) -> Label:
    known, numbers = _known(column)
    count = int(known.sum())
    codes = np.full(len(column), UNKNOWN, dtype=np.int64)
    if not count:
        return Label(name, codes, 0, identifier=False)
    found, places = np.unique(column[known] if numbers is None else numbers, return_inverse=True)
    whole = numbers is None or bool(np.all(numbers == np.round(numbers)))
    identifier = whole and len(found) > max(count / 2, MAX_VALUES)
    if numbers is not None and len(found) > MAX_VALUES and not identifier:
        places = np.unique(equal_bins(numbers[:, None], MAX_VALUES)[:, 0], return_inverse=True)[1]
    codes[known] = places
    return Label(name, codes, len(found), identifier)


def _known(column: AnyArray) -> tuple[BoolArray, FloatArray | None]:
    """Say of which images a label is known, and give its values there as numbers if they are, also as text."""
    if column.dtype.kind in "US":
        texts = np.char.lower(np.char.strip(column.astype(np.str_)))
        known = ~np.isin(texts, NO_VALUE)
        try:
            numbers = column[known].astype(np.float64)
        except ValueError:
            return known, None
        # a text such as "inf" is a number that says nothing
        finite = np.isfinite(numbers)
        known[known] = finite
        return known, numbers[finite]
    numbers = column.astype(np.float64)
    finite = np.isfinite(numbers)
    return finite, numbers[finite]
