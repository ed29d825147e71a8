"""The engine: accepts jobs, dispatches their tasks to the cluster, and records what becomes of them.

One engine works on a workspace. The job store is the truth and the engine follows it: the next state of a job is
written before Dask is asked for anything, so that an engine that was killed anywhere finds in the store, and in the
checkpoints, all that it needs to go on.
"""

import logging
import queue
import sqlite3
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import diskcache

from vaefrag.jobs.dask_cluster import GPU_OFFER, Cluster, FinishedTask
from vaefrag.jobs.engine_config import EngineTimeouts, GpuConfig
from vaefrag.jobs.engine_job_store import EngineJobStore, OpenJob
from vaefrag.jobs.ensemble_locks import EnsembleLocks
from vaefrag.jobs.job_kinds import KINDS
from vaefrag.jobs.job_models import ACTIVE, ENDED
from vaefrag.jobs.job_results import (
    RunningTask,
    read_checkpoints,
    record_death,
    record_progress,
    record_result,
    request_analysis,
    worker_records,
)
from vaefrag.jobs.record_file import RecordDamagedError
from vaefrag.jobs.scheduling import SlotRequest, assign_slot, choose_preemption, fits
from vaefrag.jobs.slot_requests import GPU, next_members, runs_on_gpu, slot_requests
from vaefrag.jobs.worker import TaskSpec, run
from vaefrag_core.config import EnsembleSpec
from vaefrag_core.config_errors import parse
from vaefrag_core.ensemble_store import EnsembleStore
from vaefrag_core.errors import VaefragError

log = logging.getLogger("vaefrag.engine")

POLL_SECONDS = 0.2  # between two reads of what people request
WORKERS_SECONDS = 2.0  # between two checks of the workers
RETRY_SECONDS = 1.0  # between two tries to write the store
BEGIN_SECONDS = 1.0  # a cancelled task that has not begun by then never will
GPU_SUFFIX = "-gpu"  # of such a task's key


