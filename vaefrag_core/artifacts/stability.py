"""How surely hotspots come back."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from vaefrag_core.array_types import FloatArray
from vaefrag_core.artifacts.files import check_shapes, load_arrays, load_json, reports_damage, save_arrays, save_json

Over = Literal["members", "images"]

RETURNED = 0.5  # Jaccard index from which on a hotspot counts as found again; below, most of it was lost


@dataclass(frozen=True, eq=False)
class Stability:
    """What became of the hotspots of one measure on other draws of members and of images.

    Args:
        members: (R, G) largest Jaccard index of each hotspot with one of the resample, R resamples of members; NaN
            where fewer than two members of the hotspot were drawn, so that it had no way to come back.
        images: (R, G) the same over R resamples of images.
        seed: of the resamples.
    """

    members: FloatArray
    images: FloatArray
    seed: int

    @property
    def resamples(self) -> int:
        """R."""
        return len(self.members)

    def mean_jaccard(self, over: Over) -> FloatArray:
        """Give the mean Jaccard index of each hotspot, (G,) 0 to 1; NaN where no resample can tell."""
        return self._mean(over, getattr(self, over))

    def returned(self, over: Over) -> FloatArray:
        """Give the share of resamples in which each hotspot came back, (G,): with a Jaccard index of 0.5 or more."""
        return self._mean(over, getattr(self, over) >= RETURNED)

    def _mean(self, over: Over, values: NDArray[np.generic]) -> FloatArray:
        tells = np.isfinite(getattr(self, over))
        count = tells.sum(axis=0)
        total = np.where(tells, values, 0.0).sum(axis=0)
        return np.where(count > 0, total / np.maximum(count, 1), np.nan)

    def save(self, folder: Path) -> None:
        """Write into a folder that exists."""
        save_arrays(folder, members=self.members, images=self.images)
        save_json(folder, {"seed": self.seed})

    @classmethod
    @reports_damage
    def load(cls, folder: Path) -> "Stability":
        """Read what `save` wrote."""
        arrays = load_arrays(folder, "members", "images")
        check_shapes(folder, arrays, members="R G", images="R G")
        return cls(**arrays, seed=int(load_json(folder)["seed"]))
