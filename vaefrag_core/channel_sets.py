"""Named sets of channels, kept in the workspace.

    <workspace>/sets/<id>.json    its name, its channels, and the sample that all of them are of

A set only names channels: what it tells is computed from the ensembles' posteriors whenever it is looked at.
"""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from vaefrag_core.array_types import FloatArray
from vaefrag_core.artifacts import Posteriors
from vaefrag_core.artifacts.zip_limits import read_json
from vaefrag_core.config import HotspotConfig, content_key
from vaefrag_core.ensemble_store import EnsembleStore, read_undamaged, write_text
from vaefrag_core.errors import BrokenFileError, InvalidInputError, MissingDataError
from vaefrag_core.synthesis.channel_pool import ChannelName, ChannelPool, pool_ensembles, validate_channels

SET_FORMAT = 1
LONGEST_NAME = 80
_ID = re.compile(r"[a-z0-9][a-z0-9\-]{0,99}")


@dataclass(frozen=True)
class ChannelSet:
    """A set of channels with a name.

    Args:
        id: its file's name, made from its own name and its channels.
        name: what it is called on the pages.
        channels: in the order in which they were added.
        sample_id: the sample that its ensembles have seen; None when they do not name it.
        created: when it was saved, ISO 8601, UTC.
    """

    id: str
    name: str
    channels: tuple[ChannelName, ...]
    sample_id: str | None
    created: str


class SetStore:
    """The sets of one workspace.

    Args:
        workspace: its folder; made when something is first written to it.
    """

    def __init__(self, workspace: str | Path) -> None:
        self._folder = Path(workspace) / "sets"

    def save(self, name: str, channels: Sequence[ChannelName], sample_id: str | None) -> ChannelSet:
        """Save a set. The same channels under the same name are the same set.

        Raises:
            InvalidInputError: when the name or the set is empty, or the name too long.
        """
        name = " ".join(name.split())
        if not 1 <= len(name) <= LONGEST_NAME:
            raise InvalidInputError(f"Expected a name of 1 to {LONGEST_NAME} characters, got {len(name)}.")
        if not channels:
            raise InvalidInputError("Expected at least one channel to save, got none. Add a channel to the set.")
        listed = [[c.ensemble, c.member, c.channel] for c in channels]
        slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:60] or "set"
        set_id = f"{slug}-{content_key([name, listed])[:8]}"
        path = self._folder / f"{set_id}.json"
        if not path.exists():
            facts = {
                "format": SET_FORMAT,
                "name": name,
                "channels": listed,
                "sample_id": sample_id,
                "created": datetime.now(UTC).isoformat(timespec="seconds"),
            }
            write_text(path, json.dumps(facts, indent=1, ensure_ascii=False))
        return self.load(set_id)

    def load(self, set_id: str) -> ChannelSet:
        """Read a set.

        Raises:
            MissingDataError: when there is no such set.
            BrokenFileError: when its file cannot be read.
        """
        path = self._path(set_id)
        if not path.is_file():
            raise MissingDataError(f"There is no set {set_id[:80]!r}. Sets there: {', '.join(self.ids()) or 'none'}.")
        try:
            facts = read_json(path)
            channels = tuple(ChannelName(str(e), int(m), int(d)) for e, m, d in facts["channels"])
            return ChannelSet(set_id, str(facts["name"]), channels, facts["sample_id"], facts["created"])
        except (ValueError, KeyError, TypeError) as error:
            raise BrokenFileError(
                f"{path}: expected a set of format {SET_FORMAT}, got one that cannot be read ({error}). Delete it."
            ) from error

    def ids(self) -> list[str]:
        """Return the ids of all sets, sorted."""
        return sorted(path.stem for path in self._folder.glob("*.json"))

    def all(self) -> list[ChannelSet]:
        """Return the sets that can be read, the newest first."""
        return sorted(read_undamaged(self.ids(), self.load), key=lambda item: (item.created, item.id), reverse=True)

    def delete(self, set_id: str) -> None:
        """Delete a set; one that is gone already is no problem."""
        self._path(set_id).unlink(missing_ok=True)

    def _path(self, set_id: str) -> Path:
        if not _ID.fullmatch(set_id):  # it comes from URLs
            raise MissingDataError(f"There is no set {set_id[:80]!r}: that is not a set's id.")
        return self._folder / f"{set_id}.json"


def parse_channel(text: str, ensemble: str) -> ChannelName:
    """Read "member.channel", or "ENSEMBLE:member.channel" of another one.

    Args:
        text: what a person wrote.
        ensemble: id of the ensemble when the text names none.

    Raises:
        InvalidInputError: when it is neither.
    """
    match = re.fullmatch(r"(?:(.+):)?(\d{1,9})\.(\d{1,9})", text.strip())
    if not match:
        raise InvalidInputError(
            f"Expected a channel as member.channel, such as 0.3, or ENSEMBLE:0.3, got {text.strip()[:60]!r}."
        )
    return ChannelName(match[1] or ensemble, int(match[2]), int(match[3]))


def pool_set(channels: Sequence[ChannelName], posteriors_of: Callable[[str], Posteriors], *more: str) -> ChannelPool:
    """Put the ensembles of a set side by side.

    Args:
        channels: the set.
        posteriors_of: reads the posteriors of an ensemble.
        more: ids of further ensembles.

    Raises:
        InvalidInputError: when they are not of one sample.
        MissingDataError: when one is not there.
    """
    ids = dict.fromkeys([*(channel.ensemble for channel in channels), *more])
    return pool_ensembles({ensemble: posteriors_of(ensemble) for ensemble in ids})


def least_bits(channels: ChannelPool, store: EnsembleStore) -> FloatArray:
    """Return the information below which each channel of a pool counts as dead: the threshold of its analysis.

    Args:
        channels: C channels.
        store: where their ensembles are. One that has not been analysed has the default threshold.

    Returns:
        (C,) bits.
    """
    thresholds: dict[str, float] = {}
    for ensemble in {name.ensemble for name in channels.names}:
        try:
            thresholds[ensemble] = store.analysis_index(ensemble).config.hotspots.min_bits
        except (MissingDataError, BrokenFileError):
            thresholds[ensemble] = HotspotConfig().min_bits
    return np.array([thresholds[name.ensemble] for name in channels.names])


def set_posteriors(source: ChannelPool, channels: Sequence[ChannelName]) -> Posteriors:
    """Return a set as posteriors of one member, whose channels are those of the set.

    Args:
        source: the ensembles of the set.
        channels: the set.

    Raises:
        InvalidInputError: for an empty set, what is no channel, and a channel named twice.
    """
    pooled = source.posteriors
    flat = validate_channels(pooled, source.flat_indices(channels))
    mean, logvar = (np.ascontiguousarray(array[flat].T)[None] for array in pooled.flat())
    return Posteriors(
        mean,
        logvar,
        labels=pooled.labels,
        label_names=pooled.label_names or None,
        images=pooled.images,
        sample_id=pooled.sample_id,
        copy_of=pooled.image_copies,
        identifiers=pooled.identifiers,
    )
