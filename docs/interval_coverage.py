"""How often 95 % intervals over images cover: docs/interval_coverage.py [--redraws N] [--images N …] [--hotspots].

Images are drawn again and again from one known population. What an interval should cover is the mean over all draws:
the expectation on so many images.
"""

import argparse
from typing import Any

import numpy as np

from vaefrag_core.array_types import FloatArray
from vaefrag_core.measures.information_terms import nmi_from_terms, shared_bits_from_terms, vi_from_terms
from vaefrag_core.measures.sampling_error import pair_errors
from vaefrag_core.structure.hotspots import find_hotspots
from vaefrag_core.structure.matrices import compare_channels
from vaefrag_core.structure.planted_ensembles import Planted, plant
from vaefrag_core.structure.sampling_errors import corrected_nmi_inside
from vaefrag_core.synthesis.coefficient_blocks import CoefficientBlocks

# Bits of a channel's noise, and the standard deviation of what it tells beside the property that both tell.
KINDS = {
    "faint": (0.2, 0.3),
    "ordinary": (2.0, 0.3),
    "unlike": (2.0, 0.8),
    "rich": (4.0, 0.3),
    "independent": (2.0, None),
}
NOISES = (0.1, 0.3, 0.8, 1.0)  # of the channels of hotspots


def main() -> None:
    """Print a row for each kind of pair, or for each similarity inside a hotspot."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--redraws", type=int, default=400)
    parser.add_argument("--images", type=int, nargs="+", default=[100, 300, 1_000])
    parser.add_argument("--hotspots", action="store_true")
    options = parser.parse_args()
    for images in options.images:
        if options.hotspots:
            for noise in NOISES:
                row = _hotspots(images, noise, options.redraws)
                print(f"{images:>6} {row[0]:>6.2f}", _covered(row[1]), flush=True)
        else:
            for name, kind in KINDS.items():
                rng = np.random.default_rng(0)
                rows = np.array([_pair(images, *kind, rng) for _ in range(options.redraws)])
                print(f"{images:>6} {name:<12}", *(_covered(rows[:, k]) for k in range(3)), flush=True)


def _pair(images: int, bits: float, noise: float | None, rng: np.random.Generator) -> list[tuple[float, float]]:
    """Draw images, and return information, NMI and VI of a pair of channels, each with its error."""
    value, own = rng.uniform(-2, 2, images), rng.normal(size=(2, images))
    mean = own if noise is None else value * np.sqrt(0.75) + noise * own
    logvar = -np.log(4.0**bits - 1) + rng.normal(0, 0.3, (2, images))
    blocks, every = CoefficientBlocks(mean, logvar, exact=True), slice(0, images)
    a, b = blocks.fill(np.empty((2, images, images)), slice(0, 2), every, every)
    errors = pair_errors(a, b)
    single_a, single_b, joint, twice_a, twice_b = (_bits(c) for c in (a, b, a * b, a * a, b * b))
    shared = shared_bits_from_terms(single_a, single_b, joint)
    own_a, own_b = (shared_bits_from_terms(s, s, t) for s, t in ((single_a, twice_a), (single_b, twice_b)))
    nmi, vi = nmi_from_terms(shared, own_a, own_b, images=images), vi_from_terms(shared, own_a, own_b)
    return [(float(single_a), errors.bits[0]), (float(nmi), errors.nmi), (float(vi), errors.vi_bits)]


def _bits(coefficient: FloatArray) -> Any:
    return -np.log2(coefficient.mean(axis=1)).mean()


def _hotspots(images: int, noise: float, redraws: int) -> tuple[float, FloatArray]:
    """Draw images of an ensemble with one fragment, and return what its hotspot shares, with its error, each time."""
    rows = []
    for seed in range(redraws):
        posteriors, _ = plant(Planted(members=10, fragments=1, images=images, noise=noise, idle=0.5), seed)
        matrix = compare_channels(posteriors)
        inside = corrected_nmi_inside(posteriors, matrix, find_hotspots(matrix))
        rows += [(inside.corrected[0], inside.error[0])] if len(inside.error) else []
    return float(np.mean(rows, axis=0)[0]), np.array(rows)


def _covered(rows: FloatArray) -> str:
    value, error = rows.T
    return f"{(abs(value - value.mean()) < 1.96 * error).mean():>6.1%}"


if __name__ == "__main__":
    main()
