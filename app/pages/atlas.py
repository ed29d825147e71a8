"""/atlas/<sweep id>: what the ensembles of a sweep show together, as far as they are. The page fills by itself."""

import math
from collections import Counter
from dataclasses import dataclass
from typing import Any

from dash import ALL, Dash, Input, Output, State, dcc, html
from dash.exceptions import PreventUpdate

from app.components.facts import chip
from app.components.glossary import help_mark
from app.components.graph import graph
from app.components.states import notice
from app.figures.flow import Band, Bar, FlowView, flow_figure
from app.figures.sweep_curves import Curve, curves_figure
from app.figures.theme import hotspot_colour
from app.pages.live import asker, pressed
from app.pages.selection import Selection
from app.pages.site import Page, Site
from vaefrag_core.artifacts import Atlas, Hotspot, SweepPoint
from vaefrag_core.artifacts.atlas import spread_of
from vaefrag_core.errors import BrokenFileError, MissingDataError, VaefragError
from vaefrag_core.sweeps import Sweep

POLL_MILLISECONDS = 1_500


@dataclass(frozen=True)
class Standing:
    """How one ensemble of a sweep stands.

    Args:
        value: of the coefficient.
        ensemble_id: the ensemble.
        word: in short.
        done: members trained.
        failed: members that failed.
        members: all of them.
        at_work: whether a job is open.
        current: whether its newest analysis is in the atlas.
        analysed: whether there is an analysis.
    """

    value: float
    ensemble_id: str
    word: str
    done: int
    failed: int
    members: int
    at_work: bool
    current: bool
    analysed: bool


