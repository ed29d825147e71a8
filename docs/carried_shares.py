"""What a set carries of members that share some of its channels or none, and how right the error beside it is.

    python docs/carried_shares.py              under a minute of a core
    python docs/carried_shares.py --seeds 10

Three members on 300 images; the set is the first one, and the other two have some channels of it, or none.
"""

import argparse
from dataclasses import replace

import numpy as np

from vaefrag_core.artifacts import Posteriors
from vaefrag_core.synthesis import carried_share
from vaefrag_core.synthesis.combination import member_information

IMAGES = 300
CASES = (  # channels, bits of each, how many the others share, least rows
    (3, 1.0, 0, IMAGES),
    (3, 1.0, 0, 100),
    (5, 1.0, 0, IMAGES),
    (5, 1.0, 2, IMAGES),
    (10, 0.5, 0, IMAGES),
    (10, 0.5, 5, IMAGES),
)


def main() -> None:
    """Print a row for each case."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=40, help="ensembles of each row")
    seeds = range(parser.parse_args().seeds)
    print("| channels | bits of each | shared | over images | carried | spread over draws | error said | right |")
    print("|---:|---:|---:|---:|---:|---:|---:|---:|")
    carried_share.COEFFICIENTS = 1  # so that the least rows are taken
    for channels, bits, shared, rows in CASES:
        carried_share.FEWEST_ROWS = rows
        share, error = np.array([_carried(seed, channels, bits, shared) for seed in seeds]).T
        spread = share.std(ddof=1)
        print(
            f"| {channels} | {bits:g} | {shared} | {rows} | {share.mean():.3f} ± {spread / np.sqrt(len(share)):.3f}"
            f" | {spread:.3f} | {error.mean():.3f} | {shared / channels:g} |",
            flush=True,
        )


def _carried(seed: int, channels: int, bits: float, shared: int) -> tuple[float, float]:
    """Return what the first of three members carries of the others, with its standard error."""
    mean = np.random.default_rng(seed).normal(size=(3, IMAGES, channels))
    mean[1:, :, :shared] = mean[0, :, :shared]
    logvar = np.full_like(mean, -np.log(4.0**bits - 1))  # of a Gaussian channel, bits = ½ log2(1 + 1/σ²)
    members = member_information(Posteriors(mean, logvar), range(channels))
    others = replace(members, carried=members.carried[1:], carried_left_out=members.carried_left_out[1:])
    return others.carried_mean, others.carried_error


if __name__ == "__main__":
    main()
