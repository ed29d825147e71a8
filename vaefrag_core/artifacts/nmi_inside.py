"""What the channels of each hotspot share, corrected for chance, and how sure that is over the choice of images."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vaefrag_core.array_types import BoolArray, FloatArray
from vaefrag_core.artifacts.files import check_shapes, load_arrays, reports_damage, save_arrays
from vaefrag_core.artifacts.recurrence import Z95


@dataclass(frozen=True, eq=False)
class NmiInside:
    """Corrected NMI inside each of G hotspots.

    Args:
        corrected: (G,) mean corrected NMI of its pairs of different members.
        error: (G,) its standard error over the choice of images.
    """

    corrected: FloatArray
    error: FloatArray

    @property
    def interval(self) -> FloatArray:
        """(G, 2) lower and upper end of the 95 % interval: 1.96 standard errors to either side."""
        return np.asarray(self.corrected[:, None] + Z95 * self.error[:, None] * np.array([-1.0, 1.0]))

    @property
    def reaches_chance(self) -> BoolArray:
        """(G,) True where the interval reaches 0, which independent channels show on average."""
        return np.asarray(~(self.interval[:, 0] > 0))

    def save(self, folder: Path) -> None:
        """Write into a folder that exists."""
        save_arrays(folder, corrected=self.corrected, error=self.error)

    @classmethod
    @reports_damage
    def load(cls, folder: Path) -> "NmiInside":
        """Read what `save` wrote."""
        arrays = load_arrays(folder, "corrected", "error")
        check_shapes(folder, arrays, corrected="G", error="G")
        return cls(**arrays)
