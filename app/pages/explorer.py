"""/ensemble/<id>: the channels of an ensemble, their similarity, their hotspots and what they paint."""

from typing import Any

import dash_mantine_components as dmc
import numpy as np
import plotly.graph_objects as go
from dash import ClientsideFunction, Dash, Input, Output, Patch, State, ctx, dcc, html, no_update

from app.components.facts import chip
from app.components.glossary import help_mark
from app.components.graph import graph
from app.components.icons import icon
from app.components.shell import segmented
from app.components.states import remarks
from app.figures.maps import MapView, map_figure, selected_points
from app.figures.matrices import MatrixView, matrix_figure, matrix_shapes
from app.figures.theme import hotspot_colour
from app.pages.details import Details
from app.pages.selection import Choices, Selection, parse_search
from app.pages.site import Page, Site
from app.queries import Opened
from vaefrag_core.store import EnsembleRecord


class Explorer:
    """One view of one ensemble.

    Args:
        site: queries and addresses.
        ensemble_id: the ensemble.
        search: query of the URL.

    Raises:
        MissingDataError: when the ensemble has not been analysed.
        BrokenFileError: when its files cannot be read.
    """

    def __init__(self, site: Site, ensemble_id: str, search: str | None) -> None:
        self.site = site
        self.record: EnsembleRecord = site.queries.store.record(ensemble_id)
        self.opened: Opened = site.queries.open(ensemble_id)
        traversals = self.opened.analysis.traversals
        choices = Choices(
            measure=self.opened.measure,
            names=self.opened.index,
            hotspots={measure: len(found.groups) for measure, found in self.opened.analysis.hotspots.items()},
            labels=self.opened.matrix.label_names,
            base_images=0 if traversals is None else traversals.images.shape[1],
        )
        self.selection, self.problems = parse_search(search, choices)
        self.hotspots = self.opened.hotspots(self.selection.measure)
        self.order = self.opened.order(self.selection.measure, self.selection.dead)

    def page(self) -> Page:
        """Lay the page out."""
        parts = {name: html.Div(content, id=name) for name, content in self.parts().items()}
        details = html.Div(parts["details"], className="card details", role="region", **{"aria-label": "Details"})
        left = html.Div([self._matrix_card(), html.Div(parts["hotspots"], className="card")], className="column")
        right = html.Div([self._map_card(parts["layouts"]), details], className="column")
        stores = [dcc.Store(id="shown", data=self.state()), dcc.Store(id="tiled")]
        content = [parts["summary"], parts["problems"], html.Div([left, right], className="columns"), *stores]
        return Page(html.Div(content, className="explorer"), self.record.name)

    def parts(self) -> dict[str, Any]:
        """Give everything on the page that depends on the selection, but for the figures."""
        return {
            "summary": self._summary(),
            "problems": remarks(self.problems, tone="alarm"),
            "layouts": self._layouts(),
            "details": Details(self.site, self.opened, self.selection).panel(),
            "hotspots": self._hotspot_table(),
        }

    def state(self) -> dict[str, str]:
        """Name what each figure shows besides the marks: when that stays, only the marks are sent."""
        measure, dead = self.selection.measure, self.selection.dead
        matrix = self.site.tiles(self.opened, measure, dead)
        return {"matrix": matrix, "map": f"{matrix} {self.selection.layout}"}

    def matrix(self) -> go.Figure:
        """Draw the similarity of all channels."""
        return matrix_figure(self._matrix_view(), self.marked(self.order))

    def matrix_marks(self) -> Patch:
        """Give the matrix figure's change when only the selection changed."""
        change = Patch()
        change["layout"]["shapes"] = matrix_shapes(self._matrix_view(), self.marked(self.order))
        return change

    def map(self) -> go.Figure:
        """Draw the map of channels."""
        on_map = self.on_map()
        view = MapView(
            revision=self.state()["map"],
            names=[self.opened.names[c] for c in on_map],
            coordinates=self._coordinates()[on_map],
            hotspot=self.hotspots.labels[on_map],
            bits=self.opened.matrix.information_bits[on_map],
            equal=self.selection.layout == "mds",
        )
        return map_figure(view, self.marked(on_map))

    def map_marks(self) -> Patch:
        """Give the map's change when only the selection changed."""
        marked = self.marked(self.on_map())
        change = Patch()
        change["data"][0]["selectedpoints"] = selected_points(marked)
        change["layout"]["selections"] = []
        return change

    def on_map(self) -> np.ndarray:
        """Give the flat indices of the channels that have a place on the map."""
        return np.flatnonzero(np.isfinite(self._coordinates()).all(axis=1))

    def marked(self, shown: np.ndarray) -> list[int]:
        """Give the positions, among the channels shown, of those selected."""
        if self.selection.focus == "hotspot":
            chosen = list(self.hotspots.groups[self.selection.hotspot or 0].channels)
        else:
            chosen = [self.opened.index[name] for name in self.selection.channels]
        return np.flatnonzero(np.isin(shown, chosen)).tolist()

    def clicked_cell(self, click: dict[str, Any]) -> Selection:
        """Select what a click on the matrix, its reachability or its labels hit."""
        if not click.get("xvals") and not click.get("points"):
            return self.selection
        point = (click.get("points") or [{}])[0]
        x = click["xvals"][0] if click.get("xvals") else point.get("x")
        y = click["yvals"][0] if click.get("yvals") else point.get("y")
        places = [self._place(value) for value in (y, x)]
        if click.get("yaxes_id") == "y2":  # above the matrix, y is a distance
            places[0] = places[1]
        if click.get("xaxes_id") == "x3":  # beside it, x is a label
            places[1] = places[0]
        names = [self.opened.names[self.order[place]] for place in places if place is not None]
        return self.selection.of(*names) if names else self.selection

    def clicked_point(self, click: dict[str, Any]) -> Selection:
        """Select the channel of a point of the map."""
        names = [point["customdata"][0] for point in click.get("points", []) if "customdata" in point]
        return self.selection.of(*names[:1]) if names else self.selection

    def picked_points(self, picked: dict[str, Any] | None) -> Selection:
        """Select the channels drawn around on the map; none, when the drawing was taken back."""
        names = [point["customdata"][0] for point in (picked or {}).get("points", []) if "customdata" in point]
        return self.selection.of(*names)

    def _place(self, value: object) -> int | None:
        if not isinstance(value, int | float):
            return None
        place = round(value)
        return place if 0 <= place < len(self.order) else None

    def _coordinates(self) -> np.ndarray:
        return self.opened.analysis.maps[self.selection.measure].coordinates(self.selection.layout)

    def _matrix_view(self) -> MatrixView:
        measure, dead = self.selection.measure, self.selection.dead
        nmi = measure == "nmi"
        return MatrixView(
            source=self.site.matrix(self.opened, measure, dead),
            tiles=self.site.tiles(self.opened, measure, dead),
            values=self.site.values(self.opened, measure, dead),
            names=[self.opened.names[c] for c in self.order],
            hotspot=self.hotspots.labels[self.order],
            reachability=self.hotspots.reachability[self.order],
            distance_title="−ln NMI" if nmi else "VI, bits",
            measure_title="NMI of two channels" if nmi else "VI of two channels, bits",
            high=self.opened.high(measure),
            reverse=not nmi,
            label_names=self.opened.matrix.label_names,
            label_nmi=self.opened.matrix.label_nmi[self.order],
        )

    def _summary(self) -> list:
        spec, matrix = self.record.spec, self.opened.matrix
        words = [
            spec.dataset.name,
            f"β = {spec.train.beta:g}",
            f"{len(np.unique(matrix.member))} members",
            f"{matrix.n_channels} channels",
            f"{matrix.n_images:,} images in the fingerprint sample",
        ]
        line = html.P([html.Span(word) for word in words], className="words")
        return [html.Div([html.H1(self.record.name), line]), self._dead_switch()]

    def _dead_switch(self) -> html.Div:
        dead, n = int(self.hotspots.dead.sum()), self.opened.matrix.n_channels
        if dead == 0:
            return html.Div()
        threshold = self.opened.analysis.config.hotspots.min_bits
        shown = self.selection.dead
        text = f"{dead} of {n} channels are dead (< {threshold:g} bits) and {'shown last' if shown else 'set aside'}."
        link = html.A(
            "Set aside" if shown else "Show them", href=self.selection.to(dead=not shown).search(), className="stay"
        )
        return html.Div([text, " ", link, help_mark("dead")], className="dead")

    def _matrix_card(self) -> html.Section:
        # The switch itself depends on the selection and lives in its own part of the page, `measures`.
        label = f"Similarity of {len(self.order)} channels in OPTICS order, with hotspots and labels"
        plot = graph("similarity", self.matrix(), label, buttons=["zoom2d", "pan2d", "resetScale2d"])
        readout = html.Div("Point at the matrix to read its values.", id="readout", **{"aria-live": "polite"})
        return html.Section([html.Div(self.measures(), id="measures"), plot, readout], className="card matrix-card")

    def measures(self) -> html.Div:
        """Give the heading of the matrix, with the switch between the measures."""
        options = [
            (name, self.selection.by(measure).search(), measure == self.selection.measure)
            for measure, name in (("nmi", "NMI"), ("vi", "VI"))
            if measure in self.opened.analysis.hotspots
        ]
        switch = html.Div(
            [segmented("Measure", options), help_mark(self.selection.measure.upper())], className="switch"
        )
        title = html.H2(["Similarity of channels", help_mark("reachability")])
        return html.Div([title, switch], className="card-head")

    def _map_card(self, layouts: html.Div) -> html.Section:
        label = "Map of channels, coloured by hotspot and sized by information"
        plot = graph("map", self.map(), label, buttons=["lasso2d", "select2d", "zoom2d", "pan2d", "resetScale2d"])
        return html.Section([layouts, plot], className="card map-card")

    def _layouts(self) -> html.Div:
        layout = self.selection.layout
        options = [(name.upper(), self.selection.to(layout=name).search(), name == layout) for name in ("mds", "umap")]
        stress = self.opened.analysis.maps[self.selection.measure].stress
        quality = [html.Span(f"stress {stress:.2f}", className="quiet"), help_mark("stress")] if layout == "mds" else []
        switch = html.Div([*quality, segmented("Map", options), help_mark(layout.upper())], className="switch")
        return html.Div([html.H2("Map of channels"), switch], className="card-head")

    def _hotspot_table(self) -> list:
        messages = [*self.hotspots.messages, *self.opened.analysis.maps[self.selection.measure].messages]
        members = len(np.unique(self.opened.matrix.member))
        heads = ["", "channels", "members", "mean NMI", "mean bits", "medoid", "best label"]
        rows = [self._hotspot_row(group, members) for group in self.hotspots.groups]
        noise = int(((self.hotspots.labels < 0) & ~self.hotspots.dead).sum())
        foot = f"{noise} live channels belong to no hotspot. A core channel has {self.hotspots.min_samples} close relatives."
        table = html.Table(
            [html.Thead(html.Tr([html.Th(head) for head in heads])), html.Tbody(rows)], className="table hotspot-table"
        )
        title = html.Div(
            html.H2([f"Hotspots by {self.selection.measure.upper()}", help_mark("hotspot")]), className="card-head"
        )
        content = [dmc.ScrollArea(table, type="auto"), html.P(foot, className="note")] if rows else []
        return [title, remarks(messages), *content]

    def _hotspot_row(self, group: Any, members: int) -> html.Tr:
        chosen = self.selection.hotspot == group.label
        medoid = self.opened.names[group.medoid]
        target = self.selection.of() if chosen else self.selection.of_hotspot(group.label)
        number = html.A(
            [icon("open" if chosen else "closed"), chip(hotspot_colour(group.label)), str(group.label)],
            href=target.search(),
            className="stay hotspot-link",
            **{"aria-label": f"Hotspot {group.label}", "aria-pressed": "true" if chosen else "false"},
        )
        best = int(np.argmax(group.label_nmi)) if group.label_nmi else None
        label = "–" if best is None else f"{self.opened.matrix.label_names[best]} {group.label_nmi[best]:.2f}"
        cells = [
            number,
            group.size,
            f"{group.n_members} of {members}",
            f"{group.mean_nmi:.2f}",
            f"{group.mean_bits:.2f}",
            html.A(medoid, href=self.selection.of(medoid).search(), className="stay"),
            label,
        ]
        return html.Tr([html.Td(cell) for cell in cells], className="on" if chosen else "")


