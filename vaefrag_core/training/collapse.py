"""Which channels are dead and which members have collapsed, told while they train. Needs no torch.

A channel is dead while its KL, averaged over the last logged steps, is below 0.01 nats: the decoder learns nothing from
it. A member has collapsed when all its channels are dead after the warm-up: 500 steps, and with a growing capacity the
steps until it is 1 nat if these are more. Only the last row of the log counts, so that a member that recovers is no
longer said to have collapsed.
"""

import math
from collections.abc import Sequence

from vaefrag_core.config import TrainConfig
from vaefrag_core.training.checkpoints import MemberStatus

DEAD_NATS = 0.01
WARM_UP_STEPS = 500
NAMED = 5  # members that a sentence names


def live_channels(kl_nats: Sequence[float]) -> int:
    """Count the channels that are not dead.

    Example:
        >>> live_channels((0.0, 0.004, 1.5))
        1
    """
    return sum(kl >= DEAD_NATS for kl in kl_nats)


def warm_up_steps(train: TrainConfig) -> float:
    """Give the steps before which nobody is said to have collapsed; infinite when no KL is allowed at all."""
    if "capacity_steps" not in train.declaration.settings:
        return WARM_UP_STEPS
    if train.capacity_nats < 1:
        return math.inf
    return max(WARM_UP_STEPS, train.capacity_steps / train.capacity_nats)


def collapsed_members(statuses: Sequence[MemberStatus], train: TrainConfig) -> list[int]:
    """Give the members that have collapsed, by the last steps that were logged of each.

    Args:
        statuses: with the KL of their channels; those without it are passed over.
        train: how they are trained.
    """
    warm_up = warm_up_steps(train)
    return [
        status.index
        for status in statuses
        if status.state != "failed" and status.step >= warm_up and status.kl_nats and not live_channels(status.kl_nats)
    ]


def collapse_sentence(members: Sequence[int], of: int) -> str:
    """Say which members have collapsed, and what to do; nothing when none has.

    Example:
        >>> collapse_sentence([3], of=20).partition(":")[0]
        'Member 3 of 20 has collapsed'
    """
    if not members:
        return ""
    advice = f"no channel has a KL of {DEAD_NATS} nats. Lower the weight of the KL or the learning rate."
    if len(members) == 1:
        return f"Member {members[0]} of {of} has collapsed: {advice}"
    named = ", ".join(str(m) for m in members[:NAMED]) + (", …" if len(members) > NAMED else "")
    return f"{len(members)} of {of} members have collapsed ({named}): {advice}"
