"""What tests of several files share."""

import time
from collections.abc import Callable
from typing import NamedTuple

from vaefrag_core.config import EnsembleSpec
from vaefrag_core.store import EnsembleStore


class Trained(NamedTuple):
    """A workspace with one analysed ensemble: 6 members, 400 steps on digits."""

    store: EnsembleStore
    id: str
    spec: EnsembleSpec


def wait_until(condition: Callable[[], object], seconds: float = 60) -> None:
    """Wait for what another process does and cannot announce."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)
