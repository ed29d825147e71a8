"""/ensemble/<id>: the channels of an ensemble, their similarity, their hotspots and what they paint."""

from collections.abc import Callable
from typing import Any

import dash_mantine_components as dmc
import numpy as np
from dash import ClientsideFunction, Dash, Input, Output, State, ctx, dcc, html, no_update
from dash.exceptions import PreventUpdate

from vaefrag.components.facts import return_shares, swatch
from vaefrag.components.glossary import help_mark
from vaefrag.components.graph import graph
from vaefrag.components.icons import icon
from vaefrag.components.notices import remarks
from vaefrag.components.shell import segmented
from vaefrag.figures.theme import hotspot_colour
from vaefrag.pages.channel_details import Details
from vaefrag.pages.explorer_view import View, has_points
from vaefrag.pages.page import RenderedPage
from vaefrag.pages.site import Site
from vaefrag.plurals import counted
from vaefrag_core.artifacts import Hotspot
from vaefrag_core.ensemble_record import ImportedSource, TrainedSource
from vaefrag_core.structure.hotspots import more_live_channels


class Explorer:
    """The page around a view.

    Args:
        view: what is looked at.
    """

    def __init__(self, view: View) -> None:
        self.view = view
        self.site, self.record, self.opened = view.site, view.record, view.opened
        self.selection, self.hotspots = view.selection, view.hotspots
        self.stability = view.opened.analysis.stability.get(view.selection.measure)

    def page(self) -> RenderedPage:
        """Lay the page out."""
        parts = {name: html.Div(content, id=name) for name, content in self.parts().items()}
        details = html.Div(parts["details"], className="card details", role="region", **{"aria-label": "Details"})
        left = html.Div([self._matrix_card(), html.Div(parts["hotspots"], className="card")], className="column")
        right = html.Div([self._map_card(parts["layouts"]), details], className="column")
        stores = [dcc.Store(id="shown", data=self.view.state()), dcc.Store(id="tiled")]
        content = [parts["summary"], parts["problems"], html.Div([left, right], className="columns"), *stores]
        return RenderedPage(html.Div(content, className="explorer"), self.record.name)

    def parts(self) -> dict[str, Any]:
        """Give everything on the page that depends on the selection, but for the figures."""
        return {
            "summary": self._summary(),
            "problems": remarks([*self.view.problems, *self._collapse()], tone="alarm"),
            "layouts": self._layouts(),
            "details": Details(self.site, self.opened, self.selection).panel(),
            "hotspots": self._hotspot_table(),
        }

    def _summary(self) -> list:
        matrix = self.opened.matrix
        match self.record.source:
            case TrainedSource(spec=spec):
                origin = [spec.dataset.name, spec.train.title]
                again = [dcc.Link("train again with changes", href=self.site.new(self.record.id))]
            case ImportedSource():
                origin, again = ["imported"], []
        words = [
            *origin,
            counted(len(np.unique(matrix.member)), "member"),
            counted(matrix.n_channels, "channel"),
            f"sample of {matrix.n_images:,} images",
        ]
        words += [html.Code(self.record.id, title="Commands ask for this id."), *again]
        if len(np.unique(matrix.member)) > 1:
            words.append(dcc.Link("fuse its members", href=self.site.fuse(self.record.id)))
        line = html.P([html.Span(word) for word in words], className="words")
        return [html.Div([html.H1(self.record.name), line]), self._dead_switch()]

    def _collapse(self) -> list[str]:
        """Say so when there is nothing to explore, and what helps."""
        if not self.hotspots.dead.all():
            return []
        config = self.opened.analysis.config.hotspots
        return [
            f"No channel tells the sample's images apart by {config.min_bits:g} bits or more, so there is nothing to"
            f" explore. {more_live_channels(config)}"
        ]

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
        label = f"Similarity of {len(self.view.order)} channels in OPTICS order, with hotspots and labels"
        plot = graph("similarity", self.view.matrix(), label, buttons=["zoom2d", "pan2d", "resetScale2d"])
        readout = html.Div("Point at the matrix to read its values.", id="readout", **{"aria-live": "polite"})
        content = [html.Div(self.measures(), id="measures"), plot, readout, *self._chance()]
        return html.Section(content, className="card matrix-card")

    def _chance(self) -> list[html.P]:
        """Say where NMI begins on so few images."""
        live = np.flatnonzero(~self.hotspots.dead)
        key = f"chance/{self.opened.ensemble_id}/{self.opened.version}"
        level = self.site.queries.cached(key, lambda: self.opened.matrix.typical_chance_nmi(live))
        if np.isnan(level):
            return []
        text = f"Channels like these that share nothing would show an NMI of about {level:.3f}"
        return [html.P([text, help_mark("chance")], className="note chance")]

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
        plot = graph("map", self.view.map(), label, buttons=["lasso2d", "select2d", "zoom2d", "pan2d", "resetScale2d"])
        return html.Section([layouts, plot], className="card map-card")

    def _layouts(self) -> html.Div:
        layout = self.selection.layout
        options = [(name.upper(), self.selection.to(layout=name).search(), name == layout) for name in ("mds", "umap")]
        stress, placed = self.opened.analysis.maps[self.selection.measure].stress, len(self.view.on_map())
        quality = (
            [html.Span(f"stress {stress:.2f}", className="quiet"), help_mark("stress")]
            if layout == "mds" and placed
            else []
        )
        switch = html.Div([*quality, segmented("Map", options), help_mark(layout.upper())], className="switch")
        return html.Div([html.H2("Map of channels"), switch], className="card-head")

    def _hotspot_table(self) -> list:
        messages = [*self.hotspots.messages, *self.opened.analysis.maps[self.selection.measure].messages]
        members = len(np.unique(self.opened.matrix.member))
        heads = ["", "channels", "members", "mean NMI", "bits", "medoid", "best label"]
        if self.stability is not None:
            heads.append(["returns", help_mark("returns")])
        rows = [self._hotspot_row(group, members) for group in self.hotspots.groups]
        noise = int(((self.hotspots.labels < 0) & ~self.hotspots.dead).sum())
        core = self.hotspots.min_samples
        foot = f"{noise} live channels belong to no hotspot. A core channel has {core} close relatives."
        if self.stability is not None:
            foot += f" Returns: in how many of {self.stability.resamples} resamples of members / of images."
        table = html.Table(
            [html.Thead(html.Tr([html.Th(head) for head in heads])), html.Tbody(rows)],
            className="table hotspot-table" + (" narrow-cells" if self.stability is not None else ""),
        )
        title = html.Div(
            html.H2([f"Hotspots by {self.selection.measure.upper()}", help_mark("hotspot")]), className="card-head"
        )
        content = [dmc.ScrollArea(table, type="auto"), html.P(foot, className="note")] if rows else []
        return [title, remarks(messages), *content]

    def _hotspot_row(self, group: Hotspot, members: int) -> html.Tr:
        chosen = self.selection.hotspot == group.label
        medoid = self.opened.names[group.medoid]
        target = self.selection.of() if chosen else self.selection.of_hotspot(group.label)
        number = html.A(
            [icon("open" if chosen else "closed"), swatch(hotspot_colour(group.label)), str(group.label)],
            href=target.search(),
            className="stay hotspot-link",
            **{"aria-label": f"Hotspot {group.label}", "aria-pressed": "true" if chosen else "false"},
        )
        best = self.opened.matrix.best_label(group.label_nmi)
        label = "–" if best is None else f"{self.opened.matrix.label_names[best]} {group.label_nmi[best]:.2f}"
        cells = [
            number,
            group.size,
            f"{group.n_members} of {members}",
            f"{group.mean_nmi:.2f}",
            f"{group.mean_bits:.2f}",
            html.A(medoid, href=self.selection.of(medoid).search(), className="stay"),
            label,
            *([return_shares(self.stability, group.label)] if self.stability is not None else []),
        ]
        return html.Tr([html.Td(cell) for cell in cells], className="on" if chosen else "")


