"""The engine as a process: one per workspace, started when needed, ending when nobody needs it."""

import fcntl
import logging
import os
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

from vaefrag_core.ensemble_store import write_text
from vaefrag_core.errors import BusyError

if TYPE_CHECKING:
    from vaefrag.settings import Settings

log = logging.getLogger("vaefrag.engine")

LOCK, NEEDED, LOG, ADDRESS = "engine.lock", "engine.needed", "engine.log", "engine.address"
MOST_LOG_BYTES = 2**20
KEEP_SECONDS = 5.0  # between two looks whether the engine is alive


@dataclass(frozen=True)
class EngineState:
    """What can be said of a workspace's engine from outside.

    Args:
        running: whether there is one.
        address: where workers join; empty until it is ready.
    """

    running: bool
    address: str = ""


def run_engine(settings: "Settings", *, slots: int | None = None, idle_seconds: float | None = None) -> None:
    """Be the engine of a workspace until SIGTERM, Ctrl-C, or until nothing has been needed for a while.

    Args:
        settings: name the workspace and the cluster.
        slots: processes of our own; None for as many as the settings say.
        idle_seconds: without work or anybody who needs it, after which it ends; None for never.

    Raises:
        BusyError: when there is one already.
        InvalidInputError: when it would be reached from other machines without TLS.
    """
    from vaefrag.jobs.dask_cluster import Cluster, check_address, configure_dask, read_security
    from vaefrag.jobs.engine import Engine
    from vaefrag.jobs.engine_config import EngineTimeouts, GpuConfig
    from vaefrag.jobs.engine_job_store import EngineJobStore

    security = read_security(settings.tls)
    check_address(settings.scheduler or settings.engine_host, security)
    folder = jobs_folder(settings.workspace)
    with _only_one(folder) as held:
        _begin_log()
        began = time.monotonic()
        from vaefrag.jobs.checkpoint_transfer import TOKEN_FILE

        token = secrets.token_hex(16)
        write_text(folder / TOKEN_FILE, token)
        configure_dask()
        engine_store = EngineJobStore(settings.workspace)
        cluster = Cluster(
            engine_store.workspace,
            token,
            slots=slots or settings.slots or cores(),
            scheduler=settings.scheduler,
            host=settings.engine_host,
            port=settings.engine_port,
            security=security,
            worker_lost_seconds=settings.worker_lost_seconds,
        )
        try:
            write_text(folder / ADDRESS, cluster.address)
            log.info("Ready after %.1f s; workers join at %s.", time.monotonic() - began, cluster.address)
            pace = EngineTimeouts(
                grace=settings.grace_seconds,
                turn=settings.turn_seconds,
                analysis=settings.analysis_seconds,
                checkpoint=settings.checkpoint_seconds,
            )
            life = _Life(folder, idle_seconds)
            cards = GpuConfig(device=settings.gpu_device, members=settings.gpu_members)
            Engine(engine_store, cluster, token, pace, cards).run(life.over)
            log.info("Ends: %s.", life.reason)
        finally:
            (folder / ADDRESS).unlink(missing_ok=True)
            cluster.close()
            held.close()


class _Life:
    """When the engine ends.

    Args:
        folder: of the jobs.
        idle_seconds: see `run_engine`.
    """

    def __init__(self, folder: Path, idle_seconds: float | None) -> None:
        self.reason = ""
        self._idle_seconds, self._busy_at = idle_seconds, time.monotonic()
        self._needed = (folder / NEEDED).open("a")
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._told)

    def over(self, busy: bool) -> bool:
        """Say whether to end. Once it has said so, nobody can come to need this engine before it is gone."""
        if self.reason:
            return True
        now = time.monotonic()
        if busy:
            self._busy_at = now
        if self._idle_seconds is None or now - self._busy_at < self._idle_seconds:
            return False
        try:
            fcntl.flock(self._needed, fcntl.LOCK_EX | fcntl.LOCK_NB)  # kept until this process has ended
        except OSError:
            self._busy_at = now
            return False
        self.reason = f"idle for {self._idle_seconds:g} s"
        return True

    def _told(self, number: int, frame: object) -> None:
        self.reason = signal.Signals(number).name