def has_points(picked: dict[str, Any] | None) -> bool:
    """Tell whether a drawing on the map caught any channel."""
    return bool(picked and picked.get("points"))


PARTS = ("summary", "problems", "layouts", "details", "hotspots", "measures")


def register(app: Dash, site: Site, id_in_path: Any) -> None:
    """Let the page answer.

    Args:
        app: the app.
        site: queries and addresses.
        id_in_path: gives the ensemble that a path names.
    """

    @app.callback(
        Output("url", "search"),
        Input("similarity", "clickData"),
        Input("map", "clickData"),
        Input("map", "selectedData"),
        State("url", "pathname"),
        State("url", "search"),
        prevent_initial_call=True,
    )
    def select(cell: dict | None, point: dict | None, picked: dict | None, path: str, search: str) -> Any:
        """What was clicked or drawn around → the URL."""
        explorer = Explorer(site, id_in_path(path), search)
        source = ctx.triggered[0]["prop_id"]
        if source == "similarity.clickData" and cell:
            chosen = explorer.clicked_cell(cell)
        elif source == "map.clickData" and point:
            chosen = explorer.clicked_point(point)
        elif source == "map.selectedData" and (has_points(picked) or explorer.selection.focus == "channels"):
            chosen = explorer.picked_points(picked)
        else:  # plotly also tells of selections that it took back because a figure changed
            return no_update
        return chosen.search()

    @app.callback(
        output={
            "parts": {name: Output(name, "children") for name in PARTS},
            "matrix": Output("similarity", "figure"),
            "map": Output("map", "figure"),
            "shown": Output("shown", "data"),
        },
        inputs={"search": Input("url", "search")},
        state={"path": State("url", "pathname"), "shown": State("shown", "data")},
        prevent_initial_call=True,
    )
    def show(search: str, path: str, shown: dict[str, str]) -> dict[str, Any]:
        """The URL → what is shown; figures that only change their marks are not sent again."""
        explorer = Explorer(site, id_in_path(path), search)
        state = explorer.state()
        return {
            "parts": explorer.parts() | {"measures": explorer.measures()},
            "matrix": explorer.matrix_marks() if state["matrix"] == shown["matrix"] else explorer.matrix(),
            "map": explorer.map_marks() if state["map"] == shown["map"] else explorer.map(),
            "shown": state,
        }

    app.clientside_callback(
        ClientsideFunction("matrix", "retile"),
        Output("tiled", "data"),
        Input("similarity", "relayoutData"),
        Input("similarity", "figure"),
        prevent_initial_call=True,
    )
    app.clientside_callback(
        ClientsideFunction("matrix", "point"),
        Output("readout", "children"),
        Input("similarity", "hoverData"),
        prevent_initial_call=True,
    )
