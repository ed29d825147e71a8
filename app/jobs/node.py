"""`vaefrag worker`: processes that join an engine, here or on another machine, and again after every loss."""

import asyncio
import logging
import os
import socket
import tempfile
from pathlib import Path
from typing import Any

from distributed import Nanny
from distributed.security import Security

from app.jobs.cluster import check_address, configure_dask, nanny_options, read_security

log = logging.getLogger("vaefrag.worker")

AGAIN_SECONDS = 2.0  # between two tries to join


def work_for(
    address: str,
    *,
    slots: int = 1,
    host: str | None = None,
    tls: Path | None = None,
    once: bool = False,
) -> None:
    """Take work from an engine until Ctrl-C or SIGTERM.

    Args:
        address: of the engine's scheduler, tcp:// or tls://.
        slots: processes that train side by side.
        host: the address of this machine at which the engine reaches it; None for the one that leads there.
        tls: folder of certificates.
        once: end when the engine is lost, as a batch job should, instead of joining again.

    Raises:
        InvalidInputError: when the address can be reached from other machines and there are no certificates.
    """
    security = read_security(tls)
    check_address(address, security)
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
    log.setLevel(logging.INFO)
    configure_dask()
    asyncio.run(_serve(address, slots, host, security, once))


async def _serve(address: str, slots: int, host: str | None, security: Security | None, once: bool) -> None:
    with tempfile.TemporaryDirectory(prefix="vaefrag-worker-") as scratch:
        while True:
            try:
                await _until_lost(address, slots, nanny_options(security, host) | {"local_directory": scratch})
                log.info("Lost %s.", address)
            except (OSError, TimeoutError) as error:
                log.info("Cannot join %s (%s).", address, error)
            if once:
                return
            await asyncio.sleep(AGAIN_SECONDS)


async def _until_lost(address: str, slots: int, options: dict[str, Any]) -> None:
    name = f"{socket.gethostname()} {os.getpid()}"
    nannies = [Nanny(address, name=f"{name}.{i}", **options) for i in range(slots)]
    try:
        await asyncio.gather(*nannies)
        log.info("Joined %s with %d slots.", address, slots)
        await asyncio.gather(*(nanny.finished() for nanny in nannies))
    finally:
        await asyncio.gather(*(nanny.close(timeout=2) for nanny in nannies), return_exceptions=True)
