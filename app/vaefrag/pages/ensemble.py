"""/ensemble/<id>: the explorer, as soon as there is something to explore; until then what happens and can be done.

The page follows the record: it fills by itself when an analysis is there, and says when it does not show the newest.
"""

from typing import Any

from dash import ALL, Dash, Input, Output, State, dcc, html, no_update
from dash.exceptions import PreventUpdate

from vaefrag.components import job_controls as show
from vaefrag.components.member_strip import member_strip
from vaefrag.components.notices import error_list, notice, remarks
from vaefrag.jobs.ensemble_status import EnsembleStatus, continue_training, open_job, status_of
from vaefrag.pages import explorer, image_routes, job_polling
from vaefrag.pages.explorer import Explorer
from vaefrag.pages.explorer_view import View
from vaefrag.pages.job import job_panel
from vaefrag.pages.job_polling import pressed_button, requester, watch
from vaefrag.pages.job_views import JobViews
from vaefrag.pages.page import Page, PageRequest, RenderedPage
from vaefrag.pages.site import Site
from vaefrag.plurals import counted, first_few
from vaefrag_core.ensemble_store import EnsembleRecord
from vaefrag_core.errors import BrokenFileError, MissingDataError, VaefragError

POLL_MILLISECONDS = 1_500
MOST_FUSIONS = 8  # linked from an ensemble's page
FOCUS = ("channel", "pair", "channels", "hotspot")  # fields of the URL that say that somebody looks at something


