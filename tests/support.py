"""What tests of several files share."""

import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from vaefrag_core.artifacts import Posteriors
from vaefrag_core.config import EnsembleSpec
from vaefrag_core.store import EnsembleStore


class Trained(NamedTuple):
    """A workspace with one analysed ensemble: 6 members, 400 steps on digits."""

    store: EnsembleStore
    id: str
    spec: EnsembleSpec


def sixty_digits() -> Posteriors:
    """Give posteriors of five members of three channels on sixty digits: pixels added up at random."""
    from sklearn.datasets import load_digits

    images = load_digits().images[:60]
    weights = np.random.default_rng(0).normal(size=(5, 64, 3)) / 8
    mean = (images.reshape(60, 64) - 5) @ weights
    return Posteriors(
        mean,
        np.full_like(mean, 1.0),
        labels=load_digits().target[:60],
        label_names=["digit"],
        images=(images * 15).astype(np.uint8),
        sample_id="sixty",
    )


def wait_until(condition: Callable[[], object], seconds: float = 60) -> None:
    """Wait for what another process does and cannot announce."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)
