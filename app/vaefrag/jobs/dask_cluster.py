"""The Dask cluster, as far as the engine needs it: tasks submitted and cancelled, workers listed and killed.

One slot is one process with one thread. The engine chooses the process for each task among the idle ones, so Dask's
own choice, queueing, stealing and retries stay out of the way: Dask alone would put a task behind another, for hours,
when a process has not quite joined. A death is reported at once, and the engine decides what follows.
"""

import logging
import os
import queue
import signal
import socket
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dask
from distributed import Client, Future, Nanny, Scheduler, SpecCluster, Worker, fire_and_forget
from distributed.core import Status
from distributed.security import Security

from vaefrag.jobs.checkpoint_transfer import CheckpointTransfer, WorkspaceProbe
from vaefrag.jobs.heartbeat import HeartbeatMonitor

TOPIC = "vaefrag"
OFFER, GPU_OFFER = "cpu", "gpu"  # a process offers one of them, so that it never has two tasks
BESIDE_GPU = "beside-gpu"  # such a process has a core, and the GPU of its machine for short work beside the training
WORKER_ENVIRONMENT = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


@dataclass(frozen=True)
class ConnectedWorker:
    """A worker process as the scheduler describes it.

    Args:
        address: the address at which Dask reaches it.
        name: its host and process id.
        offers: its resources, such as cpu 1, workspace 1.
        cpu_percent: its load, percent of one core.
        memory_bytes: its resident memory.
    """

    address: str
    name: str
    offers: Mapping[str, float]
    cpu_percent: float
    memory_bytes: int


@dataclass(frozen=True)
class FinishedTask:
    """A task that Dask has ended; its worker has reported the result before.

    Args:
        key: the key of the task.
        error: the reason why it could not be done.
        died: whether its worker was lost, which says nothing about the task.
    """

    key: str
    error: str = ""
    died: bool = False


def configure_dask() -> None:
    """Configure the schedulers and workers of this process and of those that it starts."""
    logging.getLogger("distributed").setLevel(logging.WARNING)
    dask.config.set(
        {
            "distributed.scheduler.allowed-failures": 0,
            "distributed.scheduler.work-stealing": False,
            "distributed.scheduler.worker-ttl": None,  # `HeartbeatMonitor` is quicker
            "distributed.worker.daemon": False,  # daemons may not start processes, such as those of a DataLoader
            "distributed.worker.profile.enabled": False,
            "distributed.admin.low-level-log-length": 200,
            # Dask's own 64 KiB make glibc give memory back at every step, and tensors fault it in again: 1.6 × slower.
            "distributed.nanny.pre-spawn-environ.MALLOC_TRIM_THRESHOLD_": 2**28,
            "distributed.nanny.pre-spawn-environ.MALLOC_MMAP_THRESHOLD_": 2**25,
        }
    )


class SilentScheduler(Scheduler):
    """A scheduler that serves no pages: Dask's would tell every account of the machine what is done here."""

    def start_http_server(self, *arguments: Any, **options: Any) -> None:
        """Start none."""


class SlotWorker(Worker):
    """The process of one slot; it serves no pages either."""

    def start_http_server(self, *arguments: Any, **options: Any) -> None:
        """Start none."""


class SlotNanny(Nanny):
    """A nanny of one slot that starts no further process once it is closing: nobody would end that process."""

    async def instantiate(self) -> Status:
        """Start the slot's process, unless the nanny is closing."""
        # A process that was silent and wakes up brings both at once: the scheduler asks for another in its place, and
        # the process itself asks to be closed.
        if self.status in (Status.closing_gracefully, Status.closing, Status.closed):
            return self.status
        return await super().instantiate()


def nanny_options(host: str | None = None, gpu: int | None = None, *, beside_gpu: bool = False) -> dict[str, Any]:
    """Return the options of the nanny that starts one slot's process, all but its certificates.

    Args:
        host: the address at which the engine reaches it.
        gpu: the number of the GPU that it trains on; None for the CPU.
        beside_gpu: whether a process of the CPU may use a GPU of the engine's machine in analyses.
    """
    device = {} if gpu is None else {"CUDA_VISIBLE_DEVICES": _visible_gpu(gpu)}
    return {
        "nthreads": 1,
        "memory_limit": 0,  # a member that needs more than others is not to be ended half-way
        "resources": {OFFER if gpu is None else GPU_OFFER: 1} | ({BESIDE_GPU: 1} if beside_gpu else {}),
        "env": WORKER_ENVIRONMENT | device,
        "host": host,
        "worker_class": SlotWorker,
        "dashboard": False,
        "silence_logs": logging.WARNING,
    }


