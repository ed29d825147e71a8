"""/ensemble/<id>: the explorer, as soon as there is something to explore; until then what happens and can be done.

The page follows the job store: it fills by itself when an analysis is there, and says when it does not show the newest.
"""

from typing import Any

from dash import ALL, Dash, Input, Output, State, dcc, html, no_update
from dash.development.base_component import Component
from dash.exceptions import PreventUpdate

from vaefrag.components import job_controls
from vaefrag.components.glossary import help_mark
from vaefrag.components.markup import Child
from vaefrag.components.member_strip import member_strip
from vaefrag.components.notices import error_list, notice, remarks
from vaefrag.jobs.ensemble_status import EnsembleStatus, continue_training, open_job, status_of
from vaefrag.jobs.job_kinds import JobKind
from vaefrag.pages import explorer, image_routes, job_polling
from vaefrag.pages.explorer import explorer_page
from vaefrag.pages.explorer_view import ExplorerView
from vaefrag.pages.job import job_panel
from vaefrag.pages.job_polling import poll_components, pressed_button, requester
from vaefrag.pages.job_views import JobViews
from vaefrag.pages.page import Page, PageRequest, RenderedPage
from vaefrag.pages.site import Site
from vaefrag.plurals import counted, first_few
from vaefrag_core.config import DEFAULT_ESTIMATOR, AnalysisConfig, Estimator, default_analysis
from vaefrag_core.ensemble_record import ImportedSource, TrainedSource
from vaefrag_core.ensemble_store import EnsembleRecord
from vaefrag_core.errors import BrokenFileError, MissingDataError, VaefragError

POLL_MILLISECONDS = 1_500
MOST_FUSIONS = 8  # linked from an ensemble's page
SELECTION_FIELDS = ("channel", "pair", "channels", "hotspot")  # of the URL, when somebody looks at something


def page(site: Site, request: PageRequest) -> RenderedPage:
    """Show the explorer, or a page that says why it cannot be shown yet."""
    ensemble_id = request.id
    polled = [
        dcc.Interval(id="tick", interval=POLL_MILLISECONDS),
        dcc.Store(id="shown-as", data=_version(site, ensemble_id)),
    ]
    try:
        view = ExplorerView(site, ensemble_id, request.search)
        explored = explorer_page(view)
        news = _news(site, view)
        return RenderedPage(
            html.Div([html.Div(id="newer"), *news, *_fusions(site, ensemble_id), explored.content, *polled]),
            explored.title,
        )
    except BrokenFileError as error:
        broken = notice("alert", "A file cannot be read", html.P(str(error)), tone="alarm")
        return RenderedPage(site.error_page(broken), ensemble_id)
    except MissingDataError as error:
        try:
            record = site.queries.store.record(ensemble_id)
        except VaefragError:
            return RenderedPage(site.error_page(notice("search", "No such ensemble", html.P(str(error)))), "Not found")
        return RenderedPage(html.Div([html.Div(id="newer"), *_unfinished(site, record), *polled]), record.name)


def _unfinished(site: Site, record: EnsembleRecord) -> list[Component]:
    """Show the job that is at work on an ensemble, or what can be done."""
    job = open_job(record.id, site.job_store)
    words = html.P(_summary(record), className="words")
    if job is None:
        heading = html.Div([html.H1(record.name), words], className="heading")
        return [html.Div([heading, *_next_step(site, record)], className="narrow")]
    views, snapshot = JobViews(site), site.job_store.snapshot(job.id)
    links = job_controls.links([("Open the job", site.job(job.id))])
    buttons = html.Div([views.part("actions", snapshot), *links], className="buttons")
    heading = html.Div([html.Div([html.H1(record.name), words]), buttons], className="heading heading-row")
    hint = "The explorer opens here by itself as soon as a few members are trained and analysed."
    content = [heading, views.part("alarm"), html.P(hint, className="quiet"), *job_panel(views, snapshot)]
    return [html.Div([*content, *poll_components([snapshot.job])], className="wide stack")]


