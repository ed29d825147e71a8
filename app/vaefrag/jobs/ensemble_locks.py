"""The locks of ensembles that the engine trains, so that no other program trains them at the same time."""

from collections.abc import Container
from contextlib import ExitStack

from vaefrag.jobs.engine_job_store import OpenJob
from vaefrag_core.ensemble_store import EnsembleStore
from vaefrag_core.errors import BusyError


class EnsembleLocks:
    """The locks that one engine holds, one for each job that trains.

    Args:
        store: the workspace's ensembles.
    """

    def __init__(self, store: EnsembleStore) -> None:
        self._store = store
        self._held: dict[str, ExitStack] = {}

    def acquire(self, job: OpenJob) -> bool:
        """Lock a job's ensemble; write down what the job waits for when another program has it.

        Returns:
            Whether the job may train: it holds the lock, or needs none.
        """
        if job.submission.kind != "train" or job.id in self._held:
            return True
        stack = ExitStack()
        try:
            stack.enter_context(self._store.lock(job.submission.ensemble_id))
        except BusyError as error:
            if not job.progress.error:
                job.update(error=f"Waiting: {error}")
            return False
        self._held[job.id] = stack
        if job.progress.error:
            job.update(error="")
        return True

    def release_others(self, active: Container[str]) -> None:
        """Release the locks of all jobs that are not active.

        Args:
            active: the ids of the jobs that train, or are to train.
        """
        for job_id in [job_id for job_id in self._held if job_id not in active]:
            self._held.pop(job_id).close()
