"""Dask, as far as the engine needs it: a cluster, work handed out, worker processes found and ended.

One slot is one process with one thread. The engine chooses the process for each piece of work among those that have
none, so Dask's own choice, queueing, stealing and retries stay out of the way: Dask alone would put work behind other
work, for hours, when a process has not quite joined. A death is known at once, and the engine decides what follows.
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
from urllib.parse import urlsplit

import dask
from distributed import Client, Future, Nanny, Scheduler, SpecCluster, fire_and_forget
from distributed.core import Status
from distributed.security import Security

from vaefrag.jobs.checkpoint_transfer import CheckpointTransfer, WorkspaceProbe
from vaefrag.jobs.heartbeat import HeartbeatMonitor
from vaefrag.loopback import is_loopback
from vaefrag_core.errors import InvalidInputError, MissingDataError

TOPIC = "vaefrag"
OFFER, GPU_OFFER = "cpu", "gpu"  # a process offers one of them, so that it never has two pieces of work
WORKER_ENVIRONMENT = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
TLS_FILES = ("ca.pem", "cert.pem", "key.pem")


@dataclass(frozen=True)
class ConnectedWorker:
    """A worker process as the scheduler describes it."""

    address: str
    name: str
    offers: Mapping[str, float]
    cpu_percent: float
    memory_bytes: int


@dataclass(frozen=True)
class FinishedTask:
    """A piece of work that is over.

    Args:
        key: of the work. What came of it, the worker has told before.
        error: why it could not be done.
        died: whether its worker was lost, which says nothing about the work.
    """

    key: str
    error: str = ""
    died: bool = False


def configure_dask() -> None:
    """Set what Dask reads when a scheduler or a worker starts, in this process and those it starts."""
    logging.getLogger("distributed").setLevel(logging.WARNING)
    dask.config.set(
        {
            "distributed.scheduler.allowed-failures": 0,
            "distributed.scheduler.work-stealing": False,
            "distributed.scheduler.worker-ttl": None,  # `Silence` is quicker
            "distributed.worker.daemon": False,
            "distributed.worker.profile.enabled": False,
            "distributed.admin.low-level-log-length": 200,
            # Dask's own 64 KiB make glibc give memory back at every step, and tensors fault it in again: 1.6 × slower.
            "distributed.nanny.pre-spawn-environ.MALLOC_TRIM_THRESHOLD_": 2**28,
            "distributed.nanny.pre-spawn-environ.MALLOC_MMAP_THRESHOLD_": 2**25,
        }
    )


def check_address(address: str, security: Security | None) -> None:
    """Refuse an address beyond this machine unless TLS is set.

    Args:
        address: a host, or a scheduler's tcp:// or tls:// address.
        security: from `read_security`.

    Raises:
        InvalidInputError: saying why.
    """
    host = urlsplit(address).hostname if "://" in address else address
    if address.startswith("tls://") and security is None:
        raise InvalidInputError(f"{address} needs certificates. Give their folder with --tls (docs/engine.md).")
    if security is None and not is_loopback(host or ""):
        raise InvalidInputError(
            f"{address} can be reached from other machines, and whoever reaches a Dask scheduler can run code as you."
            " Give a folder of certificates with --tls (docs/engine.md says how to make them), or use 127.0.0.1."
        )


def read_security(folder: Path | None) -> Security | None:
    """Read the certificates of a lab: each side shows its own, signed by the lab's authority, and checks the other's.

    Args:
        folder: with ca.pem, cert.pem and key.pem; None for no TLS.

    Raises:
        MissingDataError: when one is not there.
    """
    if folder is None:
        return None
    missing = [name for name in TLS_FILES if not (folder / name).is_file()]
    if missing:
        raise MissingDataError(f"{folder}: expected {', '.join(TLS_FILES)}; {', '.join(missing)} is not there.")
    authority, certificate, key = (str(folder.absolute() / name) for name in TLS_FILES)
    sides = {f"tls_{side}_cert": certificate for side in ("scheduler", "worker", "client")}
    sides |= {f"tls_{side}_key": key for side in ("scheduler", "worker", "client")}
    return Security(require_encryption=True, tls_ca_file=authority, **sides)


class SlotNanny(Nanny):
    """Dask's, but once it is to close it starts no further process, which nobody would end.

    A process that was silent and wakes up brings both: the scheduler has asked for another in its place, and it asks
    to be let go itself.
    """

    async def instantiate(self) -> Status:
        """Start the slot's process, unless it is too late."""
        if self.status in (Status.closing_gracefully, Status.closing, Status.closed):
            return self.status
        return await super().instantiate()


def nanny_options(security: Security | None, host: str | None = None, gpu: int | None = None) -> dict[str, Any]:
    """Say how one slot's process is started.

    Args:
        security: certificates.
        host: address at which the engine reaches it.
        gpu: number of the card that it trains on; None for the CPU.
    """
    card = {} if gpu is None else {"CUDA_VISIBLE_DEVICES": _visible_card(gpu)}
    return {
        "nthreads": 1,
        "memory_limit": 0,  # a member that needs more than others is not to be ended half-way
        "resources": {OFFER if gpu is None else GPU_OFFER: 1},
        "env": WORKER_ENVIRONMENT | card,
        "host": host,
        "security": security,
        "dashboard": False,
        "dashboard_address": "127.0.0.1:0",
        "silence_logs": logging.WARNING,
    }


