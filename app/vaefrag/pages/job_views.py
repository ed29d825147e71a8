"""What pages show of the record of jobs, in parts that can be drawn again one by one.

A part is a box whose id names what it shows and the job it belongs to ("" for what belongs to none).
"""

from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go
from dash import dcc, html

from vaefrag.components import job_controls as show
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
OF_CHOSEN = ("members", "member")  # parts that depend on the member chosen
ALL_PARTS = ("list", "engine", "alarm", "workers")
PLOTS = ("loss", "kl", *fusion_progress.PLOTS)


@dataclass(frozen=True)
class JobViews:
    """Draws what pages show of the record.

    Args:
        site: queries and addresses.
    """

    site: Site

    def part(self, name: str, snapshot: JobSnapshot | None = None) -> html.Div:
        """Give one part, to be followed."""
        place = {"part": name, "job": snapshot.job.id if snapshot else ""}
        content = self.draw_all(name) if snapshot is None else self.draw(name, snapshot)
        return html.Div(content, id=place, className=f"part-{name}")

    def draw(self, name: str, snapshot: JobSnapshot, chosen: int = 0) -> Any:
        """Give what is in a part of a job.

        Args:
            name: of `JOB_PARTS`.
            snapshot: the job.
            chosen: the member that is looked at.
        """
        match name:
            case "progress":
                return show.progress(snapshot)
            case "pace":
                return show.pace(snapshot)
            case "actions":
                return show.actions(snapshot.job)
            case "made":
                return fusion_progress.made(self.site, snapshot.job)
            case "reasons":
                return show.reasons(snapshot.job, snapshot.members)
            case "members":
                return member_strip(snapshot.members, chosen)
            case "member":
                return show.member_facts(snapshot, chosen)
            case _:
                return show.log_lines(self.site.job_store.log_lines(snapshot.job.id))

    def plot(self, name: str, snapshot: JobSnapshot, chosen: int = 0) -> go.Figure:
        """Draw the curves of a training from its checkpoints, or a fusion from the state that it keeps."""
        if name in fusion_progress.PLOTS:
            return fusion_progress.draw(self.site, name, snapshot.job)
        ensemble_id, members = snapshot.job.submission.ensemble_id, len(snapshot.members)
        one = self.site.queries.history(ensemble_id, chosen)
        if name == "kl":
            return kl_figure((one.step, one.kl_nats))
        every = range(0, members, -(-members // MOST_CURVES))
        histories = [self.site.queries.history(ensemble_id, m) for m in every]
        return loss_figure([(h.step, h.loss) for h in histories if len(h.step)], (one.step, one.loss))

    def draw_all(self, name: str) -> Any:
        """Give what is in a part that belongs to no job."""
        match name:
            case "list":
                return self.job_list(self.shown())
            case "engine":
                return _engine_words(self.engine(), self.site.job_store.workers())
            case "alarm":
                return _no_engine() if not self.engine().running else None
            case _:
                return self._workers(self.site.job_store.workers() if self.engine().running else [])

    def shown(self) -> list[JobRecord]:
        """Give the jobs that the page of all jobs shows; not each of the analyses made along the way."""
        return [job for job in self.site.job_store.jobs(MOST_JOBS) if not (job.submission.partial and job.ended)]

    def engine(self) -> EngineState:
        """Say whether the workspace has an engine."""
        return engine_state(self.site.job_store.workspace)

    def title(self, job: JobRecord) -> str:
        """Say what a job is about: by its own name, or by that of its ensemble."""
        if job.submission.kind == "train" or job.submission.request.get("name"):
            return job.submission.title
        try:
            return self.site.queries.store.record(job.submission.ensemble_id).name
        except VaefragError:
            return job.submission.ensemble_id

    def job_list(self, jobs: list[JobRecord]) -> html.Div:
        """Give the rows of jobs, or say what will be here."""
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
        facts = [html.Span(show.KINDS[job.submission.kind]), html.Span(clock(job.submission.created))]
        name = dcc.Link(self.title(job), href=self.site.job(job.id), className="job-name")
        what = html.Div([name, html.Div([*facts, html.Span(f"by {job.submission.who}")], className="words")])
        parts = [self.part(part, snapshot) for part in ("progress", "pace", "actions", "reasons")]
        return html.Div([what, *parts], className="job-row", role="listitem")

    def _workers(self, workers: list[WorkerRecord]) -> html.Div:
        if not workers:
            return html.Div("No worker has joined.", className="quiet")
        rows = []
        for worker in workers:
            work: Any = html.Span("idle", className="quiet")
            if worker.job:
                title = self.title(self.site.job_store.job(worker.job))
                count = len(worker.members)
                members = "" if not count else f", {counted(count, 'member')}"
                work = html.Span([dcc.Link(title, href=self.site.job(worker.job)), members])
            load = [f"{worker.cpu_percent:.0f} %", f"{worker.memory_bytes / 1e6:,.0f} MB"]
            name = f"slot {int(worker.name) + 1} here" if worker.name.isdigit() else worker.name
            name += " (GPU)" if "gpu" in worker.offers else ""
            rows.append(html.Tr([html.Td(cell) for cell in (name, work, *load)]))
        heads = html.Tr([html.Th(head) for head in ("worker", "at work on", "of one core", "memory")])
        return html.Div(html.Table([html.Thead(heads), html.Tbody(rows)], className="table"), className="scroll")


def _no_engine() -> html.Div:
    text = "No engine runs here, so nothing is being worked on. What is asked for waits until "
    return html.Div(
        [text, html.Code("vaefrag serve"), " or ", html.Code("vaefrag engine"), " starts one."], className="bad"
    )


def _engine_words(engine: EngineState, workers: list[WorkerRecord]) -> html.Div:
    if not engine.running:
        return _no_engine()
    if not engine.address:
        return html.Div("The engine is starting.", className="quiet")
    busy = sum(bool(worker.job) for worker in workers)
    return html.Div(
        [f"{busy} of {len(workers)} workers busy. Others join at ", html.Code(engine.address)], className="quiet"
    )
