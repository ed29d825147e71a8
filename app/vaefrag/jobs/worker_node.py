"""A worker node, `vaefrag worker`: slots that join an engine, from any machine, and again after every loss."""

import asyncio
import logging
import os
import socket
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

from distributed import Nanny

from vaefrag.jobs.dask_cluster import SlotNanny, check_address, configure_dask, nanny_options, read_security
from vaefrag.jobs.engine_config import GpuConfig
from vaefrag.jobs.gpu_detection import count_gpus
from vaefrag.jobs.safe_path import use_safe_path
from vaefrag.plurals import counted
from vaefrag_core.errors import InvalidInputError

log = logging.getLogger("vaefrag.worker")

REJOIN_SECONDS = 2.0  # between two tries to join


def run_worker_node(
    address: str,
    *,
    slots: int = 1,
    gpus: int = 0,
    host: str | None = None,
    tls: Path | None = None,
    once: bool = False,
    device: str | None = None,
) -> None:
    """Do the work of an engine until Ctrl-C or SIGTERM.

    Args:
        address: the address of the engine's scheduler, tcp:// or tls://.
        slots: the number of processes that train side by side.
        gpus: the number of GPUs of this machine that they train on, in turn; 0 for the CPU. Where there are more slots
            than GPUs, several slots share one.
        host: the address of this machine at which the engine reaches it; None for the one that leads there.
        tls: the folder of certificates.
        once: whether to end when the engine is lost, as a batch job should, instead of joining again.
        device: torch's name for a GPU; None for that of CUDA.

    Raises:
        InvalidInputError: when the address can be reached from other machines and there are no certificates, or
            when there are fewer GPUs.
    """
    security = read_security(tls)
    check_address(address, security)
    _check_gpus(gpus, device or GpuConfig.device)
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
    log.setLevel(logging.INFO)
    configure_dask()
    options = [nanny_options(security, host, slot % gpus if gpus else None) for slot in range(slots)]
    use_safe_path()
    asyncio.run(run_slots(address, options, once=once))


def _check_gpus(gpus: int, device: str) -> None:
    if not gpus:
        return
    usable = count_gpus(device) if device.startswith("cuda") else gpus
    if usable < gpus:
        raise InvalidInputError(
            f"Expected {counted(gpus, 'GPU')} on this machine, got {usable} that torch can use. Ask for fewer with"
            " --gpus, or install a torch that knows them."
        )


async def run_slots(address: str, options: list[dict[str, Any]], *, once: bool = False) -> None:
    """Run slots that join a scheduler, each again after every loss.

    Args:
        address: the address of the scheduler.
        options: the options of each slot's nanny, from `nanny_options`.
        once: whether a slot ends at its first loss.
    """
    name = f"{socket.gethostname()} {os.getpid()}"
    with tempfile.TemporaryDirectory(prefix="vaefrag-worker-") as scratch:
        slots = [slot | {"name": f"{name}.{i}", "local_directory": scratch} for i, slot in enumerate(options)]
        await asyncio.gather(*(_run_slot(address, slot, once) for slot in slots))


async def _run_slot(address: str, options: dict[str, Any], once: bool) -> None:
    while True:
        nanny: Nanny = SlotNanny(address, **options)
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
        if once:
            return
        await asyncio.sleep(REJOIN_SECONDS)
