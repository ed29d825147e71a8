"""Short messages, on whatever page, when a job ends; and the number of open jobs in the bar."""

from typing import Any

import dash_mantine_components as dmc
from dash import Dash, Input, Output, State, dcc, html
from dash.development.base_component import Component
from dash.exceptions import PreventUpdate

from vaefrag.components.job_controls import KINDS
from vaefrag.jobs.job_models import JobRecord
from vaefrag.pages.job_views import JobViews
from vaefrag.pages.site import Site

POLL_MILLISECONDS = 1_500
SHOWN_MILLISECONDS = 12_000
MOST_JOBS = 50  # the newest; whatever has ended since the last poll is among them


def poll_components() -> list[Component]:
    """Return what every page has for this."""
    return [
        dmc.NotificationContainer(id="toasts", position="bottom-right", autoClose=SHOWN_MILLISECONDS),
        dcc.Interval(id="toast-tick", interval=POLL_MILLISECONDS),
        dcc.Store(id="toast-seen"),
    ]


def register(app: Dash, site: Site) -> None:
    """Let messages appear.

    Args:
        app: the app.
        site: queries and addresses.
    """
    views = JobViews(site)

    @app.callback(
        Output("toasts", "sendNotifications"),
        Output("count-jobs", "children"),
        Output("toast-seen", "data"),
        Input("toast-tick", "n_intervals"),
        State("toast-seen", "data"),
    )
    def poll_ended_jobs(_: int | None, seen: dict[str, Any] | None) -> tuple[list[dict[str, Any]], str, dict[str, Any]]:
        """The job store → messages about the jobs that have ended since the last poll."""
        revision = site.job_store.revision()
        if seen and seen["revision"] == revision:
            raise PreventUpdate
        jobs = [job for job in site.job_store.jobs(MOST_JOBS) if not job.submission.partial]
        ended = [job for job in jobs if job.ended]
        still_open = [job.id for job in jobs if not job.ended]
        # The first poll of a tab only takes in what has ended: nobody waits for news of last week.
        just_ended = [job for job in ended if job.id not in seen["ended"]] if seen else []
        seen_now = {"revision": revision, "ended": [job.id for job in ended]}
        return [_message(views, job) for job in just_ended], str(len(still_open) or ""), seen_now


def _message(views: JobViews, job: JobRecord) -> dict[str, Any]:
    title = views.title(job)
    word = {"done": "is done", "failed": "failed", "cancelled": "was cancelled"}[job.state]
    target = views.site.ensemble(job.submission.ensemble_id) if job.state == "done" else views.site.job(job.id)
    return {
        "id": f"{job.id}-{job.progress.ended}",  # a job that is tried again ends again, with another message
        "action": "show",
        "title": f"{KINDS[job.submission.kind]} {word}",
        "message": html.Span([dcc.Link(title, href=target)]),
        "color": {"done": "teal", "failed": "red", "cancelled": "gray"}[job.state],
    }
