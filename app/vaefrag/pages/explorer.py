"""/ensemble/<id>: the channels of an ensemble, their similarity, their hotspots and what they paint."""

from collections.abc import Callable
from typing import Any

import dash_mantine_components as dmc
import numpy as np
from dash import ClientsideFunction, Dash, Input, Output, State, ctx, dcc, html, no_update
from dash.development.base_component import Component
from dash.exceptions import PreventUpdate

from vaefrag.components.facts import return_shares, swatch, with_error
from vaefrag.components.glossary import help_mark
from vaefrag.components.graph import graph
from vaefrag.components.icons import icon
from vaefrag.components.job_controls import ESTIMATORS
from vaefrag.components.notices import remarks
from vaefrag.components.shell import segmented
from vaefrag.figures.theme import hotspot_colour
from vaefrag.pages.channel_details import details_panel
from vaefrag.pages.explorer_view import ExplorerView, has_points
from vaefrag.pages.null_view import null_cells, null_heads, null_notes
from vaefrag.pages.page import RenderedPage
from vaefrag.pages.site import Site
from vaefrag.plurals import about, counted
from vaefrag_core.artifacts import Hotspot
from vaefrag_core.ensemble_record import ImportedSource, TrainedSource
from vaefrag_core.structure.hotspot_evidence import HotspotEvidence
from vaefrag_core.structure.hotspots import more_live_channels


def explorer_page(view: ExplorerView) -> RenderedPage:
    """Lay the page out."""
    parts = {name: html.Div(content, id=name) for name, content in explorer_parts(view).items()}
    name: dict[str, Any] = {"aria-label": "Details"}
    details = html.Div(parts["details"], className="card details", role="region", **name)
    left = html.Div([_matrix_card(view), html.Div(parts["hotspots"], className="card")], className="column")
    right = html.Div([_map_card(view, parts["layouts"]), details], className="column")
    stores = [dcc.Store(id="shown", data=view.state()), dcc.Store(id="tiled")]
    content = [parts["summary"], parts["problems"], html.Div([left, right], className="columns"), *stores]
    return RenderedPage(html.Div(content, className="explorer"), view.record.name)


def explorer_parts(view: ExplorerView) -> dict[str, Any]:
    """Return everything on the page that depends on the selection, but for the figures."""
    return {
        "summary": _summary(view),
        "problems": remarks([*view.problems, *_collapse(view)], tone="alarm"),
        "layouts": _layouts(view),
        "details": details_panel(view),
        "hotspots": _hotspot_table(view),
    }


def _summary(view: ExplorerView) -> list[Component]:
    matrix = view.analysis.matrix
    match view.record.source:
        case TrainedSource(spec=spec):
            origin = [spec.dataset.name, spec.train.title]
            again = [dcc.Link("train again with changes", href=view.site.new(view.record.id))]
        case ImportedSource():
            origin, again = ["imported"], []
    words: list[str | Component] = [
        *origin,
        counted(view.analysis.n_members, "member"),
        counted(matrix.n_channels, "channel"),
        f"sample of {matrix.n_images:,} images",
    ]
    words += [html.Code(view.record.id, title="Commands ask for this id."), *again]
    words.append(html.Span([*_estimator_switch(view), help_mark("estimator")]))
    if view.analysis.n_members > 1:
        words.append(dcc.Link("fuse its members", href=view.site.fuse(view.record.id)))
        words.append(dcc.Link("which run to publish", href=view.site.certificate(view.record.id)))
    line = html.P([html.Span(word) for word in words], className="words")
    return [html.Div([html.H1(view.record.name), line]), _dead_switch(view)]


def _estimator_switch(view: ExplorerView) -> list[str | Component]:
    """Say by which estimator information is told, and offer the other."""
    shown = view.analysis.matrix.estimator
    other = next(name for name in ESTIMATORS if name != shown)
    button = html.Button(
        f"show it {ESTIMATORS[other]}",
        id={"ask": other, "ensemble": view.record.id},
        type="button",
        className="as-link",
    )
    return [f"information {ESTIMATORS[shown]}: ", button]


def _collapse(view: ExplorerView) -> list[str]:
    """Say so when there is nothing to explore, and what helps."""
    if not view.hotspots.dead.all():
        return []
    config = view.analysis.config.hotspots
    return [
        f"No channel tells the sample's images apart by {config.min_bits:g} bits or more, so there is nothing to"
        f" explore. {more_live_channels(config)}"
    ]


