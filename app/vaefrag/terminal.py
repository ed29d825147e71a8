"""What the command line shows: progress and results for people on standard error, JSON on standard output."""

import json
import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from vaefrag_core.training.collapse import live_channels

console = Console(stderr=True)

STAGES = {
    "compare": "Comparing channels",
    "hotspots": "Finding hotspots",
    "maps": "Mapping channels (UMAP compiles first)",
    "stability": "Trying hotspots on resamples",
    "over-training": "Following channels over training",
    "traversals": "Painting traversals",
    "spaces": "Comparing latent spaces",
    "atlas": "Following hotspots through the sweep",
    "fuse": "Fusing",
    "judge": "Judging what was gained",
    "distil": "Teaching an encoder",
}


def print_json(result: Mapping[str, Any]) -> None:
    """Write one JSON object to standard output. Numbers that are not finite become null: JSON has none."""
    print(json.dumps(_plain(result), ensure_ascii=False, allow_nan=False), flush=True)


def print_message(text: str, *, markup: bool = True) -> None:
    """Tell a person something; without markup, when it holds names of files."""
    console.print(text, highlight=False, soft_wrap=True, markup=markup)


def print_error(text: str) -> None:
    """Tell a person what went wrong, in one line."""
    console.print(f"[bold red]error:[/] {_escaped(text)}", highlight=False, soft_wrap=True)


def show_table(
    columns: Sequence[str],
    rows: Sequence[Sequence[object]],
    right: Sequence[str] = (),
    whole: Sequence[str] = (),
) -> None:
    """Show a table.

    Args:
        columns: their heads.
        rows: cells of each.
        right: columns that hold numbers.
        whole: columns that hold what is to be copied, such as ids: never wrapped, nor cut.
    """
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in columns:
        justify: Any = "right" if column in right else "left"
        table.add_column(column, justify=justify, no_wrap=column in whole, overflow="fold")
    for row in rows:
        table.add_row(*(_escaped(str(cell)) for cell in row))
    console.print(table)


@contextmanager
def training_progress(members: int, steps: int) -> Iterator[Any]:
    """Show how far training is; gives the callback that `vaefrag_core.pipeline.train` calls."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=None),
        TextColumn("{task.percentage:>3.0f} % · loss {task.fields[loss]}{task.fields[dead]}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),  # the whole line must fit 80 columns: the times would give way first
    )
    with Progress(*columns, console=console) as progress:
        task = progress.add_task(f"Training 0/{members}", total=members * steps, loss="–", dead="")

        def update(statuses: Sequence[Any]) -> None:
            losses = [s.loss for s in statuses if s.loss == s.loss and s.state != "failed"]
            done = sum(s.state == "done" for s in statuses)
            every = [len(s.kl_nats) for s in statuses]
            dead = sum(every) - sum(live_channels(s.kl_nats) for s in statuses)
            progress.update(
                task,
                dead=f" · {dead}/{sum(every)} dead" if dead else "",
                description=f"Training {done}/{members}",
                completed=sum(steps if s.state == "failed" else s.step for s in statuses),
                loss=f"{sum(losses) / len(losses):.2f}" if losses else "–",
            )

        yield update


@contextmanager
def sweep_progress(labels: Mapping[str, str], members: int, steps: int) -> Iterator[Any]:
    """Show how far the trainings of a sweep are, a line for each.

    Args:
        labels: what the line of each job is called.
        members: of each ensemble.
        steps: of each member.
    """
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=None),
        TextColumn("{task.fields[done]} of {task.fields[members]} trained ·"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console) as progress:
        tasks = {
            job: progress.add_task(label, total=members * steps, done=0, members=members)
            for job, label in labels.items()
        }

        def update(job: str, statuses: Sequence[Any]) -> None:
            done = sum(s.state == "done" for s in statuses)
            steps_done = sum(steps if s.state == "failed" else s.step for s in statuses)
            progress.update(tasks[job], completed=steps_done, done=done)

        yield update


@contextmanager
def analysis_progress() -> Iterator[Any]:
    """Show which stage of an analysis is at work; gives the callback for `vaefrag_core.pipeline.analyze`."""
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        tasks: dict[str, Any] = {}

        def update(stage: str, share: float) -> None:
            for earlier, task in tasks.items():
                if earlier != stage:
                    progress.update(task, completed=1.0)
            if stage not in tasks:
                tasks[stage] = progress.add_task(STAGES[stage], total=1.0)
            progress.update(tasks[stage], completed=share)

        yield update


@contextmanager
def analyses_progress(total: int) -> Iterator[Any]:
    """Show how many of the analyses of a sweep are done."""
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed} of {task.total}"))
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("Analysing", total=total)
        yield lambda done: progress.update(task, completed=done)


@contextmanager
def stop_on_interrupt() -> Iterator[Any]:
    """Turn the first Ctrl-C into a wish to stop, which the given function tells; a second one ends at once."""
    wished = False

    def on_interrupt(number: int, frame: FrameType | None) -> None:
        nonlocal wished
        if wished:
            raise KeyboardInterrupt
        wished = True
        print_message("Stopping at the next checkpoint (press Ctrl-C again to stop at once) …")

    before = signal.signal(signal.SIGINT, on_interrupt)
    try:
        yield lambda: wished
    finally:
        signal.signal(signal.SIGINT, before)


def _escaped(text: str) -> str:
    from rich.markup import escape

    return escape(text)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    if isinstance(value, float) and not (abs(value) < float("inf")):
        return None
    return value
