"""Each task goes to the worker that the engine chose, whatever becomes of it meanwhile.

The engines run in this process, so that what they see of their workers can be chosen.
"""

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from distributed import Worker, WorkerPlugin
from distributed.security import Security

from support_jobs import spec_of
from vaefrag.jobs.dask_cluster import Cluster, ConnectedWorker, configure_dask
from vaefrag.jobs.engine import Engine
from vaefrag.jobs.engine_job_store import EngineJobStore

GONE = ConnectedWorker(
    "tcp://127.0.0.1:1", "gone", {"cpu": 1}, 0.0, 0
)  # offers less than the others, so it comes first
JOINING_SECONDS = 1.5


class Watched(Cluster):
    """A cluster that shows one more worker than it has, from when it is told to until that worker is given work."""

    shows_gone = False

    def workers(self) -> list[ConnectedWorker]:
        workers = super().workers()
        return [GONE, *workers] if self.shows_gone else workers

    def submit(self, key: str, *arguments: object, address: str, **options: object) -> None:
        self.shows_gone = self.shows_gone and address != GONE.address
        super().submit(key, *arguments, address=address, **options)  # type: ignore[arg-type]


class JoinsSlowly(WorkerPlugin):
    """Keeps a worker that begins from running anything, though the scheduler has it in its list."""

    def setup(self, worker: Worker) -> None:
        time.sleep(JOINING_SECONDS)


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Watched]:
    """Two workers."""
    configure_dask()
    cluster = Watched(tmp_path, "token", slots=2, security=Security.temporary())
    yield cluster
    cluster.close()


@pytest.fixture
def engine(cluster: Watched, tmp_path: Path) -> Engine:
    """An engine that has them."""
    return Engine(EngineJobStore(tmp_path), cluster, "token")


def run_until(engine: Engine, condition: Callable[[], bool]) -> None:
    until = time.monotonic() + 60
    engine.run(lambda busy: condition() or time.monotonic() > until)
    assert condition()


def test_work_for_a_worker_that_is_gone_goes_to_another(engine: Engine, cluster: Watched) -> None:
    cluster.shows_gone = True
    job_id = engine.engine_store.submit_training(spec_of(steps=20), analyze=False)
    run_until(engine, lambda: engine.engine_store.job(job_id).ended)
    (row,) = engine.engine_store.snapshot(job_id).members
    assert (row.state, row.step, row.attempt) == ("done", 20, 2)


def test_work_for_a_worker_that_still_joins_is_not_put_behind_other_work(engine: Engine, cluster: Watched) -> None:
    long = engine.engine_store.submit_training(spec_of(), analyze=False)
    run_until(engine, lambda: engine.engine_store.snapshot(long).members[0].step > 0)
    (task,) = engine.running.values()
    before = {worker.address for worker in cluster.workers()}
    (idle,) = before - {task.address}
    cluster._client.register_plugin(JoinsSlowly())
    pid = cluster._client.run(os.getpid, workers=[idle])[idle]
    os.kill(pid, signal.SIGKILL)
    run_until(engine, lambda: len({worker.address for worker in cluster.workers()} - {idle}) == 2)
    short = engine.engine_store.submit_training(spec_of(steps=20), analyze=False)
    run_until(engine, lambda: engine.engine_store.job(short).ended)
    assert engine.engine_store.snapshot(long).members[0].state == "running"
    assert engine.engine_store.snapshot(short).members[0].attempt == 1


def test_no_worker_is_overlooked_when_the_client_asks_for_none_in_between(
    cluster: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dask's client keeps one answer of the scheduler, which its own regular question, without workers, replaces."""
    ask = cluster._client._update_scheduler_info

    async def overtaken(n_workers: int = 0) -> None:
        await ask(n_workers)
        await ask(0)

    monkeypatch.setattr(cluster._client, "_update_scheduler_info", overtaken)
    assert len(cluster.workers()) == 2
