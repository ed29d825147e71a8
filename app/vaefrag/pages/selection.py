"""What is looked at, as the URL says it: a view can be reloaded, gone back to and sent to a colleague."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar
from urllib.parse import parse_qsl, quote, urlencode

from vaefrag_core.config import Measure

Focus = Literal["nothing", "channel", "pair", "channels", "hotspot"]
Layout = Literal["mds", "umap"]
Word = TypeVar("Word", bound=str)

LAYOUTS: tuple[Layout, ...] = ("mds", "umap")

MOST_CHANNELS = 400  # picked with the lasso: a longer URL is cut short on its way by some servers and mail programs


@dataclass(frozen=True)
class Selection:
    """One view of an ensemble.

    Args:
        measure: the measure of similarity.
        layout: how channels are laid out on the map.
        dead: True when dead channels are shown.
        focus: what kind of thing is selected.
        channels: names of the channels selected, "member.channel".
        hotspot: index of the hotspot selected.
        base: the base image from which the traversals of several members start.
        label: the label by which a pair's images are coloured; None for the first.
    """

    measure: Measure = "nmi"
    layout: Layout = "mds"
    dead: bool = False
    focus: Focus = "nothing"
    channels: tuple[str, ...] = ()
    hotspot: int | None = None
    base: int = 0
    label: str | None = None

    def search(self) -> str:
        """Write the selection as the query of a URL."""
        fields: dict[str, str] = {"measure": self.measure, "map": self.layout}
        if self.dead:
            fields["dead"] = "1"
        if self.focus == "hotspot":
            fields["hotspot"] = str(self.hotspot)
        elif self.focus != "nothing":
            fields[self.focus] = ",".join(self.channels)
        if self.base and self.focus in ("hotspot", "channels"):
            fields["base"] = str(self.base)
        if self.label is not None and self.focus == "pair":
            fields["label"] = self.label
        return "?" + urlencode(fields, safe=",", quote_via=quote)

    def replace(self, **changes: Any) -> "Selection":
        """Return the selection with changes."""
        return dataclasses.replace(self, **changes)

    def select(self, *channels: str) -> "Selection":
        """Select channels: one, two (a pair) or more; none selects nothing."""
        names = tuple(dict.fromkeys(channels))[:MOST_CHANNELS]
        kinds: tuple[Focus, ...] = ("nothing", "channel", "pair")
        focus = kinds[len(names)] if len(names) < len(kinds) else "channels"
        return self.replace(focus=focus, channels=names, hotspot=None, base=0)

    def select_hotspot(self, hotspot: int) -> "Selection":
        """Select a hotspot."""
        return self.replace(focus="hotspot", channels=(), hotspot=hotspot, base=0)

    def with_measure(self, measure: Measure) -> "Selection":
        """Switch the measure. Hotspots are numbered anew by each, so one that was selected is let go."""
        cleared = self.select() if self.focus == "hotspot" else self
        return cleared.replace(measure=measure)


@dataclass(frozen=True)
class Choices:
    """What can be selected.

    Args:
        measure: the measure shown when the URL names none.
        names: flat index of each channel name.
        hotspots: how many there are, by measure.
        labels: names of the labels.
        base_images: how many there are.
    """

    measure: Measure
    names: Mapping[str, int]
    hotspots: Mapping[Measure, int]
    labels: Sequence[str]
    base_images: int


def parse_search(search: str | None, choices: Choices) -> tuple[Selection, list[str]]:
    """Read a selection from the query of a URL.

    Args:
        search: the query as the browser writes it, "?measure=nmi&…".
        choices: what there is to select.

    Returns:
        The selection, and a sentence for every part of the query that was not understood and left out.
    """
    fields = dict(parse_qsl((search or "").removeprefix("?"), keep_blank_values=True))
    problems: list[str] = []

    def choose(name: str, allowed: Sequence[Word], default: Word) -> Word:
        value = fields.get(name, default)
        for word in allowed:
            if word == value:
                return word
        problems.append(f"The address asks for {name} “{value[:40]}”; there is {_listed(allowed)}. Showing {default}.")
        return default

    selection = Selection(
        measure=choose("measure", list(choices.hotspots), choices.measure),
        layout=choose("map", LAYOUTS, "mds"),
        dead=choose("dead", ["0", "1"], "0") == "1",
        base=int(choose("base", [str(k) for k in range(max(1, choices.base_images))], "0")),
    )
    if "label" in fields and choices.labels:
        selection = selection.replace(label=choose("label", list(choices.labels), choices.labels[0]))
    if "hotspot" in fields:
        return _with_hotspot(selection, fields["hotspot"], choices, problems), problems
    for name in ("channel", "pair", "channels"):
        if name in fields:
            return _with_channels(selection, name, fields[name], choices, problems), problems
    return selection, problems


def _with_hotspot(selection: Selection, value: str, choices: Choices, problems: list[str]) -> Selection:
    count = choices.hotspots[selection.measure]
    if value.isdecimal() and int(value) < count:
        base = selection.base  # selecting anything else begins with the first base image
        return selection.select_hotspot(int(value)).replace(base=base)
    there = f"they are numbered 0 to {count - 1}" if count else "none was found"
    problems.append(f"There is no hotspot “{value[:40]}” by {selection.measure.upper()}: {there}.")
    return selection


def _with_channels(selection: Selection, field: str, value: str, choices: Choices, problems: list[str]) -> Selection:
    names = [name.strip() for name in value.split(",") if name.strip()]
    existing = [name for name in names if name in choices.names]
    unknown = [name for name in names if name not in choices.names]
    if unknown:
        first, last = (list(choices.names) or ["none"])[0], (list(choices.names) or ["none"])[-1]
        problems.append(
            f"There is no channel “{unknown[0][:40]}”: channels are named member.channel, from {first} to {last}."
        )
    if field == "pair" and len(set(existing)) != 2 and not unknown:
        problems.append("A pair is two different channels, such as pair=0.1,2.3.")
    base = selection.base
    return selection.select(*existing).replace(base=base)


def _listed(words: Sequence[str]) -> str:
    return f"{', '.join(words[:-1])} and {words[-1]}" if len(words) > 1 else "".join(words) or "nothing"
