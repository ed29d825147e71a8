"""The posteriors of an ensemble on one fingerprint sample, and the file that carries them."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from vaefrag_core.artifacts.files import read_npz
from vaefrag_core.artifacts.image_copies import (
    copies_by_images,
    copies_by_posteriors,
    copies_message,
    entropy_bits,
)
from vaefrag_core.errors import BrokenFileError, InvalidInputError

MOST_NAMED = 6  # arrays of a file that is none of posteriors

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Posteriors:
    """The Gaussian posteriors that every member gives to the images of one fingerprint sample.

    Args:
        mean: (M, N, D), or a sequence of M arrays (N, D_m) when members differ in channels.
        logvar: ln σ², of the same shape as `mean`.
        labels: (N,) or (N, F) known factors of the images, numbers or text.
        label_names: F names; "label", or "label 0", "label 1", …, when not given.
        images: (N, H, W) or (N, H, W, 3) uint8.
        sample_id: names the sample and its order. Posteriors of different samples are never compared.
        member_ids: (M,) the members' numbers in their ensemble; 0 … M−1 when not given.
        copy_of: (N,) the position of the first image that each one equals, its own where it is the first; None where
            images and posteriors have to tell, see `image_copies`.

    Raises:
        InvalidInputError: naming the array, the shape or value expected and the one given.
    """

    mean: Any
    logvar: Any
    labels: Any = None
    label_names: Sequence[str] | None = None
    images: Any = None
    sample_id: str | None = None
    member_ids: Any = None
    copy_of: Any = None

    def __post_init__(self) -> None:
        set_field = object.__setattr__.__get__(self)
        mean, logvar = _as_members("mean", self.mean), _as_members("logvar", self.logvar)
        if [m.shape for m in mean] != [v.shape for v in logvar]:
            raise InvalidInputError(
                f"Expected logvar of the shape of mean, {_shape(mean)}, got {_shape(logvar)}."
                " Give ln σ² for every mean."
            )
        if len({m.shape[0] for m in mean}) != 1:
            raise InvalidInputError(
                f"Expected all members to see the same images, got {sorted({m.shape[0] for m in mean})} images."
                " Encode one sample with every member."
            )
        ragged = len({m.shape[1] for m in mean}) != 1
        set_field("mean", tuple(mean) if ragged else np.stack(mean))
        set_field("logvar", tuple(logvar) if ragged else np.stack(logvar))
        labels, names = _as_labels(self.labels, self.label_names, self.n_images)
        set_field("labels", labels)
        set_field("label_names", names)
        set_field("images", _as_images(self.images, self.n_images))
        ids = np.arange(len(mean)) if self.member_ids is None else np.asarray(self.member_ids, dtype=np.int64)
        if ids.shape != (len(mean),):
            raise InvalidInputError(f"Expected {len(mean)} member ids, got an array of shape {ids.shape}.")
        set_field("member_ids", ids)
        set_field("copy_of", _as_copies(self.copy_of, self.n_images))

    @property
    def n_members(self) -> int:
        """M."""
        return len(self.mean)

    @property
    def n_images(self) -> int:
        """N."""
        return int(self.mean[0].shape[0])

    @property
    def channels_of_member(self) -> tuple[int, ...]:
        """D of each member."""
        return tuple(m.shape[1] for m in self.mean)

    @property
    def n_channels(self) -> int:
        """C, of all members together."""
        return sum(self.channels_of_member)

    @property
    def channel_names(self) -> IntArray:
        """(C, 2): the member's number and the channel's number within it, of each flat index."""
        pairs = [
            (member, channel)
            for member, count in zip(self.member_ids, self.channels_of_member, strict=True)
            for channel in range(count)
        ]
        return np.array(pairs, dtype=np.int64)

    @cached_property
    def image_copies(self) -> IntArray:
        """(N,) the position of the first image that each one equals: as given, else by images, else by posteriors."""
        if self.copy_of is not None:
            copy_of: IntArray = self.copy_of
            return copy_of
        if self.images is not None:
            return copies_by_images(self.images, self.mean, self.logvar)
        return copies_by_posteriors(self.mean, self.logvar)

    @property
    def input_entropy_bits(self) -> float:
        """H(X): the most information that any channel can carry about the sample, log2 N where no image is a copy."""
        return entropy_bits(self.image_copies)

    @property
    def copies_message(self) -> str | None:
        """What a reader of the results should know about copies; None without any."""
        return copies_message(self.image_copies, seen=self.copy_of is not None or self.images is not None)

    def flat(self) -> tuple[FloatArray, FloatArray]:
        """Lay all channels side by side: means and ln σ², each (C, N), float64."""
        mean = np.concatenate([np.asarray(m, dtype=np.float64).T for m in self.mean])
        logvar = np.concatenate([np.asarray(v, dtype=np.float64).T for v in self.logvar])
        return mean, logvar

    @property
    def member_keys(self) -> tuple[str, ...]:
        """Twelve hexadecimal digits of each member's number, posteriors and sample: what its comparisons depend on."""
        keys = []
        for number, mean, logvar in zip(self.member_ids, self.mean, self.logvar, strict=True):
            digest = hashlib.sha256(json.dumps([int(number), self.sample_id, mean.shape]).encode())
            for array in (mean, logvar):
                digest.update(np.ascontiguousarray(array, dtype=np.float64).tobytes())
            keys.append(digest.hexdigest()[:12])
        return tuple(keys)

    @property
    def key(self) -> str:
        """Twelve hexadecimal digits of the content, without the images."""
        digest = hashlib.sha256()
        for array in (*self.mean, *self.logvar, self.labels, self.member_ids):
            if array is not None:
                digest.update(f"{array.dtype.str}{array.shape}".encode())
                digest.update(np.ascontiguousarray(array).tobytes())
        digest.update(json.dumps([self.label_names, self.sample_id]).encode())
        return digest.hexdigest()[:12]

    def save(self, path: str | Path) -> None:
        """Write the posteriors file, format of `load`."""
        with Path(path).open("wb") as file:
            self.write(file)

    def write(self, file: IO[bytes]) -> None:
        """Write the content of a posteriors file."""
        arrays: dict[str, Any] = {"member_ids": self.member_ids}
        if isinstance(self.mean, tuple):
            for m, (mean, logvar) in enumerate(zip(self.mean, self.logvar, strict=True)):
                arrays |= {f"mean_{m}": mean, f"logvar_{m}": logvar}
        else:
            arrays |= {"mean": self.mean, "logvar": self.logvar}
        if self.labels is not None:
            arrays |= {"labels": self.labels, "label_names": np.array(self.label_names, dtype=np.str_)}
        if self.images is not None:
            arrays["images"] = self.images
        if self.copy_of is not None:
            arrays["copy_of"] = self.copy_of
        if self.sample_id is not None:
            arrays["sample_id"] = np.array(self.sample_id)
        np.savez(file, **arrays)

    @classmethod
    def load(cls, path: str | Path) -> "Posteriors":
        """Read a posteriors file: an `.npz` without pickles.

        Args:
            path: the file. Its arrays are `mean` and `logvar` (M, N, D), or `mean_0`, `logvar_0`, `mean_1`, …
                (N, D_m); optionally `labels`, `label_names`, `images`, `sample_id`, `member_ids`,
                `copy_of`.

        Raises:
            MissingDataError: when there is no such file.
            BrokenFileError: when it cannot be read, or lacks what it needs.
            InvalidInputError: when an array has the wrong shape or values.
        """
        arrays = read_npz(Path(path))
        if "mean" in arrays:
            mean, logvar = arrays.get("mean"), arrays.get("logvar")
        else:
            count = sum(name.startswith("mean_") for name in arrays)
            mean = [arrays.get(f"mean_{m}") for m in range(count)]
            logvar = [arrays.get(f"logvar_{m}") for m in range(count)]
        if mean is None or logvar is None or len(mean) == 0 or any(a is None for a in (*mean, *logvar)):
            named = sorted(arrays)
            more = f" and {len(named) - MOST_NAMED} more" if len(named) > MOST_NAMED else ""
            raise BrokenFileError(
                f"{path}: expected arrays mean and logvar, or mean_0, logvar_0, mean_1, … without a gap,"
                f" got {', '.join(named[:MOST_NAMED]) or 'none'}{more}. docs/posteriors.md says more."
            )
        names = arrays.get("label_names")
        sample_id = arrays.get("sample_id")
        return cls(
            mean,
            logvar,
            labels=arrays.get("labels"),
            label_names=None if names is None else [str(name) for name in np.atleast_1d(names)],
            images=arrays.get("images"),
            sample_id=None if sample_id is None else str(sample_id),
            member_ids=arrays.get("member_ids"),
            copy_of=arrays.get("copy_of"),
        )


