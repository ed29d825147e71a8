"""Layouts of channels in the plane."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from vaefrag_core.array_types import FloatArray
from vaefrag_core.artifacts.files import check_shapes, load_arrays, load_json, reports_damage, save_arrays, save_json


@dataclass(frozen=True, eq=False)
class ChannelMap:
    """Channels laid out in the plane so that similar ones lie together.

    Args:
        mds: (C, 2) metric multidimensional scaling; NaN for dead and saturated channels.
        umap: (C, 2) UMAP of the same distances; NaN for the same channels.
        stress: Kruskal's stress-1 of the MDS layout: 0 is perfect, above 0.2 poor.
        messages: what a user should know about this result.
    """

    mds: FloatArray
    umap: FloatArray
    stress: float
    messages: tuple[str, ...] = ()

    def coordinates(self, method: Literal["mds", "umap"]) -> FloatArray:
        """Return the (C, 2) layout of a method."""
        return self.mds if method == "mds" else self.umap

    def save(self, folder: Path) -> None:
        """Write into a folder that exists."""
        save_arrays(folder, mds=self.mds, umap=self.umap)
        save_json(folder, {"stress": self.stress, "messages": self.messages})

    @classmethod
    @reports_damage
    def load(cls, folder: Path) -> "ChannelMap":
        """Read what `save` wrote."""
        facts = load_json(folder)
        arrays = load_arrays(folder, "mds", "umap")
        check_shapes(folder, arrays, mds="C 2", umap="C 2")
        return cls(**arrays, stress=facts["stress"], messages=tuple(facts["messages"]))
