"""Pages that follow the record of jobs.

One callback serves whichever parts are on the page. A part that has not changed is left alone, so that a button stays
under the pointer; and a look at an unchanged record costs next to nothing.
"""

from typing import Any

from dash import ALL, Dash, Input, Output, State, ctx, dcc, no_update
from dash.exceptions import PreventUpdate
from flask import request

from vaefrag.components.job_controls import actions_key
from vaefrag.jobs.job_models import JobRecord, JobSnapshot
from vaefrag.pages.job_views import ALL_PARTS, JOB_PARTS, OF_CHOSEN, PLOTS, JobViews
from vaefrag.pages.site import Site

POLL_MILLISECONDS = 700
PLOT_TICKS = 4  # looks between two drawings of the curves, which are read from checkpoints
WISHES = {"pause": "pause", "resume": "run", "cancel": "cancel"}


def watch(board: JobViews, jobs: list[JobRecord]) -> list:
    """Give what makes a page follow the record.

    Args:
        board: draws its parts.
        jobs: that the page shows, as they were read before it was drawn.
    """
    seen = {job.id: [job.revision, actions_key(job)] for job in jobs}
    return [
        dcc.Interval(id="jobs-tick", interval=POLL_MILLISECONDS),
        dcc.Store(id="jobs-seen", data={"all": "", "jobs": seen, "plotted": {}}),
        dcc.Store(id="chosen-member", data=0),
    ]


class JobPoll:
    """One look at the record, by a page that has seen an earlier state of it.

    Args:
        board: draws the parts.
        seen: what the page has seen.
        chosen: the member that is looked at.
    """

    def __init__(self, board: JobViews, seen: dict[str, Any], chosen: int) -> None:
        self.board, self.seen, self.chosen = board, seen, chosen
        self.job_store = board.site.job_store
        self.everything = f"{self.job_store.revision()} {board.engine()}"
        self.moved = self.everything != seen["all"]
        jobs = seen["jobs"] if self.moved else {}
        # 0 is that of a job which has left the record: an analysis along the way, after a later one.
        self.changed = {job_id for job_id in jobs if self.job_store.revision(job_id) not in (0, jobs[job_id][0])}
        self._snapshots: dict[str, JobSnapshot] = {}

    def now_seen(self, plotted: dict[str, int], listed: list[JobRecord] | None) -> dict[str, Any]:
        """Give what the page has seen after this look."""
        jobs = {job_id: self._mark(self.snapshot(job_id).job) for job_id in self.changed}
        if listed is not None:
            jobs = {job.id: self._mark(job) for job in listed}
            return {"all": self.everything, "jobs": jobs, "plotted": plotted}
        return {"all": self.everything, "jobs": self.seen["jobs"] | jobs, "plotted": plotted}

    def snapshot(self, job_id: str) -> JobSnapshot:
        """Read a job, once."""
        if job_id not in self._snapshots:
            self._snapshots[job_id] = self.job_store.snapshot(job_id)
        return self._snapshots[job_id]

    def part(self, name: str, job_id: str, choosing: bool) -> Any:
        """Give a part of a job anew, or leave it alone."""
        if job_id not in self.changed and not (choosing and name in OF_CHOSEN):
            return no_update
        snapshot = self.snapshot(job_id)
        if name == "actions" and actions_key(snapshot.job) == self.seen["jobs"][job_id][1]:
            return no_update
        return self.board.draw(name, snapshot, self._chosen(snapshot))

    def plot(self, name: str, job_id: str) -> Any:
        """Give a plot of a job anew."""
        snapshot = self.snapshot(job_id)
        return self.board.plot(name, snapshot, self._chosen(snapshot))

    def _chosen(self, snapshot: JobSnapshot) -> int:
        return max(0, min(self.chosen, len(snapshot.members) - 1))

    @staticmethod
    def _mark(job: JobRecord) -> list:
        return [job.revision, actions_key(job)]


def register(app: Dash, site: Site) -> None:
    """Let parts follow the record, and buttons steer jobs.

    Args:
        app: the app.
        site: queries and addresses.
    """
    board = JobViews(site)

    @app.callback(
        *(Output({"part": name, "job": ALL}, "children") for name in (*JOB_PARTS, *ALL_PARTS)),
        *(Output({"plot": name, "job": ALL}, "figure") for name in PLOTS),
        Output("jobs-seen", "data"),
        Input("jobs-tick", "n_intervals"),
        Input("chosen-member", "data"),
        State("jobs-seen", "data"),
        prevent_initial_call=True,
    )
    def look(tick: int | None, chosen: int | None, seen: dict[str, Any]) -> tuple:
        """The record → what has changed on the page."""
        found = JobPoll(board, seen, chosen or 0)
        choosing = ctx.triggered_id == "chosen-member"
        places = [[output["id"]["job"] for output in outputs] for outputs in ctx.outputs_list[:-1]]
        job_places, all_places = places[: len(JOB_PARTS)], places[len(JOB_PARTS) : -len(PLOTS)]
        plotted = list(dict.fromkeys(job_id for jobs in places[-len(PLOTS) :] for job_id in jobs))
        due = _plots_due(found, plotted, choosing or (tick or 0) % PLOT_TICKS == 0, choosing)
        if not (found.moved or choosing or due):
            raise PreventUpdate

        listed = board.shown() if all_places[0] and found.moved else None
        if listed is not None and {job.id for job in listed} == set(seen["jobs"]):
            listed = None
        job_parts = [
            [no_update if listed is not None else found.part(name, job_id, choosing) for job_id in jobs]
            for name, jobs in zip(JOB_PARTS, job_places, strict=True)
        ]
        list_part = [no_update if listed is None else board.job_list(listed) for _ in all_places[0]]
        others = [
            [board.draw_all(name) if found.moved else no_update for _ in place]
            for name, place in zip(ALL_PARTS[1:], all_places[1:], strict=True)
        ]
        plots = [
            [found.plot(name, job_id) if job_id in due else no_update for job_id in place]
            for name, place in zip(PLOTS, places[-len(PLOTS) :], strict=True)
        ]
        return *job_parts, list_part, *others, *plots, found.now_seen(seen["plotted"] | due, listed)

    @app.callback(
        Output("jobs-tick", "n_intervals"),
        Input({"do": ALL, "job": ALL}, "n_clicks"),
        State("jobs-tick", "n_intervals"),
        prevent_initial_call=True,
    )
    def steer(clicks: list[int | None], tick: int | None) -> Any:
        """A button → a wish in the record, and a look at what came of it."""
        asked = pressed_button()
        if asked["do"] == "retry":
            site.job_store.retry(asked["job"], who=requester())
        elif asked["do"] in WISHES:
            site.job_store.set_desired_state(asked["job"], WISHES[asked["do"]], who=requester())
        return (tick or 0) + 1


def _plots_due(found: JobPoll, jobs: list[str], time: bool, choosing: bool) -> dict[str, int]:
    """Give the jobs whose curves are to be drawn again, with the revision that they will show."""
    if not time:
        return {}
    revisions = {job_id: found.job_store.revision(job_id) for job_id in jobs}
    return {job_id: r for job_id, r in revisions.items() if choosing or found.seen["plotted"].get(job_id) != r}


def pressed_button() -> Any:
    """Give the id of the button that was pressed; ends the callback when buttons have only just been drawn."""
    if not any(click["value"] for click in ctx.triggered):
        raise PreventUpdate
    return ctx.triggered_id


def requester() -> str:
    """Name who asks by a page: there are no accounts, so it is a machine."""
    return f"a browser at {request.remote_addr}"
