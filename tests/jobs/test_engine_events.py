"""Every event of a task in every state of its job, and what people request meanwhile; the cluster is a fake."""

import queue
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from support_jobs import spec_of
from vaefrag.jobs import engine as engine_module
from vaefrag.jobs.dask_cluster import ConnectedWorker, FinishedTask
from vaefrag.jobs.engine import Engine
from vaefrag.jobs.engine_config import EngineTimeouts
from vaefrag.jobs.engine_job_store import EngineJobStore
from vaefrag.jobs.job_store import JobStore
from vaefrag_core.ensemble_store import EnsembleStore, ensemble_id_of
from vaefrag_core.errors import BusyError

LOSS, STEP = 1.5, 25


class FakeCluster:
    """Takes tasks and does nothing with them."""

    def __init__(self, slots: int) -> None:
        self.events: queue.Queue[dict[str, Any] | FinishedTask] = queue.Queue()
        self.has_gpu = False
        self.present = [f"tcp://127.0.0.1:{port}" for port in range(1, slots + 1)]
        self.submitted: dict[str, str] = {}  # addresses by key, in the order of submission
        self.cancelled: list[str] = []
        self.killed: list[int] = []
        self.surviving: dict[str, str] = {}  # tasks of an engine before, with their workers

    def workers(self) -> list[ConnectedWorker]:
        return [ConnectedWorker(address, "box 1", {"cpu": 1, "workspace": 1}, 0.0, 0) for address in self.present]

    def restart_dead_workers(self) -> None:
        return None

    def surviving_tasks(self, keys: list[str]) -> dict[str, str]:
        return {key: self.surviving[key] for key in keys if key in self.surviving}

    def submit(self, key: str, *arguments: object, address: str, needs: object) -> None:
        self.submitted[key] = address

    def cancel(self, key: str) -> None:
        self.cancelled.append(key)

    def forget(self, key: str) -> None:
        return None

    def kill(self, address: str, pid: int, host: str) -> None:
        self.killed.append(pid)


class Scene:
    """An engine with a fake cluster, and one job.

    Args:
        workspace: its folder.
        kind: of the job.
        slots: of the cluster.
    """

    def __init__(self, workspace: Path, kind: str = "train", slots: int = 1) -> None:
        self.people = JobStore(workspace)
        self.cluster = FakeCluster(slots)
        self.engine = Engine(EngineJobStore(workspace), self.cluster, "token")  # type: ignore[arg-type]
        self.spec = spec_of()
        self.job = self.submit(kind)

    def submit(self, kind: str = "train") -> str:
        if kind == "train":
            return self.people.submit_training(self.spec, analyze=False)
        return self.people.submit_analysis("some-ensemble")

    def steps(self, count: int = 3) -> None:
        for _ in range(count):
            self.engine.step()

    @property
    def key(self) -> str:
        """Of the task that was dispatched first."""
        return next(iter(self.cluster.submitted), "none-0-1-0")

    def happen(self, event: str, key: str = "") -> None:
        """Let something reach the engine."""
        self.cluster.events.put(EVENTS[event](key or self.key))

    def outcome(self) -> tuple[str, str, int]:
        """The states of the job and of its member as people see them, and how many tasks were dispatched."""
        snapshot = self.people.snapshot(self.job)
        member = snapshot.members[0].state if snapshot.members else ""
        return snapshot.job.state, member, len(self.cluster.submitted)


def message(key: str, event: str, **facts: object) -> dict[str, Any]:
    return {"event": event, "key": key, "at": time.time(), **facts}


def report(state: str, error: str = "") -> dict[str, Any]:
    return {
        "index": 0,
        "state": state,
        "step": STEP,
        "loss": LOSS,
        "kl_nats": [0.5],
        "error": error,
        "steps_per_second": 10.0,
    }


