"""The learners of a fusion: whole latent spaces, or single channels, of posteriors on one sample."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np
from numpy.typing import ArrayLike

from vaefrag_core.array_types import FloatArray
from vaefrag_core.artifacts import Posteriors
from vaefrag_core.config import FusionConfig, content_key
from vaefrag_core.errors import InvalidInputError
from vaefrag_core.synthesis.channel_pool import ChannelName, pool_ensembles

Space = Posteriors | tuple[ArrayLike, ArrayLike]


@dataclass(frozen=True, eq=False)
class LearnerSpaces:
    """K spaces on the same N images.

    Args:
        names: (K,) "member 3", or "channel 3.0"; "channel 3.0 of ID" where some are of other ensembles.
        mean: K arrays (N, d_k), posterior means.
        logvar: K arrays (N, d_k), ln σ².
        sample_id: names the sample of images; None when unknown.
        keys: (K,) name the content of each space.
        input_entropy_bits: H(X) of the images, log2 N where none is a copy.
    """

    names: tuple[str, ...]
    mean: tuple[FloatArray, ...]
    logvar: tuple[FloatArray, ...]
    sample_id: str | None
    keys: tuple[str, ...]
    input_entropy_bits: float

    @property
    def n_images(self) -> int:
        """N."""
        return len(self.mean[0])

    @property
    def key(self) -> str:
        """Twelve hexadecimal digits of the content."""
        return content_key([self.keys, self.sample_id])


def as_learners(spaces: Posteriors | Sequence[Space]) -> LearnerSpaces:
    """Turn posteriors into learners, and check that they can be fused.

    Args:
        spaces: posteriors, every member of which is a learner; or a sequence of such posteriors and of pairs of mean
            and ln σ², each (N, d).

    Raises:
        InvalidInputError: when there are fewer than two, or when they saw different images.
    """
    items = [spaces] if isinstance(spaces, Posteriors) else list(spaces)
    parts = [item if isinstance(item, Posteriors) else Posteriors([item[0]], [item[1]]) for item in items]
    samples = {part.sample_id for part in parts if part.sample_id is not None}  # arrays from a script name none
    if len(samples) > 1:
        raise InvalidInputError(
            f"Expected learners that saw one sample of images, got {len(samples)}: {', '.join(sorted(samples))}."
            " Encode the same images with all of them."
        )
    sizes = {part.n_images for part in parts}
    if len(sizes) > 1:
        raise InvalidInputError(f"Expected learners on the same images, got {sorted(sizes)} images.")
    count = sum(part.n_members for part in parts)
    if count < 2:
        raise InvalidInputError(
            f"Expected at least two learners to fuse, got {'one' if count else 'none'}."
            f" {'One learner is its own fusion; name' if count else 'Name'} members or channels."
        )
    several = len(parts) > 1
    names: list[str] = []
    keys: list[str] = []
    mean, logvar = [], []
    for p, part in enumerate(parts):
        alone = several and part.n_members == 1
        names += [f"space {p}" if alone else f"{f'{p}, ' if several else ''}member {m}" for m in part.member_ids]
        # Double precision: the compiled coefficients and their gradient know no other.
        mean += [np.asarray(m, dtype=np.float64) for m in part.mean]
        logvar += [np.asarray(v, dtype=np.float64) for v in part.logvar]
        keys += part.member_keys
    # Whoever knows the images of the sample knows its copies; else the posteriors of all learners tell.
    informed = next((part for part in parts if part.copy_of is not None or part.images is not None), None)
    return LearnerSpaces(
        tuple(names),
        tuple(mean),
        tuple(logvar),
        next(iter(samples), None),
        tuple(keys),
        (informed or Posteriors(mean, logvar)).input_entropy_bits,
    )


def select_learners(
    posteriors: Posteriors,
    config: FusionConfig,
    *,
    home: str = "the posteriors",
    others: Mapping[str, Posteriors] = MappingProxyType({}),
) -> LearnerSpaces:
    """Return the learners that a fusion names: members of an ensemble, single channels, or every member.

    Args:
        posteriors: of the ensemble.
        config: names the learners.
        home: id of the ensemble.
        others: posteriors of the other ensembles that channels are of, by id.

    Raises:
        InvalidInputError: when a learner is not there or named twice, when there are fewer than two, when they saw
            different images, and when the dimension is beyond the number of images.
    """
    check_dimension(config.dimension, posteriors.n_images)
    if config.channels is None:
        members = posteriors.member_ids.tolist() if config.members is None else list(config.members)
        row_of = {member: row for row, member in enumerate(posteriors.member_ids.tolist())}
        _check_members(members, row_of)
        rows = [row_of[member] for member in members]
        if len(rows) < 2:
            raise InvalidInputError(f"Expected at least two members to fuse, got {members or 'none'}.")
        selection = Posteriors(
            [posteriors.mean[row] for row in rows],
            [posteriors.logvar[row] for row in rows],
            sample_id=posteriors.sample_id,
            member_ids=members,
            copy_of=posteriors.image_copies,
        )
        return as_learners(selection)
    channels = [ChannelName(*c) if len(c) == 3 else ChannelName(home, *c) for c in config.channels]
    pooled = pool_ensembles({home: posteriors, **{key: other for key, other in others.items() if key != home}})
    flat = pooled.flat_indices(channels)
    at_home = all(c.ensemble == home for c in channels)
    names = [f"channel {c}" if at_home else f"channel {c} of {c.ensemble}" for c in channels]
    if len(set(channels)) < len(channels):
        raise InvalidInputError(f"Expected each channel once, got {', '.join(map(str, channels))}.")
    if len(channels) < 2:
        raise InvalidInputError(
            f"Expected at least two channels to fuse, got {', '.join(map(str, channels)) or 'none'}."
        )
    mean, logvar = pooled.posteriors.flat()
    sample = posteriors.sample_id
    copies = pooled.posteriors.image_copies
    # As one-channel members: their keys and arrays are as if each channel were a learner of its own.
    spaces = as_learners(Posteriors(mean[flat][:, :, None], logvar[flat][:, :, None], sample_id=sample, copy_of=copies))
    return replace(spaces, names=tuple(names))


def check_dimension(dimension: int, n_images: int) -> None:
    """Check that a fused space has no more channels than there are images.

    Raises:
        InvalidInputError: when it has.
    """
    if dimension > n_images:
        sentence = f"Expected a dimension of at most {n_images:,}, the number of images, got {dimension:,}."
        raise InvalidInputError(sentence, {"dimension": sentence})


def _check_members(members: Sequence[int], row_of: Mapping[int, int]) -> None:
    """Check that members are among the posteriors' rows, each named once."""
    missing = [str(member) for member in members if member not in row_of]
    if missing:
        present = list(row_of)
        raise InvalidInputError(
            f"There is no member {', '.join(missing)} in the posteriors. There are {present[0]} … {present[-1]}."
        )
    if len(set(members)) < len(members):
        raise InvalidInputError(f"Expected each member once, got {', '.join(map(str, members))}.")
