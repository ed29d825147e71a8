"""The learners that a fusion takes in: whole latent spaces, or channels, of posteriors on one sample."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import numpy as np

from vaefrag_core.array_types import FloatArray
from vaefrag_core.artifacts import Posteriors
from vaefrag_core.config import FusionConfig, content_key
from vaefrag_core.errors import InvalidInputError
from vaefrag_core.synthesis.channel_pool import ChannelName, pool

Space = Posteriors | tuple[Any, Any]


@dataclass(frozen=True, eq=False)
class LearnerSpaces:
    """K spaces on the same N images.

    Args:
        names: (K,) "member 3", or "channel 3.0"; "channel 3.0 of ID" where several ensembles are fused.
        mean: K arrays (N, d_k).
        logvar: K arrays (N, d_k).
        sample_id: of the images; None when unknown.
        keys: (K,) of each one's content.
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


def gather(spaces: Posteriors | Sequence[Space]) -> LearnerSpaces:
    """Take learners in, and see that they can be fused.

    Args:
        spaces: posteriors, every member of which is a learner; or a sequence of posteriors, likewise, and of pairs
            of mean and ln σ², each (N, d).

    Raises:
        InvalidInputError: when there are fewer than two, or when they saw different images.
    """
    parts = [spaces] if isinstance(spaces, Posteriors) else list(spaces)
    taken = [part if isinstance(part, Posteriors) else Posteriors([part[0]], [part[1]]) for part in parts]
    samples = {part.sample_id for part in taken if part.sample_id is not None}
    if len(samples) > 1:
        raise InvalidInputError(
            f"Expected learners that saw one sample of images, got {len(samples)}: {', '.join(sorted(samples))}."
            " Encode the same images with all of them."
        )
    sizes = {part.n_images for part in taken}
    if len(sizes) > 1:
        raise InvalidInputError(f"Expected learners on the same images, got {sorted(sizes)} images.")
    count = sum(part.n_members for part in taken)
    if count < 2:
        raise InvalidInputError(
            f"Expected at least two learners to fuse, got {'one' if count else 'none'}."
            f" {'One learner is its own fusion; name' if count else 'Name'} members or channels."
        )
    several = len(taken) > 1
    names: list[str] = []
    keys: list[str] = []
    mean, logvar = [], []
    for p, part in enumerate(taken):
        alone = several and part.n_members == 1
        names += [f"space {p}" if alone else f"{f'{p}, ' if several else ''}member {m}" for m in part.member_ids]
        mean += [np.asarray(m, dtype=np.float64) for m in part.mean]
        logvar += [np.asarray(v, dtype=np.float64) for v in part.logvar]
        keys += part.member_keys
    # Whoever knows the images of the sample knows its copies; else the posteriors of all learners tell.
    informed = next((part for part in taken if part.copy_of is not None or part.images is not None), None)
    return LearnerSpaces(
        tuple(names),
        tuple(mean),
        tuple(logvar),
        next(iter(samples), None),
        tuple(keys),
        (informed or Posteriors(mean, logvar)).input_entropy_bits,
    )


def choose(
    posteriors: Posteriors,
    config: FusionConfig,
    *,
    home: str = "the posteriors",
    others: Mapping[str, Posteriors] = MappingProxyType({}),
) -> LearnerSpaces:
    """Take the learners that a fusion of an ensemble names: members, single channels, or every member.

    Args:
        posteriors: of the ensemble.
        config: names them.
        home: id of the ensemble.
        others: posteriors of the other ensembles that channels are of, by id.

    Raises:
        InvalidInputError: when one is not there, is named twice, when there are fewer than two, or when they saw
            different images; when the dimension is beyond the number of images.
    """
    check_dimension(config.dimension, posteriors.n_images)
    if config.channels is None:
        members = posteriors.member_ids.tolist() if config.members is None else list(config.members)
        place = {member: row for row, member in enumerate(posteriors.member_ids.tolist())}
        _check(members, place)
        rows = [place[member] for member in members]
        if len(rows) < 2:
            raise InvalidInputError(f"Expected at least two members to fuse, got {members or 'none'}.")
        chosen = Posteriors(
            [posteriors.mean[row] for row in rows],
            [posteriors.logvar[row] for row in rows],
            sample_id=posteriors.sample_id,
            member_ids=members,
            copy_of=posteriors.image_copies,
        )
        return gather(chosen)
    channels = [ChannelName(*c) if len(c) == 3 else ChannelName(home, *c) for c in config.channels]
    pooled = pool({home: posteriors, **{key: found for key, found in others.items() if key != home}})
    flat = pooled.flat(channels)
    several = len({c.ensemble for c in channels}) > 1
    names = [f"channel {c} of {c.ensemble}" if several else f"channel {c}" for c in channels]
    if len(set(channels)) < len(channels):
        raise InvalidInputError(f"Expected each channel once, got {', '.join(map(str, channels))}.")
    if len(channels) < 2:
        raise InvalidInputError(
            f"Expected at least two channels to fuse, got {', '.join(map(str, channels)) or 'none'}."
        )
    mean, logvar = pooled.posteriors.flat()
    sample = posteriors.sample_id
    copies = pooled.posteriors.image_copies
    found = gather(Posteriors(mean[flat][:, :, None], logvar[flat][:, :, None], sample_id=sample, copy_of=copies))
    return replace(found, names=tuple(names))


def check_dimension(dimension: int, n_images: int) -> None:
    """See that a fused space has no more channels than there are images.

    Raises:
        InvalidInputError: when it has.
    """
    if dimension > n_images:
        sentence = f"Expected a dimension of at most {n_images:,}, the number of images, got {dimension:,}."
        raise InvalidInputError(sentence, {"dimension": sentence})


def _check(named: Sequence[int], there: Mapping[int, int]) -> None:
    missing = [str(name) for name in named if name not in there]
    if missing:
        some = list(there)
        raise InvalidInputError(
            f"There is no member {', '.join(missing)} in the posteriors. There are {some[0]} … {some[-1]}."
        )
    if len(set(named)) < len(named):
        raise InvalidInputError(f"Expected each member once, got {', '.join(map(str, named))}.")