def page(site: Site, request: PageRequest) -> RenderedPage:
    """Show the explorer, or a page that says why it cannot be shown yet."""
    ensemble_id = request.id
    follows = [
        dcc.Interval(id="tick", interval=POLL_MILLISECONDS),
        dcc.Store(id="shown-as", data=_shown_as(site, ensemble_id)),
    ]
    try:
        view = Explorer(View(site, ensemble_id, request.search))
        explored = view.page()
        news = _news(site, view)
        return RenderedPage(
            html.Div([html.Div(id="newer"), *news, *_fusions(site, ensemble_id), explored.content, *follows]),
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
        return RenderedPage(html.Div([html.Div(id="newer"), *_unfinished(site, record), *follows]), record.name)


def _unfinished(site: Site, record: EnsembleRecord) -> list:
    """Show the job that is at work on an ensemble, or what can be asked for."""
    job = open_job(record.id, site.job_store)
    words = html.P(_words(record), className="words")
    if job is None:
        heading = html.Div([html.H1(record.name), words], className="heading")
        return [html.Div([heading, *_what_to_do(site, record)], className="narrow")]
    board, snapshot = JobViews(site), site.job_store.snapshot(job.id)
    buttons = html.Div(
        [board.part("actions", snapshot), *show.links([("Open the job", site.job(job.id))])], className="buttons"
    )
    heading = html.Div([html.Div([html.H1(record.name), words]), buttons], className="heading heading-row")
    hint = "The explorer opens here by itself as soon as a few members are trained and analysed."
    content = [heading, board.part("alarm"), html.P(hint, className="quiet"), *job_panel(board, snapshot)]
    return [html.Div([*content, *watch(board, [snapshot.job])], className="wide stack")]


def _what_to_do(site: Site, record: EnsembleRecord) -> list:
    """Say how things stand when nobody is at work on an ensemble, and offer what follows."""
    standing = status_of(record, site.queries.store, site.job_store)
    members, reasons = standing.members, first_few([status.message for status in standing.failed])
    look = [member_strip(members, at_work=False)] if members else []
    trained = f"{standing.done} of {len(members)} members are trained" if members else "The posteriors are here"
    tone = "calm"
    match standing.state:
        case "stopped":
            share = sum(status.step for status in members) / (record.spec.train.steps * len(members))
            symbol, title, ask = "wait", "Stopped", _ask("train", record.id, "Go on")
            text = f"{trained}, {share:.0%} of all steps. Nobody goes on with it."
        case "failed":
            symbol, title, ask, tone = "alert", "Training failed", _ask("train", record.id, "Try again"), "alarm"
            text = "No member was trained to its end, so there is nothing to show."
        case "analysis failed":
            symbol, title, ask, tone = "alert", "Analysis failed", _ask("analyze", record.id, "Try again"), "alarm"
            text = f"{trained}, but their channels could not be compared."
            reasons += [standing.job.progress.error] if standing.job else []
        case _:
            symbol, title, ask = "wait", "Not analysed yet", _ask("analyze", record.id, "Analyse")
            text = f"{trained}. Their channels have not been compared yet."
    buttons = html.Div([ask, *_to_job(site, standing)], className="buttons")
    return [notice(symbol, title, html.P(text), *look, buttons, tone=tone), error_list(reasons)]


def _news(site: Site, explorer: Explorer) -> list:
    """Say, above the explorer, what is going on that it does not show yet."""
    ensemble_id, board = explorer.record.id, JobViews(site)
    shown = len(set(explorer.opened.matrix.member.tolist()))
    job = open_job(ensemble_id, site.job_store)
    if job is not None:
        snapshot = site.job_store.snapshot(job.id)
        text = f"Shown are the {shown} members of the last analysis. The page renews itself after the next one."
        links = show.links([("Open the job", site.job(job.id))])
        bar = html.Div([board.part("progress", snapshot), board.part("pace", snapshot), *links], className="job-head")
        return [html.Div([bar, html.P(text, className="note")], className="card news"), *watch(board, [snapshot.job])]
    if explorer.record.imported:
        return []
    standing = status_of(explorer.record, site.queries.store, site.job_store)
    rows = []
    if standing.failed:
        text = (
            f"{len(standing.failed)} of {counted(len(standing.members), 'member')} failed. {standing.failed[0].message}"
        )
        rows.append([html.Span(text), *_to_job(site, standing)])
    if standing.done > shown:
        text = f"{counted(standing.done, 'member')} are trained; the {shown} of the last analysis are shown."
        rows.append([html.Span(text), _ask("analyze", ensemble_id, "Analyse again")])
    return [html.Div(row, className="card news news-row") for row in rows]


def _fusions(site: Site, ensemble_id: str) -> list:
    """Link to the spaces that were fused from an ensemble, the newest first; nothing when there are none."""
    links = []
    for fusion_id in site.queries.fusions.ids(ensemble_id)[:MOST_FUSIONS]:
        try:
            name = site.queries.fusions.fused(ensemble_id, fusion_id).config.title
        except VaefragError:
            continue  # its own page says what is wrong with it
        links.append(dcc.Link(name, href=site.fusion(fusion_id)))
    if not links:
        return []
    parts = [part for link in links for part in (", ", link)][1:]
    return [html.Div(html.Span(["Fused spaces: ", *parts]), className="card news news-row")]


def _to_job(site: Site, standing: EnsembleStatus) -> list:
    """Link to the job that failed, or to the last one."""
    return show.links([("Open the job", site.job(standing.job.id))]) if standing.job else []


def _ask(what: str, ensemble_id: str, text: str) -> html.Div:
    button = html.Button(text, id={"ask": what, "ensemble": ensemble_id}, type="button", className="button primary")
    return html.Div(button)


def _words(record: EnsembleRecord) -> list[html.Span]:
    spec = record.spec
    rest = (
        [f"{spec.fingerprint.size:,} images"] if record.imported else [spec.train.title, f"{spec.train.steps:,} steps"]
    )
    words = (spec.dataset.name, counted(spec.members, "member"), *rest, html.Code(record.id))
    return [html.Span(word) for word in words]


def _shown_as(site: Site, ensemble_id: str) -> dict[str, str]:
    """Name what the page shows: the analysis, the job above or instead of it, or how far the members are."""
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
        site: queries, addresses and the record.
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
    def follow(_: int, shown_as: dict[str, str], path: str, search: str) -> tuple:
        """Draw the page anew when it would be another; who looks at something is asked first."""
        request = PAGE.request(site, path, search)
        if request is None:
            raise PreventUpdate  # on the way to another page
        now = _shown_as(site, request.id)
        if now == shown_as:
            raise PreventUpdate
        looking = any(request.field(name) for name in FOCUS)
        if shown_as["version"] and looking:
            link = html.A("Show it", href=f"{path}{search or ''}", className="button small")
            changed = now["version"] != shown_as["version"]
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
    def ask(clicks: list[int | None], tick: int | None) -> Any:
        """A button → a job, and a look at what came of it."""
        asked = pressed_button()
        ensemble_id = asked["ensemble"]
        record = site.queries.store.record(ensemble_id)
        if asked["ask"] == "train":
            continue_training(record, site.job_store, who=requester())
        else:
            site.job_store.submit_analysis(ensemble_id, who=requester())
        return (tick or 0) + 1


PAGE = Page("ensemble/<ensemble_id>", page, (register, job_polling.register, image_routes.register))