class AtlasPage:
    """The page of one sweep.

    Args:
        site: queries, addresses and the record.
        sweep_id: the sweep.

    Raises:
        MissingDataError: when there is no such sweep.
        BrokenFileError: when it cannot be read.
    """

    def __init__(self, site: Site, sweep_id: str) -> None:
        self.site = site
        self.sweep: Sweep = site.queries.sweeps.sweep(sweep_id)
        self.problem, self.version = "", ""
        self.atlas: Atlas | None = None
        sources: dict[str, str] = {}
        try:
            index = site.queries.sweeps.atlas_index(sweep_id)
            self.version, sources = index.folder, index.sources
            self.atlas = site.queries.sweeps.atlas(sweep_id)
        except BrokenFileError as error:
            self.problem = str(error)
        except MissingDataError:
            pass
        pairs = zip(self.sweep.values, self.sweep.ensembles, strict=True)
        self.standings = [self._standing(value, ensemble_id, sources) for value, ensemble_id in pairs]

    def shown_as(self) -> str:
        """Name what the page shows: while it stays, so does the page."""
        parts = [f"{s.word} {s.done} {s.failed} {s.current} {s.at_work}" for s in self.standings]
        return " | ".join([self.version, self.problem, *parts])

    def page(self) -> Page:
        """Lay the page out."""
        follows = [
            dcc.Interval(id="atlas-tick", interval=POLL_MILLISECONDS),
            dcc.Store(id="atlas-shown", data=self.shown_as()),
        ]
        return Page(
            html.Div([html.Div(self.body(), id="atlas-body", className="stack"), *follows], className="wide"),
            self.sweep.name,
        )

    def body(self) -> list:
        """Give everything that depends on how the ensembles stand."""
        return [self._heading(), *(self._waiting() if self.atlas is None else self._drawn(self.atlas))]

    def _heading(self) -> html.Div:
        sweep = self.sweep
        values = ", ".join(f"{value:g}" for value in sweep.values)
        words = [
            f"{sweep.symbol} = {values}",
            *([f"{most} members at each"] if (most := max(s.members for s in self.standings)) else []),
            *([f"sample of {self.atlas.n_images:,} images"] if self.atlas else []),
        ]
        line = html.P([html.Span(word) for word in words], className="words")
        return html.Div([html.H1([sweep.name, help_mark("sweep")]), line], className="heading")

    def _waiting(self) -> list:
        """Say what is still missing for an atlas."""
        if self.problem:
            broken = notice(
                "alert", "The atlas cannot be read", html.P(self.problem), self._ask("Draw it"), tone="alarm"
            )
            return [broken, self._table()]
        if any(s.at_work for s in self.standings):
            text = (
                "The atlas appears here as soon as a first ensemble is trained and analysed, and grows with the others."
            )
            return [notice("wait", "In training", html.P(text)), self._table()]
        if all(s.members and s.failed == s.members for s in self.standings):
            text = "No member of any ensemble was trained to its end, so there is nothing to draw."
            return [
                notice("alert", "Training failed", html.P(text), self._ask("Try again"), tone="alarm"),
                self._table(),
            ]
        text = "Nobody is at work on this sweep, and there is nothing to draw yet."
        return [notice("wait", "No atlas yet", html.P(text), self._ask("Go on")), self._table()]

    def _drawn(self, atlas: Atlas) -> list:
        """Show the flow, the curves and the table."""
        note = (
            "A bar is a hotspot, as high as it has channels, with its number in the explorer; a click opens it there."
            f" Bands lead to hotspots that share a mean NMI of {atlas.min_nmi:g} or more: the wider and stronger, the"
            " more. Colour follows a fragment."
        )
        label = "Hotspots at each value, and what they go on as at the next. The table below has the same with links."
        flow = [
            html.H2(["Hotspots from value to value", help_mark("atlas")]),
            graph("flow", self._flow(atlas), label, buttons=[]),
            html.P(note, className="note"),
        ]
        curves = graph("sweep-curves", self._curves(atlas), "Numbers at each value", buttons=[])
        return [
            *self._news(),
            html.Section(flow, className="card"),
            html.Section(curves, className="card"),
            self._table(),
        ]

    def _news(self) -> list:
        """Say what is going on that the atlas does not show yet."""
        behind = [s for s in self.standings if not s.current]
        if not behind:
            return []
        values = ", ".join(f"{self.sweep.symbol} = {s.value:g}" for s in behind)
        if any(s.at_work for s in self.standings):
            text = f"Not in the atlas yet: {values}. The page renews itself as they are trained and analysed."
            return [html.Div(html.Span(text), className="card news news-row")]
        text = f"Missing or outdated in the atlas: {values}."
        return [html.Div([html.Span(text), self._ask("Go on")], className="card news news-row")]

    def _ask(self, text: str) -> html.Div:
        button = html.Button(text, id={"go-on": self.sweep.id}, type="button", className="button primary")
        return html.Div(button)

    def _flow(self, atlas: Atlas) -> Any:
        columns = {ensemble_id: column for column, ensemble_id in enumerate(self.sweep.ensembles)}
        at = [columns[point.ensemble_id] for point in atlas.points]
        bars: list[list[Bar]] = [[] for _ in self.standings]
        notes = [standing.word for standing in self.standings]
        counts = [""] * len(notes)
        for step, point in enumerate(atlas.points):
            bars[at[step]] = [self._bar(atlas, step, group) for group in point.hotspots]
            live = sum(point.live_channels)
            notes[at[step]] = "no hotspot" if live else "no live channel"
            counts[at[step]] = f"{live} live channel{'' if live == 1 else 's'}"
        heads = [f"{self.sweep.symbol} = {s.value:g}<br>{text}" for s, text in zip(self.standings, counts, strict=True)]
        bands = [Band((at[k.step], k.source), (at[k.step + 1], k.target), k.nmi) for k in atlas.links]
        return flow_figure(FlowView(heads=heads, bars=bars, bands=bands, notes=notes))

    def _bar(self, atlas: Atlas, step: int, group: Hotspot) -> Bar:
        point = atlas.points[step]
        before, after = atlas.fate(step, group.label)
        lines = [
            f"{self.sweep.symbol} = {point.value:g}, hotspot {group.label}",
            f"{group.size} channels of {group.n_members} of {point.members} members",
            f"NMI inside {group.mean_nmi:.2f}, {group.mean_bits:.2f} bits each",
            *([f"comes from {_counted(before)}"] if step > 0 else []),
            *([f"goes on as {_counted(after)}"] if step < len(atlas.points) - 1 else []),
        ]
        return Bar(
            size=group.size,
            thread=atlas.threads[step][group.label],
            number=group.label,
            about="<br>".join(lines),
            target=self._target(point, group.label),
        )

    def _curves(self, atlas: Atlas) -> Any:
        points = atlas.points
        live = [spread_of(point.live_channels) for point in points]
        bits = [spread_of(point.bits) for point in points]
        curves = [
            Curve("Live channels of a member", *_columns(live)),
            Curve("Bits of a live channel", *_columns(bits)),
            Curve("Hotspots", [len(point.hotspots) for point in points]),
            Curve("NMI inside hotspots", [point.tightness for point in points]),
        ]
        if any(point.space_bits for point in points):
            curves.insert(2, Curve("Bits of a whole member", *_columns([spread_of(p.space_bits) for p in points])))
        targets = [self._target(point) for point in points]
        return curves_figure(self.sweep.symbol, [point.value for point in points], curves, targets)

    def _target(self, point: SweepPoint, hotspot: int | None = None) -> tuple[str, str]:
        selection = Selection(measure="nmi")
        selection = selection if hotspot is None else selection.of_hotspot(hotspot)
        return self.site.ensemble(point.ensemble_id), selection.search()

    def _table(self) -> html.Section:
        heads: list[Any] = [self.sweep.symbol, "ensemble", "state"]
        if self.atlas:
            heads += [["live channels", help_mark("dead")], ["bits of each", help_mark("information")]]
            heads += [["NMI inside", help_mark("tightness")], ["hotspots, and their channels", help_mark("hotspot")]]
        points = {point.ensemble_id: step for step, point in enumerate(self.atlas.points)} if self.atlas else {}
        rows = [self._row(standing, points.get(standing.ensemble_id)) for standing in self.standings]
        table = html.Table([html.Thead(html.Tr([html.Th(h) for h in heads])), html.Tbody(rows)], className="table")
        return html.Section([html.H2("Ensembles"), html.Div(table, className="scroll")], className="card")

    def _row(self, standing: Standing, step: int | None) -> html.Tr:
        link = dcc.Link(standing.ensemble_id, href=self.site.ensemble(standing.ensemble_id))
        look = "bad" if standing.failed or not standing.members else "quiet"
        cells: list[Any] = [f"{standing.value:g}", link, html.Span(standing.word, className=look)]
        if self.atlas and step is None:
            cells += ["–"] * 4
        elif self.atlas and step is not None:
            point = self.atlas.points[step]
            tightness = "–" if math.isnan(point.tightness) else f"{point.tightness:.2f}"
            cells += [_spread_words(*spread_of(point.live_channels)), _spread_words(*spread_of(point.bits)), tightness]
            cells.append(
                html.Div([self._hotspot(self.atlas, step, g) for g in point.hotspots] or "none", className="chips")
            )
        return html.Tr([html.Td(cell) for cell in cells])

    def _hotspot(self, atlas: Atlas, step: int, group: Hotspot) -> dcc.Link:
        path, search = self._target(atlas.points[step], group.label)
        colour = hotspot_colour(atlas.threads[step][group.label])
        about = f"Hotspot {group.label}: {group.size} channels of {group.n_members} members"
        words = [chip(colour), f"{group.label}", html.Span(f" ({group.size})", className="quiet")]
        return dcc.Link(words, href=path + search, title=about, className="hotspot-chip")

    def _analysis_failed(self, ensemble_id: str) -> bool:
        """Tell whether the newest analysis that was asked for came to nothing."""
        jobs = (job for job in self.site.book.jobs() if job.submission.ensemble_id == ensemble_id)
        newest = next((job for job in jobs if job.submission.kind == "analyze"), None)
        return newest is not None and newest.state == "failed"

    def _standing(self, value: float, ensemble_id: str, sources: dict[str, str]) -> Standing:
        """Say how an ensemble stands: from the record of jobs while one is open, else from its files."""
        queries = self.site.queries
        try:
            record = queries.store.record(ensemble_id)
        except VaefragError:
            return Standing(value, ensemble_id, "cannot be read", 0, 0, 0, at_work=False, current=False, analysed=False)
        try:
            key = queries.store.analysis_index(ensemble_id).key
        except VaefragError:
            key = ""
        current = bool(key) and sources.get(ensemble_id) == key
        members = record.spec.members
        job = self.site.book.open_job(ensemble_id, "train")
        if job is not None:
            done, failed = job.counts.get("done", 0), job.counts.get("failed", 0)
            word = f"{'paused' if job.state == 'paused' else 'in training'}, {done} of {members} members trained"
            return Standing(value, ensemble_id, word, done, failed, members, True, False, bool(key))
        analysis = self.site.book.open_job(ensemble_id, "analyze")
        if current and analysis is None:
            return Standing(value, ensemble_id, "analysed", members, 0, members, False, True, True)
        counts = Counter(status.state for status in queries.members(record))
        done, failed = counts["done"], counts["failed"]
        if analysis is not None:
            word = "being analysed"
        elif failed == members:
            word = "failed"
        elif self._analysis_failed(ensemble_id):
            word = "analysis failed"
        elif done + failed < members:
            word = f"stopped, {done} of {members} members trained"
        else:
            word = "analysed, not in the atlas yet" if key else "not analysed yet"
        return Standing(value, ensemble_id, word, done, failed, members, analysis is not None, current, bool(key))