PARTS = ("summary", "problems", "layouts", "details", "hotspots", "measures")


def register(app: Dash, site: Site, id_in_path: Callable[[str], str]) -> None:
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
        view = View(site, id_in_path(path), search)
        changed = {item["prop_id"] for item in ctx.triggered}  # a click often comes with a drawing that went away
        if "similarity.clickData" in changed and cell:
            return view.clicked_cell(cell).search()
        if "map.clickData" in changed and point:
            return view.clicked_point(point).search()
        # A double click takes a drawing back; when the page opens, Dash tells of everything at once.
        taken_back = picked is None and changed == {"map.selectedData"} and view.selection.focus == "channels"
        if "map.selectedData" in changed and (has_points(picked) or taken_back):
            return view.picked_points(picked).search()
        return no_update  # plotly also tells, by no points, of drawings that went away because a figure changed

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
        if not (ensemble_id := id_in_path(path)):
            raise PreventUpdate  # on the way to another page
        view = View(site, ensemble_id, search)
        explorer, state = Explorer(view), view.state()
        return {
            "parts": explorer.parts() | {"measures": explorer.measures()},
            "matrix": view.matrix_marks() if state["matrix"] == shown["matrix"] else view.matrix(),
            "map": view.map_marks() if state["map"] == shown["map"] else view.map(),
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
