"""Checkpoints of workers that do not see the workspace travel over their connection to the scheduler.

The scheduler's side runs where the workspace is; with a scheduler of its own machine, the workspace's folder has to be
there too, and this package installed.
"""

import asyncio
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
        workspace: its folder.
    """

    name = "vaefrag-blobs"

    def __init__(self, workspace: str) -> None:
        self.workspace = workspace

    async def start(self, scheduler: Scheduler) -> None:
        """Answer workers from now on."""
        scheduler.handlers["vaefrag_begin"] = self.begin
        scheduler.handlers["vaefrag_save"] = self.save

    async def begin(self, ensemble_id: str, member: int, attempt: int) -> dict[str, Any]:
        """Begin an attempt; gives the checkpoint that it goes on from."""

        def work() -> dict[str, Any]:
            acquire_lease(self._folder(ensemble_id, member), attempt)
            return {"content": read_checkpoint(self._folder(ensemble_id, member))}

        return await _answer(work)

    async def save(self, ensemble_id: str, member: int, attempt: int, content: bytes) -> dict[str, Any]:
        """Put a checkpoint in place of the last."""

        def work() -> dict[str, Any]:
            write_checkpoint(self._folder(ensemble_id, member), attempt, content)
            return {}

        return await _answer(work)

    def _folder(self, ensemble_id: str, member: int) -> Path:
        return EnsembleStore(self.workspace).members_folder(ensemble_id) / str(int(member))


class WorkspaceProbe(WorkerPlugin):
    """The worker's side: offers the resource "workspace" when it sees the same folder as the engine.

    Args:
        workspace: its folder.
        token: what the engine wrote there.
    """

    name = "vaefrag-sight"

    def __init__(self, workspace: str, token: str) -> None:
        self.workspace, self.token = workspace, token

    async def setup(self, worker: Worker) -> None:
        """Look, and tell the scheduler."""
        if sees_workspace(self.workspace, self.token):
            await worker.set_resources(workspace=1)


def sees_workspace(workspace: str, token: str) -> bool:
    """Say whether this process sees the folder in which the engine left its token."""
    try:
        return (Path(workspace) / "jobs" / TOKEN_FILE).read_text(encoding="ascii") == token
    except OSError:
        return False


def begin_remotely(ensemble_id: str, member: int, attempt: int) -> bytes | None:
    """Begin an attempt on a worker without the folder; gives the checkpoint that it goes on from."""
    worker = get_worker()
    arguments = {"ensemble_id": ensemble_id, "member": member, "attempt": attempt}
    content = _checked(sync(worker.loop, worker.scheduler.vaefrag_begin, **arguments)).get("content")
    return None if content is None else bytes(content)


def save_remotely(ensemble_id: str, member: int, attempt: int, content: bytes) -> None:
    """Send a checkpoint home.

    Raises:
        SupersededError: when a later attempt has begun.
        OSError: when it cannot be written there.
    """
    worker = get_worker()
    arguments = {"ensemble_id": ensemble_id, "member": member, "attempt": attempt, "content": content}
    _checked(sync(worker.loop, worker.scheduler.vaefrag_save, **arguments))


async def _answer(work: Any) -> dict[str, Any]:
    """Run disk work beside the scheduler's loop; what goes wrong goes back as words, not as an exception of Dask's."""
    try:
        return dict(await asyncio.to_thread(work))
    except LeaseLostError as error:
        return {"superseded": str(error)}
    except OSError as error:
        return {"failed": f"{error.strerror or error}"}


def _checked(answer: dict[str, Any]) -> dict[str, Any]:
    if "superseded" in answer:
        raise LeaseLostError(answer["superseded"])
    if "failed" in answer:
        raise OSError(answer["failed"])
    return answer
