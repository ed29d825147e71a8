"""An atlas as its page shows it: the flow of hotspots, the curves and the table, at the end of training or before."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from dash import dcc, html
from dash.development.base_component import Component

from vaefrag.components.facts import swatch
from vaefrag.components.glossary import help_mark
from vaefrag.components.graph import graph
from vaefrag.figures.hotspot_flow import Band, Bar, FlowView, flow_figure
from vaefrag.figures.sweep_curves import SweepCurve, curves_figure
from vaefrag.figures.theme import hotspot_colour
from vaefrag.pages.selection import Selection
from vaefrag.pages.site import Site
from vaefrag.pages.sweep_status import SweepStatus
from vaefrag.plurals import counted
from vaefrag_core.artifacts import Atlas, Hotspot, SweepPoint
from vaefrag_core.artifacts.atlas import spread_of
from vaefrag_core.sweeps import Sweep

Series = Callable[[SweepPoint], Sequence[float]]

CURVES: tuple[tuple[str, Series], ...] = (
    ("Live channels of a member", lambda point: point.live_channels),
    ("Bits of a live channel", lambda point: point.bits),
    ("Bits of live channels, summed", lambda point: point.summed_bits),
)
WHOLE: tuple[str, Series] = ("Bits of a whole member", lambda point: point.space_bits)


@dataclass(frozen=True)
class SweepView:
    """One atlas of a sweep.

    Args:
        site: addresses.
        sweep: the sweep.
        statuses: how far its ensembles are, in their order.
        atlas: the atlas shown.
        over_training: the atlas at every step of training that there is, the one shown among them, the end last.
            Curves have the same axes at each.
    """

    site: Site
    sweep: Sweep
    statuses: Sequence[SweepStatus]
    atlas: Atlas
    over_training: Sequence[Atlas]

    @property
    def at_end(self) -> bool:
        """Whether the end of training is shown, which is what the explorer shows."""
        return self.atlas is self.over_training[-1]

    def parts(self) -> list[Component]:
        """Return the flow, the curves and the table."""
        if self.at_end:
            bar = "with its number in the explorer; a click opens it there."
        else:
            bar = "numbered as at this step; a click opens its ensemble, whose explorer shows the end of training."
        note = (
            f"A bar is a hotspot, as high as it has channels, {bar}"
            f" Bands lead to hotspots that share a mean NMI of {self.atlas.min_nmi:g} or more: the wider and stronger,"
            " the more. Colour follows a fragment."
        )
        label = "Hotspots at each value, and what they go on as at the next. The table below has the same with links."
        flow = [
            html.H2(["Hotspots from value to value", help_mark("atlas")]),
            graph("flow", self._flow(), label, buttons=[]),
            html.P(note, className="note"),
        ]
        curves: list[Component] = [graph("sweep-curves", self._curves(), "Series at each value", buttons=[])]
        if not self.at_end and any(point.space_bits for point in self.over_training[-1].points):
            curves.append(html.P("Bits of a whole member are known at the end of training only.", className="note"))
        return [
            html.Section(flow, className="card"),
            html.Section(curves, className="card"),
            table(self.site, self.sweep, self.statuses, self),
        ]

    def _flow(self) -> Any:
        atlas = self.atlas
        columns = {ensemble_id: column for column, ensemble_id in enumerate(self.sweep.ensembles)}
        column_of = [columns[point.ensemble_id] for point in atlas.points]  # ensembles without analysis have no point
        bars: list[list[Bar]] = [[] for _ in self.statuses]
        notes = [status.word for status in self.statuses]
        counts = [""] * len(notes)
        for p, point in enumerate(atlas.points):
            bars[column_of[p]] = [self._bar(p, group) for group in point.hotspots]
            live = sum(point.live_channels)
            notes[column_of[p]] = "no hotspot" if live else "no live channel"
            counts[column_of[p]] = counted(live, "live channel")
        heads = [f"{self.sweep.symbol} = {s.value:g}<br>{text}" for s, text in zip(self.statuses, counts, strict=True)]
        bands = [
            Band((column_of[link.step], link.source), (column_of[link.step + 1], link.target), link.nmi)
            for link in atlas.links
        ]
        others = [[group.size for group in point.hotspots] for point in self._all_points()]
        return flow_figure(FlowView(heads=heads, bars=bars, bands=bands, notes=notes, others=others))

    def _bar(self, p: int, group: Hotspot) -> Bar:
        """Describe a hotspot of point p."""
        point = self.atlas.points[p]
        before, after = self.atlas.fate(p, group.number)
        lines = [
            f"{self.sweep.symbol} = {point.value:g}, hotspot {group.number}",
            f"{group.size} channels of {group.n_members} of {point.members} members",
            f"NMI inside {group.mean_nmi:.2f}, {group.mean_bits:.2f} bits each",
            *([f"comes from {_fate(before)}"] if p > 0 else []),
            *([f"goes on as {_fate(after)}"] if p < len(self.atlas.points) - 1 else []),
        ]
        return Bar(
            size=group.size,
            lineage=self.atlas.lineages[p][group.number],
            number=group.number,
            about="<br>".join(lines),
            target=self._target(point, group.number),
        )

    def _curves(self) -> Any:
        points, all_points = self.atlas.points, self._all_points()
        whole = any(point.space_bits for point in points)
        curves = []
        for title, series in [*CURVES, *([WHOLE] if whole else [])]:
            spreads = [spread_of(series(point)) for point in points]
            top = _most(sum(spread_of(series(point))) for point in all_points)
            curves.append(SweepCurve(title, [mean for mean, _ in spreads], [spread for _, spread in spreads], top))
        most = _most(len(point.hotspots) for point in all_points)
        curves.append(SweepCurve("Hotspots", [len(point.hotspots) for point in points], top=most))
        tightest = _most(point.tightness for point in all_points)
        curves.append(SweepCurve("NMI inside hotspots", [point.tightness for point in points], top=tightest))
        targets = [self._target(point) for point in points]
        return curves_figure(self.sweep.symbol, [point.value for point in points], curves, targets)

    def _all_points(self) -> list[SweepPoint]:
        """Return the points of all values at all steps."""
        return [point for atlas in self.over_training for point in atlas.points]

    def _target(self, point: SweepPoint, hotspot: int | None = None) -> tuple[str, str]:
        selection = Selection(measure="nmi")
        if hotspot is not None and self.at_end:
            selection = selection.select_hotspot(hotspot)
        return self.site.ensemble(point.ensemble_id), selection.search()

    def cells(self, ensemble_id: str) -> list[Any]:
        """Return the cells of the table that describe the hotspots of an ensemble."""
        positions = {point.ensemble_id: p for p, point in enumerate(self.atlas.points)}
        if ensemble_id not in positions:
            return ["–"] * 4
        p = positions[ensemble_id]
        point = self.atlas.points[p]
        tightness = "–" if math.isnan(point.tightness) else f"{point.tightness:.2f}"
        groups = html.Div([self._hotspot_chip(p, group) for group in point.hotspots] or "none", className="chips")
        live, bits = (_spread_words(*spread_of(numbers)) for numbers in (point.live_channels, point.bits))
        return [live, bits, tightness, groups]

    def _hotspot_chip(self, p: int, group: Hotspot) -> dcc.Link:
        path, search = self._target(self.atlas.points[p], group.number)
        colour = hotspot_colour(self.atlas.lineages[p][group.number])
        about = f"Hotspot {group.number}: {group.size} channels of {group.n_members} members"
        words: list[str | Component] = [
            swatch(colour),
            f"{group.number}",
            html.Span(f" ({group.size})", className="quiet"),
        ]
        return dcc.Link(words, href=path + search, title=about, className="hotspot-chip")


def table(site: Site, sweep: Sweep, statuses: Sequence[SweepStatus], view: SweepView | None = None) -> html.Section:
    """List the ensembles of a sweep, with their hotspots where there is an atlas."""
    heads: list[Any] = [sweep.symbol, "ensemble", "state"]
    if view:
        heads += [["live channels", help_mark("dead")], ["bits of each", help_mark("information")]]
        heads += [["NMI inside", help_mark("tightness")], ["hotspots, and their channels", help_mark("hotspot")]]
    rows = []
    for status in statuses:
        link = dcc.Link(status.ensemble_id, href=site.ensemble(status.ensemble_id))
        look = "bad" if status.failed or not status.members else "quiet"
        cells: list[Any] = [f"{status.value:g}", link, html.Span(status.word, className=look)]
        cells += view.cells(status.ensemble_id) if view else []
        rows.append(html.Tr([html.Td(cell) for cell in cells]))
    body = html.Table([html.Thead(html.Tr([html.Th(h) for h in heads])), html.Tbody(rows)], className="table")
    return html.Section([html.H2("Ensembles"), html.Div(body, className="scroll")], className="card")


def _most(numbers: Any) -> float:
    return max((float(number) for number in numbers if math.isfinite(number)), default=0.0)


def _fate(number: int) -> str:
    return counted(number, "hotspot") if number else "nothing"


def _spread_words(mean: float, spread: float) -> str:
    return "–" if math.isnan(mean) else f"{mean:.2f} ± {spread:.2f}"
