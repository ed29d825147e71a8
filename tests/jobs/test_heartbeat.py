"""Giving up silent workers, on the scheduler's side. What a job sees of it: test_nodes."""

import pytest
from distributed import Scheduler

from support_jobs import with_a_scheduler
from vaefrag.jobs.heartbeat import HeartbeatMonitor


@pytest.mark.filterwarnings("ignore:Scheduler already contains a plugin")
def test_an_engine_that_comes_back_to_a_scheduler_takes_the_place_of_the_last() -> None:
    first, second = HeartbeatMonitor(60), HeartbeatMonitor(60)

    async def come_back(scheduler: Scheduler) -> None:
        await scheduler.register_scheduler_plugin(first, idempotent=False)
        await scheduler.register_scheduler_plugin(second, idempotent=False)
        assert (first.is_running, second.is_running) == (False, True)

    with_a_scheduler(come_back)
