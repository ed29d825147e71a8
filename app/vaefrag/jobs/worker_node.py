"""A worker node, `vaefrag worker`: slots that join an engine, from any machine, and again after every loss."""

import asyncio
import logging
import os
import socket
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from distributed import Nanny
from distributed.security import Security

from vaefrag.jobs.cluster_security import OWN_FOLDER, check_scheduler, read_security
from vaefrag.jobs.dask_cluster import SlotNanny, configure_dask, nanny_options
from vaefrag.jobs.engine_config import GpuConfig
from vaefrag.jobs.engine_process import engine_state, jobs_folder
from vaefrag.jobs.gpu_detection import count_gpus
from vaefrag.jobs.safe_path import use_safe_path
from vaefrag.plurals import counted
from vaefrag_core.errors import InvalidInputError, MissingDataError

log = logging.getLogger("vaefrag.worker")

REJOIN_SECONDS = 2.0  # between two tries to join

Meeting = tuple[str, Security | None]  # a scheduler's address, and the certificates to show there


def run_worker_node(
    meet: Callable[[], Meeting],
    *,
    slots: int = 1,
    gpus: int = 0,
    host: str | None = None,
    once: bool = False,
    device: str | None = None,
) -> None:
    """Do the work of an engine until Ctrl-C or SIGTERM.

    Args:
        meet: returns where the engine is, from `meet_at` or `meet_engine_of`; asked before each try to join.
        slots: the number of processes that train side by side.
        gpus: the number of GPUs of this machine that they train on, in turn; 0 for the CPU. Where there are more slots
            than GPUs, several slots share one.
        host: the address of this machine at which the engine reaches it; None for the one that leads there.
        once: whether to end when the engine is lost, as a batch job should, instead of joining again.
        device: torch's name for a GPU; None for that of CUDA.

    Raises:
        InvalidInputError: when there are fewer GPUs.
    """
    _check_gpus(gpus, device or GpuConfig.device)
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
    log.setLevel(logging.INFO)
    configure_dask()
    options = [nanny_options(host, slot % gpus if gpus else None) for slot in range(slots)]
    use_safe_path()
    asyncio.run(run_slots(meet, options, once=once))


def meet_at(address: str, tls: Path | None) -> Callable[[], Meeting]:
    """Return where an engine is that has certificates of its lab.

    Args:
        address: the address of its scheduler, tls://….
        tls: the folder of certificates.

    Raises:
        InvalidInputError: when there are no certificates, or the address is of a scheduler without TLS.
        MissingDataError: when a file is missing.
    """

    def meet() -> Meeting:
        return address, None if tls is None else read_security(tls)  # an engine may have made others meanwhile

    check_scheduler(*meet())
    return meet


def meet_engine_of(workspace: Path) -> Callable[[], Meeting]:
    """Return where the engine of a workspace on this machine is, by the certificates that it leaves there."""

    def meet() -> Meeting:
        address = engine_state(workspace).address
        if not address:
            raise MissingDataError(f"{workspace} has no engine yet.")
        return address, read_security(jobs_folder(workspace) / OWN_FOLDER)

    return meet


def _check_gpus(gpus: int, device: str) -> None:
    if not gpus:
        return
    usable = count_gpus(device) if device.startswith("cuda") else gpus
    if usable < gpus:
        raise InvalidInputError(
            f"Expected {counted(gpus, 'GPU')} on this machine, got {usable} that torch can use. Ask for fewer with"
            " --gpus, or install a torch that knows them."
        )


async def run_slots(meet: Callable[[], Meeting], options: list[dict[str, Any]], *, once: bool = False) -> None:
    """Run slots that join a scheduler, each again after every loss.

    Args:
        meet: returns where the scheduler is; asked before each try to join.
        options: the options of each slot's nanny, from `nanny_options`.
        once: whether a slot ends at its first loss.
    """
    name = f"{socket.gethostname()} {os.getpid()}"
    with tempfile.TemporaryDirectory(prefix="vaefrag-worker-") as scratch:
        slots = [slot | {"name": f"{name}.{i}", "local_directory": scratch} for i, slot in enumerate(options)]
        await asyncio.gather(*(_run_slot(meet, slot, once) for slot in slots))


async def _run_slot(meet: Callable[[], Meeting], options: dict[str, Any], once: bool) -> None:
    while True:
        try:
            address, security = meet()
        except MissingDataError as error:
            log.info("Cannot join: %s", error)
        else:
            await _join(address, security, options)
        if once:
            return
        await asyncio.sleep(REJOIN_SECONDS)


async def _join(address: str, security: Security | None, options: dict[str, Any]) -> None:
    """Join a scheduler, and return when it is lost or cannot be joined."""
    nanny: Nanny = SlotNanny(address, security=security, **options)
    try:
        await nanny
        log.info("Joined %s as %s.", address, options["name"])
        await nanny.finished()
        log.info("Lost %s.", address)
    except (OSError, TimeoutError) as error:
        log.info("Cannot join %s (%s).", address, error)
    except RuntimeError as error:  # the scheduler may still wait for the process that had this one's name
        log.info("Cannot join %s (%s).", address, error.__cause__ or error)
    finally:
        with suppress(Exception):  # however it ends, another nanny takes its place
            await nanny.close(timeout=2)
