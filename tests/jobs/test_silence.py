"""Giving up silent workers, on the scheduler's side. What a job sees of it: test_nodes."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import pytest
from distributed import Scheduler

from app.jobs.silence import Silence


@pytest.mark.filterwarnings("ignore:Scheduler already contains a plugin")
def test_an_engine_that_comes_back_to_a_scheduler_takes_the_place_of_the_last() -> None:
    first, second = Silence(60), Silence(60)

    async def come_back() -> tuple[bool, bool]:
        async with Scheduler(host="127.0.0.1", port=0, dashboard=False, dashboard_address="127.0.0.1:0") as scheduler:
            await scheduler.register_scheduler_plugin(first, idempotent=False)
            await scheduler.register_scheduler_plugin(second, idempotent=False)
            return first.listening, second.listening

    # In a thread: the browser that other tests keep open has a loop of its own in this one.
    with ThreadPoolExecutor(1) as thread:
        assert thread.submit(asyncio.run, come_back()).result(60) == (False, True)