def _next_step(site: Site, record: EnsembleRecord) -> list[Component]:
    """Say how far an ensemble is when nobody is at work on it, and offer the next step."""
    status = status_of(record, site.queries.store, site.job_store)
    members, reasons = status.members, first_few([member.message for member in status.failed])
    strip = [member_strip(members, at_work=False)] if members else []
    trained = f"{status.done} of {len(members)} members are trained" if members else "The posteriors are here"
    tone = "calm"
    match status.state:
        case "stopped":
            share = sum(member.step for member in members) / (record.spec.train.steps * len(members))
            symbol, title, button = "wait", "Stopped", _request_button("train", record.id, "Go on")
            text = f"{trained}, {share:.0%} of all steps. Nobody goes on with it."
        case "failed":
            symbol, title, tone = "alert", "Training failed", "alarm"
            button = _request_button("train", record.id, "Try again")
            text = "No member was trained to its end, so there is nothing to show."
        case "analysis failed":
            symbol, title, tone = "alert", "Analysis failed", "alarm"
            button = _request_button("analyze", record.id, "Try again")
            text = f"{trained}, but their channels could not be compared."
            reasons += [status.job.progress.error] if status.job else []
        case _:
            symbol, title, button = "wait", "Not analysed yet", _estimator_buttons(record.id)
            text = f"{trained}. Their channels have not been compared yet."
    buttons = html.Div([button, *_job_link(site, status)], className="buttons")
    return [notice(symbol, title, html.P(text), *strip, buttons, tone=tone), error_list(reasons)]


def _news(site: Site, view: ExplorerView) -> list[Component]:
    """Say what is going on that the explorer below does not show yet."""
    ensemble_id, views = view.record.id, JobViews(site)
    shown = view.analysis.n_members
    job = open_job(ensemble_id, site.job_store)
    if job is not None:
        snapshot = site.job_store.snapshot(job.id)
        text = f"Shown are the {shown} members of the last analysis. The page renews itself after the next one."
        links = job_controls.links([("Open the job", site.job(job.id))])
        bar = html.Div([views.part("progress", snapshot), views.part("pace", snapshot), *links], className="job-head")
        card = html.Div([bar, html.P(text, className="note")], className="card news")
        return [card, *poll_components([snapshot.job])]
    if isinstance(view.record.source, ImportedSource):
        return []
    status = status_of(view.record, site.queries.store, site.job_store)
    rows: list[list[Component]] = []
    if status.failed:
        text = f"{len(status.failed)} of {counted(len(status.members), 'member')} failed. {status.failed[0].message}"
        rows.append([html.Span(text), *_job_link(site, status)])
    if status.done > shown:
        text = f"{counted(status.done, 'member')} are trained; the {shown} of the last analysis are shown."
        rows.append([html.Span(text), _request_button("analyze", ensemble_id, "Analyse again")])
    return [html.Div(row, className="card news news-row") for row in rows]


def _fusions(site: Site, ensemble_id: str) -> list[Component]:
    """Link to the spaces that were fused from an ensemble, the newest first; nothing when there are none."""
    links: list[Child] = []
    for fusion_id in site.queries.fusions.ids(ensemble_id)[:MOST_FUSIONS]:
        try:
            name = site.queries.fusions.fused(ensemble_id, fusion_id).config.title
        except VaefragError:
            continue  # its own page says what is wrong with it
        links.append(dcc.Link(name, href=site.fusion(fusion_id)))
    if not links:
        return []
    separated: list[Child] = [part for link in links for part in (", ", link)][1:]
    return [html.Div(html.Span(["Fused spaces: ", *separated]), className="card news news-row")]


def _job_link(site: Site, status: EnsembleStatus) -> list[Component]:
    """Link to the job that failed, or to the last one."""
    return job_controls.links([("Open the job", site.job(status.job.id))]) if status.job else []


def _request_button(kind: JobKind, ensemble_id: str, text: str) -> html.Div:
    """Show the button that submits a job."""
    button = html.Button(text, id={"ask": kind, "ensemble": ensemble_id}, type="button", className="button primary")
    return html.Div(button)


def _estimator_buttons(ensemble_id: str) -> html.Div:
    """Show the buttons that submit the first analysis, one for each estimator."""
    buttons = [
        html.Button(text, id={"ask": name, "ensemble": ensemble_id}, type="button", className=f"button {style}")
        for name, text, style in (
            ("analyze", "Analyse", "primary"),
            ("exact", "Analyse by exact integrals", ""),
        )
    ]
    return html.Div([*buttons, help_mark("estimator")], className="buttons")


