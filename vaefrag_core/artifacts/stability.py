"""Stability of hotspots under resampling."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from vaefrag_core.array_types import FloatArray
from vaefrag_core.artifacts.files import check_shapes, load_arrays, load_json, reports_damage, save_arrays, save_json

Over = Literal["members", "images"]

RETURNED = 0.5  # Jaccard index from which on a hotspot counts as come back; below, most of it was lost


@dataclass(frozen=True, eq=False)
class Stability:
    """How well the hotspots of one measure come back on resamples of members and of images.

    Args:
        members: (R, G) largest Jaccard index of each hotspot with one of the resample, R resamples of members; NaN
            where fewer than two members of the hotspot were drawn, so that it had no way to come back.
        images: (R, G) the same over R resamples of images.
        seed: seed of the resamples.
        inside: (R, G, 2) of the hotspot of a resample of images that each is most like: mean similarity inside,
            corrected for chance, on the images that it was found on, and on those that were not drawn. NaN where there
            is none; None in results of earlier versions.
    """

    members: FloatArray
    images: FloatArray
    seed: int
    inside: FloatArray | None = None

    @property
    def resamples(self) -> int:
        """R."""
        return len(self.members)

    def mean_jaccard(self, over: Over) -> FloatArray:
        """Return the mean Jaccard index of each hotspot, (G,) 0 to 1; NaN where no resample can tell."""
        return self._mean(over, getattr(self, over))

    def returned(self, over: Over) -> FloatArray:
        """Return the share of resamples in which each hotspot came back, (G,): with a Jaccard index of 0.5 or more."""
        return self._mean(over, getattr(self, over) >= RETURNED)

    @property
    def mean_inside(self) -> FloatArray:
        """(G, 2) mean similarity inside on the images that hotspots were found on, and on others; NaN where unknown."""
        if self.inside is None:
            return np.full((self.images.shape[1], 2), np.nan)
        known = np.isfinite(self.inside).all(axis=2, keepdims=True)
        count = known.sum(axis=0)
        total = np.where(known, self.inside, 0.0).sum(axis=0)
        return np.asarray(np.where(count > 0, total / np.maximum(count, 1), np.nan))

    def _mean(self, over: Over, values: NDArray[np.generic]) -> FloatArray:
        tells = np.isfinite(getattr(self, over))
        count = tells.sum(axis=0)
        total = np.where(tells, values, 0.0).sum(axis=0)
        return np.where(count > 0, total / np.maximum(count, 1), np.nan)

    def save(self, folder: Path) -> None:
        """Write into a folder that exists."""
        save_arrays(folder, members=self.members, images=self.images)
        if self.inside is not None:
            save_arrays(folder, inside=self.inside)
        save_json(folder, {"seed": self.seed, "inside": self.inside is not None})

    @classmethod
    @reports_damage
    def load(cls, folder: Path) -> "Stability":
        """Read what `save` wrote."""
        facts = load_json(folder)
        arrays = load_arrays(folder, "members", "images")
        check_shapes(folder, arrays, members="R G", images="R G")
        if facts.get("inside"):  # results of earlier versions have none
            arrays |= load_arrays(folder, "inside")
            check_shapes(folder, arrays, images="R G", inside="R G 2")
        return cls(**arrays, seed=int(facts["seed"]))
