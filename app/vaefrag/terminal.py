"""The terminal: messages, tables and progress for people on standard error, JSON on standard output."""

import json
import math
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, Any

from rich.console import Console, JustifyMethod
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from vaefrag_core.training.collapse import live_channels

if TYPE_CHECKING:
    from vaefrag_core.training.checkpoints import MemberStatus

console = Console(stderr=True)  # standard output belongs to --json

STAGES = {
    "encode": "Encoding images",
    "compare": "Comparing channels",
    "hotspots": "Finding hotspots",
    "maps": "Mapping channels (UMAP compiles first)",
    "stability": "Trying hotspots on resamples",
    "over-training": "Following channels over training",
    "traversals": "Painting traversals",
    "spaces": "Comparing latent spaces",
    "atlas": "Following hotspots through the sweep",
    "fewer": "Searching fewer members",
    "shuffled": "Searching shuffled images",
    "rotated": "Searching turned axes",
    "fuse": "Fusing",
    "judge": "Judging what was gained",
    "distil": "Teaching an encoder",
}


def print_json(result: Mapping[str, Any]) -> None:
    """Write one JSON object to standard output. Numbers that are not finite become null: JSON has none."""
    # Flushed, as a script may read the address of pages that go on being served.
    print(json.dumps(_json_value(result), ensure_ascii=False, allow_nan=False), flush=True)


def print_message(text: str, *, markup: bool = True) -> None:
    """Print a message for people.

    Args:
        text: the message.
        markup: whether brackets are markup such as [bold]; not in a message that holds names or paths of users.
    """
    console.print(text, highlight=False, soft_wrap=True, markup=markup)


def print_error(text: str) -> None:
    """Print what went wrong, in one line, for people."""
    console.print(f"[bold red]error:[/] {_escaped(text)}", highlight=False, soft_wrap=True)


def show_table(
    columns: Sequence[str],
    rows: Sequence[Sequence[object]],
    right: Sequence[str] = (),
    whole: Sequence[str] = (),
) -> None:
    """Print a table for people.

    Args:
        columns: heads of the columns.
        rows: cells of each row.
        right: columns that hold numbers, set to the right.
        whole: columns that are copied from, such as ids: never wrapped, nor cut.
    """
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in columns:
        justify: JustifyMethod = "right" if column in right else "left"
        table.add_column(column, justify=justify, no_wrap=column in whole, overflow="fold")
    for row in rows:
        table.add_row(*(_escaped(str(cell)) for cell in row))
    console.print(table)


def with_error(value: float, error: float) -> str:
    """Write 0.834 ± 0.012 as 0.83(2): the error in units of the last digit, rounded up; – where undefined."""
    if not (math.isfinite(value) and math.isfinite(error)):
        return "–"
    # As many digits as make the error at least 1 of the last one, and 3 at most.
    digits = max(0, min(3, -math.floor(math.log10(error)))) if error > 0 else 3
    return f"{value:z.{digits}f}({math.ceil(error * 10**digits - 1e-9)})"


@contextmanager
def training_progress(members: int, steps: int) -> "Iterator[Callable[[Sequence[MemberStatus]], None]]":
    """Show how far training is, while this lasts.

    Args:
        members: how many are trained.
        steps: of each.

    Yields:
        A callback that takes the status of all members, as `vaefrag_core.pipeline.train` calls it.
    """
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

        def update(statuses: "Sequence[MemberStatus]") -> None:
            losses = [s.loss for s in statuses if not math.isnan(s.loss) and s.state != "failed"]
            done = sum(s.state == "done" for s in statuses)
            channels = sum(len(s.kl_nats) for s in statuses)
            dead = channels - sum(live_channels(s.kl_nats) for s in statuses)
            progress.update(
                task,
                dead=f" · {dead}/{channels} dead" if dead else "",
                description=f"Training {done}/{members}",
                # A failed member has no steps to come: without it, the bar would never be full.
                completed=sum(steps if s.state == "failed" else s.step for s in statuses),
                loss=f"{sum(losses) / len(losses):.2f}" if losses else "–",
            )

        yield update


@contextmanager
def sweep_progress(
    titles: Mapping[str, str], members: int, steps: int
) -> "Iterator[Callable[[str, Sequence[MemberStatus]], None]]":
    """Show how far the trainings of a sweep are, a line for each, while this lasts.

    Args:
        titles: the text of each job's line, by the job's id.
        members: of each ensemble.
        steps: of each member.

    Yields:
        A callback that takes the id of a job, and the status of its members.
    """
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=None),
        TextColumn("{task.fields[done]} of {task.fields[members]} trained ·"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console) as progress:
        tasks = {
            job: progress.add_task(title, total=members * steps, done=0, members=members)
            for job, title in titles.items()
        }

        def update(job: str, statuses: "Sequence[MemberStatus]") -> None:
            done = sum(s.state == "done" for s in statuses)
            steps_done = sum(steps if s.state == "failed" else s.step for s in statuses)
            progress.update(tasks[job], completed=steps_done, done=done)

        yield update


@contextmanager
def analysis_progress() -> Iterator[Callable[[str, float], None]]:
    """Show which stage of an analysis is at work, while this lasts.

    Yields:
        A callback that takes the name of a stage and the share of it that is done, as `vaefrag_core.pipeline.analyze`
        calls it.
    """
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        tasks: dict[str, TaskID] = {}

        def update(stage: str, share: float) -> None:
            # A stage whose result was stored before may report no end of its own.
            for earlier, task in tasks.items():
                if earlier != stage:
                    progress.update(task, completed=1.0)
            if stage not in tasks:
                tasks[stage] = progress.add_task(STAGES[stage], total=1.0)
            progress.update(tasks[stage], completed=share)

        yield update


@contextmanager
def count_progress(text: str, total: int) -> Iterator[Callable[[int], None]]:
    """Show how many of some things are done, such as the analyses of a sweep, while this lasts.

    Args:
        text: what is being done, as "Analysing".
        total: how many there are.

    Yields:
        A callback that takes how many are done.
    """
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed} of {task.total}"))
    with Progress(*columns, console=console) as progress:
        task = progress.add_task(text, total=total)

        def update(done: int) -> None:
            progress.update(task, completed=done)

        yield update


@contextmanager
def stop_on_interrupt() -> Iterator[Callable[[], bool]]:
    """Turn the first Ctrl-C into a request to stop at the next checkpoint; a second one ends at once.

    Yields:
        A function that returns whether to stop.
    """
    requested = False

    def on_interrupt(number: int, frame: FrameType | None) -> None:
        nonlocal requested
        if requested:
            raise KeyboardInterrupt
        requested = True
        print_message("Stopping at the next checkpoint (press Ctrl-C again to stop at once) …")

    before = signal.signal(signal.SIGINT, on_interrupt)
    try:
        yield lambda: requested
    finally:
        signal.signal(signal.SIGINT, before)


def _escaped(text: str) -> str:
    from rich.markup import escape

    return escape(text)


def _json_value(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(k): _json_value(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_json_value(v) for v in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
