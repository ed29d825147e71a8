"""/new: the form that has an ensemble or a sweep trained."""

from typing import Any, get_args

import dash_mantine_components as dmc
from dash import ALL, Dash, Input, Output, State, ctx, dcc, html, no_update
from dash.exceptions import PreventUpdate

from vaefrag.components import spec_form
from vaefrag.components.notices import remarks
from vaefrag.components.number_inputs import clear_errors
from vaefrag.components.spec_form import IMAGES, LOSS, MORE, NETWORK, SIZE
from vaefrag.data_folders import check_data_path
from vaefrag.pages.job_polling import requester
from vaefrag.pages.page import Page, PageRequest, RenderedPage
from vaefrag.pages.site import Site
from vaefrag_core.config import EnsembleSpec, Estimator
from vaefrag_core.errors import InvalidInputError, VaefragError
from vaefrag_core.presets import PRESETS
from vaefrag_core.sweeps import Sweep, resolve_sweep

SWEEP_HINT = (
    "Several values of one coefficient, such as 1, 2, 4, train a sweep: an ensemble for each, and an atlas that follows"
    " their hotspots from value to value."
)


def page(site: Site, request: PageRequest) -> RenderedPage:
    """Show the form, empty or filled in as another ensemble was (`?from=<id>`)."""
    like = request.field("from")
    spec, origin = None, html.Div(hidden=True)
    if like:
        try:
            record = site.queries.store.record(like)
            if record.spec.model.network:
                raise InvalidInputError(
                    f"{record.name} was trained with the network {record.spec.model.network}, which only the command"
                    " line can ask for: `vaefrag train --network …`."
                )
            spec = record.spec
            origin = remarks([f"Filled in with the settings of {record.name}. Change what you like."])
        except VaefragError as error:
            origin = remarks([str(error)], tone="alarm")
    values = spec_form.initial_values(spec)
    inputs = [spec_form.field_input(field, values[field.path]) for field in MORE]
    more = dmc.Accordion(
        dmc.AccordionItem(
            [
                dmc.AccordionControl("More settings"),
                dmc.AccordionPanel(html.Div(inputs, className="form-grid")),
            ],
            value="more",
        ),
        id="more-settings",
        className="card fold",
    )
    launch = html.Div(
        [
            html.Button("Train", id="launch", type="button", className="button primary"),
            html.Span(
                "It is trained in the background, then analysed. This page can be closed meanwhile.", className="quiet"
            ),
        ],
        className="launch",
    )
    content = [
        html.Div([html.H1("New ensemble")], className="heading"),
        origin,
        spec_form.preset_menu(),
        spec_form.field_group("Images", IMAGES, values),
        spec_form.field_group("Objective", LOSS, values, SWEEP_HINT),
        spec_form.field_group("Ensemble", SIZE, values),
        spec_form.field_group("Network and comparison", NETWORK, values, others=[spec_form.estimator_input()]),
        more,
        html.Div(id="launch-problem"),
        launch,
    ]
    return RenderedPage(html.Div(content, className="narrow stack form"), "New ensemble")