def _visible_card(number: int) -> str:
    """Name a card as CUDA does, among those that this process may see."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    return visible.split(",")[number] if visible else str(number)


class Cluster:
    """Workers, of our own or of a scheduler that runs elsewhere.

    Args:
        workspace: where checkpoints are kept.
        token: that a worker finds in the workspace when it sees the same folder.
        slots: processes of our own; unused with `scheduler`.
        scheduler: address of one that runs; None for our own.
        host: that our own listens on.
        port: likewise; 0 for any.
        security: certificates.
        worker_lost_seconds: silence of a worker after which its work is lost.
    """

    def __init__(
        self,
        workspace: Path,
        token: str,
        *,
        slots: int = 1,
        scheduler: str | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        security: Security | None = None,
        worker_lost_seconds: float = 60.0,
    ) -> None:
        check_address(scheduler or host, security)
        self.events: queue.Queue[dict[str, Any] | FinishedTask] = queue.Queue()
        self.outlives_us = scheduler is not None
        self._own = None if scheduler else _own_cluster(slots, host, port, security)
        self._client = Client(scheduler or self._own, security=security, timeout=30)
        self._client.register_plugin(CheckpointTransfer(str(workspace)))
        self._client.register_plugin(HeartbeatMonitor(worker_lost_seconds))
        self._client.register_plugin(WorkspaceProbe(str(workspace), token))
        self._client.subscribe_topic(TOPIC, lambda event: self.events.put(event[1]))
        self._futures: dict[str, Future] = {}

    @property
    def address(self) -> str:
        """Where workers join."""
        return str(self._client.scheduler.address)

    def workers(self) -> list[ConnectedWorker]:
        """Give the worker processes that there are."""
        # Not `Client.scheduler_info`: the client itself overwrites its answer now and then, by one without any workers.
        found = self._client.sync(self._client.scheduler.identity, n_workers=-1)["workers"]
        return [
            ConnectedWorker(
                address=address,
                name=str(facts["id"]),
                offers=facts["resources"],
                cpu_percent=float(facts.get("metrics", {}).get("cpu", 0.0)),
                memory_bytes=int(facts.get("metrics", {}).get("memory", 0)),
            )
            for address, facts in found.items()
        ]

    def mend(self) -> None:
        """Start anew what is gone for good of our own: Dask lets go of a process that dies while it starts."""
        if self._own is not None:
            self._own.loop.add_callback(_mend, self._own)

    def known(self, keys: Sequence[str]) -> dict[str, str]:
        """Give the pieces of work that the scheduler still has from before this engine began, and where they are.

        Returns:
            The address of the worker that is at it by key; "" when none is.
        """
        if not self.outlives_us or not keys:
            return {}
        return dict(self._client.run_on_scheduler(_tasks_among, keys=list(keys)))

    def submit(
        self, key: str, function: Callable[..., Any], *arguments: Any, address: str, needs: Sequence[str]
    ) -> None:
        """Hand out a piece of work to one worker, or take up again what the scheduler has under the same key."""
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
            fire_and_forget(future)
        self._futures[key] = future
        future.add_done_callback(lambda done: self.events.put(_ended(done)))

    def stop(self, key: str) -> None:
        """Let a piece of work know that it is no longer wanted."""
        future = self._futures.pop(key, None)
        if future is not None:
            self._client.cancel([future], force=True)

    def forget(self, key: str) -> None:
        """Let go of what a piece of work returned."""
        self._futures.pop(key, None)

    def kill(self, address: str, pid: int, host: str) -> None:
        """End a worker process that does not listen; its nanny starts another."""
        if host == socket.gethostname() and not self.outlives_us:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        else:
            # It may not answer at all, so the engine does not wait for it.
            wishes = {"workers": [address], "wait": False, "on_error": "ignore"}
            threading.Thread(target=self._client.run, args=(_die,), kwargs=wishes, daemon=True).start()

    def close(self) -> None:
        """Let go of the scheduler; our own ends with all its workers."""
        with suppress(TimeoutError, OSError):
            self._client.close(timeout=2)
        if self._own is not None:
            with suppress(TimeoutError, OSError):
                self._own.close(timeout=10)


def _own_cluster(slots: int, host: str, port: int, security: Security | None) -> SpecCluster:
    scheduler = {
        "host": host,
        "port": port,
        "security": security,
        "dashboard": False,
        "dashboard_address": "127.0.0.1:0",
    }
    worker = {"cls": SlotNanny, "options": nanny_options(security, host)}
    return SpecCluster(
        workers=dict.fromkeys(range(slots), worker),
        scheduler={"cls": Scheduler, "options": scheduler},
        security=security,
        silence_logs=logging.WARNING,
    )


def _mend(own: SpecCluster) -> None:
    for name, nanny in list(own.workers.items()):
        if nanny.status in (Status.closed, Status.failed):
            del own.workers[name]
    if len(own.workers) < len(own.worker_spec):
        own.scale(len(own.worker_spec))  # as many as there were, but it looks which of them are there


def _ended(future: Future) -> FinishedTask:
    if future.status == "finished":
        return FinishedTask(future.key)
    error = future.exception() if future.status == "error" else None
    died = error is None or type(error).__name__ in ("KilledWorker", "CommClosedError", "NoValidWorkerError")
    return FinishedTask(future.key, error=str(error) if error else "its scheduler was lost", died=died)


def _tasks_among(keys: list[str], dask_scheduler: Scheduler | None = None) -> dict[str, str]:
    tasks = dask_scheduler.tasks if dask_scheduler else {}
    at_work = {key: tasks[key].processing_on for key in keys if key in tasks}
    return {key: worker.address if worker else "" for key, worker in at_work.items()}


async def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
