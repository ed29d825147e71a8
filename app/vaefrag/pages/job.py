"""/jobs/<id>: one job, from how far it is to what has happened."""

from dash import html
from dash.development.base_component import Component

from vaefrag.components import job_controls
from vaefrag.components.glossary import help_mark
from vaefrag.components.graph import graph
from vaefrag.components.notices import notice
from vaefrag.components.time_format import clock
from vaefrag.jobs.job_models import JobSnapshot
from vaefrag.pages import fusion_progress, job_polling
from vaefrag.pages.job_polling import poll_components
from vaefrag.pages.job_views import JobViews
from vaefrag.pages.page import Page, PageRequest, RenderedPage
from vaefrag.pages.site import Site
from vaefrag_core.errors import MissingDataError


def page(site: Site, request: PageRequest) -> RenderedPage:
    """Show one job, or say that there is none."""
    views, job_id = JobViews(site), request.id
    try:
        snapshot = site.job_store.snapshot(job_id)
    except MissingDataError as error:
        return RenderedPage(site.error_page(notice("search", "No such job", html.P(str(error)))), "Not found")
    submission = snapshot.job.submission
    words = [
        html.Span(job_controls.KINDS[submission.kind]),
        html.Span(["asked for at ", clock(submission.created)]),
        html.Span(f"by {submission.who}"),
        *(html.Span(words) for words in job_controls.estimator_words(submission)),
        html.Span(html.Code(job_id)),
    ]
    title = views.title(snapshot.job)
    links = [("Open the ensemble", site.ensemble(submission.ensemble_id))]
    if submission.kind == "train":
        links.append(("Train again with changes", site.new(submission.ensemble_id)))
    parts = [views.part(name, snapshot) for name in ("actions", "made")]
    buttons = html.Div([*parts, *job_controls.links(links)], className="buttons")
    heading = html.Div(
        [html.Div([html.H1(title), html.P(words, className="words")]), buttons], className="heading heading-row"
    )
    content = [heading, views.part("alarm"), *job_panel(views, snapshot), *poll_components([snapshot.job])]
    return RenderedPage(html.Div(content, className="wide stack"), title)


def job_panel(views: JobViews, snapshot: JobSnapshot) -> list[Component]:
    """Show everything about a job that is followed: how far it is, its members, their curves, what has happened."""
    head = html.Div([views.part("progress", snapshot), views.part("pace", snapshot)], className="job-head")
    log = html.Section([html.H2("What has happened"), views.part("log", snapshot)], className="card")
    reasons = views.part("reasons", snapshot)
    if snapshot.job.submission.kind == "fuse":
        space, objective, bits = (_optimization_card(views, snapshot, name) for name in fusion_progress.PLOTS)
        curves = html.Div([space, html.Div([objective, bits], className="column")], className="halves-cards")
        return [html.Section([head, reasons], className="card"), curves, log]
    if not snapshot.members:
        return [html.Section([head, reasons], className="card"), log]
    members = html.Section([head, reasons, views.part("members", snapshot)], className="card")
    hint = html.P("Choose a cell to see its member here and in the curves.", className="note")
    member = html.Section([views.part("member", snapshot), hint], className="card")
    curves = html.Div([_curve_card(views, snapshot, name) for name in _CURVES], className="halves-cards")
    return [members, member, curves, log]


_CURVES = {
    "loss": ("Loss", "loss", "Loss of the members over training", "All members in grey, the chosen one in front."),
    "kl": ("KL of each channel", "KL", "KL of each channel of the chosen member", "One line for each channel."),
}


def _curve_card(views: JobViews, snapshot: JobSnapshot, name: str) -> html.Section:
    title, term, label, note = _CURVES[name]
    plot = graph(
        {"plot": name, "job": snapshot.job.id}, views.plot(name, snapshot), label, buttons=["zoom2d", "resetScale2d"]
    )
    head = html.H2([title, help_mark(term)])
    return html.Section([head, plot, html.P(note, className="note")], className="card")


def _optimization_card(views: JobViews, snapshot: JobSnapshot, name: str) -> html.Section:
    head, note = fusion_progress.heading(name)
    graph_id, figure = {"plot": name, "job": snapshot.job.id}, views.plot(name, snapshot)
    plot = graph(graph_id, figure, fusion_progress.TITLES[name][0], buttons=["zoom2d", "pan2d", "resetScale2d"])
    return html.Section([head, plot, html.P(note, className="note")], className="card")


PAGE = Page("jobs/<job_id>", page, (job_polling.register,))
