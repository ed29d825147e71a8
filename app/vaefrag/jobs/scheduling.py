"""Scheduling of slots: pure decisions about which job gets the next free slot, and which one makes room."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from vaefrag.jobs.job_models import MemberRecord

ALONE_AFTER_DEATHS = 2  # a member whose workers keep dying is tried alone, so that it takes no others along


@dataclass(frozen=True)
class SlotRequest:
    """The slots that a job has, and those that it could use.

    Args:
        job_id: the job.
        rank: the rank of its kind; a lower one is served first.
        waiting: the number of tasks that could begin now.
        slots: the number of slots that it has.
        most_slots: the number of slots that it may have; None for any number.
        preempts: whether other jobs make room for it.
        needs: the resources that a worker has to offer.
    """

    job_id: str
    rank: int
    waiting: int
    slots: int
    most_slots: int | None = None
    preempts: bool = True
    needs: tuple[str, ...] = ("cpu",)

    @property
    def wants_slot(self) -> bool:
        """Whether the job could use one more slot."""
        return self.waiting > 0 and (self.most_slots is None or self.slots < self.most_slots)


def fits(needs: Sequence[str], offers: Mapping[str, float]) -> bool:
    """Return whether a worker offers all that a task needs."""
    return all(offers.get(need, 0) >= 1 for need in needs)


def assign_slot(
    requests: Sequence[SlotRequest], free: Mapping[str, Mapping[str, float]]
) -> tuple[SlotRequest, str] | None:
    """Assign the next free slot: to the job of the lowest rank, of these the one with the fewest slots, then the first.

    Args:
        requests: the requests of all jobs, in the order of submission.
        free: the resources of each idle worker, by address.

    Returns:
        The request and the worker's address; None when no request can be served.

    Example:
        >>> first, second = SlotRequest("a", 1, waiting=3, slots=1), SlotRequest("b", 1, waiting=1, slots=0)
        >>> free = {"here": {"cpu": 1, "workspace": 1}, "there": {"cpu": 1}}
        >>> request, address = assign_slot([first, second], free)
        >>> request.job_id, address
        ('b', 'there')
    """
    servable = [r for r in requests if r.wants_slot and any(fits(r.needs, offers) for offers in free.values())]
    if not servable:
        return None
    request = min(servable, key=lambda r: (r.rank, r.slots))
    fitting = [address for address, offers in free.items() if fits(request.needs, offers)]
    # The worker that offers least, so that the others stay free for work that needs more.
    return request, min(fitting, key=lambda address: len(free[address]))


def choose_preemption(requests: Sequence[SlotRequest]) -> tuple[SlotRequest, SlotRequest] | None:
    """Choose a job that gives up a slot, when none is free, and the job that gets it.

    A job without a slot gets one from a job of a higher rank; failing that, from one of its own rank that has two or
    more.

    Returns:
        The requests of the donor and of the recipient; None when no slot has to change hands.
    """
    starved = (r for r in requests if r.wants_slot and r.preempts and r.slots == 0)
    for recipient in sorted(starved, key=lambda r: r.rank):
        donors = [
            r
            for r in requests
            if r.slots > 0 and (r.rank > recipient.rank or (r.rank == recipient.rank and r.slots > 1))
        ]
        if donors:
            return max(donors, key=lambda r: (r.rank, r.slots)), recipient
    return None


def choose_group(members: Sequence[MemberRecord], size: int) -> list[int]:
    """Choose the members that train together next: those that are furthest, all of them at the same step."""
    queued = [member for member in members if member.state == "queued"]
    dying = [member for member in queued if member.deaths >= ALONE_AFTER_DEATHS]
    if dying and len(dying) == len(queued):
        return [dying[0].index]
    healthy = [member for member in queued if member.deaths < ALONE_AFTER_DEATHS]
    healthy.sort(key=lambda member: (-member.step, member.index))
    # A group shares one schedule of batches, so members at different steps cannot be in one.
    return [member.index for member in healthy[:size] if member.step == healthy[0].step]