@contextmanager
def needed_engine(settings: "Settings", *, slots: int | None = None) -> Iterator["EngineKeeper"]:
    """Have an engine for the workspace, started beside this process when there is none; it stays while this lasts."""
    folder = jobs_folder(settings.workspace)
    with (folder / NEEDED).open("a") as needed:
        fcntl.flock(needed, fcntl.LOCK_SH)  # waits for an engine that is about to end
        keeper = EngineKeeper(settings, slots)
        keeper.ensure()
        yield keeper


@contextmanager
def kept_engine(settings: "Settings") -> Iterator[None]:
    """Have an engine for as long as this lasts, started again whenever it is gone."""
    over = threading.Event()

    def keep(keeper: EngineKeeper) -> None:
        while not over.wait(KEEP_SECONDS):
            keeper.ensure()

    with needed_engine(settings) as keeper:
        threading.Thread(target=keep, args=(keeper,), daemon=True).start()
        try:
            yield
        finally:
            over.set()


class EngineKeeper:
    """Starts the engine of a workspace, again if it has to be.

    Args:
        settings: name the workspace.
        slots: processes that the engine shall have.
    """

    def __init__(self, settings: "Settings", slots: int | None) -> None:
        self._settings, self._slots = settings, slots
        self._child: subprocess.Popen[bytes] | None = None

    def ensure(self) -> None:
        """Start an engine when none runs."""
        if self._child is not None and self._child.poll() is None:
            return
        if not engine_state(self._settings.workspace).running:
            self._child = _start(self._settings, self._slots)

    def failure(self) -> str:
        """Say why the engine that was started here has ended by itself; nothing when it has not."""
        if self._child is None or self._child.poll() in (None, 0):
            return ""
        path = jobs_folder(self._settings.workspace) / LOG
        lines = path.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return f"{lines[-1] if lines else 'the engine ended'} ({path} says more)"


def engine_state(workspace: Path) -> EngineState:
    """Say whether a workspace has an engine, and where workers join it."""
    folder = workspace.absolute() / "jobs"
    try:
        with (folder / LOCK).open("r") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return EngineState(False)
    except FileNotFoundError:
        return EngineState(False)
    except OSError:
        path = folder / ADDRESS
        return EngineState(True, path.read_text(encoding="utf-8") if path.is_file() else "")


def jobs_folder(workspace: Path) -> Path:
    """Give the folder of the record, made for this user alone when it is not there."""
    folder = workspace.absolute() / "jobs"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def cores() -> int:
    """Count the cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def _only_one(folder: Path) -> Iterator[IO[str]]:
    with (folder / LOCK).open("a") as file:
        for wait in (0.1, 0.2, 0.4, None):
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError:
                if wait is None:
                    raise BusyError(
                        f"{folder.parent} has an engine already. Stop that one first, or give it work by"
                        " `vaefrag train`."
                    ) from None
                time.sleep(wait)  # somebody may just be looking whether there is an engine
        yield file


def _start(settings: "Settings", slots: int | None) -> "subprocess.Popen[bytes]":
    """Start the engine as a process of its own, which goes on when this one ends."""
    folder = jobs_folder(settings.workspace)
    path = folder / LOG
    if path.exists() and path.stat().st_size > MOST_LOG_BYTES:
        path.replace(path.with_suffix(".log.1"))
    command = [sys.executable, "-P", "-m", "vaefrag", "engine", "--workspace", str(settings.workspace.absolute())]
    command += ["--idle", f"{settings.engine_idle_seconds:g}"]
    command += ["--slots", str(slots)] if slots else []
    with path.open("ab") as file:
        return subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, start_new_session=True, close_fds=True
        )


def _begin_log() -> None:
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
    log.setLevel(logging.INFO)
