"""One recurring group of channels."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Hotspot:
    """One recurring group of channels.

    Args:
        label: its number, 0 for the first along the OPTICS order.
        channels: flat indices, in OPTICS order.
        n_members: distinct members that have a channel in it.
        mean_nmi: mean NMI of its pairs (of two different channels).
        mean_vi_bits: mean VI of its pairs, bits.
        mean_bits: mean information of its channels, bits.
        medoid: flat index of the channel with the smallest mean distance to the others.
        label_nmi: mean NMI of its channels with each label, (F,).
    """

    label: int
    channels: tuple[int, ...]
    n_members: int
    mean_nmi: float
    mean_vi_bits: float
    mean_bits: float
    medoid: int
    label_nmi: tuple[float, ...]

    @property
    def size(self) -> int:
        """Number of channels."""
        return len(self.channels)

    @classmethod
    def read(cls, facts: Mapping[str, Any]) -> "Hotspot":
        """Restore a hotspot from its `vars`, after their way through JSON."""
        return cls(**{**facts, **{name: tuple(facts[name]) for name in ("channels", "label_nmi")}})