def _as_members(name: str, value: Any) -> list[NDArray[np.floating]]:
    """Give M arrays (N, D_m) of finite floats."""
    members = [np.asarray(array) for array in value]
    if not members:
        raise InvalidInputError(f"Expected {name} of at least one member, got none.")
    for m, array in enumerate(members):
        if array.ndim != 2 or 0 in array.shape or not np.issubdtype(array.dtype, np.number):
            raise InvalidInputError(
                f"Expected {name} as numbers of shape (members, images, channels), got member {m} with shape"
                f" {array.shape} and type {array.dtype}."
            )
        if not np.isfinite(array).all():
            raise InvalidInputError(
                f"Expected finite numbers in {name}, got NaN or infinity in member {m}. Leave that member out."
            )
    return [a if a.dtype in (np.float32, np.float64) else a.astype(np.float64) for a in members]


def _as_labels(labels: Any, names: Any, n_images: int) -> tuple[Any, tuple[str, ...]]:
    if labels is None:
        return None, ()
    table = np.asarray(labels)
    table = table[:, None] if table.ndim == 1 else table
    if table.ndim != 2 or table.shape[0] != n_images or table.dtype == object:
        raise InvalidInputError(
            f"Expected labels of shape ({n_images},) or ({n_images}, labels), numbers or text, got"
            f" {np.asarray(labels).shape} of type {table.dtype}."
        )
    if table.shape[1] == 0 and not names:
        return None, ()  # of data without labels
    default = ["label"] if table.shape[1] == 1 else [f"label {f}" for f in range(table.shape[1])]
    given = tuple(str(name) for name in (default if names is None else names))
    if len(given) != table.shape[1]:
        raise InvalidInputError(f"Expected {table.shape[1]} label names, got {len(given)}.")
    return table, given


