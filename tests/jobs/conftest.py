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
