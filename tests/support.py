"""What tests of several files share."""

from typing import NamedTuple

from vaefrag_core.config import EnsembleSpec
from vaefrag_core.store import EnsembleStore


class Trained(NamedTuple):
    """A workspace with one analysed ensemble: 6 members, 400 steps on digits."""

    store: EnsembleStore
    id: str
    spec: EnsembleSpec
