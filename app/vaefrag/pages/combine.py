"""/combine: a set of channels, from any members and ensembles on one sample, built by clicking and told in numbers."""

from typing import Any

import dash_mantine_components as dmc
from dash import ALL, Dash, Input, Output, State, ctx, dcc, html, no_update
from dash.exceptions import PreventUpdate

from vaefrag.components.glossary import help_mark
from vaefrag.components.graph import graph
from vaefrag.components.notices import command, notice, remarks
from vaefrag.components.shell import segmented
from vaefrag.pages import fuse, image_routes, saved_sets
from vaefrag.pages.channel_set_view import ChannelSetView
from vaefrag.pages.fuse import LEAST_CHANNELS, set_form
from vaefrag.pages.page import Page, PageRequest, RenderedPage
from vaefrag.pages.set_panel import beside_members, growth_panel, next_panel, press, set_panel
from vaefrag.pages.set_selection import SetSelection, parse_set_selection
from vaefrag.pages.site import Site
from vaefrag.queries import distinct_names
from vaefrag_core.channel_sets import SetStore, parse_channel

PARTS = ("set", "rules", "switch", "saved", "slow")


class Combine:
    """The page around a set.

    Args:
        mixture: the set.
    """

    def __init__(self, mixture: ChannelSetView) -> None:
        self.mixture, self.site, self.chosen = mixture, mixture.site, mixture.chosen

    def page(self) -> RenderedPage:
        """Lay the page out."""
        parts = {name: html.Div(content, id=f"combine-{name}") for name, content in self.parts().items()}
        text = "Channels of any members, and of any ensembles on the same sample, as one space."
        heading = html.Div(
            [html.Div([html.H1("Combine channels"), html.P(text, className="words")])], className="combine-head"
        )
        left = [self._picker(parts), _card(html.Div(id="combine-next")), _card(html.Div(id="combine-curve"))]
        fuse = html.Div(set_form(), id="combine-fuse", className="card", hidden=self.too_few)
        right = [_card(parts["set"]), fuse, _card(parts["saved"])]
        columns = html.Div(
            [html.Div(left, className="column"), html.Div(right, className="column")], className="columns"
        )
        shown = dcc.Store(id="combine-shown", data=self.shown)
        return RenderedPage(html.Div([heading, columns, parts["slow"], shown], className="combine"), "Combine")

    def parts(self) -> dict[str, Any]:
        """Give everything on the page that depends on the set, but for the figure and what takes longer."""
        return {
            "set": set_panel(self.mixture),
            "rules": self._rules(),
            "switch": self._switch(),
            "saved": saved_sets.panel(self.mixture),
            # A new store asks for what takes longer, by the callbacks that listen to it.
            "slow": dcc.Store(id="combine-asked", data=self.chosen.search()),
        }

    @property
    def too_few(self) -> bool:
        """Whether there is nothing in the set to fuse with anything."""
        return len(self.mixture.channels) < LEAST_CHANNELS

    @property
    def shown(self) -> str:
        """Name what the figure shows besides its marks."""
        view = self.mixture.view
        return "" if view is None else f"{self.chosen.view} {view.state()[self.chosen.view]}"

    def figure(self) -> Any:
        """Draw what channels are picked from."""
        view = self.mixture.view
        assert view is not None
        return view.map() if self.chosen.view == "map" else view.matrix()

    def marks(self) -> Any:
        """Give the figure's change when only the set changed."""
        view = self.mixture.view
        assert view is not None
        return view.map_marks() if self.chosen.view == "map" else view.matrix_marks()

    def _picker(self, parts: dict[str, html.Div]) -> html.Section:
        names = distinct_names(self.mixture.ensembles.values())
        options = [{"value": key, "label": name} for key, name in names.items()]
        select = dmc.Select(
            id="combine-at",
            data=options,
            value=self.chosen.at,
            allowDeselect=False,
            size="xs",
            className="combine-at",
            **{"aria-label": "Ensemble to pick from"},
        )
        buttons = ["lasso2d", "select2d", "zoom2d", "pan2d", "resetScale2d"]
        plot = graph("pick", self.figure(), "Channels to pick from; those of the set are marked", buttons=buttons)
        head = html.Div([html.H2("Pick channels"), select, parts["switch"]], className="card-head")
        hint = (
            "Click a point or a cell to add its channels, again to take them out; draw around points to add them all."
        )
        return html.Section([head, plot, html.P(hint, className="note"), parts["rules"]], className="card pick-card")

    def _switch(self) -> html.Div:
        options = [
            (name, self.chosen.to(view=view).search(), view == self.chosen.view)
            for view, name in (("map", "Map"), ("matrix", "Matrix"))
        ]
        return html.Div(segmented("Picked from", options), className="switch")

    def _rules(self) -> html.Div:
        medoids = self.mixture.medoids()
        if not medoids:
            return html.Div()
        links = [
            press(
                f"{number}",
                medoid,
                "medoids",
                f"Medoid of hotspot {number}",
                className="rule" + (" on" if medoid in self.chosen.channels else ""),
                title=f"{medoid}, the medoid of hotspot {number}",
            )
            for number, medoid in enumerate(medoids)
        ]
        every = html.A("all", href=self.chosen.of(medoids).search(), className="stay rule")
        return html.Div([html.Span(["Medoids of hotspots", help_mark("medoid")]), *links, every], className="rules")


