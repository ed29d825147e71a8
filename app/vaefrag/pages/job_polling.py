"""How pages follow the job store: by polling it, and drawing again what has changed.

One callback serves whichever parts are on the page. A part that has not changed is left alone, so that a button stays
under the pointer; and a poll of an unchanged store costs next to nothing.
"""

from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go
from dash import ALL, Dash, Input, Output, State, ctx, dcc, no_update
from dash.development.base_component import Component
from dash.exceptions import PreventUpdate
from flask import request

from vaefrag.components.job_controls import actions_key
from vaefrag.jobs.job_models import DesiredStateName, JobRecord, JobSnapshot
from vaefrag.pages.job_views import JOB_PARTS, MEMBER_PARTS, PLOTS, SITE_PARTS, JobViews
from vaefrag.pages.site import Site

POLL_MILLISECONDS = 700
PLOT_TICKS = 4  # polls between two drawings of the curves, which are read from checkpoints
DESIRED_STATES: dict[str, DesiredStateName] = {"pause": "pause", "resume": "run", "cancel": "cancel"}  # by button

JobMark = list[int | str]  # what a page has seen of a job: its revision, and the actions that it allows


def poll_components(jobs: Sequence[JobRecord]) -> list[Component]:
    """Return what makes a page follow the job store.

    Args:
        jobs: the jobs that the page shows, as they were read before it was drawn.
    """
    seen = {job.id: _mark(job) for job in jobs}
    return [
        dcc.Interval(id="jobs-tick", interval=POLL_MILLISECONDS),
        dcc.Store(id="jobs-seen", data={"all": "", "jobs": seen, "plotted": {}}),
        dcc.Store(id="chosen-member", data=0),
    ]


class JobPoll:
    """One poll of the job store by a page that has seen an earlier state of it.

    Args:
        views: draws the parts.
        seen: what the page has seen.
        selected: the member that is looked at.
    """

    def __init__(self, views: JobViews, seen: dict[str, Any], selected: int) -> None:
        self.views, self.seen, self.selected = views, seen, selected
        self.job_store = views.site.job_store
        self.version = f"{self.job_store.revision()} {views.engine()}"
        self.any_change = self.version != seen["all"]
        jobs = seen["jobs"] if self.any_change else {}
        # 0 is the revision of a job that has left the store: an analysis along the way, after a later one.
        self.changed = {job_id for job_id in jobs if self.job_store.revision(job_id) not in (0, jobs[job_id][0])}
        self._snapshots: dict[str, JobSnapshot] = {}

    def seen_now(self, plotted: dict[str, int], listed: list[JobRecord] | None) -> dict[str, Any]:
        """Return what the page has seen after this poll.

        Args:
            plotted: the revision of each job that the plots show.
            listed: the jobs, when the list of them was drawn again.
        """
        if listed is not None:
            jobs = {job.id: _mark(job) for job in listed}
        else:
            jobs = self.seen["jobs"] | {job_id: _mark(self.snapshot(job_id).job) for job_id in self.changed}
        return {"all": self.version, "jobs": jobs, "plotted": plotted}

    def snapshot(self, job_id: str) -> JobSnapshot:
        """Read a job, once."""
        if job_id not in self._snapshots:
            self._snapshots[job_id] = self.job_store.snapshot(job_id)
        return self._snapshots[job_id]

    def part(self, name: str, job_id: str, *, new_selection: bool) -> Any:
        """Draw a part of a job again, or leave it alone: Dash's `no_update`, which has no public type.

        Args:
            name: one of `JOB_PARTS`.
            job_id: the job.
            new_selection: whether another member has just been selected.
        """
        if job_id not in self.changed and not (new_selection and name in MEMBER_PARTS):
            return no_update
        snapshot = self.snapshot(job_id)
        # A button that is drawn again under the pointer loses the click that is on its way.
        if name == "actions" and actions_key(snapshot.job) == self.seen["jobs"][job_id][1]:
            return no_update
        return self.views.draw(name, snapshot, self._member(snapshot))

    def plot(self, name: str, job_id: str) -> go.Figure:
        """Draw a plot of a job again."""
        snapshot = self.snapshot(job_id)
        return self.views.plot(name, snapshot, self._member(snapshot))

    def plots_due(self, jobs: Sequence[str], *, tick: int, new_selection: bool) -> dict[str, int]:
        """Return the jobs whose plots are to be drawn again, with the revision that they will show.

        Args:
            jobs: the jobs that have plots on the page.
            tick: number of the poll.
            new_selection: whether another member has just been selected.
        """
        if not new_selection and tick % PLOT_TICKS:
            return {}
        revisions = {job_id: self.job_store.revision(job_id) for job_id in jobs}
        return {job_id: r for job_id, r in revisions.items() if new_selection or self.seen["plotted"].get(job_id) != r}

    def _member(self, snapshot: JobSnapshot) -> int:
        # A page sends what it holds, and the members of its job may be fewer.
        return max(0, min(self.selected, len(snapshot.members) - 1))


