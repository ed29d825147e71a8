"""How many images are enough: writes the table of docs/method.md, `python docs/enough_images.py ENSEMBLE`.

    python docs/enough_images.py ID --workspace DIR      an ensemble that was trained there, half an hour on two cores

All images of the data set are encoded; then the first 100, 300, … of them, in one random order, are analysed by both
estimators: the bound on as many as it can take, exact bits on all. What is printed of each: the mean bits of the
channels that are live on all images, NMI inside the hotspots found on all images, as it is and corrected, how many
hotspots are found on the sample, and how far they agree with those on all (adjusted Rand index over channels, as of
`vaefrag sensitivity`).
"""

import argparse
import time
from pathlib import Path
from typing import get_args

import numpy as np
from sklearn.metrics import adjusted_rand_score

from vaefrag_core.artifacts import Hotspots, Posteriors
from vaefrag_core.config import Estimator, FingerprintConfig, HotspotConfig
from vaefrag_core.datasets.catalog import load_dataset
from vaefrag_core.datasets.fingerprint import draw_fingerprint
from vaefrag_core.encoding import encode_members
from vaefrag_core.ensemble_store import EnsembleStore
from vaefrag_core.restored_members import restore_networks
from vaefrag_core.structure.hotspots import find_hotspots
from vaefrag_core.structure.matrices import compare_channels
from vaefrag_core.structure.similarity_inside import mean_inside

SIZES = (100, 300, 1_000, 3_000, 10_000, 30_000)
MOST_BY_BOUND = 3_000


def groups_of(hotspots: Hotspots) -> np.ndarray:
    """Number the channels by hotspot; each of no hotspot is a group of its own."""
    labels = hotspots.labels.copy()
    alone = labels < 0
    labels[alone] = labels.max(initial=0) + 1 + np.arange(alone.sum())
    return labels


def main() -> None:
    """Encode, analyse nested samples, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("ensemble")
    parser.add_argument("--workspace", type=Path, default=Path("data"))
    chosen = parser.parse_args()
    store = EnsembleStore(chosen.workspace)
    spec = store.record(chosen.ensemble).spec
    dataset = load_dataset(spec.dataset)
    members = restore_networks(chosen.ensemble, store, dataset.image_shape)
    whole = encode_members(dataset, draw_fingerprint(dataset, FingerprintConfig(size=dataset.n_images)), members)
    order = np.random.default_rng(0).permutation(dataset.n_images)
    mean, logvar = (np.stack(arrays) for arrays in (whole.mean, whole.logvar))

    def analyse(size: int, estimator: Estimator):  # noqa: ANN202 - three results of one analysis
        images = np.sort(order[:size])
        posteriors = Posteriors(mean[:, images], logvar[:, images], copy_of=np.arange(size))
        began = time.perf_counter()
        matrix = compare_channels(posteriors, estimator=estimator)
        seconds = time.perf_counter() - began
        return matrix, find_hotspots(matrix, HotspotConfig(estimator=estimator)), seconds

    _, on_all, _ = last = analyse(dataset.n_images, "exact")
    live = ~on_all.dead
    print("| estimator | images | bits | NMI inside | corrected | hotspots | agreement | seconds |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|")
    for estimator in get_args(Estimator):
        for size in (*(s for s in SIZES if s < dataset.n_images), dataset.n_images):
            if estimator == "bound" and size > MOST_BY_BOUND:
                continue
            matrix, hotspots, seconds = last if size == dataset.n_images else analyse(size, estimator)
            plain, corrected = [], []
            for group in on_all.groups:
                channels = np.array(group.channels)
                square = np.asarray(matrix.nmi, dtype=np.float64)[np.ix_(channels, channels)]
                plain.append(mean_inside(square, matrix.member[channels]))
                corrected.append(mean_inside(matrix.corrected_nmi(channels), matrix.member[channels]))
            agreement = adjusted_rand_score(groups_of(on_all), groups_of(hotspots))
            print(
                f"| {estimator} | {size:,} | {matrix.information_bits[live].mean():.3f} | {np.nanmean(plain):.3f} |"
                f" {np.nanmean(corrected):.3f} | {len(hotspots.groups)} | {agreement:.2f} | {seconds:.1f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
