"""Sets with names: saved in the workspace, opened by their URL, exported as posteriors files."""

import io
from typing import Any

from dash import ALL, Dash, Input, Output, State, ctx, dcc, html, no_update
from dash.development.base_component import Component
from dash.exceptions import PreventUpdate
from flask import Flask, Response, abort, jsonify, make_response

from vaefrag.components.notices import remarks
from vaefrag.pages.channel_set_view import ChannelSetView
from vaefrag.pages.site import Site
from vaefrag.plurals import counted
from vaefrag_core.channel_sets import LONGEST_NAME, ChannelSet, SetStore, pool_set, set_posteriors
from vaefrag_core.errors import VaefragError


def panel(view: ChannelSetView) -> list[Component]:
    """Show a form that saves the set, and a list of the sets that are saved."""
    saved = view.sets.all()
    name = next((item.name for item in saved if item.id == view.selection.set_id), "")
    entry = dcc.Input(
        id="set-name", value=name, placeholder="Name of the set", maxLength=LONGEST_NAME, className="set-name"
    )
    save = html.Button("Save", id="save-set", type="button", className="button primary", disabled=not view.channels)
    form = html.Div([html.Label("Name", htmlFor="set-name"), entry, save], className="save-set")
    rows = [_row(view, item) for item in saved]
    table = html.Table(html.Tbody(rows), className="table saved-sets") if rows else None
    text = "A set is saved in the workspace under its name and has an address of its own."
    foot = table or html.P(text, className="quiet")
    return [html.Div(html.H2("Saved sets"), className="card-head"), form, html.Div(id="save-problem"), foot]


def _row(view: ChannelSetView, item: ChannelSet) -> html.Tr:
    site = view.site
    spoken: dict[str, Any] = {"aria-label": f"Delete the set {item.name}"}
    cells: list[Any] = [
        dcc.Link(item.name, href=site.combine_set(item.id)),
        counted(len(item.channels), "channel"),
        html.A("Export", href=site.set_file(item.id), download=f"{item.id}.npz"),
        html.Button(
            "Delete",
            id={"delete-set": item.id},
            type="button",
            className="quiet-button",
            **spoken,
        ),
    ]
    return html.Tr([html.Td(cell) for cell in cells], className="on" if item.id == view.selection.set_id else "")


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
        view = ChannelSetView(site, search)
        try:
            pool = pool_set(view.channels, view.posteriors_of)
            saved = view.sets.save(name or "", view.channels, pool.posteriors.sample_id)
        except VaefragError as error:
            return no_update, remarks([str(error)], tone="alarm")
        return view.selection.replace(set_id=saved.id).search(), None

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
        view = ChannelSetView(site, search)
        set_id = ctx.triggered_id["delete-set"]
        view.sets.delete(set_id)
        if view.selection.set_id == set_id:
            view.selection = view.selection.replace(set_id=None)
        return view.selection.search(), panel(view)

    server: Flask = app.server

    @server.get(f"{site.prefix}data/sets/<set_id>.npz")
    def file(set_id: str) -> Response:
        """Serve the posteriors file of a set, by the names of its channels: the newest posteriors there are."""
        sets, content = SetStore(site.queries.store.workspace), io.BytesIO()
        try:
            saved = sets.load(set_id)
            pool = pool_set(saved.channels, site.queries.store.posteriors)
            posteriors = set_posteriors(pool, saved.channels)
        except VaefragError as error:
            abort(make_response(jsonify({"error": str(error)}), 404))
        posteriors.write(content)
        response = make_response(content.getvalue())
        response.mimetype = "application/octet-stream"
        response.headers["Content-Disposition"] = f'attachment; filename="{saved.id}.npz"'
        return response
