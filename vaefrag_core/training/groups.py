"""How many members train together. Needs no torch: whoever hands out the work can ask."""

import math

from vaefrag_core.config import EnsembleSpec

STACK = 32  # members stacked at most: beyond, the working set leaves the cache and nothing is gained


def group_size(spec: EnsembleSpec, members: int, slots: int = 1) -> int:
    """Say how many of `members` waiting members one slot takes: small networks evenly over the slots, others alone.

    Args:
        spec: of the ensemble.
        members: that wait for training.
        slots: processes that will share them.

    Example:
        >>> group_size(EnsembleSpec(), members=30, slots=2)
        15
    """
    if spec.model.architecture != "mlp":
        return 1
    return min(STACK, math.ceil(members / slots) or 1)
