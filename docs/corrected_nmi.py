"""Corrected NMI by both estimators, beside what is right: a table of docs/method.md, `python docs/corrected_nmi.py`.

Six members have one channel each whose Gaussian means correlate by ρ, and four more that share nothing. Right is the
closed form of two Gaussian variables, with their noise, on images without end.
"""

import argparse
import math

import numpy as np

from vaefrag_core.artifacts import Posteriors
from vaefrag_core.config import Estimator
from vaefrag_core.structure.matrices import compare_channels

CASES = ((2, 0.5, 100), (2, 0.9, 100), (4, 0.9, 300), (5, 0.9, 300), (5, 0.99, 300), (6, 0.0, 1_000))
MEMBERS, CHANNELS = 6, 5


def mean_nmi(bits: int, rho: float, images: int, seed: int, estimator: Estimator) -> tuple[float, float]:
    """Return the mean NMI of the channels that correlate, as it is and corrected."""
    rng = np.random.default_rng(seed)
    mean = rng.normal(size=(MEMBERS, images, CHANNELS))
    mean[:, :, 0] = math.sqrt(rho) * rng.normal(size=images) + math.sqrt(1 - rho) * mean[:, :, 0]
    posteriors = Posteriors(mean, np.full_like(mean, -math.log(2 ** (2 * bits) - 1)))
    matrix = compare_channels(posteriors, estimator=estimator)
    channels = np.arange(MEMBERS) * CHANNELS
    pairs = ~np.eye(MEMBERS, dtype=bool)
    plain = np.asarray(matrix.nmi)[np.ix_(channels, channels)][pairs].mean()
    return float(plain), float(matrix.corrected_nmi(channels)[pairs].mean())


def main() -> None:
    """Print a row for each case."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=12, help="draws of each row")
    seeds = range(parser.parse_args().seeds)
    print("| bits | ρ | images | bound, corrected | exact, plain | exact, corrected | right |")
    print("|---:|---:|---:|---:|---:|---:|---:|")
    for bits, rho, images in CASES:
        noise = 1 / (2 ** (2 * bits) - 1)
        shared, own = (math.log1p(-((r / (1 + noise)) ** 2)) for r in (rho, 1.0))
        bound, exact = (
            np.mean([mean_nmi(bits, rho, images, seed, estimator) for seed in seeds], axis=0)
            for estimator in ("bound", "exact")
        )
        figures = " | ".join(f"{round(value, 2) + 0.0:.2f}" for value in (bound[1], *exact, shared / own))
        print(f"| {bits} | {rho:g} | {images:,} | {figures} |", flush=True)


if __name__ == "__main__":
    main()
