"""Trains all members of an ensemble in this process. Many processes and machines: `vaefrag.jobs`."""

from collections.abc import Sequence
from pathlib import Path

from vaefrag_core.config import EnsembleSpec
from vaefrag_core.datasets.catalog import load_dataset
from vaefrag_core.training.checkpoints import MemberStatus, member_statuses
from vaefrag_core.training.group_size import group_size
from vaefrag_core.training.group_training import OnProgress, ShouldStop, train_members


def train_ensemble(
    spec: EnsembleSpec,
    folder: Path,
    *,
    on_progress: OnProgress | None = None,
    should_stop: ShouldStop = lambda: False,
) -> list[MemberStatus]:
    """Train every member that is not done yet.

    Args:
        spec: of the ensemble.
        folder: its `members` folder.
        on_progress: called with the state of all members whenever some have moved.
        should_stop: asked between slices; when it says yes, all members are brought to a checkpoint.

    Returns:
        The state of all members.
    """
    statuses = member_statuses(folder, spec.members)
    pending = [status.index for status in statuses if status.state in ("waiting", "running")]
    size = group_size(spec, len(pending))

    def report(moved: Sequence[MemberStatus]) -> None:
        for status in moved:
            statuses[status.index] = status
        if on_progress is not None:
            on_progress(list(statuses))

    dataset = load_dataset(spec.dataset)
    for first in range(0, len(pending), size):
        if not should_stop():
            group = pending[first : first + size]
            train_members(spec, dataset, group, folder, on_progress=report, should_stop=should_stop)
    return member_statuses(folder, spec.members)
