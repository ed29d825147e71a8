"""Labels of the sample, their values numbered: as hard clusterings beside soft ones, and as factors of few values."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vaefrag_core.array_types import AnyArray, BoolArray, FloatArray, IntArray
from vaefrag_core.artifacts import Posteriors

MAX_VALUES = 20  # of a numeric label; with more, its images fall into as many bins of equal population
IDENTIFIER_SHARE = 0.9  # of the images; a text with more values than that names images
UNLABELLED = -1  # code of an image that has no value of a label
NO_VALUE = ("", "nan")  # texts that stand for no value; the second is what numpy makes of NaN beside text


@dataclass(frozen=True, eq=False)
class Label:
    """One label, its values numbered.

    Args:
        name: name of the label.
        codes: (N,) 0 … K−1, equal where and only where values are equal or share a bin; −1 where an image has none.
        values: number of different values, before they are binned.
        identifier: True when it names images rather than tells something of them: what the user says does, and text
            with nearly as many values as there are images that have one. Numbers never do by themselves.
        declared: whether the user says so.
        numbers: (N,) the values of a label that is binned, NaN where an image has none; None of other labels.
    """

    name: str
    codes: IntArray
    values: int
    identifier: bool
    declared: bool = False
    numbers: FloatArray | None = None

    @property
    def labelled(self) -> BoolArray:
        """(N,) True where an image has a value."""
        return np.asarray(self.codes != UNLABELLED)

    @property
    def bins(self) -> int:
        """Number of bins that its values fall into; 0 when every value stands for itself."""
        return int(self.codes.max(initial=UNLABELLED)) + 1 if self.numbers is not None else 0

    @property
    def messages(self) -> tuple[str, ...]:
        """What a user should know about it."""
        if self.identifier:
            return (f"Label {self.name} {self.names_images}: it is compared with nothing.",)
        messages, known = [], int(self.labelled.sum())
        if known < len(self.codes):
            messages.append(f"Label {self.name} is known of {known:,} of {len(self.codes):,} images; only these count.")
        if self.bins:
            messages.append(
                f"Label {self.name} has {self.values:,} values: it is cut into {self.bins} bins of about as many images"
                " each."
            )
        return tuple(messages)

    @property
    def names_images(self) -> str:
        """Why an identifier is taken for one, after "Label NAME"."""
        if self.declared:
            return "was declared an identifier"
        return f"has {self.values:,} values on {int(self.labelled.sum()):,} images, so that it names images"


@dataclass(frozen=True, eq=False)
class Factors:
    """Labels that can serve as factors, their values numbered.

    Args:
        names: (F,) names of these labels.
        classes: (F, N) numbered value of each image, 0 … K−1.
        messages: what was left out or binned, and why.
    """

    names: tuple[str, ...]
    classes: IntArray
    messages: tuple[str, ...] = ()


def read_labels(labels: Any, names: tuple[str, ...], identifiers: Sequence[str] = ()) -> list[Label]:
    """Number the values of each label.

    An image has no value of a label that is NaN, infinite or empty there. Numbers of more than 20 values, whole or not,
    become 20 bins of equal population, also where they are written as text, except in identifiers.

    Args:
        labels: (N, F) values, numbers or text, or None.
        names: (F,) names of the labels.
        identifiers: names of those that the user calls identifiers.

    Returns:
        F labels, in order.

    Example:
        >>> [label.codes.tolist() for label in read_labels(np.array([["b", "1"], ["a", ""]]), ("letter", "digit"))]
        [[1, 0], [0, -1]]
    """
    columns = [] if labels is None else list(np.asarray(labels).T)
    return [_read(name, column, name in identifiers) for name, column in zip(names, columns, strict=True)]


def labels_of(posteriors: Posteriors) -> list[Label]:
    """Return the labels of a sample, F of them, their values numbered; see `read_labels`."""
    return read_labels(posteriors.labels, posteriors.label_names, posteriors.identifiers)


def factors_of(posteriors: Posteriors) -> Factors:
    """Return the labels of a sample that can serve as factors; see `usable_factors`."""
    return usable_factors(posteriors.labels, posteriors.label_names, posteriors.n_images, posteriors.identifiers)


def known_texts(column: AnyArray) -> list[str | None]:
    """Write the values of a label as text, for colours and legends.

    Args:
        column: (N,) values, numbers or text.

    Returns:
        (N,) texts; None where the label is not known.
    """
    labelled, _ = _parsed(column)
    return [str(value) if there else None for value, there in zip(column, labelled, strict=True)]


def codes_by_images(labels: Sequence[Label]) -> list[tuple[BoolArray, list[int], IntArray]]:
    """Put labels together that are known of the same images, so that one pass over these images compares all of them.

    Args:
        labels: F labels of N images.

    Returns:
        For each such group the images (N,), the positions f of its labels, and their codes (G, images). Labels known of
        fewer than two images are in none: nothing can be told apart by them. Nor are identifiers.
    """
    groups: dict[bytes, list[int]] = {}
    for f, label in enumerate(labels):
        if label.labelled.sum() >= 2 and not label.identifier:
            groups.setdefault(label.labelled.tobytes(), []).append(f)
    known = [(labels[fs[0]].labelled, fs) for fs in groups.values()]
    return [(images, fs, np.array([labels[f].codes[images] for f in fs])) for images, fs in known]


def label_entropy_bits(codes: IntArray) -> float:
    """Entropy of a label on the images of which it is known: −Σ p log2 p over its values, bits; NaN of no image.

    Args:
        codes: (N,) its values, numbered; −1 where it is not known.
    """
    counts = np.bincount(codes[codes != UNLABELLED])
    share = counts[counts > 0] / max(counts.sum(), 1)
    # A label of one value has exactly 0 bits; log2 N − mean of log2 counts would leave rounding to divide by.
    return abs(float((share * np.log2(share)).sum())) if counts.any() else float("nan")


def usable_factors(labels: Any, names: tuple[str, ...], n_images: int, identifiers: Sequence[str] = ()) -> Factors:
    """Select the labels that can serve as factors of all images.

    Labels of one value, labels that some images lack, and identifiers are left out.

    Args:
        labels: (N, F) values, numbers or text, or None.
        names: (F,) names of the labels.
        n_images: N.
        identifiers: names of those that the user calls identifiers.

    Returns:
        The factors, perhaps none, and messages about what was left out.

    Example:
        >>> usable_factors(np.array([[3, 5], [4, 5]]), ("digit", "constant"), 2).names
        ('digit',)
    """
    usable, messages = [], []
    for label in read_labels(labels, names, identifiers):
        if label.identifier:
            messages.append(f"Label {label.name} is left out: it {label.names_images}.")
        elif not label.labelled.all():
            known = int(label.labelled.sum())
            messages.append(f"Label {label.name} is left out: it is known of {known:,} of {n_images:,} images only.")
        elif label.values == 1:
            messages.append(f"Label {label.name} is left out: all images have the same value.")
        else:
            usable.append(label)
            messages.extend(label.messages)
    table = np.array([label.codes for label in usable], dtype=np.int64).reshape(len(usable), n_images)
    return Factors(tuple(label.name for label in usable), table, tuple(messages))


def equal_bins(values: FloatArray, bins: int) -> IntArray:
    """Cut each column into bins of equal population; equal values share a bin.

    Args:
        values: (N, D) numbers.
        bins: number of bins.

    Returns:
        (N, D) bin of each value, 0 … bins−1.

    Example:
        >>> equal_bins(np.array([[0.1], [9.0], [0.2], [0.3]]), 2)[:, 0].tolist()
        [0, 1, 0, 1]
    """
    from scipy.stats import rankdata

    share = (rankdata(values, axis=0) - 0.5) / len(values)
    return np.floor(share * bins).astype(np.int64)


def _read(name: str, column: AnyArray, declared: bool) -> Label:
    """Number the values of one label."""
    labelled, numbers = _parsed(column)
    count = int(labelled.sum())
    codes = np.full(len(column), UNLABELLED, dtype=np.int64)
    if not count:
        return Label(name, codes, 0, declared, declared)
    values, numbered = np.unique(column[labelled] if numbers is None else numbers, return_inverse=True)
    many = len(values) > MAX_VALUES
    identifier = declared or (numbers is None and many and len(values) > IDENTIFIER_SHARE * count)
    known = None
    if numbers is not None and many and not identifier:
        numbered = np.unique(equal_bins(numbers[:, None], MAX_VALUES)[:, 0], return_inverse=True)[1]
        known = np.full(len(column), np.nan)
        known[labelled] = numbers
    codes[labelled] = numbered
    return Label(name, codes, len(values), identifier, declared, known)


def _parsed(column: AnyArray) -> tuple[BoolArray, FloatArray | None]:
    """Return the images that have a value, (N,) bool, and their values as numbers; None when they are words."""
    if column.dtype.kind in "US":
        texts = np.char.lower(np.char.strip(column.astype(np.str_)))
        labelled = ~np.isin(texts, NO_VALUE)
        try:
            numbers = column[labelled].astype(np.float64)
        except ValueError:
            return labelled, None
        # a text such as "inf" is a number that says nothing
        finite = np.isfinite(numbers)
        labelled[labelled] = finite
        return labelled, numbers[finite]
    numbers = column.astype(np.float64)
    finite = np.isfinite(numbers)
    return finite, numbers[finite]
