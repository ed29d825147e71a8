"""Whose turn it is: pure decisions about who gets the next free slot, and who makes room."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from vaefrag.jobs.job_models import MemberRow

ALONE_AFTER_DEATHS = 2  # a member whose workers keep dying is tried alone, so that it takes no others along


@dataclass(frozen=True)
class SlotRequest:
    """What a job wants of the slots.

    Args:
        job_id: the job.
        rank: of its kind; lower is served first.
        waiting: pieces of work that could begin now.
        slots: that it has.
        most_slots: that it may have; None for any number.
        insists: whether others make room for it.
        needs: what a worker has to offer.
    """

    job_id: str
    rank: int
    waiting: int
    slots: int
    most_slots: int | None = None
    insists: bool = True
    needs: tuple[str, ...] = ("cpu",)

    @property
    def wants(self) -> bool:
        """Whether it could use one more slot."""
        return self.waiting > 0 and (self.most_slots is None or self.slots < self.most_slots)


def fits(needs: Sequence[str], offers: Mapping[str, float]) -> bool:
    """Say whether a worker offers all that a piece of work needs."""
    return all(offers.get(need, 0) >= 1 for need in needs)


def next_turn(claims: Sequence[SlotRequest], free: Mapping[str, Mapping[str, float]]) -> tuple[SlotRequest, str] | None:
    """Choose who gets the next slot: the lowest rank, then who has the fewest, then who came first; and which slot.

    Args:
        claims: of all jobs, in the order of their coming.
        free: what each worker offers that has nothing to do, by address.

    Returns:
        The claim and the worker's address: of those that fit, one that offers least, so that the others stay free
        for work that needs more. None when nobody can be served.

    Example:
        >>> first, second = Claim("a", 1, waiting=3, slots=1), Claim("b", 1, waiting=1, slots=0)
        >>> claim, address = next_turn([first, second], {"here": {"cpu": 1, "workspace": 1}, "there": {"cpu": 1}})
        >>> claim.job_id, address
        ('b', 'there')
    """
    served = [c for c in claims if c.wants and any(fits(c.needs, offers) for offers in free.values())]
    if not served:
        return None
    claim = min(served, key=lambda c: (c.rank, c.slots))
    fitting = [address for address, offers in free.items() if fits(claim.needs, offers)]
    return claim, min(fitting, key=lambda address: len(free[address]))


def make_room(claims: Sequence[SlotRequest]) -> tuple[SlotRequest, SlotRequest] | None:
    """Choose the job that gives up a slot, when none is free, to one that is due one.

    That is a job of a lower rank without a slot, before all others; or one of the same rank without a slot, while
    another has two or more.

    Returns:
        Who gives and who is due, None when all is fair.
    """
    for due in sorted((c for c in claims if c.wants and c.insists and c.slots == 0), key=lambda c: c.rank):
        givers = [c for c in claims if c.slots > 0 and (c.rank > due.rank or (c.rank == due.rank and c.slots > 1))]
        if givers:
            return max(givers, key=lambda c: (c.rank, c.slots)), due
    return None


def next_group(rows: Sequence[MemberRow], size: int) -> list[int]:
    """Choose the members that train together next: the furthest, and those at the same step, for others cannot."""
    waiting = [row for row in rows if row.state == "queued"]
    alone = [row for row in waiting if row.deaths >= ALONE_AFTER_DEATHS]
    if alone and len(alone) == len(waiting):
        return [alone[0].index]
    calm = sorted((row for row in waiting if row.deaths < ALONE_AFTER_DEATHS), key=lambda row: (-row.step, row.index))
    return [row.index for row in calm[:size] if row.step == calm[0].step]
