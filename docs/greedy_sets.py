"""What greedy sets gain over random ones, on the images that chose them and on others.

    python docs/greedy_sets.py              two minutes
    python docs/greedy_sets.py --seeds 10

Six members on 200 images. Where all channels are independent and tell one bit each, no set is better than another; nor
does any channel tell of a label that is drawn at random. Where six fragments are planted in every member, the best set
takes each of them once.
"""

import argparse
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from vaefrag_core.artifacts import Posteriors
from vaefrag_core.structure.planted_ensembles import Planted, independent, plant
from vaefrag_core.synthesis.held_out_growth import grow_on_halves

MEMBERS, CHANNELS, IMAGES, SIZE = 6, 5, 200, 5
LABEL = "drawn at random"


def main() -> None:
    """Print a row for each kind of ensemble."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=40, help="ensembles of each row")
    seeds = range(parser.parse_args().seeds)
    print("| greedy sets of 5 | gain where chosen, bits | gain on others, bits | interval above 0 | holds 0 |")
    print("|---|---:|---:|---:|---:|")
    rows: list[tuple[str, Callable[[int], Posteriors], str | None]] = [
        ("independent channels of 1 bit", _noise, None),
        ("the same, half of the images copies", lambda seed: _noise(seed, copies=0.5), None),
        ("the same, by a label drawn at random", _with_label, LABEL),
        ("six planted fragments", lambda seed: plant(Planted(MEMBERS, 6, IMAGES), seed)[0], None),
    ]
    for name, draw, label in rows:
        grown = [grow_on_halves(draw(seed), SIZE, label=label, seed=seed) for seed in seeds]
        own, other, ends = (
            np.array(values)
            for values in zip(
                *(
                    (g.own_gain[:, -1].mean(), g.other_gain[:, -1].mean(), g.other_gain_interval(SIZE))
                    for g in grown
                    if g is not None
                ),
                strict=True,
            )
        )
        above, holds = (ends[:, 0] > 0).mean(), ((ends[:, 0] <= 0) & (ends[:, 1] >= 0)).mean()
        print(f"| {name} | {_mean(own)} | {_mean(other)} | {above:.0%} | {holds:.0%} |", flush=True)


def _noise(seed: int, copies: float = 0.0) -> Posteriors:
    return independent(MEMBERS, CHANNELS, IMAGES, seed, bits=(1.0, 1.0), copies=copies)


def _with_label(seed: int) -> Posteriors:
    label = np.random.default_rng(10_000 + seed).integers(5, size=(IMAGES, 1))
    return replace(_noise(seed), labels=label, label_names=(LABEL,))


def _mean(values: np.ndarray) -> str:
    """Write a mean over seeds with its standard error."""
    return f"{values.mean():.3f} ± {values.std(ddof=1) / np.sqrt(len(values)):.3f}"


if __name__ == "__main__":
    main()
