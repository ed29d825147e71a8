"""How often the intervals of a fusion's evaluation hold the truth: labels that nobody knows, and labels that are known.

    python docs/label_intervals.py                a quarter of an hour of one core
    python docs/label_intervals.py --seeds 40     a few minutes

Spaces of two channels on 60 and 300 images, three classes: the classes lie 1.5 apart in the first channel, or nowhere.
Images scatter around their class; σ is 0.5. The true accuracy is 1/3 where no class is known, and elsewhere the mean
over all seeds. The fused space and the learners are independent and know equally much: the true gain is 0.
"""

import argparse

import numpy as np

from vaefrag_core.synthesis.evaluation import BEST, Space, probe_labels
from vaefrag_core.synthesis.label_readings import READINGS

SIGMA = 0.5


def main() -> None:
    """Print a row for each sample size, world and way of reading."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=200, help="samples of each row")
    parser.add_argument("--images", type=int, nargs="+", default=[60, 300], help="of a sample")
    arguments = parser.parse_args()
    print("| images | labels | read by | right | interval holds it | gain's interval holds 0 |")
    print("|---:|---|---|---:|---:|---:|")
    for images in arguments.images:
        for apart, name in ((0.0, "known by no space"), (1.5, "known in part")):
            rows = [_evaluate(seed, images, apart) for seed in range(arguments.seeds)]
            for reading in READINGS:
                share = np.array([row[reading][0]["accuracy"] for row in rows])
                truth = float(share.mean()) if apart else 1 / 3
                ends = np.array([row[reading][0]["interval"] for row in rows])
                gain = np.array([row[reading][1]["gain_interval"] for row in rows])
                holds = np.mean((ends[:, 0] <= truth) & (truth <= ends[:, 1]))
                gain_holds = np.mean((gain[:, 0] <= 0) & (gain[:, 1] >= 0))
                print(
                    f"| {images} | {name} | {reading} | {share.mean():.3f} | {holds:.1%} | {gain_holds:.1%} |",
                    flush=True,
                )


def _evaluate(seed: int, images: int, apart: float) -> dict[str, list[dict[str, object]]]:
    """Return of each reading the rows of the fused space and of the best learner."""
    rng = np.random.default_rng(seed)
    classes = rng.integers(3, size=images)
    fused, *learners = (_space(rng, classes, apart) for _ in range(3))
    probes = probe_labels(fused, learners, {"class": classes}, seed=seed)
    return {
        probe.reading: [probe.summary()[0], next(row for row in probe.summary() if row["space"] == BEST)]
        for probe in probes
    }


def _space(rng: np.random.Generator, classes: np.ndarray, apart: float) -> Space:
    """Return a space that tells the classes, if they are apart, and scatters their images around them."""
    mean = rng.normal(0, np.sqrt(1 - SIGMA**2), (len(classes), 2))
    mean[:, 0] += apart * classes
    return mean, np.full_like(mean, 2 * np.log(SIGMA))


if __name__ == "__main__":
    main()
