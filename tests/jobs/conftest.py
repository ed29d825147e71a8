"""Engines as real processes, which tests may kill."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from support_jobs import Lab


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    """Give a workspace whose engines and workers end with the test."""
    lab = Lab(tmp_path / "workspace")
    yield lab
    lab.close()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """Give a workspace whose engine has two slots and is in a hurry; it runs through all tests of a file."""
    lab = Lab(tmp_path_factory.mktemp("running") / "workspace")
    lab.engine(slots=2, checkpoint_seconds=0.1, grace_seconds=3, turn_seconds=0)
    yield lab
    lab.close()


@pytest.fixture
def busy(running: Lab) -> Iterator[Lab]:
    """Give the same, with no job left from other tests."""
    yield running
    for job in running.job_store.jobs():
        if not job.ended:
            running.job_store.set_desired_state(job.id, "cancel")
    running.wait(lambda: all(job.ended for job in running.job_store.jobs()))