def register(app: Dash, site: Site) -> None:
    """Let the form start trainings.

    Args:
        app: the app.
        site: queries and addresses.
    """
    clear_errors(app, "field")

    @app.callback(
        Output({"box": ALL}, "hidden"),
        Input({"field": "train.objective"}, "value"),
        Input({"field": "dataset.name"}, "value"),
        prevent_initial_call=True,
    )
    def show_fields(objective: str, dataset: str) -> list[bool]:
        """The objective and the data set → the fields that they read."""
        return [not spec_form.is_read(box["id"]["box"], objective, dataset) for box in ctx.outputs_list]

    @app.callback(
        Output({"field": ALL}, "value"),
        Output("preset-summary", "children"),
        Input("preset", "value"),
        prevent_initial_call=True,
    )
    def fill(preset: str | None) -> tuple[list[Any], str]:
        """A preset → what the fields hold, and what it is."""
        if preset not in PRESETS:
            raise PreventUpdate
        values = spec_form.preset_values(preset)
        return [values[output["id"]["field"]] for output in ctx.outputs_list[0]], PRESETS[preset].summary

    @app.callback(
        Output({"field": ALL}, "error"),
        Output("launch-problem", "children"),
        Output("more-settings", "value"),
        Output("url", "pathname"),
        Output("url", "search", allow_duplicate=True),
        Input("launch", "n_clicks"),
        State({"field": ALL}, "value"),
        State("estimator", "value"),
        running=[
            (Output("launch", "disabled"), True, False),
            (Output("launch", "children"), "Looking at the images …", "Train"),  # a folder's are all read
        ],
        prevent_initial_call=True,
    )
    def start_training(clicks: int | None, values: list[Any], estimator: Estimator) -> tuple[Any, ...]:
        """What was typed → its jobs, and the page of the ensemble or sweep; or what is wrong with it, by field."""
        if not clicks:
            raise PreventUpdate
        paths = [state["id"]["field"] for state in ctx.states_list[0]]
        of_the_form = set(paths) <= set(spec_form.FIELDS) and estimator in get_args(Estimator)
        if not of_the_form:  # it may name code to be run
            raise PreventUpdate
        try:
            content = spec_form.read_fields(dict(zip(paths, values, strict=True)))
            data_path = content["dataset"].get("path")
            if data_path is not None:
                check_data_path(str(data_path), site.data_folders)
            sweep, (spec, *more) = resolve_sweep(content)
            if sweep is not None:
                sweep = _launch_sweep(site, sweep, [spec, *more], estimator)
                return [None] * len(paths), None, no_update, site.atlas(sweep.id), ""
            ensemble_id = site.queries.store.id_of(spec)
            if _is_trained(site, spec):
                link = dcc.Link("Open it", href=site.ensemble(ensemble_id), className="button small")
                text = "An ensemble with exactly these settings has been trained. Change a setting, such as the seed."
                already = html.Div([remarks([text]), link], className="already")
                return [None] * len(paths), already, no_update, no_update, no_update
            site.queries.store.create(spec)
            site.job_store.submit_training(spec, who=requester(), estimator=estimator)
        except VaefragError as error:
            problems, others = _by_field(error, paths)
            # A marked field in a closed fold would be seen by nobody.
            fold = "more" if any(field.path in problems for field in MORE) else no_update
            words = remarks(others or ["Nothing was begun: see the fields marked above."], tone="alarm")
            return [problems.get(path) for path in paths], words, fold, no_update, no_update
        return [None] * len(paths), None, no_update, site.ensemble(ensemble_id), ""


def _launch_sweep(site: Site, sweep: Sweep, specs: list[EnsembleSpec], estimator: Estimator) -> Sweep:
    """Submit the training of each ensemble of a sweep, but for those that are trained."""
    sweep = site.queries.sweeps.create(sweep, specs)
    for spec in specs:
        if not _is_trained(site, spec):
            site.job_store.submit_training(spec, who=requester(), estimator=estimator)
    return sweep


def _is_trained(site: Site, spec: EnsembleSpec) -> bool:
    """Return whether nothing would come of a job: all members are trained, and the identifiers are the same."""
    try:
        record = site.queries.store.record(site.queries.store.id_of(spec))
        members = site.queries.members(record)
    except VaefragError:
        return False
    if record.spec.dataset.identifiers != spec.dataset.identifiers:
        return False
    return all(member.state == "done" for member in members)


def _by_field(error: VaefragError, paths: list[str]) -> tuple[dict[str, str], list[str]]:
    """Return what is wrong with each field of the form by its path, and what belongs to none of them."""
    problems: dict[str, str] = {}
    for name, sentence in error.fields.items():
        path = next((path for path in paths if name == path or name.startswith(f"{path}.")), "")
        if path:
            problems[path] = sentence
    return problems, [] if problems else [str(error)]


PAGE = Page("new", page, (register,))