class Engine:
    """Does the jobs of one workspace.

    Args:
        engine_store: the job store.
        cluster: the workers.
        token: the text by which workers recognize the workspace's folder.
        timeouts: how long it waits.
        gpus: the GPUs of workers.
    """

    def __init__(
        self,
        engine_store: EngineJobStore,
        cluster: Cluster,
        token: str,
        timeouts: EngineTimeouts | None = None,
        gpus: GpuConfig | None = None,
    ) -> None:
        self.engine_store, self.cluster, self.token = engine_store, cluster, token
        self.timeouts, self.gpus = timeouts or EngineTimeouts(), gpus or GpuConfig()
        self.store = EnsembleStore(engine_store.workspace)
        self.running: dict[str, RunningTask] = {}
        self._locks = EnsembleLocks(self.store)
        self._locked_out: set[str] = set()  # jobs whose ensemble another program trains
        self._offers: Mapping[str, Mapping[str, float]] = {}  # of all workers, by address
        self._polled_at = 0.0
        self._workers_checked_at = 0.0

    def run(self, should_end: Callable[[bool], bool]) -> None:
        """Work until `should_end` returns True.

        Args:
            should_end: called often, with whether anything is left to do.
        """
        while not should_end(bool(self.running) or bool(self._active_jobs())):
            try:
                self.step()
            except (sqlite3.OperationalError, diskcache.Timeout, OSError) as error:
                # A full disk, most likely. Workers go on; what they report is kept until it can be written.
                log.error("The record cannot be written (%s). Trying again.", error)
                time.sleep(RETRY_SECONDS)
            except (RecordDamagedError, sqlite3.DatabaseError) as error:
                log.error("The engine ends; the next one mends the record of jobs. %s", error)
                return

    def step(self) -> None:
        """Handle the events that have come, decide what follows, and write it down."""
        changed = self._receive_events()
        now = time.monotonic()
        if changed or now - self._polled_at > POLL_SECONDS:
            self._polled_at = now
            self.engine_store.sync()
            for job in list(self.engine_store.open.values()):
                if not job.accepted:
                    self._accept(job)
                self._enforce_desired_state(job)
            self._enforce_stops(now)
            self._dispatch(now)
            for job in list(self.engine_store.open.values()):
                self._finish_job(job)
            # Not where a job ends: a dispatch that wrote the store may have closed a cancelled one before.
            self._locks.release_others(self._active_jobs())
            changed = True
        if now - self._workers_checked_at > WORKERS_SECONDS or (changed and self._workers_checked_at == 0):
            self._workers_checked_at = now
            self.cluster.restart_dead_workers()
            self._check_workers(now)
        self.engine_store.flush(progress_too=changed)

    # Events of workers

    def _receive_events(self) -> bool:
        """Handle all events that have come; return whether one of them was more than progress."""
        events = []
        try:
            events.append(self.cluster.events.get(timeout=POLL_SECONDS))
            while True:
                events.append(self.cluster.events.get_nowait())
        except queue.Empty:
            pass
        return any([self._handle(event) for event in events])

    def _handle(self, event: Mapping[str, Any] | FinishedTask) -> bool:
        """Handle one event; return whether it was more than progress."""
        task = self.running.get(event.key if isinstance(event, FinishedTask) else event["key"])
        if task is None:
            return False  # of an attempt that is over
        if isinstance(event, FinishedTask):
            self._end_task(task, event)
            return True
        job = self._job_of(task)
        if event["event"] == "begin":
            task.address, task.pid, task.host = event["address"], event["pid"], event["host"]
            if job is not None:
                for m in task.spec.attempts:
                    job.update_member(m, worker=task.worker, seen=event["at"])
        elif event["event"] == "progress" and job is not None:
            task.progressed = True
            record_progress(job, event)
        elif event["event"] == "end":
            task.result = event["result"]
            if task.stopping_since is not None:
                self._release(task)
                return True
        return False

    def _job_of(self, task: RunningTask) -> OpenJob | None:
        """Return the job that a task's events are for; None when it was abandoned.

        The job of an abandoned task may have ended and been closed, or be open again with newer attempts at the same
        members, while the task's process still loads PyTorch and then reports that it has begun.
        """
        return None if task.abandoned else self.engine_store.open.get(task.job_id)

    def _end_task(self, task: RunningTask, event: FinishedTask) -> None:
        """Record that a task is done or has failed, or that its worker is dead."""
        if task.stopping_since is not None:
            return  # Dask lets go of a cancelled task at once; the worker is still to report that it has stopped
        job = self._job_of(task)
        if task.result is None and event.died and job is not None:
            record_death(job, task)
        elif task.result is None and event.error:
            task.result = {"error": event.error}
        self._release(task)

    def _release(self, task: RunningTask) -> None:
        """Record the result of a task, and free its slot."""
        self.running.pop(task.spec.key, None)
        self.cluster.forget(task.spec.key)
        job = self._job_of(task)
        if job is not None:
            record_result(job, task, self.store)

    # The state that people want jobs to be in

    def _accept(self, job: OpenJob) -> None:
        """Begin to look after a job that is new, or was open when the last engine ended."""
        if job.was_started:
            self._recover(job)
        else:
            try:
                if job.submission.kind == "train":
                    self.store.create(parse(EnsembleSpec, job.submission.request), job.submission.ensemble_id)
                    read_checkpoints(job, range(job.submission.members), self.store)
            except VaefragError as error:
                job.update(state="failed", error=str(error))
            job.log(f"{job.submission.who} asked for it.")
        job.accepted = True

    def _recover(self, job: OpenJob) -> None:
        """Continue a job of an earlier engine: follow the tasks that have survived it, and queue the others again."""
        members_of: dict[str, list[int]] = {}
        for m in job.members_in("running"):
            members_of.setdefault(job.members[m].task, []).append(m)
        surviving = self.cluster.surviving_tasks(list(members_of))
        for key, members in members_of.items():
            if key in surviving:
                needs = GPU if key.endswith(GPU_SUFFIX) else KINDS[job.submission.kind].needs
                self._submit(job, key, members, needs, surviving[key])
            else:
                read_checkpoints(job, members, self.store)
        if members_of:
            job.log("A new engine has taken over.")
        if not job.submission.members and job.progress.state == "running":
            job.update(state="queued")

    def _enforce_desired_state(self, job: OpenJob) -> None:
        """Bring a job nearer to the state that people want it to be in."""
        desired, state = job.desired, job.progress.state
        if desired.retries > job.progress.retries:
            for m in job.members_in("failed", "cancelled"):
                job.update_member(m, state="queued", error="", deaths=0, died_at=-1)
            state = "running" if self._has_running(job) else "queued"
            job.update(retries=desired.retries, state=state, error="", ended=None, deaths=0)
            job.log(f"{desired.who} asked for what failed to be tried again.")
        elif desired.state == "pause" and state in ACTIVE:
            self._cancel_tasks(job)
            if not self._has_running(job):
                job.update(state="paused", stage="")
                job.log(f"Paused by {desired.who}.")
        elif desired.state == "run" and state == "paused":
            job.update(state="queued")
            job.log(f"{desired.who} asked for it to go on.")
        elif desired.state == "cancel" and state not in ENDED:
            self._cancel_tasks(job)
            for m in job.members_in("queued"):
                job.update_member(m, state="cancelled")
            if not self._has_running(job):
                job.update(state="cancelled", ended=time.time(), stage="")
                job.log(f"Cancelled by {desired.who}.")

    def _cancel_tasks(self, job: OpenJob) -> None:
        for task in list(self.running.values()):
            if task.job_id == job.id:
                self._cancel_task(task)

    def _cancel_task(self, task: RunningTask) -> None:
        if task.stopping_since is not None:
            return
        job = self._job_of(task)
        task.stopping_since = time.monotonic()
        self.cluster.cancel(task.spec.key)
        if not task.progressed:  # its process may still load PyTorch: the job need not wait for that, only the slot
            task.abandoned = True
            if job is not None:
                read_checkpoints(job, task.spec.attempts, self.store)

    def _enforce_stops(self, now: float) -> None:
        """Kill the processes of cancelled tasks that do not stop, and release tasks whose process is gone."""
        stopping = [task for task in self.running.values() if task.stopping_since is not None]
        if not stopping:
            return
        present = {worker.address for worker in self.cluster.workers()}
        for task in stopping:
            waited = now - (task.stopping_since or now)
            gone = task.address not in present
            never_began = not task.pid and waited > BEGIN_SECONDS
            if gone or never_began or waited > 6 * self.timeouts.grace_seconds:
                self._release(task)
            elif task.pid and now - (task.killed_at or task.stopping_since or now) > self.timeouts.grace_seconds:
                task.killed_at = now
                job = self._job_of(task)
                if job is not None:
                    job.log(f"Worker {task.worker} does not stop: it is killed.")
                self.cluster.kill(task.address, task.pid, task.host)

    # Slots

    def _dispatch(self, now: float) -> None:
        """Assign free slots to jobs, and dispatch a task to each."""
        open_jobs = self.engine_store.open
        still_waiting = self._locked_out & set(open_jobs)
        self._locked_out = {job_id for job_id in still_waiting if not self._locks.acquire(open_jobs[job_id])}
        if not any(request.wants_slot for request in self._slot_requests()):
            return
        self._offers = {worker.address: worker.offers for worker in self.cluster.workers()}
        busy = {task.address for task in self.running.values()}
        free = {address: offers for address, offers in self._offers.items() if address not in busy}
        while (assignment := assign_slot(self._slot_requests(), free)) is not None:
            request, address = assignment
            job = open_jobs[request.job_id]
            if not self._locks.acquire(job):
                self._locked_out.add(job.id)
                continue
            fitting = sum(fits(request.needs, offers) for offers in free.values())
            self._dispatch_task(job, request.needs, address, slots=min(fitting, job.submission.most_slots or fitting))
            del free[address]
        if not any(task.stopping_since is not None for task in self.running.values()):
            self._preempt(now)

    def _slot_requests(self) -> list[SlotRequest]:
        jobs = [job for job in self.engine_store.open.values() if job.id not in self._locked_out]
        # Our own may still be starting: members wait for it.
        has_gpu = self.cluster.has_gpu or any(GPU_OFFER in offers for offers in self._offers.values())
        return slot_requests(jobs, list(self.running.values()), has_gpu=has_gpu)

    def _dispatch_task(self, job: OpenJob, needs: tuple[str, ...], address: str, slots: int) -> None:
        """Write down that a task begins, then submit it; with several slots it is a share of what is queued."""
        members = next_members(job, slots, self.gpus.members if needs == GPU else None)
        attempt = max((job.members[m].attempt for m in members), default=job.progress.attempt) + 1
        # The time makes the key unlike any other's; the suffix tells the next engine what the task needs.
        key = f"{job.id}-{members[0] if members else 'all'}-{attempt}-{time.time_ns():x}{GPU_SUFFIX * (needs == GPU)}"
        device = self.gpus.device if runs_on_gpu(job.submission, needs, self._offers[address]) else "cpu"
        begins = {"state": "running", "task": key, "error": "", "worker": "", "device": device}
        for m in members:
            job.update_member(m, attempt=job.members[m].attempt + 1, **begins)
        job.update(state="running", attempt=attempt, started=job.progress.started or time.time(), device=device)
        try:
            self.engine_store.flush()
        except Exception:
            for m in members:
                job.update_member(m, state="queued")
            raise
        self._submit(job, key, members, needs, address)

    def _submit(self, job: OpenJob, key: str, members: Iterable[int], needs: tuple[str, ...], address: str) -> None:
        spec = TaskSpec(
            key=key,
            kind=job.submission.kind,
            workspace=str(self.engine_store.workspace),
            token=self.token,
            ensemble_id=job.submission.ensemble_id,
            request=job.submission.request,
            attempts={m: job.members[m].attempt for m in members},
            checkpoint_seconds=self.timeouts.checkpoint_seconds,
            device=job.progress.device or "cpu",
        )
        self.running[key] = RunningTask(job.id, spec, address)
        self.cluster.submit(key, run, spec, address=address, needs=needs)

    def _preempt(self, now: float) -> None:
        """Let a task stop at a checkpoint, to go on later, when a slot of its job is due to another job."""
        offers = self._offers.values()
        preemption = choose_preemption([r for r in self._slot_requests() if any(fits(r.needs, o) for o in offers)])
        if preemption is None:
            return
        donor, recipient = preemption
        candidates = [
            task
            for task in self.running.values()
            if task.job_id == donor.job_id
            and now - task.since > self.timeouts.turn_seconds
            and fits(recipient.needs, self._offers.get(task.address, {}))
        ]
        if candidates:
            job = self.engine_store.open[donor.job_id]
            job.log("A slot is given to another job; the members there wait for their next turn.")
            self._cancel_task(max(candidates, key=lambda task: task.since))

    # Ends of jobs

    def _finish_job(self, job: OpenJob) -> None:
        """End a job of which nothing is left to do, and submit the analysis of what it has trained."""
        if self._has_running(job):
            request_analysis(job, self.engine_store, self.timeouts.analysis_seconds)
            return
        state = job.progress.state
        if state == "running":
            job.update(state="queued")
        if state in ACTIVE and job.submission.members and not job.members_in("queued", "running"):
            if not request_analysis(job, self.engine_store, self.timeouts.analysis_seconds):
                return
            failed = job.members_in("failed")
            state = "failed" if failed else "done"
            job.update(state=state, error=job.members[failed[0]].error if failed else "")
            job.log(f"{len(failed)} of {len(job.members)} members failed." if failed else "All members are done.")
        if state in ENDED and job.progress.ended is None:
            job.update(ended=time.time())

    def _active_jobs(self) -> set[str]:
        return {job.id for job in self.engine_store.open.values() if job.progress.state in ACTIVE}

    def _has_running(self, job: OpenJob) -> bool:
        return any(task.job_id == job.id and not task.abandoned for task in self.running.values())

    def _check_workers(self, now: float) -> None:
        """Write down who works on what, and requeue tasks whose worker was gone before Dask could bring them there."""
        workers = self.cluster.workers()
        present = {worker.address for worker in workers}
        for task in list(self.running.values()):
            unheard = task.result is None and task.stopping_since is None
            if unheard and task.address not in present and now - task.since > WORKERS_SECONDS:
                self.cluster.cancel(task.spec.key)
                job = self._job_of(task)
                if job is not None:
                    record_death(job, task)
                self._release(task)
        self.engine_store.write_workers(worker_records(self.running.values(), workers))
