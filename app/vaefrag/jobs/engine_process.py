"""The engine's process: one per workspace, started when it is needed, ended when it is idle."""

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
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

from vaefrag.fault_sentences import fault_sentence
from vaefrag.jobs.record_file import examine, restore_record
from vaefrag.jobs.safe_path import use_safe_path
from vaefrag_core.ensemble_store import make_private_folder, write_text
from vaefrag_core.errors import BusyError, InvalidInputError

if TYPE_CHECKING:
    from vaefrag.settings import Settings

log = logging.getLogger("vaefrag.engine")

LOCK_FILE, NEEDED_FILE, LOG_FILE, ADDRESS_FILE = "engine.lock", "engine.needed", "engine.log", "engine.address"
DEVICE_FILE = "engine.device"
HEARTBEAT_FILE = "engine.heartbeat"  # its time is that of the last beat; its content the engine's process id
BEAT_SECONDS = 1.0  # between two beats
MOST_LOG_BYTES = 2**20
CHECK_SECONDS = 5.0  # between two checks whether the engine is alive


@dataclass(frozen=True)
class EngineState:
    """The state of a workspace's engine, as other processes see it.

    Args:
        running: whether there is one.
        address: the address at which workers join; empty until it is ready.
        silent_seconds: since its main loop last came round.
        pid: its process id; 0 when it is not known.
        device: the device of its own processes, "cpu", "cuda" or "mps"; empty until it is ready, and when they are a
            scheduler's that runs elsewhere.
    """

    running: bool
    address: str = ""
    silent_seconds: float = 0.0
    pid: int = 0
    device: str = ""

    def responds(self, allowed_seconds: float) -> bool:
        """Return whether it runs and its main loop has come round within that time."""
        return self.running and self.silent_seconds <= allowed_seconds


def run_engine(settings: "Settings", *, slots: int | None = None, idle_seconds: float | None = None) -> None:
    """Run the engine of a workspace until SIGTERM, Ctrl-C, or until it has been idle for a while.

    Args:
        settings: the settings, which name the workspace and the cluster.
        slots: the number of worker processes; None for as many as the settings say.
        idle_seconds: the time after which it ends when nothing is to be done and no process needs it; None for never.

    Raises:
        BusyError: when there is one already.
        InvalidInputError: when it would be reached from other machines, or reach a scheduler, without certificates; or
            when there is no GPU of the kind that is asked for.
    """
    from vaefrag.jobs.checkpoint_transfer import TOKEN_FILE
    from vaefrag.jobs.cluster_security import check_host, check_scheduler, delete_security, make_security, read_security
    from vaefrag.jobs.dask_cluster import Cluster, configure_dask
    from vaefrag.jobs.engine import Engine
    from vaefrag.jobs.engine_config import EngineTimeouts, GpuConfig
    from vaefrag.jobs.engine_job_store import EngineJobStore
    from vaefrag.jobs.gpu_detection import find_gpus

    given = None if settings.tls is None else read_security(settings.tls)
    if settings.scheduler:
        check_scheduler(settings.scheduler, given)
    else:
        check_host(settings.engine_host, given)
    folder = jobs_folder(settings.workspace)
    with _exclusive_lock(folder) as lock:
        _configure_log()
        use_safe_path()
        if done := restore_record(folder):
            log.warning(done)
        write_text(folder / HEARTBEAT_FILE, str(os.getpid()))
        began = time.monotonic()
        found = None if settings.scheduler else find_gpus(settings.device, settings.gpu_device)
        # Another at every start: a copy of the workspace elsewhere does not pass for this one.
        token = secrets.token_hex(16)
        write_text(folder / TOKEN_FILE, token)
        configure_dask()
        security = given or make_security(folder)
        engine_store = EngineJobStore(settings.workspace)
        cluster = Cluster(
            engine_store.workspace,
            token,
            slots=slots or settings.slots or count_cores(),
            gpus=found.count if found else 0,
            scheduler=settings.scheduler,
            host=settings.engine_host,
            port=settings.engine_port,
            security=security,
            worker_lost_seconds=settings.worker_lost_seconds,
        )
        try:
            write_text(folder / DEVICE_FILE, found.choice if found else "")
            write_text(folder / ADDRESS_FILE, cluster.address)
            log.info("Ready after %.1f s; workers join at %s.", time.monotonic() - began, cluster.address)
            timeouts = EngineTimeouts(
                grace_seconds=settings.grace_seconds,
                turn_seconds=settings.turn_seconds,
                analysis_seconds=settings.analysis_seconds,
                checkpoint_seconds=settings.checkpoint_seconds,
            )
            device = found.device if found and found.count else settings.gpu_device or GpuConfig.device
            gpus = GpuConfig(device=device, members=settings.gpu_members)
            shutdown = _Shutdown(folder, idle_seconds)
            Engine(engine_store, cluster, token, timeouts, gpus).run(shutdown.should_end)
            log.info("Ends: %s.", shutdown.reason)
        finally:
            (folder / ADDRESS_FILE).unlink(missing_ok=True)
            (folder / DEVICE_FILE).unlink(missing_ok=True)
            delete_security(folder)
            cluster.close()  # before the lock, so that no other engine starts while workers still end
            lock.close()


