"""Which channels are combined, as the URL says it: a set can be reloaded, gone back to and sent to a colleague."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

from vaefrag_core.channel_sets import SetStore, parse_channel
from vaefrag_core.errors import VaefragError
from vaefrag_core.synthesis.channel_pool import ChannelName

MOST_CHANNELS = 64  # of a set: more than any member has, and as many as are answered at once
VIEWS = ("map", "matrix")


@dataclass(frozen=True)
class SetSelection:
    """What the page shows.

    Args:
        channels: the set, in the order in which its channels were added.
        set_id: id of the saved set with these channels; None for a set that is not saved.
        ensemble_id: the ensemble that channels are picked from; "" for the first there is.
        view: what they are picked in, "map" or "matrix".
        ranked_by: how further channels are ranked: "bits", or the name of a label.
    """

    channels: tuple[ChannelName, ...] = ()
    set_id: str | None = None
    ensemble_id: str = ""
    view: str = "map"
    ranked_by: str = "bits"

    def search(self) -> str:
        """Write the selection as the query of a URL."""
        fields = {"channels": _written(self.channels)} if self.channels else {}
        if self.set_id:
            fields = {"set": self.set_id}
        fields |= {"at": self.ensemble_id} if self.ensemble_id else {}
        fields |= {"view": self.view} if self.view != "map" else {}
        fields |= {"by": self.ranked_by} if self.ranked_by != "bits" else {}
        return "?" + urlencode(fields, safe=",:;", quote_via=quote)

    def replace(self, **changes: Any) -> "SetSelection":
        """Return the selection with changes."""
        return dataclasses.replace(self, **changes)

    def select(self, channels: Sequence[ChannelName]) -> "SetSelection":
        """Select another set, each channel once."""
        return self.replace(channels=tuple(dict.fromkeys(channels))[:MOST_CHANNELS], set_id=None)

    def add(self, *channels: ChannelName) -> "SetSelection":
        """Add channels."""
        return self.select([*self.channels, *channels])

    def toggle(self, channels: Sequence[ChannelName]) -> "SetSelection":
        """Add channels; when all are in the set already, take them out."""
        if channels and set(channels) <= set(self.channels):
            return self.select([c for c in self.channels if c not in channels])
        return self.add(*channels)


def parse_set_selection(search: str | None, sets: SetStore) -> tuple[SetSelection, list[str]]:
    """Read the query of a URL.

    Args:
        search: the query as the browser writes it, "?channels=ID:0.3,1.2;OTHER:4.1&…"; with "&at=ID" the first ID may
            be left out.
        sets: the saved sets of the workspace.

    Returns:
        What it asks for, and a sentence for every part that was not understood and left out.
    """
    fields = dict(parse_qsl((search or "").removeprefix("?"), keep_blank_values=True))
    problems: list[str] = []
    ensemble_id = fields.get("at", "")
    channels, set_id = _read(fields.get("channels", ""), ensemble_id, problems), None
    if "set" in fields:
        try:
            saved = sets.load(fields["set"])
            channels, set_id = list(saved.channels), saved.id
        except VaefragError as error:
            problems.append(str(error))
    view = fields.get("view", "map")
    if view not in VIEWS:
        problems.append(f"The address asks for view “{view[:40]}”; there is map and matrix. Showing map.")
        view = "map"
    twice = [c for k, c in enumerate(channels) if c in channels[:k]]
    if twice:
        problems.append(f"Channel {twice[0]} was named more than once; it counts once.")
    if len(set(channels)) > MOST_CHANNELS:
        problems.append(f"A set has at most {MOST_CHANNELS} channels here; the first of them are shown.")
    selection = SetSelection(ensemble_id=ensemble_id, view=view, ranked_by=fields.get("by", "bits")).select(channels)
    whole = set_id is not None and selection.channels == tuple(channels)
    return selection.replace(set_id=set_id if whole else None), problems


def _written(channels: Sequence[ChannelName]) -> str:
    groups = groupby(channels, key=lambda channel: channel.ensemble)
    return ";".join(f"{ensemble}:{','.join(map(str, group))}" for ensemble, group in groups)


def _read(text: str, ensemble_id: str, problems: list[str]) -> list[ChannelName]:
    """Read channels; those that name no ensemble are of the one that is picked from."""
    channels = []
    for group in filter(None, text.split(";")):
        ensemble, names = group.split(":", 1) if ":" in group else (ensemble_id, group)
        if not ensemble:
            problems.append(f"The address names channels “{group[:40]}” of no ensemble; expected ID:0.3,1.2.")
            continue
        for name in filter(None, names.split(",")):
            try:
                channels.append(parse_channel(f"{ensemble}:{name}", ensemble))
            except VaefragError as error:
                problems.append(str(error))
    return channels