def _dead_switch(view: ExplorerView) -> html.Div:
    dead, n = int(view.hotspots.dead.sum()), view.analysis.matrix.n_channels
    if dead == 0:
        return html.Div()
    threshold = view.analysis.config.hotspots.min_bits
    shown = view.selection.dead
    text = f"{dead} of {n} channels are dead (< {threshold:g} bits) and {'shown last' if shown else 'set aside'}."
    link = html.A(
        "Set aside" if shown else "Show them", href=view.selection.replace(dead=not shown).search(), className="stay"
    )
    return html.Div([text, " ", link, help_mark("dead")], className="dead")


def _matrix_card(view: ExplorerView) -> html.Section:
    # The switch itself depends on the selection and lives in its own part of the page, `measures`.
    label = f"Similarity of {len(view.order)} channels in OPTICS order, with hotspots and labels"
    plot = graph("similarity", view.matrix(), label, buttons=["zoom2d", "pan2d", "resetScale2d"])
    live: dict[str, Any] = {"aria-live": "polite"}
    readout = html.Div("Point at the matrix to read its values.", id="readout", **live)
    content = [html.Div(measure_heading(view), id="measures"), plot, readout, *_chance(view)]
    return html.Section(content, className="card matrix-card")


def _chance(view: ExplorerView) -> list[html.P]:
    """Say which NMI channels that share nothing show on so few images."""
    live = np.flatnonzero(~view.hotspots.dead)
    key = f"chance/{view.analysis.ensemble_id}/{view.analysis.version}"
    level = view.site.queries.cached(key, lambda: view.analysis.matrix.typical_chance_nmi(live))
    if np.isnan(level):
        return []
    text = f"Channels like these that share nothing would show an NMI of {about(level)}"
    return [html.P([text, help_mark("chance")], className="note chance")]


def measure_heading(view: ExplorerView) -> html.Div:
    """Return the heading of the matrix, with the switch between the measures."""
    options = [
        (measure.upper(), view.selection.with_measure(measure).search(), measure == view.selection.measure)
        for measure in view.analysis.hotspots
    ]
    switch = html.Div([segmented("Measure", options), help_mark(view.selection.measure.upper())], className="switch")
    title = html.H2(["Similarity of channels", help_mark("reachability")])
    return html.Div([title, switch], className="card-head")


def _map_card(view: ExplorerView, layouts: html.Div) -> html.Section:
    label = "Map of channels, coloured by hotspot and sized by information"
    plot = graph("map", view.map(), label, buttons=["lasso2d", "select2d", "zoom2d", "pan2d", "resetScale2d"])
    return html.Section([layouts, plot], className="card map-card")


def _layouts(view: ExplorerView) -> html.Div:
    layout = view.selection.layout
    options = [(name.upper(), view.selection.replace(layout=name).search(), name == layout) for name in ("mds", "umap")]
    stress, placed = view.analysis.maps[view.selection.measure].stress, len(view.on_map())
    quality = (
        [html.Span(f"stress {stress:.2f}", className="quiet"), help_mark("stress")]
        if layout == "mds" and placed
        else []
    )
    switch = html.Div([*quality, segmented("Map", options), help_mark(layout.upper())], className="switch")
    return html.Div([html.H2("Map of channels"), switch], className="card-head")


def _hotspot_table(view: ExplorerView) -> list[Component]:
    messages = [*view.hotspots.messages, *view.analysis.maps[view.selection.measure].messages]
    members = view.analysis.n_members
    # What tells whether a hotspot is to be believed; its plain mean and its medoid are among the details.
    corrected: list[Any] = ["corrected NMI", help_mark("corrected inside")]
    heads: list[Any] = ["", "channels", "members", corrected, "bits", "best label"]
    if view.hotspots.recurrence is not None:
        heads.append(["new member", help_mark("new member")])
    heads += null_heads(view)
    if view.stability is not None:
        heads.append(["returns", help_mark("returns")])
    doubts = view.analysis.doubts(view.selection.measure)
    evidence = view.analysis.evidence(view.selection.measure)
    rows = [
        _hotspot_row(view, group, members, doubts[group.number], evidence[group.number])
        for group in view.hotspots.groups
    ]
    noise = int(((view.hotspots.labels < 0) & ~view.hotspots.dead).sum())
    foot = f"{counted(noise, 'live channel')} in no hotspot."
    if view.stability is not None:
        foot += f" Returns: in how many of {view.stability.resamples} resamples of members / of images."
    table = html.Table(
        [html.Thead(html.Tr([html.Th(head) for head in heads])), html.Tbody(rows)],
        className="table hotspot-table narrow-cells",
    )
    title = html.Div(
        html.H2([f"Hotspots by {view.selection.measure.upper()}", help_mark("hotspot")]), className="card-head"
    )
    near_chance = [
        html.P(["Near chance: hotspot ", str(label), ". ", " ".join(sentences)], className="note")
        for label, sentences in enumerate(doubts)
        if sentences
    ]
    content = (
        [dmc.ScrollArea(table, type="auto", offsetScrollbars="present"), *near_chance, html.P(foot, className="note")]
        if rows
        else []
    )
    return [title, remarks(messages), *content, *null_notes(view)]