def _summary(record: EnsembleRecord) -> list[html.Span]:
    members = counted(record.source.n_members, "member")
    match record.source:
        case TrainedSource(spec=spec):
            words = [spec.dataset.name, members, spec.train.title, f"{spec.train.steps:,} steps"]
        case ImportedSource(images=images):
            words = ["imported", members, f"{images:,} images"]
    return [*(html.Span(word) for word in words), html.Span(html.Code(record.id))]


def _version(site: Site, ensemble_id: str) -> dict[str, str]:
    """Name what the page shows: the analysis, the job above or instead of it, or how far the members are.

    While it stays the same, the page need not be drawn again.
    """
    try:
        index = site.queries.store.folder(ensemble_id) / "analysis" / "latest.json"
        version = str(index.stat().st_mtime_ns) if index.is_file() else ""
        job = open_job(ensemble_id, site.job_store)
        record = site.queries.store.record(ensemble_id)
        members = [] if job or version else site.queries.members(record)  # many files: only while nothing else tells
    except VaefragError:
        return {"version": "", "rest": ""}
    return {"version": version, "rest": job.id if job else " ".join(f"{m.state[0]}{m.step}" for m in members)}


def register(app: Dash, site: Site) -> None:
    """Let the page follow the training.

    Args:
        app: the app.
        site: queries and addresses.
    """
    explorer.register(app, site, lambda path: PAGE.id_in(site, path))

    @app.callback(
        Output("page", "children", allow_duplicate=True),
        Output("newer", "children"),
        Output("shown-as", "data"),
        Input("tick", "n_intervals"),
        State("shown-as", "data"),
        State("url", "pathname"),
        State("url", "search"),
        prevent_initial_call=True,
    )
    def poll_ensemble(_: int, shown: dict[str, str], path: str, search: str) -> tuple[Any, ...]:
        """The ensemble → its page again when it has changed; whoever looks at something is told, not interrupted."""
        request = PAGE.request(site, path, search)
        if request is None:
            raise PreventUpdate  # on the way to another page
        now = _version(site, request.id)
        if now == shown:
            raise PreventUpdate
        looking = any(request.field(name) for name in SELECTION_FIELDS)
        if shown["version"] and looking:
            link = html.A("Show it", href=f"{path}{search or ''}", className="button small")
            changed = now["version"] != shown["version"]
            newer = (
                html.Div([remarks(["There is a newer analysis."]), link], className="newer") if changed else no_update
            )
            return no_update, newer, no_update
        return page(site, request).content, no_update, no_update

    @app.callback(
        Output("tick", "n_intervals"),
        Input({"ask": ALL, "ensemble": ALL}, "n_clicks"),
        State("tick", "n_intervals"),
        prevent_initial_call=True,
    )
    def submit_job(clicks: list[int | None], tick: int | None) -> int:
        """A button → a job, and a poll that shows it."""
        button = pressed_button()
        ensemble_id = button["ensemble"]
        record = site.queries.store.record(ensemble_id)
        if button["ask"] == "train":
            continue_training(record, site.job_store, who=requester())
        else:
            asked = None if button["ask"] == "analyze" else button["ask"]
            site.job_store.submit_analysis(ensemble_id, _analysis_config(site, ensemble_id, asked), who=requester())
        return (tick or 0) + 1


def _analysis_config(site: Site, ensemble_id: str, estimator: Estimator | None) -> AnalysisConfig:
    """Return the settings of the newest analysis, or the default ones, by an estimator.

    Args:
        site: queries and addresses.
        ensemble_id: the ensemble.
        estimator: of information; None for the one that was used before, or chosen for the training.
    """
    try:
        config = site.queries.store.analysis_index(ensemble_id).config
    except MissingDataError:
        training = site.job_store.newest_job(ensemble_id, "train")
        chosen = training.submission.estimator if training else DEFAULT_ESTIMATOR
        return default_analysis(estimator or chosen)
    hotspots = config.hotspots.model_copy(update={"estimator": estimator or config.hotspots.estimator})
    return config.model_copy(update={"hotspots": hotspots})


PAGE = Page("ensemble/<ensemble_id>", page, (register, job_polling.register, image_routes.register))
