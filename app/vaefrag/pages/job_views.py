"""What pages show of the job store, in parts that can be drawn again one by one.

A part is a box whose id names what it shows and the job it belongs to ("" for what belongs to none).
"""

from dataclasses import dataclass

import plotly.graph_objects as go
from dash import dcc, html

from vaefrag.components import job_controls
from vaefrag.components.markup import Child, Children
from vaefrag.components.member_strip import member_strip
from vaefrag.components.time_format import clock
from vaefrag.figures.training_curves import kl_figure, loss_figure
from vaefrag.jobs.engine_process import EngineState, engine_state
from vaefrag.jobs.job_models import JobRecord, JobSnapshot, WorkerRecord
from vaefrag.pages import fusion_progress
from vaefrag.pages.site import Site
from vaefrag.plurals import counted
from vaefrag_core.errors import VaefragError

MOST_JOBS = 50  # on the page of all jobs
MOST_CURVES = 60  # members whose loss is drawn

JOB_PARTS = ("progress", "pace", "actions", "made", "reasons", "members", "member", "log")
MEMBER_PARTS = ("members", "member")  # parts of a job that depend on the member selected
SITE_PARTS = ("list", "engine", "alarm", "workers")  # parts that belong to no job
PLOTS = ("loss", "kl", *fusion_progress.PLOTS)