EVENTS: dict[str, Callable[[str], dict[str, Any] | FinishedTask]] = {
    "begin": lambda key: message(key, "begin", address="tcp://127.0.0.1:1", pid=77, host="box"),
    "progress": lambda key: message(key, "progress", members=[report("running")]),
    "stage": lambda key: message(key, "progress", stage="maps", share=0.5),
    "done": lambda key: message(key, "end", result={"members": [report("done")]}),
    "stopped": lambda key: message(key, "end", result={"members": [report("running")]}),
    "analysed": lambda key: message(key, "end", result={"analysed": 3}),
    "error": lambda key: message(key, "end", result={"error": "The disk is full."}),
    "superseded": lambda key: message(key, "end", result={"stopped": "A later attempt has begun."}),
    "finished": lambda key: FinishedTask(key),
    "failed": lambda key: FinishedTask(key, error="cannot be unpickled"),
    "died": lambda key: FinishedTask(key, error="its scheduler was lost", died=True),
}
NEVER_WAS = "261128-000000-0-1-ffff"


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the engine look at once, and let no cancelled task be released as time goes by."""
    monkeypatch.setattr(engine_module, "POLL_SECONDS", 0.0)
    monkeypatch.setattr(engine_module, "BEGIN_SECONDS", 1_000.0)


def bring_to(scene: Scene, state: str) -> None:
    """Bring a scene's job to a state."""
    progress = "progress" if scene.people.job(scene.job).submission.members else "stage"
    if state == "accepted":
        scene.cluster.present.clear()
    scene.steps()
    if state in ("progressed", "cancelling", "pausing"):
        scene.happen("begin")
        scene.happen(progress)
        scene.steps()
    if state in ("cancelling", "cancelled", "retried", "retried elsewhere"):
        scene.people.set_desired_state(scene.job, "cancel")
    if state in ("pausing", "paused"):
        scene.people.set_desired_state(scene.job, "pause")
    scene.steps()
    if state in ("retried", "retried elsewhere"):
        assert scene.job not in scene.engine.engine_store.open
        scene.people.retry(scene.job)
        scene.steps()
    if state == "ended":
        scene.happen("begin")
        scene.happen("done" if progress == "progress" else "analysed")
        scene.happen("finished")
        scene.steps()
    if state in ("cancelled", "ended"):
        assert scene.job not in scene.engine.engine_store.open  # it is forgotten, until somebody retries it


# What people see of the job, its member, and the number of tasks that were dispatched.
RUNS, AGAIN = ("running", "running", 1), ("running", "running", 2)
WAITS, PAUSED = ("queued", "queued", 1), ("paused", "queued", 1)
CANCELLED, FAILED, DONE = ("cancelled", "cancelled", 1), ("failed", "failed", 1), ("done", "done", 1)
UNTOUCHED = ("begin", "progress", "done", "stopped", "error", "superseded", "finished", "failed", "died")

TRAINING: dict[str, dict[str, tuple[str, str, int]]] = {
    "accepted": dict.fromkeys(UNTOUCHED, ("queued", "queued", 0)),
    # Until Dask ends the task, its slot is not free, and what the worker reported last is not acted upon.
    "running": {
        **dict.fromkeys(("begin", "progress", "stopped", "error", "superseded"), RUNS),
        "done": RUNS,
        "finished": AGAIN,
        "failed": FAILED,
        "died": AGAIN,
    },
    "progressed": {
        **dict.fromkeys(("begin", "progress", "stopped", "error", "superseded"), RUNS),
        "done": RUNS,
        "finished": AGAIN,
        "failed": FAILED,
        "died": AGAIN,
    },
    # Dask lets go of a cancelled task at once: only the worker's own "end" says that it has stopped.
    "cancelling": {
        **dict.fromkeys(("begin", "progress", "finished", "failed", "died"), RUNS),
        "done": ("cancelled", "done", 1),
        **dict.fromkeys(("stopped", "error", "superseded"), CANCELLED),
    },
    "cancelled": dict.fromkeys(UNTOUCHED, CANCELLED),
    "retried": {
        **dict.fromkeys(("begin", "progress", "finished", "failed", "died"), WAITS),
        **dict.fromkeys(("done", "stopped", "error", "superseded"), AGAIN),  # the slot is free
    },
    "retried elsewhere": dict.fromkeys(UNTOUCHED, AGAIN),
    "pausing": {
        **dict.fromkeys(("begin", "progress", "finished", "failed", "died"), RUNS),
        "done": ("paused", "done", 1),
        **dict.fromkeys(("stopped", "error", "superseded"), PAUSED),
    },
    "paused": dict.fromkeys(UNTOUCHED, PAUSED),
    "ended": dict.fromkeys(UNTOUCHED, DONE),
}

A_RUNS, A_AGAIN, A_DONE = ("running", "", 1), ("running", "", 2), ("done", "", 1)
A_CANCELLED, A_PAUSED = ("cancelled", "", 1), ("paused", "", 1)
A_UNTOUCHED = ("begin", "stage", "analysed", "error", "superseded", "finished", "failed", "died")
ANALYSIS: dict[str, dict[str, tuple[str, str, int]]] = {
    "accepted": dict.fromkeys(A_UNTOUCHED, ("queued", "", 0)),
    "running": {
        **dict.fromkeys(("begin", "stage", "analysed", "error", "superseded"), A_RUNS),
        "finished": A_AGAIN,
        "failed": ("failed", "", 1),
        "died": A_AGAIN,
    },
    "cancelling": {
        **dict.fromkeys(("begin", "stage", "finished", "failed", "died"), A_RUNS),
        "analysed": A_DONE,  # too late to be cancelled
        **dict.fromkeys(("error", "superseded"), A_CANCELLED),
    },
    "cancelled": dict.fromkeys(A_UNTOUCHED, A_CANCELLED),
    "retried": {
        **dict.fromkeys(("begin", "stage", "finished", "failed", "died"), ("queued", "", 1)),
        **dict.fromkeys(("analysed", "error", "superseded"), A_AGAIN),
    },
    "paused": dict.fromkeys(A_UNTOUCHED, A_PAUSED),
    "ended": dict.fromkeys(A_UNTOUCHED, A_DONE),
}
CASES = [
    pytest.param(kind, state, event, expected, id=f"{kind}-{state}-{event}")
    for kind, table in (("train", TRAINING), ("analyze", ANALYSIS))
    for state, events in table.items()
    for event, expected in events.items()
]


