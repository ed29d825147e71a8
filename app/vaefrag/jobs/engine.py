"""The engine: takes jobs in, hands their work to the cluster, writes down how it goes. One per workspace.

The record is the truth and the engine a follower of it: what a job is to be is written before Dask is asked, so an
engine that was killed anywhere finds in the record, and in the checkpoints, all it needs to go on.
"""

import logging
import queue
import sqlite3
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack

import diskcache

from vaefrag.jobs.dask_cluster import GPU_OFFER, Cluster, FinishedTask
from vaefrag.jobs.engine_config import EngineTimeouts, GpuConfig
from vaefrag.jobs.engine_job_store import EngineJobStore, OpenJob
from vaefrag.jobs.job_kinds import KINDS
from vaefrag.jobs.job_models import ENDED
from vaefrag.jobs.job_results import (
    RunningTask,
    read_checkpoints,
    record_death,
    record_outcome,
    record_progress,
    see_to_analysis,
    worker_rows,
)
from vaefrag.jobs.scheduling import SlotRequest, fits, make_room, next_group, next_turn
from vaefrag.jobs.worker import Work, run
from vaefrag_core.config import EnsembleSpec
from vaefrag_core.config_errors import parse
from vaefrag_core.ensemble_store import EnsembleStore
from vaefrag_core.errors import BusyError, VaefragError
from vaefrag_core.training.group_size import group_size

log = logging.getLogger("vaefrag.engine")

LOOK_SECONDS = 0.2  # between two looks at what people ask for
WORKERS_SECONDS = 2.0  # between two looks at the workers' load
GPU = (GPU_OFFER,)  # what work needs that trains on one
GPU_MARK = "-gpu"


