"""Faults of the machine in a sentence: a full disk, a folder that cannot be written, a damaged record of jobs."""

import errno
import sqlite3
import zlib

import diskcache

MACHINE_FAULTS = (OSError, sqlite3.Error, diskcache.Timeout, zlib.error)

_REMEDIES = {
    errno.ENOSPC: "The disk is full{where}. Make room on it, then repeat this.",
    errno.EDQUOT: "Your share of the disk is used up{where}. Make room on it, then repeat this.",
    errno.EFBIG: "A file would be larger than this process may write{where}. Raise that limit, then repeat this.",
    errno.EROFS: "The disk cannot be written{where}. Mount it for writing, or use another workspace.",
    errno.EACCES: "This user may not do that{where}. Mend the rights of the file or folder, or use another workspace.",
    errno.EPERM: "This user may not do that{where}. Mend the rights of the file or folder, or use another workspace.",
    errno.EIO: "The disk has failed to read or write{where}. Look after it, and take what matters from a backup.",
    errno.EMFILE: "Too many files are open{where}. Raise the limit (`ulimit -n`), then repeat this.",
    errno.ENOMEM: "Memory is used up{where}. End other programs, then repeat this.",
}
_RECORD_FAULTS = {
    "full": "The disk is full, so that the record of jobs cannot be written. Make room on it, then repeat this.",
    "readonly": "The record of jobs cannot be written: its folder, or its disk, is read-only.",
    "unable to open": "The record of jobs cannot be opened: its folder is read-only, or this user may not read it.",
    "locked": "The record of jobs is being written by another process for longer than it is waited for. Try again.",
}


def fault_sentence(error: BaseException) -> str:
    """Say what a fault of the machine is, and what to do.

    Args:
        error: one of MACHINE_FAULTS.

    Example:
        >>> fault_sentence(OSError(errno.ENOSPC, "No space left on device", "/data/spec.json"))
        'The disk is full (/data/spec.json). Make room on it, then repeat this.'
    """
    if isinstance(error, OSError):
        where = f" ({error.filename})" if error.filename else ""
        if error.errno in _REMEDIES:
            return _REMEDIES[error.errno].format(where=where)
        what = error.strerror or str(error) or type(error).__name__
        return f"{what.rstrip('.')}{where}. Mend that, then repeat this."
    if isinstance(error, diskcache.Timeout):
        return _RECORD_FAULTS["locked"]
    reason = str(error)
    for word, sentence in _RECORD_FAULTS.items():
        if isinstance(error, sqlite3.OperationalError) and word in reason.replace("read-only", "readonly"):
            return sentence
    return (
        f"The record of jobs cannot be read ({reason}). Ensembles and results are not touched by that;"
        " `vaefrag jobs restore` brings back its copy."
    )
