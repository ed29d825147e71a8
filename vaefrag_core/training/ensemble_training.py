"""Training of a whole ensemble in this process; `vaefrag.jobs` trains on many processes and machines."""

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
        spec: the ensemble to train.
        folder: the ensemble's `members` folder.
        on_progress: called with the status of all members whenever some have trained further.
        should_stop: called between slices; once it returns True, checkpoints are written and training ends.

    Returns:
        The status of all members.
    """
    statuses = member_statuses(folder, spec.members)
    pending = [status.index for status in statuses if status.state in ("waiting", "running")]
    size = group_size(spec, len(pending))

    def report(updates: Sequence[MemberStatus]) -> None:
        for status in updates:
            statuses[status.index] = status
        if on_progress is not None:
            on_progress(list(statuses))

    dataset = load_dataset(spec.dataset)
    for first in range(0, len(pending), size):
        if not should_stop():
            group = pending[first : first + size]
            train_members(spec, dataset, group, folder, on_progress=report, should_stop=should_stop)
    return member_statuses(folder, spec.members)
