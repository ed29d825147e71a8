"""The room left on a workspace's disk."""

import shutil
from pathlib import Path

MEGABYTE = 10**6


def free_megabytes(folder: Path) -> float:
    """Return the room left on the disk that holds a folder, or will hold it.

    Args:
        folder: the folder, whether it exists or not.

    Returns:
        Megabytes of 10⁶ bytes.
    """
    there = folder.absolute()
    while not there.exists():
        there = there.parent
    return shutil.disk_usage(there).free / MEGABYTE


def room_sentence(folder: Path, least_mb: float) -> str:
    """Return what is said of a disk with too little room; an empty text when there is enough.

    Args:
        folder: the workspace.
        least_mb: the room that is kept free, megabytes.
    """
    free = free_megabytes(folder)
    if free >= least_mb:
        return ""
    return (
        f"The disk of {folder} has {free:,.0f} MB left, fewer than the {least_mb:,.0f} that are kept free. Make room,"
        " or set VAEFRAG_LEAST_FREE_MB."
    )
