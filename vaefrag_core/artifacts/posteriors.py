"""The posteriors of an ensemble on one fingerprint sample, and the file that carries them."""

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import ArrayLike

from vaefrag_core.array_types import AnyArray, FloatArray, ImageArray, IntArray, RealArray
from vaefrag_core.artifacts import posterior_arrays
from vaefrag_core.artifacts.files import npz_names, read_npz
from vaefrag_core.artifacts.image_copies import (
    Evidence,
    copies_by_images,
    copies_by_posteriors,
    copies_message,
    entropy_bits,
)
from vaefrag_core.artifacts.mapped_npz import StoredMap, write_npz
from vaefrag_core.errors import BrokenFileError
from vaefrag_core.measures.kl_divergence import diverged_posteriors

MOST_NAMED = 6  # arrays of a file that is none of posteriors
STORED_KEY = "content_key"
_OPTIONAL = ("labels", "label_names", "images", "sample_id", "member_ids", "copy_of", "identifiers")
_OF_A_MEMBER = re.compile(r"(mean|logvar)_\d{1,9}", flags=re.ASCII)

# (M, N, D), or M arrays (N, D_m) where members differ in channels: both are indexed by member, then by image.
MemberArrays = RealArray | tuple[RealArray, ...]


@dataclass(frozen=True, eq=False, init=False)
class Posteriors:
    """The Gaussian posteriors that every member gives to the images of one fingerprint sample.

    Attributes are checked arrays; the constructor takes whatever numpy can make such arrays of.

    Args:
        mean: (M, N, D), or a sequence of M arrays (N, D_m) when members differ in channels.
        logvar: ln σ², of the same shape as `mean`.
        labels: (N,) or (N, F) known factors of the images, numbers or text; kept as (N, F).
        label_names: F names; "label", or "label 0", "label 1", …, when not given.
        images: (N, H, W) or (N, H, W, 3) uint8.
        sample_id: names the sample and its order. Posteriors of different samples are never compared.
        member_ids: (M,) the members' numbers in their ensemble; 0 … M−1 when not given.
        copy_of: (N,) the position of the first image that each one equals, its own where it is the first; None where
            images and posteriors have to tell, see `image_copies`.
        identifiers: names of labels that name images rather than tell something of them.
        diverged: numbers of the members whose training diverged; None where the posteriors have to tell, see
            `diverged_members`. It is not part of a file, nor of the key.

    Raises:
        InvalidInputError: naming the array, the shape or value expected and the one given.
    """

    mean: MemberArrays
    logvar: MemberArrays
    labels: AnyArray | None
    label_names: tuple[str, ...]
    images: ImageArray | None
    sample_id: str | None
    member_ids: IntArray
    copy_of: IntArray | None
    identifiers: tuple[str, ...]
    diverged: tuple[int, ...] | None

    def __init__(
        self,
        mean: ArrayLike | Sequence[ArrayLike],
        logvar: ArrayLike | Sequence[ArrayLike],
        labels: ArrayLike | None = None,
        label_names: ArrayLike | None = None,
        images: ArrayLike | None = None,
        sample_id: ArrayLike | None = None,
        member_ids: ArrayLike | None = None,
        copy_of: ArrayLike | None = None,
        identifiers: ArrayLike | None = None,
        diverged: Sequence[int] | None = None,
    ) -> None:
        set_field = object.__setattr__.__get__(self)  # the dataclass is frozen
        means = posterior_arrays.as_members("mean", mean)
        logvars = posterior_arrays.as_members("logvar", logvar)
        posterior_arrays.check_same_images(means, logvars)
        posterior_arrays.check_members_first(means, labels=labels, images=images, member_ids=member_ids)
        n_images = len(means[0])
        ragged = len({m.shape[1] for m in means}) != 1
        set_field("mean", tuple(means) if ragged else posterior_arrays.stack(mean, means))
        set_field("logvar", tuple(logvars) if ragged else posterior_arrays.stack(logvar, logvars))
        table, names = posterior_arrays.as_labels(labels, label_names, n_images)
        set_field("labels", table)
        set_field("label_names", names)
        set_field("images", posterior_arrays.as_images(images, n_images))
        set_field("sample_id", posterior_arrays.as_sample_id(sample_id))
        set_field("member_ids", posterior_arrays.as_member_ids(member_ids, len(means)))
        set_field("copy_of", posterior_arrays.as_copies(copy_of, n_images))
        set_field("identifiers", posterior_arrays.as_identifiers(identifiers, names))
        set_field("diverged", None if diverged is None else tuple(sorted({int(member) for member in diverged})))

    def with_identifiers(self, names: tuple[str, ...]) -> "Posteriors":
        """Return the same posteriors with these labels declared identifiers.

        Raises:
            InvalidInputError: when one is no label.
        """
        return replace(self, identifiers=names)

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
            return self.copy_of
        if self.images is not None:
            return copies_by_images(self.images, tuple(self.mean), tuple(self.logvar))
        return copies_by_posteriors(tuple(self.mean), tuple(self.logvar))

    @property
    def input_entropy_bits(self) -> float:
        """H(X): the most information that any channel can carry about the sample, log2 N where no image is a copy."""
        return entropy_bits(self.image_copies)

    @property
    def copies_message(self) -> str | None:
        """What a reader of the results should know about copies; None without any."""
        declared: Evidence = "posteriors" if self.copy_of is None else "declared"
        return copies_message(self.image_copies, declared if self.images is None else "images")

    @property
    def oddities(self) -> tuple[str, ...]:
        """What is allowed and yet likely a mistake of whoever wrote the arrays, a sentence each."""
        return posterior_arrays.oddities(tuple(self.mean), tuple(self.logvar))

    @cached_property
    def diverged_members(self) -> tuple[int, ...]:
        """Numbers of the members whose training diverged: as given, else by `kl_divergence.diverged_posteriors`."""
        if self.diverged is not None:
            return self.diverged
        return tuple(self.member_ids[diverged_posteriors(tuple(self.mean), tuple(self.logvar))].tolist())

    def flat(self) -> tuple[FloatArray, FloatArray]:
        """Return all channels side by side: means and ln σ², each (C, N), float64."""
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

    @cached_property
    def key(self) -> str:
        """Twelve hexadecimal digits of the content, without the images."""
        digest = hashlib.sha256()
        for array in (*self.mean, *self.logvar, self.labels, self.member_ids):
            if array is not None:
                # Type and shape first: bytes alone would not tell (2, 3) from (3, 2).
                digest.update(f"{array.dtype.str}{array.shape}".encode())
                digest.update(np.ascontiguousarray(array).tobytes())
        declared = [self.identifiers] if self.identifiers else []  # keys of files without are older than the field
        digest.update(json.dumps([self.label_names, self.sample_id, *declared]).encode())
        return digest.hexdigest()[:12]

    def save(self, path: str | Path) -> None:
        """Write the posteriors file, format of `load`."""
        with Path(path).open("wb") as file:
            self.write(file)

    def write(self, file: IO[bytes]) -> None:
        """Write the content of a posteriors file."""
        # Text as fixed-width Unicode, never as objects: those would be pickled, and no reader takes pickles.
        arrays: dict[str, Any] = {"member_ids": self.member_ids, STORED_KEY: np.array(self.key)}
        if isinstance(self.mean, tuple):
            for m, (mean, logvar) in enumerate(zip(self.mean, self.logvar, strict=True)):
                arrays |= {f"mean_{m}": mean, f"logvar_{m}": logvar}
        else:
            arrays |= {"mean": self.mean, "logvar": self.logvar}
        if self.labels is not None:
            arrays |= {"labels": self.labels, "label_names": np.array(self.label_names, dtype=np.str_)}
        if self.identifiers:
            arrays["identifiers"] = np.array(self.identifiers, dtype=np.str_)
        if self.images is not None:
            arrays["images"] = self.images
        if self.copy_of is not None:
            arrays["copy_of"] = self.copy_of
        if self.sample_id is not None:
            arrays["sample_id"] = np.array(self.sample_id)
        write_npz(file, arrays)

    @classmethod
    def load(cls, path: str | Path, *, mapped: bool = False) -> "Posteriors":
        """Read a posteriors file: an `.npz` without pickles.

        Args:
            path: the file. Its arrays are `mean` and `logvar` (M, N, D), or `mean_0`, `logvar_0`, `mean_1`, …
                (N, D_m); optionally `labels`, `label_names`, `identifiers`, `images`, `sample_id`, `member_ids`,
                `copy_of`.
            mapped: whether large arrays stay on disk, memory-mapped and read-only. Only for files that `save` wrote:
                their numbers are not checked again, and their key is believed.

        Raises:
            MissingDataError: when there is no such file.
            BrokenFileError: when it cannot be read, or lacks what it needs.
            InvalidInputError: when an array has the wrong shape or values.
        """
        arrays = read_npz(Path(path), _is_read, mapped=mapped)
        mean: Any
        logvar: Any
        if "mean" in arrays:
            mean, logvar = arrays["mean"], arrays.get("logvar")
            complete = logvar is not None
        else:
            count = sum(name.startswith("mean_") for name in arrays)
            mean = [arrays.get(f"mean_{m}") for m in range(count)]
            logvar = [arrays.get(f"logvar_{m}") for m in range(count)]
            complete = count > 0 and all(array is not None for array in (*mean, *logvar))
        if not complete:
            named = npz_names(Path(path))
            more = f" and {len(named) - MOST_NAMED} more" if len(named) > MOST_NAMED else ""
            raise BrokenFileError(
                f"{path}: expected arrays mean and logvar, or mean_0, logvar_0, mean_1, … without a gap,"
                f" got {', '.join(named[:MOST_NAMED]) or 'none'}{more}. docs/posteriors.md says more."
            )
        posteriors = cls(mean, logvar, **{name: arrays[name] for name in _OPTIONAL if name in arrays})
        if isinstance(posteriors.mean[0], StoredMap) and STORED_KEY in arrays:
            posteriors.__dict__["key"] = str(arrays[STORED_KEY])  # else the whole file is read to work it out
        return posteriors


def _is_read(name: str) -> bool:
    return name in ("mean", "logvar", STORED_KEY, *_OPTIONAL) or _OF_A_MEMBER.fullmatch(name) is not None