def _as_images(images: Any, n_images: int) -> Any:
    if images is None:
        return None
    array = np.asarray(images)
    fits = array.ndim == 3 or (array.ndim == 4 and array.shape[3] == 3)
    if not fits or array.shape[0] != n_images or array.dtype != np.uint8:
        raise InvalidInputError(
            f"Expected images of shape ({n_images}, H, W) or ({n_images}, H, W, 3) and type uint8, got"
            f" {array.shape} of type {array.dtype}."
        )
    return array


def _as_copies(copy_of: Any, n_images: int) -> Any:
    if copy_of is None:
        return None
    array = np.asarray(copy_of)
    if array.shape != (n_images,) or array.dtype.kind not in "iu":
        raise InvalidInputError(
            f"Expected copy_of as ({n_images},) whole numbers, got shape {array.shape} of type {array.dtype}."
            " Leave it out when it is not known."
        )
    positions = array.astype(np.int64)
    inside = ((positions >= 0) & (positions <= np.arange(n_images))).all()
    if not inside or (positions[positions] != positions).any():
        raise InvalidInputError(
            "Expected copy_of to name, for each image, the position of the first image that it equals, or its own, got"
            " positions that are none. Leave it out when it is not known."
        )
    return positions


def _shape(members: Sequence[NDArray[np.floating]]) -> str:
    shapes = {array.shape for array in members}
    return f"{len(members)} × {' | '.join(map(str, sorted(shapes)))}"
