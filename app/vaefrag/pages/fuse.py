"""/fuse/<ensemble id>: the form that fuses an ensemble's members; Combine shows it for the set that is combined."""

from typing import Any

from dash import ALL, Dash, Input, Output, State, ctx, dcc, html, no_update
from dash.exceptions import PreventUpdate

from vaefrag.components import fusion_form
from vaefrag.components.notices import notice, remarks
from vaefrag.components.number_inputs import clear_errors
from vaefrag.pages.channel_set_view import ChannelSetView
from vaefrag.pages.job_polling import requester
from vaefrag.pages.page import Page, PageRequest, RenderedPage
from vaefrag.pages.site import Site
from vaefrag_core.config import FusionConfig
from vaefrag_core.config_errors import parse
from vaefrag_core.errors import InvalidInputError, VaefragError
from vaefrag_core.fusion_store import channels_of

LEAST_CHANNELS = 2  # to fuse


def set_form() -> html.Div:
    """Show the form that fuses the set of channels of a page."""
    text = "One space of few channels that is as similar as can be, on average, to every channel of the set above."
    return fusion_form.form("Fuse this set", text)


def page(site: Site, request: PageRequest) -> RenderedPage:
    """Show the form that fuses an ensemble's members, or say why they cannot be."""
    ensemble_id = request.id
    try:
        record, posteriors = site.queries.store.record(ensemble_id), site.queries.store.posteriors(ensemble_id)
    except VaefragError as error:
        return RenderedPage(site.error_page(notice("search", "Nothing to fuse", html.P(str(error)))), "Not found")
    words = [html.Span(f"{posteriors.n_members} members"), html.Span(f"sample of {posteriors.n_images:,} images")]
    back = dcc.Link("Open the ensemble", href=site.ensemble(ensemble_id), className="button")
    title = html.Div([html.H1(record.name), html.P(words, className="words")])
    heading = html.Div([title, back], className="heading heading-row")
    text = (
        "One space of few channels that is as similar as can be, on average, to the whole latent space of every member."
    )
    card = html.Section(fusion_form.form("Fuse its members", text), className="card")
    return RenderedPage(html.Div([heading, card], className="narrow stack form"), f"Fuse {record.name}")


def register(app: Dash, site: Site) -> None:
    """Let the form start a fusion.

    Args:
        app: the app.
        site: queries and addresses.
    """
    clear_errors(app, "fuse")

    @app.callback(
        Output({"fuse": ALL}, "error"),
        Output("fuse-problem", "children"),
        Output("url", "pathname", allow_duplicate=True),
        Output("url", "search", allow_duplicate=True),
        Input("fuse", "n_clicks"),
        State({"fuse": ALL}, "value"),
        State("url", "pathname"),
        State("url", "search"),
        running=[(Output("fuse", "disabled"), True, False)],
        prevent_initial_call=True,
    )
    def start_fusion(clicks: int | None, values: list[Any], path: str, search: str) -> tuple[Any, ...]:
        """What was typed → a job and its page, or the space when there is one; or what is wrong, by field."""
        if not clicks:
            raise PreventUpdate
        names = [state["id"]["fuse"] for state in ctx.states_list[0]]
        if set(names) != set(fusion_form.FIELDS):  # no request of the form's own
            raise PreventUpdate
        try:
            ensemble_id, source = _source(site, PAGE.id_in(site, path), search)
            typed = {name: fusion_form.read_field(name, value) for name, value in zip(names, values, strict=True)}
            config = parse(FusionConfig, source | typed)
            target = _launch(site, ensemble_id, config)
        except VaefragError as error:
            problems = [error.fields.get(name) for name in names]
            return problems, None if any(problems) else remarks([str(error)], tone="alarm"), no_update, no_update
        return [None] * len(names), None, target, ""


def _source(site: Site, ensemble_id: str, search: str) -> tuple[str, dict[str, Any]]:
    """Return the ensemble whose job a fusion will be, and the settings that say what is fused."""
    if ensemble_id:
        return ensemble_id, {}
    channels = ChannelSetView(site, search).channels
    if len(channels) < LEAST_CHANNELS:
        got = "one" if channels else "none"
        raise InvalidInputError(f"Expected a set of at least two channels to fuse, got {got}. Pick more of them.")
    return channels[0].ensemble, {"channels": channels_of(channels, channels[0].ensemble)}


def _launch(site: Site, ensemble_id: str, config: FusionConfig) -> str:
    """Submit a fusion and return the path of its job; that of the space when exactly this was fused before."""
    fusions = site.queries.fusions
    fusions.learners(ensemble_id, config)  # raises here what a job could only fail with
    fusion_id = fusions.id_of(ensemble_id, config)
    if fusions.report(ensemble_id, fusion_id):
        return site.fusion(fusion_id)
    return site.job(site.job_store.submit_fusion(ensemble_id, config, who=requester()))


PAGE = Page("fuse/<ensemble_id>", page, (register,))
