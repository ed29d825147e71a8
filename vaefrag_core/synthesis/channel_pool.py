"""Channels of one or several ensembles on one sample, side by side, and the checks of a set of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from vaefrag_core.array_types import IntArray
from vaefrag_core.artifacts import Posteriors
from vaefrag_core.errors import InvalidInputError


@dataclass(frozen=True, order=True)
class ChannelName:
    """A channel of a workspace.

    Args:
        ensemble: id of its ensemble.
        member: number of its member there.
        channel: its number within the member.
    """

    ensemble: str
    member: int
    channel: int

    def __str__(self) -> str:
        """Give "member.channel"."""
        return f"{self.member}.{self.channel}"


@dataclass(frozen=True, eq=False)
class Pool:
    """The channels of several ensembles as one.

    Args:
        posteriors: all members of all ensembles; member ids count through.
        names: (C,) of each flat index.
        index: flat index of each name.
    """

    posteriors: Posteriors
    names: tuple[ChannelName, ...]
    index: Mapping[ChannelName, int]

    def flat(self, names: Sequence[ChannelName]) -> list[int]:
        """Give the flat indices of channels.

        Raises:
            InvalidInputError: naming the first that is not there.
        """
        for name in names:
            if name not in self.index:
                raise InvalidInputError(
                    f"There is no channel {name} in {name.ensemble}. Channels are named member.channel, both counted"
                    " from 0, such as 0.3."
                )
        return [self.index[name] for name in names]


def pool(ensembles: Mapping[str, Posteriors]) -> Pool:
    """Put ensembles side by side.

    Args:
        ensembles: posteriors by ensemble id, on one sample.

    Raises:
        InvalidInputError: when they are not of one sample, or none is given.
    """
    if not ensembles:
        raise InvalidInputError("Expected the posteriors of at least one ensemble, got none.")
    items = list(ensembles.items())
    check_same_sample(ensembles)
    names = tuple(ChannelName(key, int(m), int(d)) for key, found in items for m, d in found.channel_names)
    first = items[0][1]
    # They are of one sample: whichever knows its images, or its copies, knows them for all.
    copies = [found.image_copies for _, found in items if found.copy_of is not None or found.images is not None]
    pooled = Posteriors(
        [mean for _, found in items for mean in found.mean],
        [logvar for _, found in items for logvar in found.logvar],
        labels=first.labels,
        label_names=first.label_names,
        images=first.images,
        sample_id=first.sample_id,
        copy_of=copies[0] if copies else None,
    )
    return Pool(pooled, names, {name: c for c, name in enumerate(names)})


def check_same_sample(ensembles: Mapping[str, Posteriors]) -> None:
    """See that channels of several ensembles can be combined.

    Raises:
        InvalidInputError: when their samples differ, or one does not name its sample.
    """
    (first, one), *others = ensembles.items()
    for key, other in others:
        if one.sample_id is None or other.sample_id is None:
            unnamed = first if one.sample_id is None else key
            raise InvalidInputError(
                f"Channels of {first} and {key} cannot be combined: {unnamed} does not say which sample it is of."
                " Import it again from a file with a sample_id."
            )
        if one.sample_id != other.sample_id:
            raise InvalidInputError(
                f"Channels of {first} and {key} cannot be combined: they are of different samples of images"
                f" ({one.sample_id[:12]} and {other.sample_id[:12]}). Combine ensembles of one data set and one"
                " fingerprint."
            )


def checked(posteriors: Posteriors, channels: Sequence[int], *, empty: bool = False) -> list[int]:
    """Check flat indices of a set.

    Args:
        posteriors: of C channels.
        channels: flat indices.
        empty: True when there may be none.

    Raises:
        InvalidInputError: for an empty set, what is no channel, and a channel named twice.
    """
    found = [int(c) for c in channels]
    count = posteriors.n_channels
    if not found and not empty:
        raise InvalidInputError("Expected at least one channel to combine, got none. Add a channel to the set.")
    outside = [c for c in found if not 0 <= c < count]
    if outside:
        raise InvalidInputError(f"Expected channels from 0 to {count - 1}, got {outside[0]}.")
    if len(set(found)) < len(found):
        twice = next(c for c in found if found.count(c) > 1)
        raise InvalidInputError(
            f"Expected different channels, got {channel_word(posteriors, twice)} more than once. Name it once."
        )
    return found


def channel_word(posteriors: Posteriors, channel: int) -> str:
    """Give "member.channel" of a flat index."""
    member, within = posteriors.channel_names[channel]
    return f"{member}.{within}"


def label_codes(posteriors: Posteriors) -> IntArray:
    """Number the values of each label, (F, N): equal where and only where the values are equal."""
    labels = np.zeros((posteriors.n_images, 0)) if posteriors.labels is None else posteriors.labels
    columns = [np.unique(column, return_inverse=True)[1] for column in labels.T]
    return np.array(columns, dtype=np.int64).reshape(len(columns), posteriors.n_images)
