"""Training of a group of members, and of whole ensembles in this process; `vaefrag.jobs` trains on many processes."""

from collections.abc import Sequence
from pathlib import Path

from vaefrag_core.config import EnsembleSpec
from vaefrag_core.datasets.catalog import load_dataset
from vaefrag_core.training.checkpoints import MemberStatus, member_statuses, save_checkpoint
from vaefrag_core.training.group_size import group_size
from vaefrag_core.training.group_training import CHECKPOINT_SECONDS, OnProgress, Save, ShouldStop, train_members


def train_group(
    spec: EnsembleSpec,
    members: Sequence[int],
    folder: Path,
    *,
    device: str = "cpu",
    on_progress: OnProgress | None = None,
    should_stop: ShouldStop = lambda: False,
    save: Save = save_checkpoint,
    checkpoint_seconds: float = CHECKPOINT_SECONDS,
) -> list[MemberStatus]:
    """Load the data set and train members side by side, from where their checkpoints left them.

    Args:
        spec: the ensemble to train.
        members: the members' numbers.
        folder: the ensemble's `members` folder.
        device: where the networks run.
        on_progress: called after every slice with the status of the members it moved.
        should_stop: asked after every slice; when it returns True, checkpoints are written and the work ends.
        save: puts a member's checkpoint where the next call with the same `folder` finds it.
        checkpoint_seconds: the time between two checkpoints.

    Returns:
        The status of each member, as of `train_members`.

    Raises:
        MissingDataError: when the data set's files are not to be found.
        BrokenFileError: when a checkpoint cannot be read.
        InvalidInputError: when the network does not take the images.
    """
    return train_members(
        spec,
        load_dataset(spec.dataset),
        members,
        folder,
        device=device,
        on_progress=on_progress,
        should_stop=should_stop,
        save=save,
        checkpoint_seconds=checkpoint_seconds,
    )


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
        on_progress: called with the status of all members whenever some have moved.
        should_stop: asked between slices; when it returns True, checkpoints are written and the work ends.

    Returns:
        The status of all members.
    """
    statuses = member_statuses(folder, spec.members)
    pending = [status.index for status in statuses if status.state in ("waiting", "running")]
    size = group_size(spec, len(pending))

    def report(moved: Sequence[MemberStatus]) -> None:
        for status in moved:
            statuses[status.index] = status
        if on_progress is not None:
            on_progress(list(statuses))

    for first in range(0, len(pending), size):
        if not should_stop():
            group = pending[first : first + size]
            train_group(spec, group, folder, on_progress=report, should_stop=should_stop)
    return member_statuses(folder, spec.members)
