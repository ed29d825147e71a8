"""Which members' training diverged: their loss is beyond that of all others, or no number."""

import math
from collections.abc import Mapping

DIVERGED_NATS = 10.0  # above the best member's loss, of its own size at least: members of one spec differ by little


def diverged(losses: Mapping[int, float]) -> tuple[int, ...]:
    """Find the members whose training diverged.

    Members of an ensemble differ in their seeds alone, and end with nearly equal losses. One whose loss is not finite,
    or above the best by more than ten times the best and by more than 10 nats, has learnt nothing that could come back.
    One that has collapsed, and paints one image for all, has not diverged: its loss is a few times that of the others.

    Args:
        losses: the last loss of each member, nats per image, by its number.

    Returns:
        Their numbers, ascending.

    Example:
        >>> diverged({0: 150.2, 1: 149.8, 2: 1e18, 3: math.nan})
        (2, 3)
    """
    finite = [loss for loss in losses.values() if math.isfinite(loss)]
    best = min(finite, default=0.0)
    most = best + max(10 * abs(best), DIVERGED_NATS)
    return tuple(sorted(member for member, loss in losses.items() if not loss <= most))
