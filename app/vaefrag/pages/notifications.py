"""Short messages, on whatever page, when a job ends; and how many jobs are open, in the bar."""

from typing import Any

import dash_mantine_components as dmc
from dash import Dash, Input, Output, State, dcc, html
from dash.exceptions import PreventUpdate

from vaefrag.components.job_controls import KINDS
from vaefrag.jobs.job_models import JobRecord
from vaefrag.pages.job_views import JobViews
from vaefrag.pages.site import Site

LOOK_MILLISECONDS = 1_500
SHOWN_MILLISECONDS = 12_000
MOST_JOBS = 50  # the newest, that are looked at


def watch() -> list:
    """Give what every page has for this."""
    return [
        dmc.NotificationContainer(id="toasts", position="bottom-right", autoClose=SHOWN_MILLISECONDS),
        dcc.Interval(id="toast-tick", interval=LOOK_MILLISECONDS),
        dcc.Store(id="toast-seen"),
    ]


def register(app: Dash, site: Site) -> None:
    """Let messages appear.

    Args:
        app: the app.
        site: queries, addresses and the record.
    """
    board = JobViews(site)

    @app.callback(
        Output("toasts", "sendNotifications"),
        Output("count-jobs", "children"),
        Output("toast-seen", "data"),
        Input("toast-tick", "n_intervals"),
        State("toast-seen", "data"),
    )
    def look(_: int | None, seen: dict[str, Any] | None) -> tuple:
        """The record → messages about the jobs that have ended since the last look."""
        revision = site.job_store.revision()
        if seen and seen["revision"] == revision:
            raise PreventUpdate
        jobs = [job for job in site.job_store.jobs(MOST_JOBS) if not job.submission.partial]
        ended = [job for job in jobs if job.ended]
        still_open = [job.id for job in jobs if not job.ended]
        news = [job for job in ended if job.id not in seen["ended"]] if seen else []
        now = {"revision": revision, "ended": [job.id for job in ended]}
        return [_message(board, job) for job in news], str(len(still_open) or ""), now


def _message(board: JobViews, job: JobRecord) -> dict[str, Any]:
    title = board.title(job)
    word = {"done": "is done", "failed": "failed", "cancelled": "was cancelled"}[job.state]
    target = board.site.ensemble(job.submission.ensemble_id) if job.state == "done" else board.site.job(job.id)
    return {
        "id": f"{job.id}-{job.progress.ended}",
        "action": "show",
        "title": f"{KINDS[job.submission.kind]} {word}",
        "message": html.Span([dcc.Link(title, href=target)]),
        "color": {"done": "teal", "failed": "red", "cancelled": "gray"}[job.state],
    }
