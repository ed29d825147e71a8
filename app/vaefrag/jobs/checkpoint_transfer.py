"""Checkpoints of workers that do not see the workspace, sent over their connection to the scheduler.

The scheduler's side runs where the scheduler is: on a machine of its own it needs the workspace's folder there too,
and this package installed.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

from distributed import Scheduler, SchedulerPlugin, Worker, WorkerPlugin, get_worker
from distributed.utils import sync

from vaefrag.jobs.attempt_lease import LeaseLostError, acquire_lease, read_checkpoint, write_checkpoint
from vaefrag_core.ensemble_store import EnsembleStore

TOKEN_FILE = "engine.token"


class CheckpointTransfer(SchedulerPlugin):
    """The scheduler's side: reads and writes checkpoints of the workspace.

    Args:
        workspace: the workspace's folder.
    """

    name = "vaefrag-checkpoint-transfer"

    def __init__(self, workspace: str) -> None:
        self.workspace = workspace

    async def start(self, scheduler: Scheduler) -> None:
        """Answer the requests of workers from now on."""
        scheduler.handlers["vaefrag_begin"] = self.begin
        scheduler.handlers["vaefrag_save"] = self.save

    async def begin(self, ensemble_id: str, member: int, attempt: int) -> dict[str, Any]:
        """Begin an attempt; return the checkpoint that it goes on from as "content"."""

        def answer() -> dict[str, Any]:
            acquire_lease(self._folder(ensemble_id, member), attempt)
            return {"content": read_checkpoint(self._folder(ensemble_id, member))}

        return await _run_in_thread(answer)

    async def save(self, ensemble_id: str, member: int, attempt: int, content: bytes) -> dict[str, Any]:
        """Replace a checkpoint."""

        def answer() -> dict[str, Any]:
            write_checkpoint(self._folder(ensemble_id, member), attempt, content)
            return {}

        return await _run_in_thread(answer)

    def _folder(self, ensemble_id: str, member: int) -> Path:
        return EnsembleStore(self.workspace).members_folder(ensemble_id) / str(int(member))


class WorkspaceProbe(WorkerPlugin):
    """The worker's side: offers the resource "workspace" when the worker sees the same folder as the engine.

    Args:
        workspace: the workspace's folder.
        token: the text that the engine wrote there.
    """

    name = "vaefrag-workspace-probe"

    def __init__(self, workspace: str, token: str) -> None:
        self.workspace, self.token = workspace, token

    async def setup(self, worker: Worker) -> None:
        """Look for the folder, and tell the scheduler."""
        if sees_workspace(self.workspace, self.token):
            await worker.set_resources(workspace=1)


def sees_workspace(workspace: str, token: str) -> bool:
    """Return whether this process sees the folder in which the engine left its token."""
    try:
        return (Path(workspace) / "jobs" / TOKEN_FILE).read_text(encoding="ascii") == token
    except OSError:
        return False


def begin_remotely(ensemble_id: str, member: int, attempt: int) -> bytes | None:
    """Begin an attempt on a worker that does not see the folder.

    Returns:
        The checkpoint that it goes on from; None when there is none.

    Raises:
        LeaseLostError: when a later attempt has begun.
        OSError: when the checkpoint cannot be read.
    """
    worker = get_worker()
    answer = sync(worker.loop, worker.scheduler.vaefrag_begin, ensemble_id=ensemble_id, member=member, attempt=attempt)
    content = _raise_errors(answer).get("content")
    return None if content is None else bytes(content)


def save_remotely(ensemble_id: str, member: int, attempt: int, content: bytes) -> None:
    """Save a checkpoint from a worker that does not see the folder.

    Raises:
        LeaseLostError: when a later attempt has begun.
        OSError: when it cannot be written there.
    """
    worker = get_worker()
    answer = sync(
        worker.loop,
        worker.scheduler.vaefrag_save,
        ensemble_id=ensemble_id,
        member=member,
        attempt=attempt,
        content=content,
    )
    _raise_errors(answer)


async def _run_in_thread(answer: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Return an answer that takes time on the disk, which the scheduler's event loop must not wait for."""
    # Errors go back as words: an exception in a handler would close the worker's connection.
    try:
        return await asyncio.to_thread(answer)
    except LeaseLostError as error:
        return {"lease_lost": str(error)}
    except OSError as error:
        return {"failed": f"{error.strerror or error}"}


def _raise_errors(answer: dict[str, Any]) -> dict[str, Any]:
    if "lease_lost" in answer:
        raise LeaseLostError(answer["lease_lost"])
    if "failed" in answer:
        raise OSError(answer["failed"])
    return answer
