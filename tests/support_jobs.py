"""A workspace with engines and workers as real processes, and a scheduler alone."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path

import numpy as np
from distributed import Scheduler

from vaefrag.jobs.dask_cluster import SilentScheduler, configure_dask
from vaefrag.jobs.engine_process import engine_state
from vaefrag.jobs.job_models import JobSnapshot
from vaefrag.jobs.job_store import JobStore
from vaefrag_core.config import EnsembleSpec, FingerprintConfig, ModelConfig, Objective, TrainConfig
from vaefrag_core.ensemble_store import EnsembleStore, ensemble_id_of
from vaefrag_core.training.checkpoints import load_checkpoint, member_status
from vaefrag_core.training.ensemble_training import train_ensemble

LONG = 1_000_000  # steps that no test waits for
HERE = {"host": "127.0.0.1", "dashboard": False}

_seeds = count(1)


def spec_of(members: int = 1, steps: int = LONG, snapshots: int = 0, objective: Objective = "beta-vae") -> EnsembleSpec:
    """A small ensemble, unlike all others."""
    return EnsembleSpec(
        model=ModelConfig(widths=(16,), channels=3),
        train=TrainConfig(objective=objective, steps=steps, seed=next(_seeds), snapshots=snapshots),
        fingerprint=FingerprintConfig(size=40),
        members=members,
    )


class Lab:
    """One workspace.

    Args:
        workspace: its folder.
    """

    def __init__(self, workspace: Path) -> None:
        self.workspace = workspace
        self.job_store = JobStore(workspace)
        self.store = EnsembleStore(workspace)
        self.processes: list[subprocess.Popen[bytes]] = []

    def engine(self, *arguments: str, slots: int = 1, **settings: object) -> subprocess.Popen[bytes]:
        """Start an engine and wait until it is ready."""
        process = self.start(
            "engine", "--workspace", str(self.workspace), "--slots", str(slots), *arguments, **settings
        )
        self.wait(lambda: bool(self.address()) or process.poll() is not None)
        assert process.poll() is None
        return process

    def worker(self, *arguments: str, before: tuple[str, ...] = ()) -> subprocess.Popen[bytes]:
        """Start a worker by hand, for the workspace's engine unless an address is given."""
        return self.start("worker", *arguments, "--workspace", str(self.workspace), before=before)

    def start(self, *arguments: str, before: tuple[str, ...] = (), **settings: object) -> subprocess.Popen[bytes]:
        """Start a command of ours in a session of its own."""
        environment = os.environ | {f"VAEFRAG_{name.upper()}": str(value) for name, value in settings.items()}
        command = [*before, sys.executable, "-m", "vaefrag.cli", *arguments]
        process = subprocess.Popen(command, env=environment, start_new_session=True)
        self.processes.append(process)
        return process

    def address(self) -> str:
        """Where workers join; empty while there is no engine."""
        state = engine_state(self.workspace)
        return state.address if state.running else ""

    def wait(self, condition: Callable[[], object], seconds: float = 60) -> None:
        """Wait until something is so, looking whenever the job store changes; print all jobs if it never is."""
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                for job in self.job_store.jobs():
                    lines = [line.text for line in self.job_store.log_lines(job.id)]
                    print(job, self.job_store.snapshot(job.id).members, *lines, self.job_store.workers(), sep="\n")
                raise AssertionError("it did not happen in time")
            self._until_changed()

    def _until_changed(self, most_seconds: float = 0.3) -> None:
        """Wait for the next change of the job store; some things are not in it, so not for ever."""
        revision, until = self.job_store.revision(), time.monotonic() + most_seconds
        while self.job_store.revision() == revision and time.monotonic() < until:
            time.sleep(0.02)

    def snapshot(self, job_id: str) -> JobSnapshot:
        """A job as it stands."""
        return self.job_store.snapshot(job_id)

    def state(self, job_id: str) -> str:
        """The state of a job."""
        return self.job_store.job(job_id).state

    def wait_for_step(self, job_id: str, member: int = 0, beyond: int = 0) -> int:
        """Wait until a member has been trained beyond a step and a checkpoint says so, and return that step."""
        folder = self.store.members_folder(self.job_store.job(job_id).submission.ensemble_id) / str(member)

        def step() -> int:
            return member_status(folder.parent, member).step

        self.wait(lambda: step() > beyond and self.snapshot(job_id).members[member].step > beyond)
        return step()

    def worker_pid(self, job_id: str, member: int = 0) -> int:
        """The process that trains a member."""
        self.wait(lambda: self.snapshot(job_id).members[member].worker)
        return int(self.snapshot(job_id).members[member].worker.split()[-1])

    def weights_are_those_of_a_plain_run(self, spec: EnsembleSpec, folder: Path) -> bool:
        """Return whether all members came out as in one uninterrupted run in this process, to the last bit."""
        train_ensemble(spec, folder)
        here = self.store.members_folder(ensemble_id_of(spec))
        same = []
        for m in range(spec.members):
            one, other = load_checkpoint(folder / str(m)), load_checkpoint(here / str(m))
            assert one is not None
            assert other is not None
            same.append(other.state == "done")
            same += [np.array_equal(one.weights[name], other.weights[name]) for name in one.weights]
            same += [np.array_equal(array, other.discriminator[name]) for name, array in one.discriminator.items()]
            same.append(np.array_equal(one.history.loss, other.history.loss))
            same.append(list(one.snapshots) == list(other.snapshots))
            same += [
                np.array_equal(array, other.snapshots[step][name])
                for step, encoder in one.snapshots.items()
                for name, array in encoder.items()
            ]
        return all(same)

    def close(self) -> None:
        """End all processes."""
        for process in self.processes:
            if process.poll() is None:
                process.terminate()
        deadline = time.monotonic() + 5
        for process in self.processes:
            try:
                process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def kill(pid: int) -> None:
    """End a process the hard way."""
    os.kill(pid, signal.SIGKILL)


def with_a_scheduler(look: Callable[[Scheduler], Awaitable[object]]) -> None:
    """Look at a scheduler; in a thread, as the browser that other tests keep open has a loop of its own in this one."""

    async def run() -> None:
        configure_dask()
        async with SilentScheduler(port=0, **HERE) as scheduler, asyncio.timeout(60):
            await look(scheduler)

    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, run()).result()
