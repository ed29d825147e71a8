"""The number of members that train together. Needs no torch, so that a scheduler can use it."""

import math

from vaefrag_core.config import EnsembleSpec

MAX_STACKED = 32  # beyond, the working set leaves the processor's cache and nothing is gained


def group_size(spec: EnsembleSpec, members: int, slots: int = 1, *, gpu_members: int | None = None) -> int:
    """Return how many members one slot trains together: small networks evenly over the slots, others one by one.

    On a GPU networks of every kind are stacked, as many as fit.

    Args:
        spec: the ensemble to train.
        members: number of members that wait for training.
        slots: number of processes that share them.
        gpu_members: number of members that fit on the slot's GPU; None for a slot without one.

    Example:
        >>> group_size(EnsembleSpec(), members=30, slots=2)
        15
    """
    per_slot = math.ceil(members / slots) or 1
    if gpu_members is not None:
        return min(gpu_members, per_slot)
    return min(MAX_STACKED, per_slot) if spec.model.stackable else 1