@dataclass(frozen=True)
class JobViews:
    """Draws what pages show of the job store.

    Args:
        site: queries and addresses.
    """

    site: Site

    def part(self, name: str, snapshot: JobSnapshot | None = None) -> html.Div:
        """Return one part in the box by whose id it is drawn again.

        Args:
            name: one of `JOB_PARTS`, or of `SITE_PARTS` without a job.
            snapshot: the job.
        """
        box = {"part": name, "job": snapshot.job.id if snapshot else ""}
        content = self.draw_site_part(name) if snapshot is None else self.draw(name, snapshot)
        return html.Div(content, id=box, className=f"part-{name}")

    def draw(self, name: str, snapshot: JobSnapshot, member: int = 0) -> Children:
        """Draw what is in a part of a job.

        Args:
            name: one of `JOB_PARTS`.
            snapshot: the job.
            member: the member that is looked at.
        """
        match name:
            case "progress":
                return job_controls.progress(snapshot)
            case "pace":
                return job_controls.pace(snapshot)
            case "actions":
                return job_controls.actions(snapshot.job)
            case "made":
                return fusion_progress.result_link(self.site, snapshot.job)
            case "reasons":
                return job_controls.reasons(snapshot.job, snapshot.members)
            case "members":
                return member_strip(snapshot.members, member)
            case "member":
                return job_controls.member_facts(snapshot, member)
            case _:
                return job_controls.log_lines(self.site.job_store.log_lines(snapshot.job.id))

    def plot(self, name: str, snapshot: JobSnapshot, member: int = 0) -> go.Figure:
        """Draw the curves of a training from its checkpoints, or a fusion from the state that it keeps.

        Args:
            name: one of `PLOTS`.
            snapshot: the job.
            member: the member that is looked at.
        """
        if name in fusion_progress.PLOTS:
            return fusion_progress.draw(self.site, name, snapshot.job)
        ensemble_id, n_members = snapshot.job.submission.ensemble_id, len(snapshot.members)
        selected = self.site.queries.history(ensemble_id, member)
        if name == "kl":
            return kl_figure((selected.step, selected.kl_nats))
        drawn = range(0, n_members, -(-n_members // MOST_CURVES))  # evenly among the members
        histories = [self.site.queries.history(ensemble_id, m) for m in drawn]
        return loss_figure([(h.step, h.loss) for h in histories if len(h.step)], (selected.step, selected.loss))

    def draw_site_part(self, name: str) -> Children:
        """Draw what is in one of `SITE_PARTS`."""
        match name:
            case "list":
                return self.job_list(self.listed_jobs())
            case "engine":
                return _engine_text(self.engine(), self.site.job_store.workers())
            case "alarm":
                return _no_engine() if not self.engine().running else None
            case _:
                return self._workers(self.site.job_store.workers() if self.engine().running else [])

    def listed_jobs(self) -> list[JobRecord]:
        """Return the jobs that the page of all jobs shows; not each of the analyses made along the way."""
        return [job for job in self.site.job_store.jobs(MOST_JOBS) if not (job.submission.partial and job.ended)]

    def engine(self) -> EngineState:
        """Return the state of the workspace's engine."""
        return engine_state(self.site.job_store.workspace)

    def title(self, job: JobRecord) -> str:
        """Return the title of a job: its own name, or that of its ensemble."""
        if job.submission.kind == "train" or job.submission.request.get("name"):
            return job.submission.title
        try:
            return self.site.queries.store.record(job.submission.ensemble_id).name
        except VaefragError:
            return job.submission.ensemble_id

    def job_list(self, jobs: list[JobRecord]) -> html.Div:
        """Show a row for each job, or say what will be here."""
        if not jobs:
            return html.Div(
                [
                    html.P(
                        "Nothing has been asked for yet. What is trained and analysed here, by whom and how far it is,"
                    ),
                    html.P("will be listed with the newest first."),
                ],
                className="quiet",
            )
        rows = [self._row(self.site.job_store.snapshot(job.id)) for job in jobs]
        return html.Div(rows, className="job-rows", role="list")

    def _row(self, snapshot: JobSnapshot) -> html.Div:
        job = snapshot.job
        facts = [html.Span(job_controls.KINDS[job.submission.kind]), html.Span(clock(job.submission.created))]
        name = dcc.Link(self.title(job), href=self.site.job(job.id), className="job-name")
        heading = html.Div([name, html.Div([*facts, html.Span(f"by {job.submission.who}")], className="words")])
        parts = [self.part(part, snapshot) for part in ("progress", "pace", "actions", "reasons")]
        return html.Div([heading, *parts], className="job-row", role="listitem")

    def _workers(self, workers: list[WorkerRecord]) -> html.Div:
        if not workers:
            return html.Div("No worker has joined.", className="quiet")
        rows = []
        for worker in workers:
            work = html.Span("idle", className="quiet")
            if worker.job:
                title = self.title(self.site.job_store.job(worker.job))
                count = len(worker.members)
                members = "" if not count else f", {counted(count, 'member')}"
                work = html.Span([dcc.Link(title, href=self.site.job(worker.job)), members])
            load = [f"{worker.cpu_percent:.0f} %", f"{worker.memory_bytes / 1e6:,.0f} MB"]
            name = f"slot {int(worker.name) + 1} here" if worker.name.isdigit() else worker.name
            name += " (GPU)" if "gpu" in worker.offers else ""
            cells: list[Child] = [name, work, *load]
            rows.append(html.Tr([html.Td(cell) for cell in cells]))
        heads = html.Tr([html.Th(head) for head in ("worker", "at work on", "of one core", "memory")])
        return html.Div(html.Table([html.Thead(heads), html.Tbody(rows)], className="table"), className="scroll")


def _no_engine() -> html.Div:
    text = "No engine runs here, so nothing is being worked on. What is asked for waits until "
    return html.Div(
        [text, html.Code("vaefrag serve"), " or ", html.Code("vaefrag engine"), " starts one."], className="bad"
    )


def _engine_text(engine: EngineState, workers: list[WorkerRecord]) -> html.Div:
    if not engine.running:
        return _no_engine()
    if not engine.address:
        return html.Div("The engine is starting.", className="quiet")
    busy = sum(bool(worker.job) for worker in workers)
    return html.Div(
        [f"{busy} of {len(workers)} workers busy. Others join at ", html.Code(engine.address)], className="quiet"
    )
