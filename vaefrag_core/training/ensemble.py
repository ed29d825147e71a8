"""Trains all members of an ensemble, in this process or in several beside it."""

import math
import multiprocessing
import signal
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Event
from pathlib import Path

from vaefrag_core.config import EnsembleSpec
from vaefrag_core.datasets.catalog import load_dataset
from vaefrag_core.errors import VaefragError
from vaefrag_core.training.checkpoints import MemberStatus, member_statuses
from vaefrag_core.training.members import OnProgress, ShouldStop, train_members

STACK = 32  # members stacked at most: beyond, the working set leaves the cache and nothing is gained


class WorkerLostError(VaefragError):
    """A training process ended without a word."""


def train_ensemble(
    spec: EnsembleSpec,
    folder: Path,
    *,
    workers: int = 1,
    on_progress: OnProgress | None = None,
    should_stop: ShouldStop = lambda: False,
) -> list[MemberStatus]:
    """Train every member that is not done yet.

    Args:
        spec: of the ensemble.
        folder: its `members` folder.
        workers: processes; with 1, everything happens in this one.
        on_progress: called with the state of all members whenever some have moved.
        should_stop: asked between slices; when it says yes, all members are brought to a checkpoint.

    Returns:
        The state of all members.

    Raises:
        WorkerLostError: when a process was killed. What it had written is kept.
    """
    statuses = member_statuses(folder, spec.members)
    pending = [status.index for status in statuses if status.state in ("waiting", "running")]
    groups = group_members(spec, pending, workers)

    def report(moved: Sequence[MemberStatus]) -> None:
        for status in moved:
            statuses[status.index] = status
        if on_progress is not None:
            on_progress(list(statuses))

    if workers == 1 or len(groups) < 2:
        dataset = load_dataset(spec.dataset)
        for group in groups:
            if not should_stop():
                train_members(spec, dataset, group, folder, on_progress=report, should_stop=should_stop)
    else:
        _in_processes(spec, groups, folder, min(workers, len(groups)), report, should_stop)
    return member_statuses(folder, spec.members)


def group_members(spec: EnsembleSpec, members: Sequence[int], workers: int) -> list[list[int]]:
    """Split members into groups that train together: stacked small networks evenly over the workers, others alone."""
    size = 1
    if spec.model.architecture == "mlp":
        size = min(STACK, math.ceil(len(members) / workers) or 1)
    return [list(members[i : i + size]) for i in range(0, len(members), size)]


def _in_processes(
    spec: EnsembleSpec,
    groups: Sequence[Sequence[int]],
    folder: Path,
    workers: int,
    report: Callable[[Sequence[MemberStatus]], None],
    should_stop: ShouldStop,
) -> None:
    # Spawned, not forked: a child of a process in which torch has computed with threads may hang.
    context = multiprocessing.get_context("spawn")
    moved: Queue[list[MemberStatus] | None] = context.Queue()
    stop = context.Event()
    with ProcessPoolExecutor(workers, context, initializer=_begin_worker, initargs=(moved, stop)) as pool:
        futures = [pool.submit(_train_group, spec, list(group), folder) for group in groups]
        waiter = threading.Thread(target=_announce_end, args=(futures, moved), daemon=True)
        waiter.start()
        while (statuses := moved.get()) is not None:
            if should_stop():
                stop.set()
            report(statuses)
        waiter.join()
    try:
        for future in futures:
            future.result()
    except BrokenProcessPool as error:
        raise WorkerLostError(
            "A training process was killed, perhaps for want of memory. Repeat the same command to go on from the"
            " last checkpoints, with fewer --workers if memory is short."
        ) from error


def _announce_end(futures: Sequence[Future[None]], moved: "Queue[list[MemberStatus] | None]") -> None:
    wait(futures)
    moved.put(None)


def _begin_worker(moved: "Queue[list[MemberStatus] | None]", stop: Event) -> None:
    """Run once in each worker: what tasks share cannot travel with them, and Ctrl-C is the parent's to handle."""
    global _moved, _stop
    _moved, _stop = moved, stop
    signal.signal(signal.SIGINT, signal.SIG_IGN)


_moved: "Queue[list[MemberStatus] | None]"
_stop: Event


def _train_group(spec: EnsembleSpec, group: list[int], folder: Path) -> None:
    if not _stop.is_set():
        dataset = load_dataset(spec.dataset)
        train_members(spec, dataset, group, folder, on_progress=_tell, should_stop=_stop.is_set)


def _tell(statuses: Sequence[MemberStatus]) -> None:
    _moved.put(list(statuses))
