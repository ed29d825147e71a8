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

console = Console(stderr=True)

STAGES = {
    "compare": "Comparing channels",
    "hotspots": "Finding hotspots",
    "maps": "Mapping channels (UMAP compiles first)",
    "traversals": "Painting traversals",
    "spaces": "Comparing latent spaces",
    "fuse": "Fusing",
    "judge": "Judging what was gained",
    "distil": "Teaching an encoder",
}


def emit(result: Mapping[str, Any]) -> None:
    """Write one JSON object to standard output. Numbers that are not finite become null: JSON has none."""
    print(json.dumps(_plain(result), ensure_ascii=False, allow_nan=False), flush=True)


def say(text: str) -> None:
    """Tell a person something."""
    console.print(text, highlight=False, soft_wrap=True)


def fail(text: str) -> None:
    """Tell a person what went wrong, in one line."""
    console.print(f"[bold red]error:[/] {_escaped(text)}", highlight=False, soft_wrap=True)


def show_table(columns: Sequence[str], rows: Sequence[Sequence[object]], right: Sequence[str] = ()) -> None:
    """Show a table; the columns named in `right` hold numbers."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in columns:
        table.add_column(column, justify="right" if column in right else "left")
    for row in rows:
        table.add_row(*(_escaped(str(cell)) for cell in row))
    console.print(table)


@contextmanager
def training_progress(members: int, steps: int) -> Iterator[Any]:
    """Show how far training is; gives the callback that `vaefrag_core.pipeline.train` calls."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=None),
        TextColumn("{task.percentage:>3.0f} % · loss {task.fields[loss]} ·"),
        TimeElapsedColumn(),
        TextColumn("· left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as progress:
        task = progress.add_task(f"Training {members} members", total=members * steps, loss="–")

        def update(statuses: Sequence[Any]) -> None:
            losses = [s.loss for s in statuses if s.loss == s.loss and s.state != "failed"]
            done = sum(s.state == "done" for s in statuses)
            progress.update(
                task,
                description=f"Training, {done} of {members} done",
                completed=sum(steps if s.state == "failed" else s.step for s in statuses),
                loss=f"{sum(losses) / len(losses):.2f}" if losses else "–",
            )

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
def stop_on_interrupt() -> Iterator[Any]:
    """Turn the first Ctrl-C into a wish to stop, which the given function tells; a second one ends at once."""
    wished = False

    def on_interrupt(number: int, frame: FrameType | None) -> None:
        nonlocal wished
        if wished:
            raise KeyboardInterrupt
        wished = True
        say("Stopping at the next checkpoint (press Ctrl-C again to stop at once) …")

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
