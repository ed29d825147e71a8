"""Parts that show a job and control it; each is drawn from its snapshot alone."""

from collections.abc import Callable, Sequence
from typing import Any

import dash_mantine_components as dmc
from dash import dcc, html
from dash.development.base_component import Component

from vaefrag.components.facts import fact
from vaefrag.components.markup import aria
from vaefrag.components.member_strip import STATES
from vaefrag.components.notices import error_list
from vaefrag.components.time_format import clock, duration
from vaefrag.jobs.job_models import JobRecord, JobSnapshot, LogLine, MemberRecord, Submission
from vaefrag.jobs.job_watcher import as_statuses
from vaefrag.jobs.progress_estimate import estimate, steps_per_member
from vaefrag.plurals import first_few
from vaefrag_core.config import DEFAULT_ESTIMATOR, TrainConfig
from vaefrag_core.config_errors import parse
from vaefrag_core.training.collapse import collapse_sentence, collapsed_members, live_channels

KINDS = {"train": "Training", "analyze": "Analysis", "fuse": "Fusion"}
STAGES = {
    "encode": "encoding images",
    "compare": "comparing channels",
    "hotspots": "finding hotspots",
    "maps": "mapping channels",
    "stability": "trying hotspots on resamples",
    "over-training": "following channels over training",
    "traversals": "painting traversals",
    "atlas": "following hotspots through the sweep",
    "fuse": "fusing",
    "judge": "judging what was gained",
    "distil": "teaching an encoder",
}


ESTIMATORS = {"bound": "by the published bound", "exact": "by exact integrals"}


def estimator_words(submission: Submission) -> list[str]:
    """Say by which estimator a job analyses; nothing of one that does not."""
    if submission.kind == "train" and submission.analyze:
        return [f"analysed {ESTIMATORS[submission.estimator]}"]
    if submission.kind == "analyze":
        name = submission.request.get("hotspots", {}).get("estimator", DEFAULT_ESTIMATOR)
        return [f"information {ESTIMATORS[name]}"]
    return []


def state_word(job: JobRecord) -> str:
    """Return the state of a job in a word, or the state that it is about to have."""
    if job.ended:
        return job.state
    if job.desired.state == "cancel":
        return "cancelling"
    if job.desired.state == "pause" and job.state != "paused":
        return "pausing"
    if job.desired.state == "run" and job.state == "paused":
        return "resuming"
    return "waiting" if job.state == "queued" else job.state


def badge(job: JobRecord) -> html.Span:
    """Show the state of a job as a coloured word."""
    word = state_word(job)
    return html.Span(word, className=f"badge badge-{word}")


def progress(snapshot: JobSnapshot) -> html.Div:
    """Show how far a job is: state, bar, words."""
    job, share = snapshot.job, estimate(snapshot).share
    words = _progress_words(snapshot, share)
    bar = html.Div(
        html.Div(className=f"meter-fill meter-{job.state}", style={"width": f"{100 * share:.1f}%"}),
        className="meter",
        role="progressbar",
        **aria(label=words, valuenow=round(100 * share), valuemin=0, valuemax=100),
    )
    return html.Div([html.Div([badge(job), html.Span(words, className="quiet")], className="job-state"), bar])


def _progress_words(snapshot: JobSnapshot, share: float) -> str:
    job = snapshot.job
    if snapshot.members:
        failed = job.counts.get("failed", 0)
        words = f"{job.counts.get('done', 0)} of {len(snapshot.members)} members trained"
        return words + (f", {failed} failed" if failed else "") + ("" if job.state == "done" else f" · {share:.0%}")
    if job.state == "done":
        if job.submission.kind == "fuse":
            return "fused"
        return f"{job.progress.analysed} members analysed"
    return f"{STAGES[job.progress.stage]} · {share:.0%}" if job.progress.stage in STAGES else ""


def pace(snapshot: JobSnapshot) -> html.Div:
    """Show how fast a job goes and how long it will take; or how long it took."""
    job, progress_estimate = snapshot.job, estimate(snapshot)
    lines = []
    if job.state == "running":
        if progress_estimate.steps_per_second:
            lines.append(f"{progress_estimate.steps_per_second:,.0f} steps/s")
        if progress_estimate.seconds_left is not None:
            lines.append(f"{duration(progress_estimate.seconds_left)} left")
    elif job.ended and job.progress.started and job.progress.ended:
        lines.append(f"took {duration(job.progress.ended - job.progress.started)}")
    if job.progress.device:
        lines.append(f"on the {device_word(job.progress.device)}")
    return html.Div([html.Div(line) for line in lines], className="pace")


def actions_key(job: JobRecord) -> str:
    """Name the actions that a job allows now: while they stay, its buttons need not be drawn again."""
    return " ".join(_allowed_actions(job))


