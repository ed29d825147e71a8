"""/ensemble/<id> before there is a result: training, waiting to be analysed, broken, or not there at all."""

from collections import Counter

import dash_mantine_components as dmc
from dash import Dash, Input, Output, State, dcc, html, no_update

from app.components.icons import icon
from app.components.states import command, notice
from app.pages.explorer import Explorer
from app.pages.site import Page, Site
from app.pages.view import View
from vaefrag_core.errors import BrokenFileError, MissingDataError, VaefragError
from vaefrag_core.store import EnsembleRecord
from vaefrag_core.training.checkpoints import MemberStatus

POLL_MILLISECONDS = 2_000
STATES = {"done": "trained", "running": "in training", "waiting": "waiting", "failed": "failed"}
MOST_MESSAGES = 3


def ensemble_page(site: Site, ensemble_id: str, search: str | None) -> Page:
    """Give the explorer, or a page that says why it cannot be shown yet."""
    try:
        return Explorer(View(site, ensemble_id, search)).page()
    except BrokenFileError as error:
        broken = notice("alert", "A file cannot be read", html.P(str(error)), tone="alarm")
        return Page(site.apology(broken), ensemble_id)
    except MissingDataError as error:
        try:
            record = site.queries.store.record(ensemble_id)
        except VaefragError:
            return Page(site.apology(notice("search", "No such ensemble", html.P(str(error)))), "Not found")
        return _unfinished(site, record)


def _unfinished(site: Site, record: EnsembleRecord) -> Page:
    """Show how far the members are, and ask again as long as that can change."""
    members = site.queries.members(record)
    content = [
        html.Div([html.H1(record.name), html.P(_words(record), className="words")], className="heading"),
        _what_to_do(site, record, members),
        dcc.Store(id="waiting-for", data=_signature(members)),
        dcc.Interval(id="tick", interval=POLL_MILLISECONDS),
    ]
    return Page(html.Div(content, className="narrow"), record.name)


def _what_to_do(site: Site, record: EnsembleRecord, members: list[MemberStatus]) -> html.Div:
    count = Counter(status.state for status in members)
    analyze = command(f"vaefrag analyze {record.id}")
    if site.queries.is_imported(record):
        return html.Div(
            notice("wait", "Not analysed yet", html.P("The posteriors are here. To find their hotspots, run"), analyze)
        )
    if count["running"] or count["waiting"]:
        share = sum(status.step for status in members) / (record.spec.train.steps * len(members))
        text = f"{count['done']} of {len(members)} members are trained, {share:.0%} of all steps."
        hint = "This page follows. If nothing is training, repeat the command that began it to go on where it stopped."
        body = [
            html.P(text),
            dmc.Progress(value=100 * share, **{"aria-label": text}),
            strip(members),
            html.P(hint, className="note"),
        ]
        return html.Div([notice("wait", "In training", *body), _failures(members)])
    if count["done"] == 0:
        body = [html.P("No member was trained to its end, so there is nothing to show."), strip(members)]
        return html.Div([notice("alert", "Training failed", *body, tone="alarm"), _failures(members)])
    text = f"{count['done']} of {len(members)} members are trained. To compare their channels and find hotspots, run"
    return html.Div([notice("wait", "Not analysed yet", html.P(text), analyze, strip(members)), _failures(members)])


def strip(members: list[MemberStatus] | tuple[MemberStatus, ...]) -> html.Div:
    """Show each member as a cell: how far it is, and whether it failed."""
    cells = [
        html.Span(
            className=f"cell cell-{status.state}",
            title=f"member {status.index}: {STATES[status.state]}, step {status.step:,}",
        )
        for status in members
    ]
    counts = Counter(status.state for status in members)
    words = ", ".join(f"{counts[state]} {text}" for state, text in STATES.items() if counts[state])
    return html.Div(
        [html.Div(cells, className="cells", role="img", **{"aria-label": words}), html.P(words, className="note")]
    )


def _failures(members: list[MemberStatus]) -> html.Div:
    failed = [status for status in members if status.state == "failed"]
    lines = [html.Li(f"Member {status.index}: {status.message}") for status in failed[:MOST_MESSAGES]]
    if len(failed) > MOST_MESSAGES:
        lines.append(html.Li(f"… and {len(failed) - MOST_MESSAGES} more."))
    return html.Div([icon("alert"), html.Ul(lines)], className="remarks remarks-alarm", hidden=not failed)


def _words(record: EnsembleRecord) -> list[html.Span]:
    spec = record.spec
    words = (spec.dataset.name, f"β = {spec.train.beta:g}", f"{spec.members} members", f"{spec.train.steps:,} steps")
    return [html.Span(word) for word in words]


def _signature(members: list[MemberStatus]) -> str:
    return " ".join(f"{status.state[0]}{status.step}" for status in members)


def register(app: Dash, site: Site, id_in_path: object) -> None:
    """Let the page follow the training.

    Args:
        app: the app.
        site: queries and addresses.
        id_in_path: gives the ensemble that a path names.
    """

    @app.callback(
        Output("page", "children", allow_duplicate=True),
        Input("tick", "n_intervals"),
        State("waiting-for", "data"),
        State("url", "pathname"),
        State("url", "search"),
        prevent_initial_call=True,
    )
    def follow(_: int, waiting_for: str, path: str, search: str) -> object:
        """Draw the page anew when something has moved."""
        ensemble_id = id_in_path(path)
        record = site.queries.store.record(ensemble_id)
        analysed = (site.queries.store.folder(ensemble_id) / "analysis" / "latest.json").is_file()
        if not analysed and _signature(site.queries.members(record)) == waiting_for:
            return no_update
        return ensemble_page(site, ensemble_id, search).content
