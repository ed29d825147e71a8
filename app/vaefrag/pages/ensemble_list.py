"""/: the ensembles of the workspace."""

from datetime import datetime

from dash import dcc, html

from vaefrag.components.glossary import help_mark
from vaefrag.components.icons import icon
from vaefrag.components.member_strip import member_strip
from vaefrag.components.notices import command, notice
from vaefrag.jobs.ensemble_status import ACTIVE_STATES, EnsembleStatus, status_of
from vaefrag.pages import image_routes
from vaefrag.pages.page import Page, PageRequest, RenderedPage
from vaefrag.pages.site import Site
from vaefrag.plurals import counted
from vaefrag.queries import EnsembleSummary, distinct_names
from vaefrag_core.ensemble_record import ImportedSource, TrainedSource
from vaefrag_core.errors import VaefragError
from vaefrag_core.sweeps import Sweep

THUMBNAIL_PIXELS = 300  # drawn at half of it: sharp on dense screens


def page(site: Site, request: PageRequest) -> RenderedPage:
    """List the ensembles, the newest first; say how to make one when there is none."""
    summaries = site.queries.summaries()
    workspace = html.P(["Workspace ", html.Code(str(site.queries.store.workspace))], className="words")
    new = dcc.Link("New ensemble", href=site.new(), className="button primary")
    heading = html.Div([html.Div([html.H1("Ensembles"), workspace]), new], className="heading heading-row")
    sweeps = site.queries.sweeps.sweeps()
    if not summaries:
        return RenderedPage(html.Div([heading, _empty()], className="narrow"), "Ensembles")
    names = distinct_names(item.record for item in summaries if item.record)
    cards = [_damaged(item) if item.record is None else _card(site, item, names[item.id]) for item in summaries]
    content = [heading, *([_sweeps(site, sweeps)] if sweeps else []), html.Div(cards, className="cards")]
    return RenderedPage(html.Div(content, className="wide"), "Ensembles")


def _sweeps(site: Site, sweeps: list[Sweep]) -> html.Section:
    """List the sweeps, each with a link to its atlas."""
    rows = []
    for sweep in sweeps:
        try:
            n_drawn = len(site.queries.sweeps.atlas_index(sweep.id).sources)
        except VaefragError:
            n_drawn = 0
        values = f"{sweep.symbol} = {', '.join(f'{value:g}' for value in sweep.values)}"
        count = f"{n_drawn} of {len(sweep.values)} values in the atlas" if n_drawn else "no atlas yet"
        link = dcc.Link(sweep.name, href=site.atlas(sweep.id), className="sweep-name")
        rows.append(html.Li([link, html.Span(values), html.Span(count, className="quiet")]))
    return html.Section([html.H2(["Sweeps", help_mark("sweep")]), html.Ul(rows, className="sweeps")], className="card")


def _empty() -> html.Section:
    return notice(
        "grid",
        "No ensembles here yet",
        html.P("To see everything at work on real handwritten digits, offline and within minutes:"),
        command("vaefrag demo"),
        html.P("To train an ensemble on data of your own:"),
        command("vaefrag train --dataset digits --beta 4 --members 20 --steps 5000"),
        html.P(
            [
                "All data sets: ",
                html.Code("vaefrag datasets"),
                ". All options: ",
                html.Code("vaefrag train --help"),
                ".",
            ],
            className="note",
        ),
    )


def _card(site: Site, item: EnsembleSummary, name: str) -> dcc.Link:
    record = item.record
    assert record is not None
    status = status_of(record, site.queries.store, site.job_store)
    created = datetime.fromisoformat(record.created)
    match record.source:
        case TrainedSource(spec=spec):
            facts = [
                ("data set", spec.dataset.name),
                ("objective", spec.train.title),
                ("members", f"{status.done} of {spec.members} trained"),
                ("steps", f"{spec.train.steps:,}"),
            ]
        case ImportedSource(members=members, images=images):
            facts = [("from", "posteriors file"), ("members", f"{members}"), ("images", f"{images:,}")]
    facts.append(("created", f"{created.astimezone():%-d %b %Y, %H:%M}"))
    rows = [html.Div([html.Dt(name), html.Dd(value)]) for name, value in facts]
    foot = html.P(_result(item, status), className="card-foot")
    # Of ensembles with one name, the id tells which is which.
    card_id = [] if name == record.name else [html.Code(record.id, className="card-id")]
    text = html.Div(
        [html.H2(record.name), *card_id, html.Dl(rows, className="card-facts"), foot], className="card-text"
    )
    return dcc.Link([_thumbnail(site, item, status), text], href=site.ensemble(item.id), className="card ensemble-card")


def _result(item: EnsembleSummary, status: EnsembleStatus) -> html.Span:
    if item.problem:
        return html.Span([icon("alert"), "analysis damaged"], className="bad")
    if item.hotspots is not None:
        number = counted(item.hotspots, "hotspot") if item.hotspots else "no hotspot"
        near_chance = f", {item.near_chance} near chance" if item.near_chance else ""
        words = f"{number} by {item.measure.upper()}{near_chance}"
        return html.Span(words, className="good" if item.hotspots > item.near_chance else "quiet")
    if status.state in ("failed", "analysis failed"):
        words = "training failed" if status.state == "failed" else status.state
        return html.Span([icon("alert"), words], className="bad")
    return html.Span("not analysed yet" if status.state == "trained" else status.state, className="quiet")


def _thumbnail(site: Site, item: EnsembleSummary, status: EnsembleStatus) -> html.Div:
    """Show the similarity of the live channels, or how far the members are."""
    if item.hotspots is not None:
        try:
            analysis = site.queries.open(item.id)
            if len(analysis.order(item.measure, dead=False)):
                source = site.matrix(analysis, item.measure, dead=False, pixels=THUMBNAIL_PIXELS)
                return html.Div(html.Img(src=source, alt="", className="pixels"), className="thumbnail")
        except VaefragError:
            pass  # replaced this moment by another analysis; the strip is true either way
    if item.record is not None and isinstance(item.record.source, ImportedSource):
        return html.Div(icon("grid"), className="thumbnail thumbnail-empty")
    return html.Div(
        member_strip(status.members, at_work=status.state in ACTIVE_STATES), className="thumbnail thumbnail-strip"
    )


def _damaged(item: EnsembleSummary) -> html.Div:
    text = html.Div(
        [html.H2([icon("alert"), item.id]), html.P(item.problem, className="problem")], className="card-text"
    )
    return html.Div(text, className="card ensemble-card damaged")


PAGE = Page("", page, (image_routes.register,), link="Ensembles")
