"""Slots that join a scheduler and are let go, without an engine. What a job sees of it: test_nodes."""

import asyncio
import logging
import os
import socket
from collections.abc import Callable

import pytest
from distributed import Scheduler, Worker

from support_jobs import HERE, with_a_scheduler
from vaefrag.jobs.dask_cluster import SlotNanny, nanny_options
from vaefrag.jobs.worker_node import run_slots


async def until(condition: Callable[[], object]) -> None:
    while not condition():
        await asyncio.sleep(0.05)


def test_a_slot_that_is_to_close_and_to_start_anew_closes() -> None:
    """Else a process joins that no nanny knows of: one slot too many, under a name that its successor needs."""

    async def look(scheduler: Scheduler) -> None:
        slot = await SlotNanny(scheduler.address, **nanny_options("127.0.0.1"))
        assert slot.process is not None
        slot.close_gracefully()
        await slot.restart()
        await slot.finished()
        assert slot.process is None
        await until(lambda: not scheduler.workers)

    with_a_scheduler(look)


def test_a_slot_whose_name_is_taken_tries_again(caplog: pytest.LogCaptureFixture) -> None:
    """As after a lost connection, of which the scheduler has not heard yet."""
    caplog.set_level(logging.INFO, "vaefrag.worker")

    async def look(scheduler: Scheduler) -> None:
        async with Worker(scheduler.address, name=f"{socket.gethostname()} {os.getpid()}.0", **HERE):
            lent = asyncio.create_task(run_slots(lambda: (scheduler.address, None), [nanny_options("127.0.0.1")]))
            await until(lambda: "name taken" in caplog.text or lent.done())
            assert not lent.done()
        await until(lambda: any(worker.nanny for worker in scheduler.workers.values()))
        lent.cancel()
        await asyncio.wait([lent])

    with_a_scheduler(look)


def test_a_slot_that_is_lost_alone_joins_again_alone() -> None:
    async def look(scheduler: Scheduler) -> None:
        lent = asyncio.create_task(run_slots(lambda: (scheduler.address, None), [nanny_options("127.0.0.1")] * 2))
        await until(lambda: len(scheduler.workers) == 2)
        lost, other = scheduler.workers.values()
        nanny = scheduler.rpc(lost.nanny)
        await nanny.close_gracefully()  # as a process does of which the scheduler no longer knows
        await nanny.kill()
        await until(lambda: {w.address for w in scheduler.workers.values()} - {lost.address, other.address})
        assert len(scheduler.workers) == 2
        assert other.address in scheduler.workers
        lent.cancel()
        await asyncio.wait([lent])

    with_a_scheduler(look)