def _in_a_new_member(view: ExplorerView, group: Hotspot) -> list[Component]:
    """Return how likely a new member is to hold a hotspot, with its interval; nothing in earlier results."""
    recurrence = view.hotspots.recurrence
    if recurrence is None:
        return []
    low, high = recurrence.interval[group.number]
    lacking = ", ".join(map(str, recurrence.lacking(group.number)))
    title = f"95 % interval {low:.0%} to {high:.0%}. " + (f"Lacking in members {lacking}." if lacking else "In all.")
    return [html.Span(f"{recurrence.probability[group.number]:.0%}", title=title)]


def _corrected_inside(evidence: HotspotEvidence) -> html.Span:
    """Return the corrected NMI inside a hotspot, with its standard error where that was worked out."""
    if evidence.nmi_error is None or evidence.nmi_interval is None:
        return html.Span(with_error(evidence.nmi, np.nan))
    low, high = evidence.nmi_interval
    title = f"95 % interval over images {low:.3f} to {high:.3f}."
    return html.Span(with_error(evidence.nmi, evidence.nmi_error), title=title)


def _hotspot_row(
    view: ExplorerView, group: Hotspot, members: int, doubts: tuple[str, ...], evidence: HotspotEvidence
) -> html.Tr:
    selected = view.selection.hotspot == group.number
    target = view.selection.select() if selected else view.selection.select_hotspot(group.number)
    spoken: dict[str, Any] = {
        "aria-label": f"Hotspot {group.number}",
        "aria-pressed": "true" if selected else "false",
    }
    number = html.A(
        [icon("open" if selected else "closed"), swatch(hotspot_colour(group.number)), str(group.number)],
        href=target.search(),
        className="stay hotspot-link",
        **spoken,
    )
    best = view.analysis.matrix.best_label(list(group.channels))
    label = (
        "–" if best is None else f"{view.analysis.matrix.label_names[best]} {view.label_nmi(group.channels)[best]:.2f}"
    )
    cells: list[Any] = [
        number,
        group.size,
        f"{group.n_members} of {members}",
        _corrected_inside(evidence),
        f"{group.mean_bits:.2f}",
        label,
        *_in_a_new_member(view, group),
        *null_cells(view, group),
        *([return_shares(view.stability, group.number)] if view.stability is not None else []),
    ]
    classes = [*(["on"] if selected else []), *(["near-chance"] if doubts else [])]
    return html.Tr([html.Td(cell) for cell in cells], className=" ".join(classes), title=" ".join(doubts))


PARTS = ("summary", "problems", "layouts", "details", "hotspots", "measures")


def register(app: Dash, site: Site, id_in_path: Callable[[str], str]) -> None:
    """Let the page answer.

    Args:
        app: the app.
        site: queries and addresses.
        id_in_path: returns the ensemble that a path names.
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
    def select(
        cell: dict[str, Any] | None,
        point: dict[str, Any] | None,
        drawing: dict[str, Any] | None,
        path: str,
        search: str,
    ) -> Any:
        """What was clicked or drawn around → the URL."""
        view = ExplorerView(site, id_in_path(path), search)
        changed = {item["prop_id"] for item in ctx.triggered}  # a click often comes with a drawing that went away
        if "similarity.clickData" in changed and cell:
            return view.clicked_cell(cell).search()
        if "map.clickData" in changed and point:
            return view.clicked_point(point).search()
        # A double click takes a drawing back; when the page opens, Dash tells of everything at once.
        taken_back = drawing is None and changed == {"map.selectedData"} and view.selection.focus == "channels"
        if "map.selectedData" in changed and (has_points(drawing) or taken_back):
            return view.lassoed_points(drawing).search()
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
        view = ExplorerView(site, ensemble_id, search)
        state = view.state()
        return {
            "parts": explorer_parts(view) | {"measures": measure_heading(view)},
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
