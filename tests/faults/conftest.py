"""Disks that are full, folders that cannot be written, and workspaces whose files a test may damage."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from support import Trained
from support_jobs import Lab
from vaefrag_core.ensemble_store import EnsembleStore


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    """A workspace whose engines and workers end with the test."""
    lab = Lab(tmp_path / "workspace")
    yield lab
    lab.close()


@pytest.fixture
def own(trained: Trained, tmp_path: Path) -> Trained:
    """A copy of the small real ensemble, which may be damaged."""
    store = EnsembleStore(tmp_path / "own")
    shutil.copytree(trained.store.folder(trained.id), store.folder(trained.id))
    return trained._replace(store=store)


@contextmanager
def mounted(folder: Path, *options: str) -> Iterator[None]:
    """Mount a file system for a while; skip the test where this machine does not allow it."""
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("mounting takes root on Linux")
    folder.mkdir(parents=True, exist_ok=True)
    if subprocess.run(["mount", *options, str(folder)], capture_output=True, check=False).returncode:
        pytest.skip("this machine does not allow to mount")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of its own, 4 MiB large."""
    folder = tmp_path / "disk"
    with mounted(folder, "-t", "tmpfs", "-o", "size=4m", "tmpfs"):
        yield folder


def fill(disk: Path) -> Path:
    """Fill a disk to the last byte, and return the file that does."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file:
        for size in (2**20, 2**12, 1):
            try:
                while file.write(bytes(size)) == size:
                    pass
            except OSError:
                continue
    return filler


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Let a folder be one that nobody can write, root included."""
    with mounted(folder, "--bind", str(folder)):
        subprocess.run(["mount", "-o", "remount,bind,ro", str(folder)], check=True)
        yield
