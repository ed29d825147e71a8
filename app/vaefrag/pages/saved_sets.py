"""Sets with names: saved in the workspace, opened by their URL, exported as posteriors files."""

import io
from typing import Any

from dash import ALL, Dash, Input, Output, State, ctx, dcc, html, no_update
from dash.exceptions import PreventUpdate
from flask import Response, abort, jsonify, make_response

from vaefrag.components.notices import remarks
from vaefrag.pages.channel_set_view import ChannelSetView
from vaefrag.pages.site import Site
from vaefrag.plurals import counted
from vaefrag_core.channel_sets import LONGEST_NAME, ChannelSet, SetStore, gather, set_posteriors
from vaefrag_core.errors import VaefragError


def panel(mixture: ChannelSetView) -> list:
    """Let the set be saved, and list those that are."""
    kept = mixture.sets.all()
    name = next((item.name for item in kept if item.id == mixture.chosen.kept), "")
    entry = dcc.Input(
        id="set-name", value=name, placeholder="Name of the set", maxLength=LONGEST_NAME, className="set-name"
    )
    save = html.Button("Save", id="save-set", type="button", className="button primary", disabled=not mixture.channels)
    form = html.Div([html.Label("Name", htmlFor="set-name"), entry, save], className="save-set")
    rows = [_row(mixture, item) for item in kept]
    table = html.Table(html.Tbody(rows), className="table saved-sets") if rows else None
    text = "A set is saved in the workspace under its name and has an address of its own."
    foot = table or html.P(text, className="quiet")
    return [html.Div(html.H2("Saved sets"), className="card-head"), form, html.Div(id="save-problem"), foot]


def _row(mixture: ChannelSetView, item: ChannelSet) -> html.Tr:
    on = item.id == mixture.chosen.kept
    site = mixture.site
    cells = [
        dcc.Link(item.name, href=site.combine_set(item.id)),
        counted(len(item.channels), "channel"),
        html.A("Export", href=site.set_file(item.id), download=f"{item.id}.npz"),
        html.Button(
            "Delete",
            id={"delete-set": item.id},
            type="button",
            className="quiet-button",
            **{"aria-label": f"Delete the set {item.name}"},
        ),
    ]
    return html.Tr([html.Td(cell) for cell in cells], className="on" if on else "")


def register(app: Dash, site: Site) -> None:
    """Let sets be saved, deleted and exported.

    Args:
        app: the app.
        site: queries and addresses.
    """

    @app.callback(
        Output("url", "search", allow_duplicate=True),
        Output("save-problem", "children"),
        Input("save-set", "n_clicks"),
        State("set-name", "value"),
        State("url", "search"),
        prevent_initial_call=True,
    )
    def save(clicks: int | None, name: str | None, search: str) -> Any:
        """The name → a saved set, and its URL."""
        if not clicks:
            raise PreventUpdate
        mixture = ChannelSetView(site, search)
        try:
            pooled = gather(mixture.channels, lambda ensemble: site.queries.posteriors(mixture.opened(ensemble)))
            kept = mixture.sets.save(name or "", mixture.channels, pooled.posteriors.sample_id)
        except VaefragError as error:
            return no_update, remarks([str(error)], tone="alarm")
        return mixture.chosen.to(kept=kept.id).search(), None

    @app.callback(
        Output("url", "search", allow_duplicate=True),
        Output("combine-saved", "children", allow_duplicate=True),
        Input({"delete-set": ALL}, "n_clicks"),
        State("url", "search"),
        prevent_initial_call=True,
    )
    def delete(clicks: list[int | None], search: str) -> Any:
        """A button → the set is gone; what is looked at stays, as a set without a name."""
        if not any(clicks) or not isinstance(ctx.triggered_id, dict):
            raise PreventUpdate
        mixture = ChannelSetView(site, search)
        set_id = ctx.triggered_id["delete-set"]
        mixture.sets.delete(set_id)
        if mixture.chosen.kept == set_id:
            mixture.chosen = mixture.chosen.to(kept=None)
        return mixture.chosen.search(), panel(mixture)

    @app.server.get(f"{site.prefix}data/sets/<set_id>.npz")
    def file(set_id: str) -> Response:
        """The posteriors file of a set."""
        sets, content = SetStore(site.queries.store.workspace), io.BytesIO()
        try:
            kept = sets.load(set_id)
            posteriors = set_posteriors(gather(kept.channels, site.queries.store.posteriors), kept.channels)
        except VaefragError as error:
            abort(make_response(jsonify({"error": str(error)}), 404))
        posteriors.write(content)
        response = make_response(content.getvalue())
        response.mimetype = "application/octet-stream"
        response.headers["Content-Disposition"] = f'attachment; filename="{kept.id}.npz"'
        return response
