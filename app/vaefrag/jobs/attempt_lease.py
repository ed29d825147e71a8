"""The lease on a member's checkpoint: the newest attempt may write it, and no other, whenever the others wake up.

An attempt's lease is a folder `members/<index>/.attempt-<number>`, in which its checkpoints are written before
they take their name. The next attempt takes that folder away. A worker that was cut off and comes back then has
nowhere to write, and since writing and renaming go through the folder itself there is no moment between a check and
a write in which it could slip through. No lock is held that a stopped process could keep.
"""

import re
import shutil
from pathlib import Path

from vaefrag_core.errors import VaefragError
from vaefrag_core.training.checkpoints import checkpoint_path, replace_checkpoint

_LEASE = re.compile(r"\.attempt-(\d+)")


class LeaseLostError(VaefragError):
    """A later attempt at the same member has begun."""


def acquire_lease(member: Path, attempt: int) -> Path:
    """Begin an attempt, and end all earlier ones.

    Args:
        member: the member's folder.
        attempt: the number of the attempt.

    Returns:
        The folder to write through.

    Raises:
        LeaseLostError: when a later attempt has begun.
    """
    lease = lease_path(member, attempt)
    lease.mkdir(parents=True, exist_ok=True)
    others = {int(match[1]) for path in member.iterdir() if (match := _LEASE.fullmatch(path.name))} - {attempt}
    if any(other > attempt for other in others):
        shutil.rmtree(lease, ignore_errors=True)
        raise _lease_lost(member, attempt)
    for other in others:
        # Renamed first, which ends every path to it at once; its files can be deleted at leisure.
        gone = member / f".ended-{other}-{attempt}"
        try:
            lease_path(member, other).rename(gone)
        except FileNotFoundError:
            continue
        shutil.rmtree(gone, ignore_errors=True)
    return lease


def lease_path(member: Path, attempt: int) -> Path:
    """Return the folder that is an attempt's lease."""
    return member / f".attempt-{attempt}"


def write_checkpoint(member: Path, attempt: int, content: bytes) -> None:
    """Replace a member's checkpoint as one of its attempts.

    Raises:
        LeaseLostError: when a later attempt has begun.
        OSError: when it cannot be written.
    """
    lease = lease_path(member, attempt)
    try:
        replace_checkpoint(member, content, via=lease)
    except FileNotFoundError:
        if lease.is_dir():
            raise  # something else is not there: the member's folder itself was deleted
        raise _lease_lost(member, attempt) from None


def read_checkpoint(member: Path) -> bytes | None:
    """Return the content of a member's checkpoint file; None when there is none."""
    try:
        return checkpoint_path(member).read_bytes()
    except FileNotFoundError:
        return None


def _lease_lost(member: Path, attempt: int) -> LeaseLostError:
    return LeaseLostError(f"Attempt {attempt} at member {member.name} ended: a later one has begun.")