class _Shutdown:
    """Decides when the engine ends: at a signal, or when it has been idle for a while.

    Args:
        folder: the folder of the job store.
        idle_seconds: see `run_engine`.
    """

    def __init__(self, folder: Path, idle_seconds: float | None) -> None:
        self.reason = ""
        self._idle_seconds, self._busy_at = idle_seconds, time.monotonic()
        self._needed = (folder / NEEDED_FILE).open("a")
        self._heartbeat, self._beat_at = folder / HEARTBEAT_FILE, 0.0
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)

    def should_end(self, busy: bool) -> bool:
        """Return whether the engine is to end; once it is, no other process can begin to need it before it is gone."""
        if self.reason:
            return True
        now = time.monotonic()
        if now - self._beat_at > BEAT_SECONDS:
            self._beat_at = now
            with suppress(OSError):
                os.utime(self._heartbeat)  # which a full disk does not keep from being done
        if busy:
            self._busy_at = now
        if self._idle_seconds is None or now - self._busy_at < self._idle_seconds:
            return False
        try:
            # Kept until this process has ended: whoever needs an engine from now on waits, and then starts another.
            fcntl.flock(self._needed, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._busy_at = now
            return False
        self.reason = f"idle for {self._idle_seconds:g} s"
        return True

    def _on_signal(self, number: int, frame: object) -> None:
        self.reason = signal.Signals(number).name


@contextmanager
def ensure_engine(settings: "Settings", *, slots: int | None = None) -> Iterator["EngineSupervisor"]:
    """Start an engine for the workspace unless there is one; it does not end for idleness while this context lasts.

    Raises:
        InvalidInputError: when a kind of device is asked for that this machine lacks, or the engine that runs does not
            use.
    """
    check_device(settings)
    folder = jobs_folder(settings.workspace)
    with (folder / NEEDED_FILE).open("a") as needed:
        fcntl.flock(needed, fcntl.LOCK_SH)  # waits for an engine that is about to end
        if examine(folder).sentence:  # before anything is written to it; an engine that runs ends, and mends it itself
            with suppress(BusyError):
                restore(settings.workspace)
        supervisor = EngineSupervisor(settings, slots)
        supervisor.ensure()
        yield supervisor


def check_device(settings: "Settings") -> None:
    """Refuse a device that is named and that the engine of a workspace would not use.

    Raises:
        InvalidInputError: when this machine lacks it, or the engine that runs uses another.
    """
    from vaefrag.jobs.gpu_detection import find_gpus

    if settings.device == "auto" or settings.scheduler:
        return
    running = engine_state(settings.workspace)
    if not running.running:
        find_gpus(settings.device, settings.gpu_device)
    elif running.device not in ("", settings.device):
        raise InvalidInputError(
            f"Expected an engine on {settings.device}, got one that runs already, on {running.device}. Leave --device"
            " out to work with that one, or stop it first."
        )


@contextmanager
def supervise_engine(settings: "Settings") -> Iterator[None]:
    """Start an engine for the workspace, and start it again whenever it is gone, while this context lasts."""
    ended = threading.Event()

    def supervise(supervisor: EngineSupervisor) -> None:
        while not ended.wait(CHECK_SECONDS):
            supervisor.ensure()

    try:
        needed = ExitStack()
        supervisor = needed.enter_context(ensure_engine(settings))
    except OSError as error:
        log.warning("No engine is started: %s What is there is shown all the same.", fault_sentence(error))
        yield
        return
    with needed:
        threading.Thread(target=supervise, args=(supervisor,), daemon=True).start()
        try:
            yield
        finally:
            ended.set()


class EngineSupervisor:
    """Starts the engine of a workspace, and starts it again when it is gone.

    Args:
        settings: the settings, which name the workspace.
        slots: the number of the engine's worker processes; None for as many as the settings say.
    """

    def __init__(self, settings: "Settings", slots: int | None) -> None:
        self._settings, self._slots = settings, slots
        self._child: subprocess.Popen[bytes] | None = None

    def ensure(self) -> None:
        """Start an engine unless one runs."""
        if self._child is not None and self._child.poll() is None:
            return
        if not engine_state(self._settings.workspace).running:
            self._child = _start(self._settings, self._slots)

    def failure(self) -> str:
        """Return the reason why the engine that this process started has failed; an empty text when it has not."""
        if self._child is None or self._child.poll() in (None, 0):
            return ""
        if engine_state(self._settings.workspace).running:
            self._child = None  # another command's engine was first, and does the work of both
            return ""
        path = jobs_folder(self._settings.workspace) / LOG_FILE
        lines = path.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return f"{lines[-1] if lines else 'the engine ended'} ({path} says more)"


def restore(workspace: Path) -> str:
    """Put the good copy in the place of a record of jobs that is damaged, lost or emptied.

    Returns:
        What was done, in a sentence; an empty text when there was nothing to do.

    Raises:
        BusyError: when an engine runs.
    """
    folder = jobs_folder(workspace)
    with _exclusive_lock(folder):
        return restore_record(folder)


def engine_state(workspace: Path) -> EngineState:
    """Return whether a workspace has an engine, and where workers join it."""
    folder = workspace.absolute() / "jobs"
    try:
        with (folder / LOCK_FILE).open("r") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return EngineState(False)
    except FileNotFoundError:
        return EngineState(False)
    except OSError:  # locked
        device = _text_of(folder / DEVICE_FILE)
        return EngineState(True, _text_of(folder / ADDRESS_FILE), *_heartbeat(folder / HEARTBEAT_FILE), device=device)


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError:  # not written yet, or of an engine that has just ended
        return ""


def _heartbeat(path: Path) -> tuple[float, int]:
    """Return the seconds since the last beat, and the engine's process id."""
    try:
        silent = max(0.0, time.time() - path.stat().st_mtime)
    except OSError:  # of an engine of an earlier version, or one that has just begun
        return 0.0, 0
    content = _text_of(path)
    return silent, int(content) if content.isdecimal() else 0


def jobs_folder(workspace: Path) -> Path:
    """Return the folder of the job store; create it, for this user alone, when it is not there."""
    folder = workspace.absolute() / "jobs"
    make_private_folder(folder)
    return folder


def count_cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def _exclusive_lock(folder: Path) -> Iterator[IO[str]]:
    with (folder / LOCK_FILE).open("a") as file:
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
                time.sleep(wait)  # `engine_state` of another process holds it for a moment
        yield file


def _start(settings: "Settings", slots: int | None) -> "subprocess.Popen[bytes]":
    """Start the engine as a process of its own session, which goes on when this process ends."""
    folder = jobs_folder(settings.workspace)
    path = folder / LOG_FILE
    if path.exists() and path.stat().st_size > MOST_LOG_BYTES:
        path.replace(path.with_suffix(".log.1"))
    # -P, as `use_safe_path` comes too late for what Python imports before it runs a line of ours.
    command = [sys.executable, "-P", "-m", "vaefrag", "engine", "--workspace", str(settings.workspace.absolute())]
    command += ["--idle", f"{settings.engine_idle_seconds:g}"]
    command += ["--slots", str(slots)] if slots else []
    command += ["--device", settings.device]
    with path.open("ab") as file:
        return subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, start_new_session=True, close_fds=True
        )


def _configure_log() -> None:
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
    log.setLevel(logging.INFO)
