"""Who may write a member's checkpoint: the newest attempt, and nobody else, whenever the others wake up.

An attempt's ticket is a folder `members/<index>/.attempt-<number>`, in which its checkpoints are written before
they take their name. The next attempt takes that folder away. A worker that was cut off and comes back then has
nowhere to write, and since writing and renaming go through the folder itself there is no moment between a check and
a write in which it could slip through. No lock is held that a stopped process could keep.
"""

import re
import shutil
from pathlib import Path

from vaefrag_core.errors import VaefragError
from vaefrag_core.training.checkpoints import checkpoint_path, replace_checkpoint

_TICKET = re.compile(r"\.attempt-(\d+)")


class LeaseLostError(VaefragError):
    """A later attempt has taken over."""


def acquire_lease(member: Path, attempt: int) -> Path:
    """Begin an attempt, and end all earlier ones.

    Args:
        member: the member's folder.
        attempt: its number.

    Returns:
        The ticket, to write through.

    Raises:
        SupersededError: when a later attempt has begun.
    """
    ticket = lease_path(member, attempt)
    ticket.mkdir(parents=True, exist_ok=True)
    others = {int(match[1]) for path in member.iterdir() if (match := _TICKET.fullmatch(path.name))} - {attempt}
    if any(other > attempt for other in others):
        shutil.rmtree(ticket, ignore_errors=True)
        raise _superseded(member, attempt)
    for other in others:
        # Renamed first, which takes every way to it at once; what lies within can go at leisure.
        gone = member / f".ended-{other}-{attempt}"
        try:
            lease_path(member, other).rename(gone)
        except FileNotFoundError:
            continue
        shutil.rmtree(gone, ignore_errors=True)
    return ticket


def lease_path(member: Path, attempt: int) -> Path:
    """Give the folder that is an attempt's ticket."""
    return member / f".attempt-{attempt}"


def write_checkpoint(member: Path, attempt: int, content: bytes) -> None:
    """Replace a member's checkpoint in the name of an attempt.

    Raises:
        SupersededError: when a later attempt has begun.
        OSError: when it cannot be written.
    """
    ticket = lease_path(member, attempt)
    try:
        replace_checkpoint(member, content, staging=ticket)
    except FileNotFoundError:
        if ticket.is_dir():
            raise
        raise _superseded(member, attempt) from None


def read_checkpoint(member: Path) -> bytes | None:
    """Give the content of a member's checkpoint file; None when there is none."""
    try:
        return checkpoint_path(member).read_bytes()
    except FileNotFoundError:
        return None


def _superseded(member: Path, attempt: int) -> LeaseLostError:
    return LeaseLostError(f"Attempt {attempt} at member {member.name} ended: a later one has begun.")
