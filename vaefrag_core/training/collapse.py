"""Detection of dead channels and collapsed members while they train. Needs no torch.

A channel is dead while its KL, averaged over the last logged steps, is below 0.01 nats: the decoder learns nothing from
it. A member has collapsed when all its channels are dead after the warm-up: 500 steps, and with a growing capacity the
steps until it is 1 nat if these are more. Only the last row of the history counts, so that a member that recovers no
longer counts as collapsed.
"""

import math
from collections.abc import Sequence

import numpy as np

from vaefrag_core.config import TrainConfig
from vaefrag_core.measures.kl_divergence import INACTIVE_KL_NATS, active_units
from vaefrag_core.training.checkpoints import MemberStatus

WARM_UP_STEPS = 500
MAX_NAMED = 5  # members that a sentence names


def live_channels(kl_nats: Sequence[float]) -> int:
    """Count the channels that are not dead.

    Example:
        >>> live_channels((0.0, 0.004, 1.5))
        1
    """
    return int(active_units(np.asarray(kl_nats)).sum())


def warm_up_steps(train: TrainConfig) -> float:
    """Return the number of steps before which no member counts as collapsed; infinite when no KL is allowed."""
    if "capacity_steps" not in train.declaration.settings:
        return WARM_UP_STEPS
    if train.capacity_nats < 1:
        return math.inf  # the objective itself keeps all channels dead
    return max(WARM_UP_STEPS, train.capacity_steps / train.capacity_nats)


def collapsed_members(statuses: Sequence[MemberStatus], train: TrainConfig) -> list[int]:
    """Return the numbers of the members that have collapsed, by the last row of their histories.

    Args:
        statuses: members with the KL of their channels; those without it are skipped.
        train: the ensemble's training.
    """
    warm_up = warm_up_steps(train)
    return [
        status.index
        for status in statuses
        if status.state != "failed" and status.step >= warm_up and status.kl_nats and not live_channels(status.kl_nats)
    ]


def collapse_sentence(members: Sequence[int], n_members: int) -> str:
    """Return a sentence that names the collapsed members and says what to do; "" when there are none.

    Example:
        >>> collapse_sentence([3], n_members=20).partition(":")[0]
        'Member 3 of 20 has collapsed'
    """
    if not members:
        return ""
    advice = f"no channel has a KL of {INACTIVE_KL_NATS} nats. Lower the weight of the KL or the learning rate."
    if len(members) == 1:
        return f"Member {members[0]} of {n_members} has collapsed: {advice}"
    listed = ", ".join(str(m) for m in members[:MAX_NAMED]) + (", …" if len(members) > MAX_NAMED else "")
    return f"{len(members)} of {n_members} members have collapsed ({listed}): {advice}"
