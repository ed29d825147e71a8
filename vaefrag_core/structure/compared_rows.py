"""The rows that are compared with each other, channels and labels. Needs no torch."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from vaefrag_core.array_types import FloatArray, IntArray
from vaefrag_core.measures.gaussian import DEFAULT_DIVERGENCE, Divergence

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Rows:
    """The R = C + F rows to compare: channels, then labels.

    Args:
        mean: (C, N), latent units.
        logvar: (C, N), ln σ².
        codes: (F, N) numbered values of the labels.
        n_first: size of the first group of rows, which are not compared among each other.
        across: leave out pairs among the other rows as well, so that only the rectangle between both groups is left.
        divergence: the one that tells images apart.
    """

    mean: FloatArray
    logvar: FloatArray
    codes: IntArray
    n_first: int = 0
    across: bool = False
    divergence: Divergence = DEFAULT_DIVERGENCE

    @property
    def shape(self) -> tuple[int, int]:
        """R and N."""
        return len(self.mean) + len(self.codes), self.mean.shape[1]

    @property
    def skipped_groups(self) -> tuple[slice, ...]:
        """Ranges of rows that are not compared among each other."""
        return (slice(0, self.n_first), *((slice(self.n_first, None),) if self.across else ()))

    @property
    def images_per_logarithm(self) -> int:
        """Images whose ratios are multiplied before one logarithm is taken."""
        # Each ratio lies between 1/N and N, and a double ends at 1e±308.
        return max(1, int(300 / math.log10(max(self.shape[1], 10))))
