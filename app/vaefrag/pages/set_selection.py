"""Which channels are combined, as the URL says it: a set can be reloaded, gone back to and sent to a colleague."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
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
        channels: of the set, in the order in which they were chosen.
        kept: id of the saved set that they are; None for others.
        at: id of the ensemble that channels are picked from; "" for the first there is.
        view: what they are picked in, "map" or "matrix".
        by: how further channels are ranked: "bits", or the name of a label.
    """

    channels: tuple[ChannelName, ...] = ()
    kept: str | None = None
    at: str = ""
    view: str = "map"
    by: str = "bits"

    def search(self) -> str:
        """Write it as the query of a URL."""
        fields = {"set": self.kept} if self.kept else {"channels": _written(self.channels)} if self.channels else {}
        fields |= {"at": self.at} if self.at else {}
        fields |= {"view": self.view} if self.view != "map" else {}
        fields |= {"by": self.by} if self.by != "bits" else {}
        return "?" + urlencode(fields, safe=",:;", quote_via=quote)

    def to(self, **changes: Any) -> "SetSelection":
        """Give it with changes."""
        return replace(self, **changes)

    def of(self, channels: Sequence[ChannelName]) -> "SetSelection":
        """Give another set, each channel once."""
        return replace(self, channels=tuple(dict.fromkeys(channels))[:MOST_CHANNELS], kept=None)

    def plus(self, *channels: ChannelName) -> "SetSelection":
        """Add channels."""
        return self.of([*self.channels, *channels])

    def toggled(self, channels: Sequence[ChannelName]) -> "SetSelection":
        """Add channels; when all are in the set already, take them out."""
        if channels and set(channels) <= set(self.channels):
            return self.of([c for c in self.channels if c not in channels])
        return self.plus(*channels)


def parse_set_selection(search: str | None, sets: SetStore) -> tuple[SetSelection, list[str]]:
    """Read the query of a URL.

    Args:
        search: as the browser gives it, "?channels=ID:0.3,1.2;OTHER:4.1&…"; with "&at=ID" the first ID may be left out.
        sets: of the workspace.

    Returns:
        What it asks for, and a sentence for every part that was not understood and left out.
    """
    fields = dict(parse_qsl((search or "").removeprefix("?"), keep_blank_values=True))
    problems: list[str] = []
    at = fields.get("at", "")
    channels, kept = _read(fields.get("channels", ""), at, problems), None
    if "set" in fields:
        try:
            found = sets.load(fields["set"])
            channels, kept = list(found.channels), found.id
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
    chosen = SetSelection(at=at, view=view, by=fields.get("by", "bits")).of(channels)
    whole = kept is not None and chosen.channels == tuple(channels)
    return chosen.to(kept=kept if whole else None), problems


def _written(channels: Sequence[ChannelName]) -> str:
    groups = groupby(channels, key=lambda channel: channel.ensemble)
    return ";".join(f"{ensemble}:{','.join(map(str, group))}" for ensemble, group in groups)


def _read(text: str, at: str, problems: list[str]) -> list[ChannelName]:
    """Read channels; those that name no ensemble are of the one that is picked from."""
    channels = []
    for group in filter(None, text.split(";")):
        ensemble, names = group.split(":", 1) if ":" in group else (at, group)
        if not ensemble:
            problems.append(f"The address names channels “{group[:40]}” of no ensemble; expected ID:0.3,1.2.")
            continue
        for name in filter(None, names.split(",")):
            try:
                channels.append(parse_channel(f"{ensemble}:{name}", ensemble))
            except VaefragError as error:
                problems.append(str(error))
    return channels
