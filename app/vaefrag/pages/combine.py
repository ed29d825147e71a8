"""/combine: a set of channels, of any members and ensembles on one sample, built by clicking, with its numbers."""

from collections.abc import Sequence
from typing import Any

import dash_mantine_components as dmc
import plotly.graph_objects as go
from dash import ALL, Dash, Input, Output, Patch, State, ctx, dcc, html, no_update
from dash.exceptions import PreventUpdate

from vaefrag.components.glossary import help_mark
from vaefrag.components.graph import graph
from vaefrag.components.notices import command, notice, remarks
from vaefrag.components.shell import segmented
from vaefrag.pages import fuse, image_routes, saved_sets
from vaefrag.pages.channel_set_view import ChannelSetView
from vaefrag.pages.explorer_view import ExplorerView, has_points
from vaefrag.pages.fuse import LEAST_CHANNELS, set_form
from vaefrag.pages.page import Page, PageRequest, RenderedPage
from vaefrag.pages.set_panel import beside_members, channel_button, growth_panel, halves_panel, next_panel, set_panel
from vaefrag.pages.set_selection import SetSelection, parse_set_selection
from vaefrag.pages.site import Site
from vaefrag.queries import distinct_names
from vaefrag_core.channel_sets import SetStore, parse_channel
from vaefrag_core.synthesis.channel_pool import ChannelName

PARTS = ("set", "rules", "switch", "saved", "slow")


def combine_page(view: ChannelSetView) -> RenderedPage:
    """Lay the page out."""
    parts = {name: html.Div(content, id=f"combine-{name}") for name, content in combine_parts(view).items()}
    text = (
        "Channels of any members, and of any ensembles on the same sample, as one space. Information is by the"
        " published bound here."
    )
    heading = html.Div(
        [html.Div([html.H1("Combine channels"), html.P(text, className="words")])], className="combine-head"
    )
    left = [_picker(view, parts), _card(html.Div(id="combine-next")), _card(html.Div(id="combine-curve"))]
    fuse = html.Div(set_form(), id="combine-fuse", className="card", hidden=_too_few(view))
    right = [_card(parts["set"]), fuse, _card(parts["saved"])]
    columns = html.Div([html.Div(left, className="column"), html.Div(right, className="column")], className="columns")
    shown = dcc.Store(id="combine-shown", data=_shown(view))
    return RenderedPage(html.Div([heading, columns, parts["slow"], shown], className="combine"), "Combine")


def combine_parts(view: ChannelSetView) -> dict[str, Any]:
    """Return everything on the page that depends on the set, but for the figure and what takes longer."""
    return {
        "set": set_panel(view),
        "rules": _rules(view),
        "switch": _switch(view),
        "saved": saved_sets.panel(view),
        # A new store asks for what takes longer, by the callbacks that listen to it.
        "slow": dcc.Store(id="combine-asked", data=view.selection.search()),
    }


def _too_few(view: ChannelSetView) -> bool:
    """Return whether there is nothing in the set to fuse with anything."""
    return len(view.channels) < LEAST_CHANNELS


def _shown(view: ChannelSetView) -> str:
    """Return what the figure shows besides its marks, as text."""
    return "" if view.picker is None else f"{view.selection.view} {view.picker.state()[view.selection.view]}"


def _figure(view: ChannelSetView) -> go.Figure:
    """Draw what channels are picked from."""
    assert view.picker is not None  # pages and callbacks without one end earlier
    return view.picker.map() if view.selection.view == "map" else view.picker.matrix()


def _marks(view: ChannelSetView) -> Patch:
    """Return the change of the figure when only the set changed."""
    assert view.picker is not None
    return view.picker.map_marks() if view.selection.view == "map" else view.picker.matrix_marks()


def _picker(view: ChannelSetView, parts: dict[str, html.Div]) -> html.Section:
    names = distinct_names(view.ensembles.values())
    options = [{"value": key, "label": name} for key, name in names.items()]
    select = dmc.Select(
        id="combine-at",
        data=options,
        value=view.selection.ensemble_id,
        allowDeselect=False,
        size="xs",
        className="combine-at",
        **{"aria-label": "Ensemble to pick from"},
    )
    buttons = ["lasso2d", "select2d", "zoom2d", "pan2d", "resetScale2d"]
    plot = graph("pick", _figure(view), "Channels to pick from; those of the set are marked", buttons=buttons)
    head = html.Div([html.H2("Pick channels"), select, parts["switch"]], className="card-head")
    hint = "Click a point or a cell to add its channels, again to take them out; draw around points to add them all."
    return html.Section([head, plot, html.P(hint, className="note"), parts["rules"]], className="card pick-card")


def _switch(view: ChannelSetView) -> html.Div:
    options = [
        (name, view.selection.replace(view=figure).search(), figure == view.selection.view)
        for figure, name in (("map", "Map"), ("matrix", "Matrix"))
    ]
    return html.Div(segmented("Picked from", options), className="switch")


def _rules(view: ChannelSetView) -> html.Div:
    medoids = view.medoids()
    if not medoids:
        return html.Div()
    links = [
        channel_button(
            f"{number}",
            medoid,
            "medoids",
            f"Medoid of hotspot {number}",
            className="rule" + (" on" if medoid in view.selection.channels else ""),
            title=f"{medoid}, the medoid of hotspot {number}",
        )
        for number, medoid in enumerate(medoids)
    ]
    every = html.A("all", href=view.selection.select(medoids).search(), className="stay rule")
    return html.Div([html.Span(["Medoids of hotspots", help_mark("medoid")]), *links, every], className="rules")