def _mark(job: JobRecord) -> JobMark:
    return [job.revision, actions_key(job)]


def register(app: Dash, site: Site) -> None:
    """Let parts of pages follow the job store, and buttons control jobs.

    Args:
        app: the app.
        site: queries and addresses.
    """
    views = JobViews(site)

    # Each output matches the parts of one name that are on the page: of no job, of one, or of many in the list.
    @app.callback(
        *(Output({"part": name, "job": ALL}, "children") for name in (*JOB_PARTS, *SITE_PARTS)),
        *(Output({"plot": name, "job": ALL}, "figure") for name in PLOTS),
        Output("jobs-seen", "data"),
        Input("jobs-tick", "n_intervals"),
        Input("chosen-member", "data"),
        State("jobs-seen", "data"),
        prevent_initial_call=True,
    )
    def poll_jobs(tick: int | None, selected: int | None, seen: dict[str, Any]) -> tuple[Any, ...]:
        """The job store → what has changed on the page."""
        poll = JobPoll(views, seen, selected or 0)
        new_selection = ctx.triggered_id == "chosen-member"
        job_ids = [[output["id"]["job"] for output in outputs] for outputs in ctx.outputs_list[:-1]]
        of_parts = dict(zip((*JOB_PARTS, *SITE_PARTS, *PLOTS), job_ids, strict=True))
        plotted = list(dict.fromkeys(job_id for name in PLOTS for job_id in of_parts[name]))
        due = poll.plots_due(plotted, tick=tick or 0, new_selection=new_selection)
        if not (poll.any_change or new_selection or due):
            raise PreventUpdate

        listed = views.listed_jobs() if of_parts["list"] and poll.any_change else None
        if listed is not None and {job.id for job in listed} == set(seen["jobs"]):
            listed = None
        # Where the whole list is drawn again, its rows must not be drawn as well: they may no longer be there.
        job_parts = [
            [
                no_update if listed is not None else poll.part(name, job_id, new_selection=new_selection)
                for job_id in of_parts[name]
            ]
            for name in JOB_PARTS
        ]
        list_part = [no_update if listed is None else views.job_list(listed) for _ in of_parts["list"]]
        other_parts = [
            [views.draw_site_part(name) if poll.any_change else no_update for _ in of_parts[name]]
            for name in SITE_PARTS[1:]
        ]
        plots = [
            [poll.plot(name, job_id) if job_id in due else no_update for job_id in of_parts[name]] for name in PLOTS
        ]
        return *job_parts, list_part, *other_parts, *plots, poll.seen_now(seen["plotted"] | due, listed)

    @app.callback(
        Output("jobs-tick", "n_intervals"),
        Input({"do": ALL, "job": ALL}, "n_clicks"),
        State("jobs-tick", "n_intervals"),
        prevent_initial_call=True,
    )
    def control_job(clicks: list[int | None], tick: int | None) -> int:
        """A button → a desired state in the job store, and a poll that shows what came of it."""
        button = pressed_button()
        if button["do"] == "retry":
            site.job_store.retry(button["job"], who=requester())
        elif button["do"] in DESIRED_STATES:
            site.job_store.set_desired_state(button["job"], DESIRED_STATES[button["do"]], who=requester())
        return (tick or 0) + 1


def pressed_button() -> Any:
    """Return the id of the button that was pressed; ends the callback when buttons have only just been drawn."""
    # Dash also calls when a button appears on the page: its number of clicks is None then.
    if not any(click["value"] for click in ctx.triggered):
        raise PreventUpdate
    return ctx.triggered_id


def requester() -> str:
    """Name who asks for something on a page: there are no accounts, so it is a machine."""
    return f"a browser at {request.remote_addr}"
