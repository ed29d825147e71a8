"""Channels of one or several ensembles on one sample, side by side, and the checks of a set of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from vaefrag_core.artifacts import Posteriors
from vaefrag_core.errors import InvalidInputError


@dataclass(frozen=True, order=True)
class ChannelName:
    """A channel of a workspace.

    Args:
        ensemble: id of its ensemble.
        member: its member's number in the ensemble.
        channel: its number within the member.
    """

    ensemble: str
    member: int
    channel: int

    def __str__(self) -> str:
        """Return "member.channel"."""
        return f"{self.member}.{self.channel}"


@dataclass(frozen=True, eq=False)
class ChannelPool:
    """The channels of several ensembles, side by side.

    Args:
        posteriors: all members of all ensembles; their member ids count from 0.
        names: (C,) the name of each flat index.
        index: the flat index of each name.
    """

    posteriors: Posteriors
    names: tuple[ChannelName, ...]
    index: Mapping[ChannelName, int]

    def flat_indices(self, names: Sequence[ChannelName]) -> list[int]:
        """Return the flat indices of channels.

        Raises:
            InvalidInputError: when one is not there; the first such is named.
        """
        for name in names:
            if name not in self.index:
                raise InvalidInputError(
                    f"There is no channel {name} in {name.ensemble}. Channels are named member.channel, both counted"
                    " from 0, such as 0.3."
                )
        return [self.index[name] for name in names]


def pool_ensembles(ensembles: Mapping[str, Posteriors]) -> ChannelPool:
    """Put the channels of ensembles side by side.

    Args:
        ensembles: posteriors by ensemble id, on one sample.

    Raises:
        InvalidInputError: when they are not of one sample, or there is none.
    """
    if not ensembles:
        raise InvalidInputError("Expected the posteriors of at least one ensemble, got none.")
    items = list(ensembles.items())
    check_same_sample(ensembles)
    names = tuple(ChannelName(key, int(m), int(d)) for key, part in items for m, d in part.channel_names)
    first = items[0][1]  # labels and images belong to the sample, which all share
    # They are of one sample: whichever knows its images, or its copies, knows them for all.
    copies = [part.image_copies for _, part in items if part.copy_of is not None or part.images is not None]
    diverged = [int(member) in part.diverged_members for _, part in items for member in part.member_ids]
    pooled = Posteriors(
        [mean for _, part in items for mean in part.mean],
        [logvar for _, part in items for logvar in part.logvar],
        labels=first.labels,
        label_names=first.label_names,
        images=first.images,
        sample_id=first.sample_id,
        copy_of=copies[0] if copies else None,
        identifiers=first.identifiers,
        diverged=[place for place, of_diverged in enumerate(diverged) if of_diverged],
    )
    return ChannelPool(pooled, names, {name: c for c, name in enumerate(names)})


def check_same_sample(ensembles: Mapping[str, Posteriors], what: str = "combined") -> None:
    """Check that channels of several ensembles can be combined, or compared.

    Args:
        ensembles: posteriors by ensemble id.
        what: cannot be done with them, for the message.

    Raises:
        InvalidInputError: when their samples differ, or one does not name its sample.
    """
    (first, one), *others = ensembles.items()
    for key, other in others:
        if one.sample_id is None or other.sample_id is None:
            unnamed = first if one.sample_id is None else key
            raise InvalidInputError(
                f"Channels of {first} and {key} cannot be {what}: {unnamed} does not say which sample it is of."
                " Import it again from a file with a sample_id."
            )
        if one.sample_id != other.sample_id:
            raise InvalidInputError(
                f"Channels of {first} and {key} cannot be {what}: they are of different samples of images"
                f" ({one.sample_id[:12]} and {other.sample_id[:12]}). Take ensembles of one data set and one"
                " fingerprint."
            )


def validate_channels(posteriors: Posteriors, channels: Sequence[int], *, allow_empty: bool = False) -> list[int]:
    """Check the flat indices of a set, and return them as a list.

    Args:
        posteriors: C channels.
        channels: flat indices.
        allow_empty: True when there may be none.

    Raises:
        InvalidInputError: for an empty set, what is no channel, and a channel named twice.
    """
    selection = [int(c) for c in channels]
    count = posteriors.n_channels
    if not selection and not allow_empty:
        raise InvalidInputError("Expected at least one channel to combine, got none. Add a channel to the set.")
    outside = [c for c in selection if not 0 <= c < count]
    if outside:
        raise InvalidInputError(f"Expected channels from 0 to {count - 1}, got {outside[0]}.")
    if len(set(selection)) < len(selection):
        repeated = next(c for c in selection if selection.count(c) > 1)
        raise InvalidInputError(
            f"Expected different channels, got {channel_text(posteriors, repeated)} more than once. Name it once."
        )
    return selection


def channel_text(posteriors: Posteriors, channel: int) -> str:
    """Return "member.channel" of a flat index."""
    member, within = posteriors.channel_names[channel]
    return f"{member}.{within}"
