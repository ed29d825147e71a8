"""The slots that open jobs have and could use, as requests to the scheduling."""

from collections.abc import Iterable, Mapping, Sequence

from vaefrag.jobs.dask_cluster import BESIDE_GPU, GPU_OFFER
from vaefrag.jobs.engine_job_store import OpenJob
from vaefrag.jobs.job_kinds import KINDS
from vaefrag.jobs.job_models import ACTIVE, Submission
from vaefrag.jobs.job_results import RunningTask
from vaefrag.jobs.scheduling import SlotRequest, choose_group
from vaefrag_core.config import DEFAULT_ESTIMATOR, EnsembleSpec
from vaefrag_core.config_errors import parse
from vaefrag_core.training.group_size import group_size

GPU = (GPU_OFFER,)  # the needs of a task that trains on a GPU


def slot_requests(jobs: Iterable[OpenJob], running: Sequence[RunningTask], *, has_gpu: bool) -> list[SlotRequest]:
    """Return the requests of all jobs that are to run.

    Args:
        jobs: the open jobs, in the order of submission.
        running: the tasks that were dispatched, cancelled ones included: their slots are not free yet.
        has_gpu: whether any worker offers a GPU.
    """
    requests = []
    for job in jobs:
        if job.progress.state not in ACTIVE or job.desired.state != "run":
            continue
        policy = KINDS[job.submission.kind]
        slots = sum(task.job_id == job.id for task in running)
        waiting = len(job.members_in("queued")) if job.submission.members else 1 - slots
        requests.append(
            SlotRequest(
                job_id=job.id,
                rank=policy.rank,
                waiting=waiting,
                slots=slots,
                most_slots=job.submission.most_slots,
                preempts=not job.submission.partial,
                needs=GPU if policy.prefers_gpu and has_gpu else policy.needs,
            )
        )
    return requests


def runs_on_gpu(submission: Submission, needs: Sequence[str], offers: Mapping[str, float]) -> bool:
    """Return whether a task runs on its worker's GPU: trainings in its slot, exact comparisons beside them.

    Args:
        submission: the job of the task.
        needs: the resources that the task takes.
        offers: the resources of the worker.
    """
    if submission.kind != "analyze":
        return needs == GPU
    estimator = submission.request.get("hotspots", {}).get("estimator", DEFAULT_ESTIMATOR)
    return estimator == "exact" and BESIDE_GPU in offers


def next_members(job: OpenJob, slots: int, gpu_members: int | None) -> list[int]:
    """Return the members of a job that train together in its next slot; none of a job without members.

    Args:
        job: the job.
        slots: the number of slots that its queued members share.
        gpu_members: the number of members that train together on a GPU; None for the CPU.
    """
    if job.submission.kind != "train":
        return []
    queued = len(job.members_in("queued"))
    size = group_size(parse(EnsembleSpec, job.submission.request), queued, slots, gpu_members=gpu_members)
    return choose_group(job.members, size)