class Engine:
    """Follows the record of one workspace.

    Args:
        engine_store: the record.
        cluster: does the work.
        token: that workers find in the workspace's folder.
        pace: how patient it is.
        cards: what is known about GPUs.
    """

    def __init__(
        self,
        engine_store: EngineJobStore,
        cluster: Cluster,
        token: str,
        pace: EngineTimeouts | None = None,
        cards: GpuConfig | None = None,
    ) -> None:
        self.engine_store, self.cluster, self.token = engine_store, cluster, token
        self.pace, self.cards = pace or EngineTimeouts(), cards or GpuConfig()
        self._offers: Mapping[str, Mapping[str, float]] = {}  # of all workers, by address
        self.store = EnsembleStore(engine_store.workspace)
        self.running: dict[str, RunningTask] = {}
        self._locks: dict[str, ExitStack] = {}
        self._barred: set[str] = set()  # jobs whose ensemble another program is at work on
        self._workers_at = 0.0
        self._looked = 0.0

    def run(self, should_end: Callable[[bool], bool]) -> None:
        """Work until told to end.

        Args:
            should_end: asked often, with whether anything is left to do.
        """
        while not should_end(bool(self.running) or any(self._unfinished())):
            try:
                self.step()
            except (sqlite3.OperationalError, diskcache.Timeout, OSError) as error:
                # A full disk, most likely. Workers go on; what they tell is kept until it can be written.
                log.error("The record cannot be written (%s). Trying again.", error)
                time.sleep(1)

    def step(self) -> None:
        """Take what has come, decide what follows, write it down."""
        changed = self._listen()
        now = time.monotonic()
        if changed or now - self._looked > LOOK_SECONDS:
            self._looked = now
            self.engine_store.take_in()
            for job in list(self.engine_store.open.values()):
                if not job.met:
                    self._meet(job)
                self._follow_wish(job)
            self._see_to_stops(now)
            self._hand_out(now)
            for job in list(self.engine_store.open.values()):
                self._settle(job)
            changed = True
        if now - self._workers_at > WORKERS_SECONDS or (changed and self._workers_at == 0):
            self._workers_at = now
            self.cluster.mend()
            self._see_to_workers(now)
        self.engine_store.flush(progress_too=changed)

    # What comes from the workers

    def _listen(self) -> bool:
        """Take all events that have come; says whether one of them was more than progress."""
        decisive = False
        events = []
        try:
            events.append(self.cluster.events.get(timeout=LOOK_SECONDS))
            while True:
                events.append(self.cluster.events.get_nowait())
        except queue.Empty:
            pass
        for event in events:
            key = event.key if isinstance(event, FinishedTask) else event["key"]
            task = self.running.get(key)
            if task is None:
                continue  # of an attempt that is over
            if isinstance(event, FinishedTask):
                decisive = True
                self._ended(task, event)
            elif event["event"] == "begin":
                task.address, task.pid, task.host = event["address"], event["pid"], event["host"]
                for m in task.work.attempts:
                    self.engine_store.open[task.job_id].update_row(m, worker=task.worker, seen=event["at"])
            elif event["event"] == "progress" and not task.given_up:
                task.moved = True
                record_progress(self.engine_store.open[task.job_id], event)
            elif event["event"] == "end":
                task.outcome = event["outcome"]
                if task.stopping_since is not None:
                    decisive = True
                    self._over(task)
        return decisive

    def _ended(self, task: RunningTask, event: FinishedTask) -> None:
        """A piece of work is over: done, failed, or its worker is dead."""
        if task.stopping_since is not None:
            return  # Dask lets go of it at once; the worker is still to say that it has stopped
        if task.outcome is None and event.died:
            record_death(self.engine_store.open[task.job_id], task)
        elif task.outcome is None and event.error:
            task.outcome = {"error": event.error}
        self._over(task)

    def _over(self, task: RunningTask) -> None:
        """Write down what came of a piece of work, and free its slot."""
        self.running.pop(task.work.key, None)
        self.cluster.forget(task.work.key)
        if not task.given_up:
            record_outcome(self.engine_store.open[task.job_id], task, self.store)

    # What people want

    def _meet(self, job: OpenJob) -> None:
        """Meet a job that is new, or was open when the last engine ended."""
        if job.known_before:
            self._take_up(job)
        else:
            job.say(f"{job.submission.who} asked for it.")
            try:
                if job.submission.kind == "train":
                    self.store.create(parse(EnsembleSpec, job.submission.request), job.submission.ensemble_id)
                    read_checkpoints(job, range(job.submission.members), self.store)
            except VaefragError as error:
                job.update(state="failed", error=str(error))
        job.met = True

    def _take_up(self, job: OpenJob) -> None:
        """Go on with a job of an earlier engine: with work that has survived it, and anew with what has not."""
        handed_out: dict[str, list[int]] = {}
        for m in job.members_in("running"):
            handed_out.setdefault(job.rows[m].task, []).append(m)
        surviving = self.cluster.known(list(handed_out))
        for key, members in handed_out.items():
            if key in surviving:
                needs = GPU if key.endswith(GPU_MARK) else KINDS[job.submission.kind].needs
                self._submit(job, key, members, needs, surviving[key])
            else:
                read_checkpoints(job, members, self.store)
        if handed_out:
            job.say("A new engine has taken over.")
        if not job.submission.members and job.progress.state == "running":
            job.update(state="queued")

    def _follow_wish(self, job: OpenJob) -> None:
        wish, state = job.wish, job.progress.state
        if wish.retries > job.progress.retries:
            for m in job.members_in("failed", "cancelled"):
                job.update_row(m, state="queued", error="", deaths=0, died_at=-1)
            job.update(retries=wish.retries, state="queued", error="", ended=None, deaths=0)
            job.say(f"{wish.who} asked for what failed to be tried again.")
        elif wish.want == "pause" and state in ("queued", "running"):
            self._stop_all(job)
            if not self._has_running(job):
                job.update(state="paused", stage="")
                job.say(f"Paused by {wish.who}.")
        elif wish.want == "run" and state == "paused":
            job.update(state="queued")
            job.say(f"{wish.who} asked for it to go on.")
        elif wish.want == "cancel" and state not in ENDED:
            self._stop_all(job)
            for m in job.members_in("queued"):
                job.update_row(m, state="cancelled")
            if not self._has_running(job):
                job.update(state="cancelled", ended=time.time(), stage="")
                job.say(f"Cancelled by {wish.who}.")

    def _stop_all(self, job: OpenJob) -> None:
        for task in list(self.running.values()):
            if task.job_id == job.id:
                self._stop(task)

    def _stop(self, task: RunningTask) -> None:
        if task.stopping_since is None:
            task.stopping_since = time.monotonic()
            self.cluster.stop(task.work.key)
            if not task.moved:  # its process may still load PyTorch: the job need not wait for that, only the slot
                task.given_up = True
                read_checkpoints(self.engine_store.open[task.job_id], task.work.attempts, self.store)

    def _see_to_stops(self, now: float) -> None:
        """End the processes of work that does not listen, and notice that they are gone."""
        stopping = [task for task in self.running.values() if task.stopping_since is not None]
        if not stopping:
            return
        present = {worker.address for worker in self.cluster.workers()}
        for task in stopping:
            waited = now - (task.stopping_since or now)
            gone = task.address not in present
            never_began = not task.pid and waited > 1
            if gone or never_began or waited > 6 * self.pace.grace:
                self._over(task)
            elif task.pid and now - (task.killed_at or task.stopping_since or now) > self.pace.grace:
                task.killed_at = now
                if not task.given_up:
                    self.engine_store.open[task.job_id].say(f"Worker {task.worker} does not stop: it is killed.")
                self.cluster.kill(task.address, task.pid, task.host)

    # Who gets a slot

    def _hand_out(self, now: float) -> None:
        """Give free slots to whoever's turn it is."""
        self._barred = {job_id for job_id in self._barred & set(self.engine_store.open) if not self._lock(job_id)}
        if not any(claim.wants for claim in self._claims()):
            return
        self._offers = {worker.address: worker.offers for worker in self.cluster.workers()}
        busy = {task.address for task in self.running.values()}
        free = {address: offers for address, offers in self._offers.items() if address not in busy}
        while (turn := next_turn(self._claims(), free)) is not None:
            claim, address = turn
            job = self.engine_store.open[claim.job_id]
            if not self._lock(job.id):
                self._barred.add(job.id)
                continue
            fitting = sum(fits(claim.needs, offers) for offers in free.values())
            self._begin(job, claim.needs, address, slots=min(fitting, job.submission.most_slots or fitting))
            del free[address]
        if not any(task.stopping_since is not None for task in self.running.values()):
            self._make_room(now)

    def _claims(self) -> list[SlotRequest]:
        claims = []
        has_gpu = any(GPU_OFFER in offers for offers in self._offers.values())
        for job in self.engine_store.open.values():
            if job.progress.state not in ("queued", "running") or job.wish.want != "run" or job.id in self._barred:
                continue
            kind = KINDS[job.submission.kind]
            slots = sum(task.job_id == job.id for task in self.running.values())
            waiting = len(job.members_in("queued")) if job.submission.members else 1 - slots
            claims.append(
                SlotRequest(
                    job_id=job.id,
                    rank=kind.rank,
                    waiting=waiting,
                    slots=slots,
                    most_slots=job.submission.most_slots,
                    insists=not job.submission.partial,
                    needs=GPU if kind.likes_gpu and has_gpu else kind.needs,
                )
            )
        return claims

    def _lock(self, job_id: str) -> bool:
        """Keep other programs from training the same ensemble; says whether none does."""
        job = self.engine_store.open[job_id]
        if job.submission.kind != "train" or job_id in self._locks:
            return True
        stack = ExitStack()
        try:
            stack.enter_context(self.store.lock(job.submission.ensemble_id))
        except BusyError as error:
            if not job.progress.error:
                job.update(error=f"Waiting: {error}")
            return False
        self._locks[job_id] = stack
        if job.progress.error:
            job.update(error="")
        return True

    def _begin(self, job: OpenJob, needs: tuple[str, ...], address: str, slots: int) -> None:
        """Write down that work begins, a share of it when there are several slots, then hand it out."""
        members: list[int] = []
        if job.submission.kind == "train":
            waiting = len(job.members_in("queued"))
            fit = self.cards.members if needs == GPU else None
            size = group_size(parse(EnsembleSpec, job.submission.request), waiting, slots, gpu_members=fit)
            members = next_group(job.rows, size)
        attempt = max((job.rows[m].attempt for m in members), default=job.progress.attempt) + 1
        # The time makes the key unlike that of any other group that began with the same member and attempt.
        # Its end tells the next engine what it needs.
        key = f"{job.id}-{members[0] if members else 'all'}-{attempt}-{time.time_ns():x}"
        key += GPU_MARK if needs == GPU else ""
        for m in members:
            job.update_row(m, state="running", attempt=job.rows[m].attempt + 1, task=key, error="", worker="")
        job.update(state="running", attempt=attempt, started=job.progress.started or time.time())
        try:
            self.engine_store.flush()
        except Exception:
            for m in members:
                job.update_row(m, state="queued")
            raise
        self._submit(job, key, members, needs, address)

    def _submit(self, job: OpenJob, key: str, members: Iterable[int], needs: tuple[str, ...], address: str) -> None:
        work = Work(
            key=key,
            kind=job.submission.kind,
            workspace=str(self.engine_store.workspace),
            token=self.token,
            ensemble_id=job.submission.ensemble_id,
            request=job.submission.request,
            attempts={m: job.rows[m].attempt for m in members},
            checkpoint_seconds=self.pace.checkpoint,
            device=self.cards.device if needs == GPU else "cpu",
        )
        self.running[key] = RunningTask(job.id, work, address)
        self.cluster.submit(key, run, work, address=address, needs=needs)

    def _make_room(self, now: float) -> None:
        """Let a piece of work stop at a checkpoint, to go on later, when another job is due its slot."""
        possible = [c for c in self._claims() if any(fits(c.needs, offers) for offers in self._offers.values())]
        found = make_room(possible)
        if found is None:
            return
        giver, due = found
        settled = [
            task
            for task in self.running.values()
            if task.job_id == giver.job_id
            and now - task.since > self.pace.turn
            and fits(due.needs, self._offers.get(task.address, {}))
        ]
        if settled:
            job = self.engine_store.open[giver.job_id]
            job.say("A slot is given to another job; the members there wait for their next turn.")
            self._stop(max(settled, key=lambda task: task.since))

    # How jobs end

    def _settle(self, job: OpenJob) -> None:
        """End a job of which nothing is left, and see to the analysis of what it has made."""
        if self._has_running(job):
            see_to_analysis(job, self.engine_store, self.pace.analysis)
            return
        state = job.progress.state
        if state == "running":
            job.update(state="queued")
        if state in ("queued", "running") and job.submission.members and not job.members_in("queued", "running"):
            if not see_to_analysis(job, self.engine_store, self.pace.analysis):
                return
            failed = job.members_in("failed")
            state = "failed" if failed else "done"
            job.update(state=state, error=job.rows[failed[0]].error if failed else "")
            job.say(f"{len(failed)} of {len(job.rows)} members failed." if failed else "All members are done.")
        if state in ENDED and job.progress.ended is None:
            job.update(ended=time.time())
        if state not in ("queued", "running") and job.id in self._locks:
            self._locks.pop(job.id).close()

    def _unfinished(self) -> Iterable[bool]:
        return (job.progress.state in ("queued", "running") for job in self.engine_store.open.values())

    def _has_running(self, job: OpenJob) -> bool:
        return any(task.job_id == job.id and not task.given_up for task in self.running.values())

    def _see_to_workers(self, now: float) -> None:
        """Show who works on what, and give up work whose worker was gone before Dask could bring it there."""
        workers = self.cluster.workers()
        present = {worker.address for worker in workers}
        for task in list(self.running.values()):
            unheard = task.outcome is None and task.stopping_since is None
            if unheard and task.address not in present and now - task.since > WORKERS_SECONDS:
                self.cluster.stop(task.work.key)
                record_death(self.engine_store.open[task.job_id], task)
                self._over(task)
        self.engine_store.show_workers(worker_rows(self.running.values(), workers))
