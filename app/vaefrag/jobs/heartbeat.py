"""The heartbeat of workers: one that has been silent for too long is removed, so that its work can go on elsewhere.

Dask's own limit first waits half a minute for the silent process to end.
"""

import asyncio
from contextlib import suppress

from distributed import Scheduler, SchedulerPlugin
from distributed.metrics import time
from distributed.scheduler import heartbeat_interval
from tornado.ioloop import PeriodicCallback

CHECKS = 10  # in the time that a worker may be silent
MISSED_HEARTBEATS = 10  # that are allowed, however short that time is
RESTART_SECONDS = 60


class HeartbeatMonitor(SchedulerPlugin):
    """Removes silent workers, as a plugin of the scheduler, and asks their nannies for new processes.

    Args:
        seconds: the time that a worker may be silent.
    """

    name = "vaefrag-heartbeat"

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    async def start(self, scheduler: Scheduler) -> None:
        """Check workers from now on, in place of the plugin of an earlier engine."""
        # Dask replaces a plugin of the same name without closing it.
        if (earlier := scheduler.plugins.get(self.name)) is not None:
            await earlier.close()
        self._scheduler = scheduler
        self._restarts: set[asyncio.Task[None]] = set()
        self._checked_at = time()
        self._checks = PeriodicCallback(self._check, 1000 * self.seconds / CHECKS)
        self._checks.start()

    @property
    def is_running(self) -> bool:
        """Whether it checks workers."""
        return self._checks.is_running()

    async def close(self) -> None:
        """Check workers no longer."""
        self._checks.stop()

    async def _check(self) -> None:
        now, last, self._checked_at = time(), self._checked_at, time()
        if now - last > self.seconds / 2:
            return  # it was this machine that slept, and no heartbeat could arrive
        allowed = max(self.seconds, MISSED_HEARTBEATS * heartbeat_interval(len(self._scheduler.workers)))
        for worker in list(self._scheduler.workers.values()):
            if now - worker.last_seen > allowed:
                nanny = worker.nanny
                await self._scheduler.remove_worker(worker.address, stimulus_id=f"silent-{now}", close=False)
                if nanny:
                    restart = asyncio.create_task(self._restart(nanny))
                    self._restarts.add(restart)  # asyncio itself holds no reference: it would be collected
                    restart.add_done_callback(self._restarts.discard)

    async def _restart(self, nanny: str) -> None:
        """Ask a nanny for another process; the nanny of a machine that is gone does not answer."""
        with suppress(OSError, TimeoutError):
            async with asyncio.timeout(RESTART_SECONDS):
                await self._scheduler.rpc(nanny).restart(timeout=RESTART_SECONDS)
