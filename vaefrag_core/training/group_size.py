"""How many members train together. Needs no torch: whoever hands out the work can ask."""

import math

from vaefrag_core.config import EnsembleSpec

STACK = 32  # members stacked at most: beyond, the working set leaves the cache and nothing is gained


def group_size(spec: EnsembleSpec, members: int, slots: int = 1, *, gpu_members: int | None = None) -> int:
    """Say how many of `members` waiting members one slot takes: small networks evenly over the slots, others alone.

    On a GPU networks of every kind are stacked, as many as are said to fit.

    Args:
        spec: of the ensemble.
        members: that wait for training.
        slots: processes that will share them.
        gpu_members: that fit on the slot's GPU; None for a slot without one.

    Example:
        >>> group_size(EnsembleSpec(), members=30, slots=2)
        15
    """
    even = math.ceil(members / slots) or 1
    if gpu_members is not None:
        return min(gpu_members, even)
    return min(STACK, even) if spec.model.stackable else 1
