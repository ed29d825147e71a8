"""Tries the certificate, and the comparison of two ensembles, on planted ones: the rates of docs/method.md.

python docs/certificate.py [--seeds 60] [--only departures|alike|pairs|diverged]
"""

import argparse
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from vaefrag_core.artifacts import Hotspots, Posteriors
from vaefrag_core.config import HotspotConfig
from vaefrag_core.structure.certificate import Certificate, certify
from vaefrag_core.structure.hotspot_comparison import compare_hotspots
from vaefrag_core.structure.hotspot_recurrence import hotspot_recurrence
from vaefrag_core.structure.hotspots import find_hotspots
from vaefrag_core.structure.matrices import compare_channels
from vaefrag_core.structure.planted_comparisons import plant_departures, plant_pair
from vaefrag_core.structure.planted_ensembles import Planted, independent, plant, with_diverged_member

CONFIG = HotspotConfig()
IMAGES = 300
ALIKE = {
    "all fragments in all members": Planted(),
    "noisy": Planted(noise=0.8),
    "merged in a fifth": Planted(variant="merged"),
    "split in a fifth": Planted(variant="split"),
    "turned by up to 30 degrees": Planted(variant="continuous"),
    "each in a member at 80 %": Planted(held=0.8, drawn=True),
    "each in a member at 50 %": Planted(held=0.5, drawn=True),
}

HEALTHY: dict[str, dict[str, Any]] = {
    "0.5 to 6 bits": {},
    "heavy tails": {"heavy_tails": True},
    "40 % of the images are copies": {"copies": 0.4},
    "deterministic encoders": {"bits": (40.0, 43.0)},
    "faint": {"bits": (0.001, 0.1)},
}


def hotspots_of(posteriors: Posteriors) -> tuple[Certificate, Hotspots]:
    """Analyse posteriors as `vaefrag analyze` does, and certify them."""
    matrix = compare_channels(posteriors)
    hotspots = find_hotspots(matrix, CONFIG)
    hotspots = replace(hotspots, recurrence=hotspot_recurrence(matrix, hotspots, CONFIG))
    return certify(matrix, hotspots, CONFIG), hotspots


def departures(seeds: int) -> Iterator[str]:
    """One member holds other fragments, another tells the common ones most clearly."""
    for members, fragments, noise in ((5, 4, 0.3), (10, 3, 0.3), (10, 3, 0.8), (20, 5, 0.5)):
        consensus = outlier = 0
        for seed in range(seeds):
            planted = Planted(members=members, fragments=fragments, images=IMAGES, noise=noise)
            posteriors, odd, clearest = plant_departures(planted, seed)
            certificate, _ = hotspots_of(posteriors)
            consensus += certificate.consensus == clearest
            outlier += certificate.outliers == (odd,)
        yield f"{members} members, {fragments} fragments, noise {noise}: {consensus}, {outlier} of {seeds}"


def alike(seeds: int) -> Iterator[str]:
    """No member is set apart: how often one is called an outlier."""
    for name, planted in ALIKE.items():
        alarms = 0
        for seed in range(seeds):
            rng = np.random.default_rng(seed)
            members, fragments = int(rng.choice([5, 10, 16])), int(rng.integers(3, 7))
            drawn = replace(planted, members=members, fragments=fragments, images=IMAGES)
            posteriors, _ = plant(drawn, 10_000 + seed)
            alarms += bool(hotspots_of(posteriors)[0].outliers)
        yield f"{name}: {alarms} of {seeds}"


def pairs(seeds: int) -> Iterator[str]:
    """Two ensembles of six members that share two of three fragments, or none."""
    for noise in (0.1, 0.3, 0.8):
        for shared, second in ((2, (0, 1, 3)), (0, (3, 4, 5))):
            right = 0
            for seed in range(seeds):
                planted = Planted(members=6, fragments=6, images=IMAGES, noise=noise)
                sides, fragments = [], []
                for posteriors, truth in plant_pair(planted, (0, 1, 2), second, seed):
                    groups = hotspots_of(posteriors)[1].groups
                    sides.append((posteriors, groups))
                    fragments.append([int(np.bincount(truth[list(g.channels)] + 1).argmax()) - 1 for g in groups])
                result = compare_hotspots(sides[0], sides[1], CONFIG, draws=19)
                expected = np.equal.outer(fragments[0], fragments[1])
                by_chance = bool(((result.p_values <= 0.05) != expected).any())
                complete = expected.shape == (3, 3) and expected.sum() == shared
                right += complete and np.array_equal(result.same, expected) and not (shared and by_chance)
            yield f"sharing {shared} of 3, noise {noise}: {right} of {seeds}"


def diverged(seeds: int) -> Iterator[str]:
    """Posteriors alone: how often a healthy member is taken for one that diverged, and one that did is told."""
    alarms = dict.fromkeys(HEALTHY, 0)
    told = others = 0
    for seed in range(seeds):
        rng = np.random.default_rng(seed)
        members, channels, images = int(rng.choice([3, 5, 10])), int(rng.choice([4, 10])), int(rng.choice([50, 300]))
        for name, settings in HEALTHY.items():
            posteriors = independent(members, channels, images, seed, **settings)
            alarms[name] += bool(posteriors.diverged_members)
            found = with_diverged_member(posteriors, seed).diverged_members
            told += members - 1 in found
            others += bool(set(found) - {members - 1})
    for name, count in alarms.items():
        yield f"{name}: {count} of {seeds}"
    total = seeds * len(HEALTHY)
    yield f"one that diverged beside them: told {told} of {total}, another beside it {others} of {total}"


def main() -> None:
    """Print the rates."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=60, help="ensembles, or pairs, of each kind")
    studies = (departures, alike, pairs, diverged)
    names = [study.__name__ for study in studies]
    parser.add_argument("--only", choices=names, default=None, help="one of the studies")
    arguments = parser.parse_args()
    for study in studies:
        if arguments.only in (None, study.__name__):
            print(study.__doc__)
            for line in study(arguments.seeds):
                print(f"    {line}", flush=True)


if __name__ == "__main__":
    main()
