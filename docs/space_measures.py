"""Which measure of whole spaces is right when: six planted pairs with a known answer, as table and as picture.

    python docs/space_measures.py --out docs/pictures/space-measures.svg

Members of 4 Gaussian channels of about 2 bits each on 200 images; every pair is drawn anew for each seed. Prints the
mean over seeds of every measure, corrected for chance, and draws it with its range and the uncorrected mean. Takes some
minutes.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from vaefrag_core.artifacts import Posteriors
from vaefrag_core.config import SpaceConfig
from vaefrag_core.structure.space_comparison import compare_spaces

Space = tuple[NDArray[np.float64], NDArray[np.float64]]  # means and ln σ², (N, K)
IMAGES, CHANNELS, LOGVAR = 200, 4, -2.7
NAMES = ("VI", "NMI", "CKA, debiased", "SVCCA", "RSA", "Procrustes", "MCC")


def base(rng: np.random.Generator, channels: int = CHANNELS) -> Space:
    """Draw a space of independent Gaussian channels with equal noise."""
    return rng.normal(size=(IMAGES, channels)), np.full((IMAGES, channels), LOGVAR)


def rotated(rng: np.random.Generator) -> tuple[Space, Space]:
    """Turn the axes; equal noise on all of them turns with them."""
    mean, logvar = base(rng)
    return (mean, logvar), (mean @ np.linalg.qr(rng.normal(size=(CHANNELS, CHANNELS)))[0], logvar)


def rescaled(rng: np.random.Generator) -> tuple[Space, Space]:
    """Exchange, flip and stretch channels, with their noise."""
    mean, logvar = base(rng)
    scale = np.array([0.2, -1.0, 3.0, -8.0])
    return (mean, logvar), (mean[:, ::-1] * scale, logvar + np.log(scale**2))


def warped(rng: np.random.Generator) -> tuple[Space, Space]:
    """Bend each channel by sinh 2x, with its noise."""
    mean, logvar = base(rng)
    return (mean, logvar), (np.sinh(2 * mean), logvar + 2 * np.log(2 * np.cosh(2 * mean)))


def with_empty_channels(rng: np.random.Generator) -> tuple[Space, Space]:
    """Add two channels whose means vary much, and whose noise varies far more: they tell nothing."""
    mean, logvar = base(rng)
    beside = 3 * rng.normal(size=(IMAGES, 2))
    return (mean, logvar), (np.hstack([mean, beside]), np.hstack([logvar, np.full((IMAGES, 2), 2 * np.log(60.0))]))


def merged(rng: np.random.Generator) -> tuple[Space, Space]:
    """Eight groups of images against four: neighbours, still at their places, drown in the noise."""
    group = rng.permutation(IMAGES) % 8
    mean = (10.0 * (group // 2) + 0.5 * (group % 2))[:, None]
    return (mean, np.full(mean.shape, 2 * np.log(0.05))), (mean, np.full(mean.shape, 2 * np.log(1.5)))


def independent(rng: np.random.Generator) -> tuple[Space, Space]:
    """Two spaces that share nothing."""
    return base(rng), base(rng)


TESTS: tuple[tuple[str, Callable[[np.random.Generator], tuple[Space, Space]], float], ...] = (
    ("axes rotated", rotated, 1.0),
    ("axes rescaled", rescaled, 1.0),
    ("axes warped", warped, 1.0),
    ("empty channels", with_empty_channels, 1.0),
    ("groups merged", merged, 0.8),
    ("independent", independent, 0.0),
)


def measure(pair: tuple[Space, Space], seed: int, draws: int) -> NDArray[np.float64]:
    """Return every measure of a pair, corrected for chance and as it is, (7, 2); VI corrected in both."""
    mean, logvar = zip(*pair, strict=True)
    summaries = compare_spaces(Posteriors(list(mean), list(logvar)), SpaceConfig(draws=draws, seed=seed)).summaries
    return np.array([[s.corrected, s.corrected if s.name == "vi" else s.mean] for s in summaries])


def draw(values: NDArray[np.float64]) -> str:
    """Draw a cell for each measure and test: an axis from 0 to 1, the right answer, and what was measured.

    Args:
        values: (6, seeds, 7, 2) corrected and plain.
    """
    left, top, width, height = 110, 62, 118, 34
    total, bottom = left + width * len(TESTS) + 10, top + height * len(NAMES)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {total} {bottom + 34}" font-family="sans-serif"'
        ' font-size="12">',
        f'<rect width="{total}" height="{bottom + 34}" fill="white"/>',
    ]
    for t, (name, _, right) in enumerate(TESTS):
        x = left + t * width + 50
        parts.append(f'<text x="{x}" y="24" text-anchor="middle" font-weight="bold">{name}</text>')
        parts.append(f'<text x="{x}" y="42" text-anchor="middle" fill="#555">right: {right:g}</text>')
    for m, measure_name in enumerate(NAMES):
        y = top + m * height + 10
        parts.append(f'<text x="{left - 14}" y="{y + 4}" text-anchor="end">{measure_name}</text>')
        for t, (_, _, right) in enumerate(TESTS):
            corrected, plain = np.clip(values[t, :, m, 0], -0.05, 1.05), float(np.mean(values[t, :, m, 1]))
            x, mean = left + t * width + 5, float(np.mean(values[t, :, m, 0]))
            good = abs(mean - right) <= 0.1
            colour = "#2a7" if good else "#c33"
            parts += [
                f'<rect x="{x - 4}" y="{y - 14}" width="{width - 6}" height="{height - 4}" rx="4"'
                f' fill="{"#eaf7ef" if good else "#fbecec"}"/>',
                f'<path d="M{x} {y}h70" stroke="#bbb"/>',
                f'<path d="M{x + 70 * right:.1f} {y - 9}v18" stroke="#333" stroke-width="1.5"/>',
                f'<path d="M{x + 70 * corrected.min():.1f} {y}H{x + 70 * corrected.max():.1f}" stroke="{colour}"'
                ' stroke-width="3"/>',
                f'<circle cx="{x + 70 * min(max(plain, 0), 1):.1f}" cy="{y}" r="4" fill="white" stroke="#777"/>',
                f'<circle cx="{x + 70 * min(max(mean, 0), 1):.1f}" cy="{y}" r="4" fill="{colour}"/>',
                f'<text x="{x + 105}" y="{y + 4}" text-anchor="end" fill="{colour}">{mean:z.2f}</text>',
            ]
    parts.append(
        f'<text x="{left}" y="{bottom + 18}" fill="#555">Filled: corrected for chance, mean and range over seeds.'
        " Hollow: uncorrected. Upright line: the right answer. Green: within 0.1 of it.</text></svg>"
    )
    return "\n".join(parts) + "\n"


def main() -> None:
    """Measure, print the table and write the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("space-measures.svg"))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--draws", type=int, default=10_000, help="fewer leave corrected VI and NMI undefined")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    for name, pair, right in TESTS:
        found = [measure(pair(np.random.default_rng(s)), s, arguments.draws) for s in range(arguments.seeds)]
        rows.append(found)
        shown = "  ".join(f"{n} {v:z.2f} ({p:z.2f})" for n, (v, p) in zip(NAMES, np.mean(found, axis=0), strict=True))
        print(f"{name}, right {right:g}: {shown}", flush=True)
    arguments.out.write_text(draw(np.array(rows)), encoding="utf-8")


if __name__ == "__main__":
    main()