def page(site: Site, sweep_id: str) -> Page:
    """Give the atlas of a sweep, as far as there is one."""
    try:
        found = AtlasPage(site, sweep_id)
    except BrokenFileError as error:
        return Page(site.apology(notice("alert", "A file cannot be read", html.P(str(error)), tone="alarm")), sweep_id)
    except MissingDataError as error:
        return Page(site.apology(notice("search", "No such sweep", html.P(str(error)))), "Not found")
    return found.page()


def register(app: Dash, site: Site) -> None:
    """Let the page follow its ensembles, and its plots lead to them.

    Args:
        app: the app.
        site: queries, addresses and the record.
    """

    @app.callback(
        Output("atlas-body", "children"),
        Output("atlas-shown", "data"),
        Input("atlas-tick", "n_intervals"),
        State("url", "pathname"),
        State("atlas-shown", "data"),
        prevent_initial_call=True,
    )
    def look(_: int | None, path: str, shown: str) -> tuple[list, str]:
        """The ensembles → the page anew, when one of them stands otherwise."""
        found = AtlasPage(site, path.rstrip("/").rsplit("/", 1)[-1])
        if found.shown_as() == shown:
            raise PreventUpdate
        return found.body(), found.shown_as()

    @app.callback(
        Output("atlas-tick", "n_intervals"),
        Input({"go-on": ALL}, "n_clicks"),
        State("atlas-tick", "n_intervals"),
        prevent_initial_call=True,
    )
    def go_on(clicks: list[int | None], tick: int | None) -> int:
        """The button → jobs for what is missing, and a look at what came of it."""
        found = AtlasPage(site, pressed()["go-on"])
        for standing in found.standings:
            if standing.at_work or standing.current or not standing.members:
                continue
            if standing.done < standing.members:
                site.book.submit_training(site.queries.store.record(standing.ensemble_id).spec, who=asker())
            else:
                site.book.submit_analysis(standing.ensemble_id, who=asker())  # draws the atlas when it is done
        return (tick or 0) + 1

    @app.callback(
        Output("url", "pathname", allow_duplicate=True),
        Output("url", "search", allow_duplicate=True),
        Input("flow", "clickData"),
        Input("sweep-curves", "clickData"),
        prevent_initial_call=True,
    )
    def open_explorer(bar: dict | None, point: dict | None) -> tuple[str, str]:
        """A bar or a point → the explorer of its ensemble, with the hotspot selected."""
        for click in (bar, point):
            target = ((click or {}).get("points") or [{}])[0].get("customdata")
            if target and isinstance(target[0], str):
                return target[0], target[1]
        raise PreventUpdate


def _counted(number: int) -> str:
    return "nothing" if number == 0 else f"{number} hotspot{'' if number == 1 else 's'}"


def _columns(pairs: list[tuple[float, float]]) -> tuple[list[float], list[float]]:
    return [mean for mean, _ in pairs], [spread for _, spread in pairs]


def _spread_words(mean: float, spread: float) -> str:
    return "–" if math.isnan(mean) else f"{mean:.2f} ± {spread:.2f}"