def _card(content: html.Div) -> html.Div:
    return html.Div(content, className="card")


def page(site: Site, request: PageRequest) -> RenderedPage:
    """Give the page, or say what it needs when there is nothing to combine."""
    mixture = ChannelSetView(site, request.search)
    if mixture.view is None:
        empty = notice(
            "grid",
            "Nothing to combine yet",
            html.P("Channels are combined once an ensemble has been trained and analysed:"),
            command("vaefrag demo"),
        )
        return RenderedPage(site.error_page(html.Section([remarks(mixture.problems, tone="alarm"), empty])), "Combine")
    return Combine(mixture).page()


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
    def pick(click: dict | None, picked: dict | None, at: str, search: str) -> Any:
        """What was clicked, drawn around or chosen → the URL."""
        mixture = ChannelSetView(site, search)
        changed = {item["prop_id"] for item in ctx.triggered}  # a click often comes with a drawing that went away
        if "combine-at.value" in changed:
            return mixture.chosen.to(at=at).search() if at != mixture.chosen.at else no_update
        chosen = _clicked(mixture, click if "pick.clickData" in changed else None, picked)
        return no_update if chosen == mixture.chosen else chosen.search()

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
        chosen, _ = parse_set_selection(search, SetStore(site.queries.store.workspace))
        channel, of = parse_channel(ctx.triggered_id["channel"], ""), ctx.triggered_id["of"]
        return (chosen.plus(channel) if of == "next" else chosen.toggled([channel])).search()

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
        combine = Combine(ChannelSetView(site, search))
        figure = combine.marks() if combine.shown == shown else combine.figure()
        return {
            "parts": combine.parts(),
            "figure": figure,
            "at": combine.chosen.at,
            "shown": combine.shown,
            "too_few": combine.too_few,
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
        Output("combine-members", "children"),
        Input("combine-next", "children"),
        State("combine-asked", "data"),
        prevent_initial_call=True,
    )
    def members(ranked: Any, search: str) -> Any:
        """The set, once further channels are ranked → how much of a whole member it carries."""
        return beside_members(ChannelSetView(site, search))


def _clicked(mixture: ChannelSetView, click: dict | None, picked: dict | None) -> SetSelection:
    """Give the set with what was clicked or drawn around."""
    view, chosen = mixture.view, mixture.chosen
    if view is None:
        return chosen
    if click is None:
        names = view.picked_points(picked).channels if picked and picked.get("points") else ()
        return chosen.plus(*_named(mixture, names))
    view.selection = view.selection.of()
    hit = view.clicked_point(click) if chosen.view == "map" else view.clicked_cell(click)
    return chosen.toggled(_named(mixture, hit.channels))


def _named(mixture: ChannelSetView, names: tuple[str, ...]) -> list:
    opened = mixture.opened(mixture.chosen.at)
    return mixture.named(opened, [opened.index[name] for name in names])


REGISTER = (register, saved_sets.register, fuse.register, image_routes.register)
PAGE = Page("combine", page, REGISTER, link="Combine")