def actions(job: JobRecord) -> list[Component]:
    """Return the buttons of the actions that a job allows now."""
    return [_BUTTONS[name](job) for name in _allowed_actions(job)]


def _allowed_actions(job: JobRecord) -> list[str]:
    # Of a job that has ended, what failed or was cancelled is what a retry can take up.
    troubled = bool(job.counts.get("failed") or job.counts.get("cancelled") or job.state in ("failed", "cancelled"))
    if job.ended:
        return ["retry"] if troubled else []
    if job.desired.state == "cancel":
        return []
    pause_or_resume = "resume" if job.desired.state == "pause" else "pause"
    return [pause_or_resume, "cancel"] + (["retry"] if job.counts.get("failed") else [])


def _button(job: JobRecord, action: str, text: str, title: str) -> html.Button:
    return html.Button(
        text,
        id={"do": action, "job": job.id},
        type="button",
        className="button small",
        title=title,
        **_action_label(job, text),
    )


def _action_label(job: JobRecord, text: str) -> dict[str, Any]:
    """Name a button by its job as well: read out alone, one "Pause" of a list of jobs is like all others."""
    return aria(label=f"{text}: {job.submission.title}")


def _cancel(job: JobRecord) -> dmc.Popover:
    """Ask once more before a job is cancelled."""
    keeps = "What its members have learnt is kept, and can be gone on with." if job.submission.members else ""
    really = html.Button("Cancel the job", id={"do": "cancel", "job": job.id}, type="button", className="button danger")
    # Without an id: this button only opens the question, and must set off no callback.
    first = html.Button("Cancel", type="button", className="button small", **_action_label(job, "Cancel"))
    question = html.Div([html.P(f"End this job? {keeps}"), really], className="question")
    return dmc.Popover(
        [dmc.PopoverTarget(first), dmc.PopoverDropdown(question)], width=250, position="bottom-end", withArrow=True
    )


_BUTTONS: dict[str, Callable[[JobRecord], Component]] = {
    "pause": lambda job: _button(job, "pause", "Pause", "Stop at the next checkpoint, and wait"),
    "resume": lambda job: _button(job, "resume", "Resume", "Go on from the checkpoints"),
    "cancel": _cancel,
    "retry": lambda job: _button(job, "retry", "Retry", "Try what failed or was cancelled again, and nothing else"),
}


def reasons(job: JobRecord, members: Sequence[MemberRecord]) -> html.Div:
    """List why a job or its members failed, and which members have collapsed; hidden when all is well."""
    lines = first_few([row.error for row in members if row.state == "failed"])
    if members and job.submission.kind == "train":
        train = parse(TrainConfig, job.submission.request["train"])
        lines += filter(None, [collapse_sentence(collapsed_members(as_statuses(members), train), len(members))])
    # The job's own error is often that of its members: say it once.
    if job.progress.error and job.progress.error not in lines:
        lines.insert(0, job.progress.error)
    return error_list(lines)


def member_facts(snapshot: JobSnapshot, member: int) -> list[Component]:
    """Show one member of a job."""
    row = snapshot.members[member]
    kl = sum(row.kl_nats)
    facts = [
        fact("state", STATES[row.state]),
        fact("step", f"{row.step:,} of {steps_per_member(snapshot):,}"),
        fact("loss", "–" if row.loss is None else f"{row.loss:.2f} nats", "loss"),
        fact("KL", f"{kl:.2f} nats" if row.kl_nats else "–", "KL"),
        fact("live channels", f"{live_channels(row.kl_nats)} of {len(row.kl_nats)}" if row.kl_nats else "–", "live_kl"),
        fact("attempt", row.attempt or "–", "attempt"),
        fact("worker", row.worker or "–"),
        fact("device", device_word(row.device)),
    ]
    return [html.H2(f"Member {member}"), html.Dl(facts, className="facts")]


def device_word(device: str) -> str:
    """Return torch's name of a device as people say it."""
    kind, _, number = device.partition(":")
    word = {"": "–", "cpu": "CPU", "cuda": "GPU (CUDA)", "mps": "GPU (Apple)"}.get(kind, kind)
    return f"{word} {number}".strip()


def log_lines(lines: Sequence[LogLine]) -> html.Ol:
    """Show what has happened, the newest first."""
    return html.Ol([html.Li([clock(line.at), html.Span(line.text)]) for line in reversed(lines)], className="log")


def links(texts: Sequence[tuple[str, str]]) -> list[Component]:
    """Return links, drawn as buttons, to what belongs to a job.

    Args:
        texts: text and path of each.
    """
    return [dcc.Link(text, href=path, className="button small") for text, path in texts]