@pytest.mark.parametrize(("kind", "state", "event", "expected"), CASES)
def test_an_event_does_what_it_is_to_do_and_nothing_else(
    tmp_path: Path, kind: str, state: str, event: str, expected: tuple[str, str, int]
) -> None:
    scene = Scene(tmp_path, kind, slots=2 if state == "retried elsewhere" else 1)
    bring_to(scene, state)
    before = scene.outcome()
    scene.happen(event, NEVER_WAS)
    scene.steps()
    assert scene.outcome() == before
    scene.happen(event)
    scene.steps()
    assert scene.outcome() == expected
    if state.startswith("retried"):
        member = scene.people.snapshot(scene.job).members
        assert all((m.worker, m.step, m.loss) == ("", 0, None) for m in member)  # of the attempt that was abandoned


TAKEN_OVER = {
    "accepted": ("queued", "queued", 0),
    "running": ("running", "running", 1),
    "progressed": ("running", "running", 1),
    "cancelling": ("cancelled", "cancelled", 0),
    "cancelled": ("cancelled", "cancelled", 0),
    "retried": ("running", "running", 1),
    "pausing": ("paused", "queued", 0),
    "paused": ("paused", "queued", 0),
    "ended": ("done", "done", 0),
}


@pytest.mark.parametrize("kind", ["train", "analyze"])
@pytest.mark.parametrize("survives", [True, False])
@pytest.mark.parametrize("state", TAKEN_OVER)
def test_the_next_engine_goes_on_in_every_state(tmp_path: Path, kind: str, survives: bool, state: str) -> None:
    scene = Scene(tmp_path, kind)
    bring_to(scene, state)
    first, key = scene.cluster, scene.key
    scene.engine._locks.release_others(set())  # as the end of its process does
    scene.cluster = FakeCluster(0 if state == "accepted" else 1)
    if survives:
        scene.cluster.surviving = first.submitted
    scene.engine = Engine(EngineJobStore(tmp_path), scene.cluster, "token")  # type: ignore[arg-type]
    scene.steps()
    job, member, tasks = scene.outcome()
    if kind == "train":
        expected = TAKEN_OVER[state]
        if survives and state in ("cancelling", "pausing"):
            assert scene.cluster.cancelled == [key]  # a task that goes on beside a scheduler of its own
            tasks -= 1
        assert (job, member, tasks) == expected
        if state in ("running", "progressed"):
            assert (scene.key == key) == survives
    else:
        assert (job, tasks) == (TAKEN_OVER[state][0], TAKEN_OVER[state][2])
    for event in EVENTS:  # of the task that the last engine dispatched, and that nobody follows any more
        if key not in scene.engine.running:
            scene.happen(event, key)
    scene.steps()
    assert scene.outcome()[:2] == (job, member)


@pytest.mark.parametrize(("last", "expected"), [("done", DONE), ("error", FAILED)])
@pytest.mark.parametrize("end", ["finished", "failed", "died"])
def test_what_the_worker_reported_last_counts_however_dask_ends_the_task(
    tmp_path: Path, last: str, end: str, expected: tuple[str, str, int]
) -> None:
    scene = Scene(tmp_path)
    bring_to(scene, "progressed")
    for event in (last, "begin", "progress", end):
        scene.happen(event)
    scene.steps()
    assert scene.outcome() == expected
    assert scene.engine.running == {}


@pytest.mark.parametrize("state", ["cancelled", "retried", "paused"])
def test_an_abandoned_task_holds_its_slot_until_its_process_is_killed_or_gone(tmp_path: Path, state: str) -> None:
    scene = Scene(tmp_path)
    bring_to(scene, state)
    scene.happen("begin")
    scene.steps()
    scene.engine.timeouts = EngineTimeouts(grace_seconds=0.05)
    time.sleep(0.06)
    scene.steps(1)
    assert scene.cluster.killed == [77]
    assert scene.key in scene.engine.running
    scene.cluster.present = ["tcp://127.0.0.1:9"]  # the nanny's next process
    scene.steps()
    assert scene.key not in scene.engine.running
    assert scene.outcome()[0] == {"cancelled": "cancelled", "retried": "running", "paused": "paused"}[state]


