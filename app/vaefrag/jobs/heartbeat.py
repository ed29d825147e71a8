"""Workers of which nothing has been heard for too long are given up at once, so that their work can go on elsewhere.

Dask's own limit first waits half a minute for the silent process to end.
"""

import asyncio
from contextlib import suppress

from distributed import Scheduler, SchedulerPlugin
from distributed.metrics import time
from distributed.scheduler import heartbeat_interval
from tornado.ioloop import PeriodicCallback

LOOKS = 10  # in the time that a worker may be silent
BEATS = 10  # of a worker's heart that may be missed, however short that time is
RESTART_SECONDS = 60


class HeartbeatMonitor(SchedulerPlugin):
    """The scheduler's side.

    Args:
        seconds: that a worker may be silent.
    """

    name = "vaefrag-silence"

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    async def start(self, scheduler: Scheduler) -> None:
        """Listen from now on, in place of an earlier engine: Dask lets go of its plugin without closing it."""
        if (earlier := scheduler.plugins.get(self.name)) is not None:
            await earlier.close()
        self._scheduler = scheduler
        self._restarts: set[asyncio.Task[None]] = set()
        self._listened = time()
        self._listening = PeriodicCallback(self._listen, 1000 * self.seconds / LOOKS)
        self._listening.start()

    @property
    def listening(self) -> bool:
        """Whether it listens."""
        return self._listening.is_running()

    async def close(self) -> None:
        """Listen no longer."""
        self._listening.stop()

    async def _listen(self) -> None:
        now, before, self._listened = time(), self._listened, time()
        if now - before > self.seconds / 2:
            return  # it was this machine that slept, and nobody's heart could be heard
        allowed = max(self.seconds, BEATS * heartbeat_interval(len(self._scheduler.workers)))
        for worker in list(self._scheduler.workers.values()):
            if now - worker.last_seen > allowed:
                nanny = worker.nanny
                await self._scheduler.remove_worker(worker.address, stimulus_id=f"silent-{now}", close=False)
                if nanny:
                    restart = asyncio.create_task(self._restart(nanny))
                    self._restarts.add(restart)
                    restart.add_done_callback(self._restarts.discard)

    async def _restart(self, nanny: str) -> None:
        """Ask for another process in its place; of a machine that is gone there is no answer."""
        with suppress(OSError, TimeoutError):
            async with asyncio.timeout(RESTART_SECONDS):
                await self._scheduler.rpc(nanny).restart(timeout=RESTART_SECONDS)