def _card(content: html.Div) -> html.Div:
    return html.Div(content, className="card")


def page(site: Site, request: PageRequest) -> RenderedPage:
    """Show the set, or what the page needs when there is nothing to combine."""
    view = ChannelSetView(site, request.search)
    if view.picker is None:
        empty = notice(
            "grid",
            "Nothing to combine yet",
            html.P("Channels are combined once an ensemble has been trained and analysed:"),
            command("vaefrag demo"),
        )
        return RenderedPage(site.error_page(html.Section([remarks(view.problems, tone="alarm"), empty])), "Combine")
    return combine_page(view)


def register(app: Dash, site: Site) -> None:
    """Let the page answer.

    Args:
        app: the app.
        site: queries and addresses.
    """

    @app.callback(
        Output("url", "search", allow_duplicate=True),
        Input("pick", "clickData"),
        Input("pick", "selectedData"),
        Input("combine-at", "value"),
        State("url", "search"),
        prevent_initial_call=True,
    )
    def pick(click: dict[str, Any] | None, drawing: dict[str, Any] | None, ensemble_id: str, search: str) -> Any:
        """What was clicked, drawn around or picked from → the URL."""
        view = ChannelSetView(site, search)
        changed = {item["prop_id"] for item in ctx.triggered}  # a click often comes with a drawing that went away
        if "combine-at.value" in changed:
            if ensemble_id == view.selection.ensemble_id:
                return no_update  # the picker follows the URL as well, and tells of it
            return view.selection.replace(ensemble_id=ensemble_id).search()
        selection = _clicked(view, click if "pick.clickData" in changed else None, drawing)
        return no_update if selection == view.selection else selection.search()

    @app.callback(
        Output("url", "search", allow_duplicate=True),
        Input({"channel": ALL, "of": ALL}, "n_clicks"),
        State("url", "search"),
        prevent_initial_call=True,
    )
    def pressed(clicks: list[int | None], search: str) -> str:
        """A channel's button → the URL, from the set as it is now and not as it was when the button was drawn."""
        if not ctx.triggered[0]["value"] or not isinstance(ctx.triggered_id, dict):
            raise PreventUpdate
        selection, _ = parse_set_selection(search, SetStore(site.queries.store.workspace))
        channel, of = parse_channel(ctx.triggered_id["channel"], ""), ctx.triggered_id["of"]
        return (selection.add(channel) if of == "next" else selection.toggle([channel])).search()

    @app.callback(
        output={
            "parts": {name: Output(f"combine-{name}", "children") for name in PARTS},
            "figure": Output("pick", "figure"),
            "at": Output("combine-at", "value"),
            "shown": Output("combine-shown", "data"),
            "too_few": Output("combine-fuse", "hidden"),
        },
        inputs={"search": Input("url", "search")},
        state={"shown": State("combine-shown", "data"), "path": State("url", "pathname")},
        prevent_initial_call=True,
    )
    def show(search: str, shown: str, path: str) -> dict[str, Any]:
        """The URL → what is shown at once; a figure that only changes its marks is not sent again."""
        if PAGE.request(site, path) is None:
            raise PreventUpdate  # on the way to another page
        view = ChannelSetView(site, search)
        return {
            "parts": combine_parts(view),
            "figure": _marks(view) if _shown(view) == shown else _figure(view),
            "at": view.selection.ensemble_id,
            "shown": _shown(view),
            "too_few": _too_few(view),
        }

    @app.callback(
        Output("combine-next", "children"),
        Input("combine-asked", "data"),
        # Until then the list is that of the set before, and may offer what has just been added.
        running=[(Output("combine-next", "className"), "renewing", "")],
    )
    def rank(search: str) -> Any:
        """The set → the best next channels."""
        return next_panel(ChannelSetView(site, search))

    @app.callback(Output("combine-curve", "children"), Input("combine-asked", "data"))
    def curve(search: str) -> Any:
        """The set → how sets grow."""
        return growth_panel(ChannelSetView(site, search))

    @app.callback(
        Output("combine-halves", "children"),
        Input("combine-curve", "children"),
        State("combine-asked", "data"),
        prevent_initial_call=True,
    )
    def halves(grown: Any, search: str) -> Any:
        """Greedy sets, once they are drawn → what they tell on images that did not choose them."""
        return halves_panel(ChannelSetView(site, search))

    @app.callback(
        Output("combine-members", "children"),
        Input("combine-next", "children"),
        State("combine-asked", "data"),
        prevent_initial_call=True,
    )
    def members(ranked: Any, search: str) -> Any:
        """The set, once further channels are ranked → how much of a whole member it carries."""
        return beside_members(ChannelSetView(site, search))


def _clicked(view: ChannelSetView, click: dict[str, Any] | None, drawing: dict[str, Any] | None) -> SetSelection:
    """Return the set with what was clicked or drawn around."""
    picker, selection = view.picker, view.selection
    if picker is None:
        return selection
    if click is None:
        names = picker.lassoed_points(drawing).channels if has_points(drawing) else ()
        return selection.add(*_named(picker, names))
    picker.selection = picker.selection.select()  # so that a click beside every channel selects nothing
    hit = picker.clicked_point(click) if selection.view == "map" else picker.clicked_cell(click)
    return selection.toggle(_named(picker, hit.channels))


def _named(picker: ExplorerView, names: Sequence[str]) -> list[ChannelName]:
    """Name channels of the ensemble that is picked from."""
    return [parse_channel(name, picker.record.id) for name in names]


REGISTER = (register, saved_sets.register, fuse.register, image_routes.register)
PAGE = Page("combine", page, REGISTER, link="Combine")