def test_a_task_whose_worker_was_gone_before_it_began_is_dispatched_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_module, "WORKERS_SECONDS", 0.0)
    scene = Scene(tmp_path)
    scene.steps(1)
    scene.cluster.present = ["tcp://127.0.0.1:9"]
    scene.steps()
    assert scene.cluster.cancelled == [scene.key]
    assert list(scene.cluster.submitted.values()) == ["tcp://127.0.0.1:1", "tcp://127.0.0.1:9"]


def test_a_cancelled_job_lets_go_of_its_ensemble_though_another_begins_at_once(tmp_path: Path) -> None:
    scene = Scene(tmp_path, slots=2)
    scene.steps()
    other = scene.people.submit_training(spec_of(), analyze=False)
    scene.people.set_desired_state(scene.job, "cancel")
    scene.steps()
    assert [scene.people.job(job_id).state for job_id in (scene.job, other)] == ["cancelled", "running"]
    with EnsembleStore(tmp_path).lock(ensemble_id_of(scene.spec)):
        pass
    scene.happen("superseded")
    again = scene.submit()
    scene.steps()
    assert again != scene.job
    assert scene.people.job(again).state == "running"
    with pytest.raises(BusyError), EnsembleStore(tmp_path).lock(ensemble_id_of(scene.spec)):
        pass


@pytest.mark.parametrize("kind", ["train", "analyze"])
@pytest.mark.parametrize("by", ["submit", "resume"])
def test_what_is_asked_for_again_while_it_is_being_cancelled_goes_on(tmp_path: Path, kind: str, by: str) -> None:
    scene = Scene(tmp_path, kind)
    bring_to(scene, "cancelling")
    if by == "submit":
        assert scene.submit(kind) == scene.job
    else:
        scene.people.set_desired_state(scene.job, "run")
    scene.happen("superseded")
    scene.steps()
    assert scene.outcome() == (AGAIN if kind == "train" else A_AGAIN)


def test_members_that_a_cancel_had_reached_are_trained_after_all_when_the_job_is_to_go_on(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    scene.people.set_desired_state(scene.job, "cancel")
    scene.steps()
    scene.spec = spec_of(members=80)  # more than one task
    scene.job = scene.submit()
    scene.happen("superseded", scene.key)
    scene.steps()
    first = list(scene.cluster.submitted)[-1]
    for event in ("begin", "progress"):
        scene.happen(event, first)
    scene.steps()
    scene.people.set_desired_state(scene.job, "cancel")
    scene.steps()
    assert scene.people.job(scene.job).counts == {"running": 32, "cancelled": 48}
    scene.submit()
    scene.steps()
    assert scene.people.job(scene.job).counts == {"running": 32, "queued": 48}


def test_a_retry_while_others_train_leaves_the_job_running(tmp_path: Path) -> None:
    scene = Scene(tmp_path, slots=2)
    scene.people.set_desired_state(scene.job, "cancel")
    scene.spec = spec_of(members=2)
    scene.job = scene.submit()
    scene.steps()
    one, _ = scene.cluster.submitted
    scene.happen("failed", one)
    scene.steps()
    scene.cluster.present.clear()  # nobody could begin what is retried
    assert scene.people.job(scene.job).counts == {"failed": 1, "running": 1}
    scene.people.retry(scene.job)
    scene.engine.engine_store.sync()
    scene.engine._enforce_desired_state(scene.engine.engine_store.open[scene.job])
    scene.engine.engine_store.flush()
    assert scene.people.job(scene.job).counts == {"queued": 1, "running": 1}
    assert scene.people.job(scene.job).state == "running"


def test_a_request_that_could_not_be_read_is_read_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(tmp_path)
    store = scene.engine.engine_store
    with monkeypatch.context() as patch:
        patch.setattr(store, "job", _unreadable)
        with pytest.raises(sqlite3.OperationalError):
            store.sync()
    store.sync()
    assert list(store.open) == [scene.job]


def _unreadable(job_id: str) -> None:
    raise sqlite3.OperationalError("disk I/O error")


def test_a_job_that_cannot_be_accepted_yet_says_once_who_asked_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = Scene(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(scene.engine.store, "create", _full)
        for _ in range(3):
            with pytest.raises(OSError, match="full"):
                scene.engine.step()
    scene.steps()
    assert sum("asked for it" in line.text for line in scene.people.log_lines(scene.job)) == 1


def _full(*arguments: object) -> None:
    raise OSError("full")
