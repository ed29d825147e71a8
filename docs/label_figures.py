"""The tables of docs/method.md on labels and on metrics: what is measured where the answer is known.

Run it by `python docs/label_figures.py`; it takes a few minutes on one core.
"""

import numpy as np

from vaefrag_core.artifacts import Posteriors
from vaefrag_core.structure.label_information import label_bits_by_neighbours
from vaefrag_core.structure.matrices import compare_channels
from vaefrag_core.structure.member_metrics import METRICS, member_metrics

RUNS, CHANNELS, METRIC_IMAGES = 10, 10, 1_000


def unbinned_table() -> None:
    """Print what nearest neighbours find of Gaussians, beside the closed form."""
    print(
        "| images | ρ = 0: 0.00 | 0.3: 0.07 | 0.6: 0.32 | 0.9: 1.20 | 0.99: 2.83 bits |\n"
        "|---:|---:|---:|---:|---:|---:|"
    )
    for images in (100, 300, 1_000):
        cells = []
        for rho in (0.0, 0.3, 0.6, 0.9, 0.99):
            found = []
            for seed in range(RUNS):
                rng = np.random.default_rng(seed)
                label = rng.normal(size=images)
                draws = rho * label[:, None] + np.sqrt(1 - rho**2) * rng.normal(size=(images, CHANNELS))
                found.append(label_bits_by_neighbours(draws, label))
            cells.append(f"{np.mean(found):.2f} ± {np.std(found):.2f}")
        print(f"| {images:,} | {' | '.join(cells)} |", flush=True)


def chance_table() -> None:
    """Print the NMI with labels that say nothing, plain and corrected."""
    print("\n| images | label | NMI | corrected |\n|---:|---|---:|---:|")
    for images in (100, 300, 1_000):
        plain, corrected = [], []
        for seed in range(RUNS):
            rng = np.random.default_rng(seed)
            mean = rng.normal(size=(2, images, 6)) * 2.0 ** np.arange(6) / 4
            labels = np.column_stack([rng.integers(0, count, images) for count in (2, 20)] + [rng.normal(size=images)])
            gaps = np.where(rng.random(images) < 0.5, labels[:, 1], np.nan)
            posteriors = Posteriors(mean, np.full_like(mean, -2.0), labels=np.column_stack([labels, gaps]))
            matrix = compare_channels(posteriors)
            plain.append(matrix.label_nmi)
            corrected.append(matrix.corrected_label_nmi(np.arange(12)))
        names = ("2 values", "20 values", "numbers, 20 bins", "20 values, of half the images")
        for f, name in enumerate(names):
            shown, above = np.array(plain)[..., f], np.array(corrected)[..., f]
            print(f"| {images:,} | {name} | {shown.mean():.3f} | {above.mean():z.3f} ± {above.std():.3f} |")


def metrics_table() -> None:
    """Print the metrics of codes that tell four factors of five values perfectly, of mixed ones and of random ones."""
    print("\n| codes | " + " | ".join(METRICS) + " |\n|---|" + "---:|" * len(METRICS))
    for name in ("a channel per factor", "turned by 45° in pairs", "random"):
        found = []
        for seed in range(RUNS):
            rng = np.random.default_rng(seed)
            labels = rng.integers(0, 5, (METRIC_IMAGES, 4))
            straight = (labels - 2) / np.sqrt(2) + 0.05 * rng.normal(size=(2, METRIC_IMAGES, 4))
            half = np.sqrt(0.5) * np.array([[1, 1], [-1, 1]])
            mixed = np.concatenate([straight[..., :2] @ half, straight[..., 2:] @ half], axis=-1)
            mean = {"r": rng.normal(size=straight.shape), "a": straight, "t": mixed}[name[0]]
            found.append(member_metrics(Posteriors(mean, np.full_like(mean, -4.0), labels=labels)).values[0])
        cells = [f"{m:z.2f} ± {s:.2f}" for m, s in zip(np.mean(found, axis=0), np.std(found, axis=0), strict=True)]
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    unbinned_table()
    chance_table()
    metrics_table()