def _visible_gpu(number: int) -> str:
    """Return CUDA's name of a GPU, among those that this process may use."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    return visible.split(",")[number] if visible else str(number)


class Cluster:
    """A Dask cluster: a scheduler and workers of our own, or those of a scheduler that runs elsewhere.

    Args:
        workspace: the workspace's folder, with the checkpoints.
        token: the text by which workers recognize that folder.
        slots: the number of our own processes; unused with `scheduler`.
        gpus: the number of GPUs, each with one more process of our own that trains on it; unused with `scheduler`.
        scheduler: the address of a scheduler that runs elsewhere; None for our own.
        host: the address that our own listens on.
        port: the port that our own listens on; 0 for any.
        security: the certificates that all sides show.
        worker_lost_seconds: the time that a worker may be silent before its task is lost.
    """

    def __init__(
        self,
        workspace: Path,
        token: str,
        *,
        security: Security,
        slots: int = 1,
        gpus: int = 0,
        scheduler: str | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        worker_lost_seconds: float = 60.0,
    ) -> None:
        self.events: queue.Queue[dict[str, Any] | FinishedTask] = queue.Queue()
        self.outlives_us = scheduler is not None
        self.has_gpu = gpus > 0 and not self.outlives_us
        self._own = None if scheduler else _own_cluster(slots, gpus, host, port, security)
        self._client = Client(scheduler or self._own, security=security, timeout=30)
        self._client.register_plugin(CheckpointTransfer(str(workspace)))
        self._client.register_plugin(HeartbeatMonitor(worker_lost_seconds))
        self._client.register_plugin(WorkspaceProbe(str(workspace), token))
        self._client.subscribe_topic(TOPIC, lambda event: self.events.put(event[1]))
        self._futures: dict[str, Future[Any]] = {}

    @property
    def address(self) -> str:
        """The address at which workers join."""
        return str(self._scheduler.address)

    @property
    def _scheduler(self) -> Any:
        return self._client.scheduler  # a proxy whose methods are the scheduler's handlers: it has no types

    def workers(self) -> list[ConnectedWorker]:
        """Return the worker processes that the scheduler knows."""
        # Not `Client.scheduler_info`: the client itself overwrites its answer now and then, by one without any workers.
        workers = self._client.sync(self._scheduler.identity, n_workers=-1)["workers"]
        return [
            ConnectedWorker(
                address=address,
                name=str(facts["id"]),
                offers=facts["resources"],
                cpu_percent=float(facts.get("metrics", {}).get("cpu", 0.0)),
                memory_bytes=int(facts.get("metrics", {}).get("memory", 0)),
            )
            for address, facts in workers.items()
        ]

    def restart_dead_workers(self) -> None:
        """Start our own processes again that are gone for good: Dask gives up one that dies while it starts."""
        if self._own is not None and self._own.loop is not None:
            self._own.loop.add_callback(_restart_dead_workers, self._own)

    def surviving_tasks(self, keys: Sequence[str]) -> dict[str, str]:
        """Return the tasks of an earlier engine that the scheduler still has.

        Returns:
            The address of each task's worker by key; "" for a task that no worker has.
        """
        if not self.outlives_us or not keys:
            return {}
        return dict(self._client.run_on_scheduler(_find_tasks, keys=list(keys)))

    def submit(
        self, key: str, function: Callable[..., Any], *arguments: Any, address: str, needs: Sequence[str]
    ) -> None:
        """Submit a task to one worker, or follow the one that the scheduler still has under the same key."""
        future = self._client.submit(
            function,
            *arguments,
            key=key,
            pure=False,
            workers=[address] if address else None,
            resources=dict.fromkeys(needs, 1),
            retries=0,
        )
        if self.outlives_us:
            fire_and_forget(future)  # else the scheduler cancels it when this engine is gone
        self._futures[key] = future
        future.add_done_callback(lambda done: self.events.put(_finished_task(done)))

    def cancel(self, key: str) -> None:
        """Cancel a task; its worker notices, and stops by itself."""
        future = self._futures.pop(key, None)
        if future is not None:
            self._client.cancel([future], force=True)

    def forget(self, key: str) -> None:
        """Release a task that is over, so that the scheduler forgets it too."""
        self._futures.pop(key, None)

    def kill(self, address: str, pid: int, host: str) -> None:
        """Kill a worker process that does not stop; its nanny starts another."""
        if host == socket.gethostname() and not self.outlives_us:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        else:
            # It may not answer at all, so the engine does not wait for it.
            options = {"workers": [address], "wait": False, "on_error": "ignore"}
            threading.Thread(target=self._client.run, args=(_kill_this_process,), kwargs=options, daemon=True).start()

    def close(self) -> None:
        """Leave the scheduler; our own ends with all its workers."""
        with suppress(TimeoutError, OSError):
            self._client.close(timeout=2)
        if self._own is not None:
            with suppress(TimeoutError, OSError):
                self._own.close(timeout=10)


def _own_cluster(slots: int, gpus: int, host: str, port: int, security: Security) -> SpecCluster:
    scheduler = {"host": host, "port": port, "security": security, "protocol": "tls", "dashboard": False}
    options = [nanny_options(host, beside_gpu=gpus > 0)] * slots + [nanny_options(host, gpu) for gpu in range(gpus)]
    return SpecCluster(
        workers={
            slot: {"cls": SlotNanny, "options": of_slot | {"security": security}}
            for slot, of_slot in enumerate(options)
        },
        scheduler={"cls": SilentScheduler, "options": scheduler},
        security=security,
        silence_logs=logging.WARNING,
    )


def _restart_dead_workers(own: SpecCluster) -> None:
    for name, nanny in list(own.workers.items()):
        if nanny.status in (Status.closed, Status.failed):
            del own.workers[name]
    if len(own.workers) < len(own.worker_spec):
        own.scale(len(own.worker_spec))  # the same number, but this starts those that are missing


def _finished_task(future: Future[Any]) -> FinishedTask:
    key = str(future.key)
    if future.status == "finished":
        return FinishedTask(key)
    error = future.exception() if future.status == "error" else None
    died = error is None or type(error).__name__ in ("KilledWorker", "CommClosedError", "NoValidWorkerError")
    return FinishedTask(key, error=str(error) if error else "its scheduler was lost", died=died)


def _find_tasks(keys: list[str], dask_scheduler: Scheduler | None = None) -> dict[str, str]:
    tasks = dask_scheduler.tasks if dask_scheduler else {}
    workers = {key: tasks[key].processing_on for key in keys if key in tasks}
    return {key: worker.address if worker else "" for key, worker in workers.items()}


async def _kill_this_process() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
