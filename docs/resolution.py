"""How alike fragments have to be to be found: draws the resolution of docs/method.md, `python docs/resolution.py`.

    python docs/resolution.py            some minutes on a quiet machine
    python docs/resolution.py --draw     only the picture, from the figures kept before

Two fragments are planted in 4, 10 or 30 members on 100, 300 or 1,000 images, with more and more noise, an idle channel
beside them in every member. The share of ensembles in which a rule gives the two and nothing else is drawn against the
corrected NMI inside them. Writes `resolution.json` into the current folder, and the picture `resolution.svg`.
"""

import argparse
import json
import math
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from vaefrag.commands.bench_hotspots import try_rules
from vaefrag.commands.bench_rules import OURS, RULES
from vaefrag_core.structure.planted_ensembles import Planted

MEMBERS, IMAGES = (4, 10, 30), (100, 300, 1_000)
COMPARED = (10, 300)  # members and images on which the other rules are tried as well
NOISES = (0.01, 0.3, 0.6, 0.8, 0.9, 1.0, 1.1, 1.2, 1.4)
LEAST, MOST = 0.03, 1.0  # similarities that are drawn
COLOURS = ("#1f77b4", "#d62728", "#2ca02c", "#7f7f7f")  # by members, and by rule
DASHES = ("2 4", "7 4", "none")  # by images
PANEL, HEIGHT, LEFT, RIGHT, BOTTOM, TOP, GAP = 330, 380, 56, 16, 76, 52, 24
SECOND = LEFT + PANEL + RIGHT + GAP + LEFT  # left end of the second panel


def measure(seeds: int) -> list[dict[str, Any]]:
    """Plant ensembles of every size and noise, and average what each rule finds."""
    rows = []
    for members, images in product(MEMBERS, IMAGES):
        rules = RULES if (members, images) == COMPARED else {OURS: RULES[OURS]}
        print(f"{members} members on {images:,} images …", flush=True)
        for noise in NOISES:
            planted = Planted(members, fragments=2, images=images, noise=noise)
            trials = [try_rules(planted, seed, rules) for seed in range(seeds)]
            rows.append(
                {
                    "members": members,
                    "images": images,
                    "noise": noise,
                    "tried": seeds,
                    "similarity": float(np.mean([trial["similarity"] for trial in trials])),
                    "found": {rule: float(np.mean([trial["found"][rule] for trial in trials])) for rule in rules},
                }
            )
    return rows


def picture(rows: list[dict[str, Any]]) -> str:
    """Draw both panels: our rule by members and images, and all rules on one size."""
    width = 2 * (LEFT + PANEL + RIGHT) + GAP
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {HEIGHT}" font-family="sans-serif"'
        ' font-size="12">',
        f'<rect width="{width}" height="{HEIGHT}" fill="white"/>',
        *_axes(LEFT, f"{OURS}, by members and images"),
        *_axes(SECOND, f"{COMPARED[0]} members, {COMPARED[1]} images"),
    ]
    for (m, members), (i, images) in product(enumerate(MEMBERS), enumerate(IMAGES)):
        if measured := _of(rows, members, images):
            parts.append(_curve(LEFT, measured, OURS, COLOURS[m], DASHES[i]))
    for r, rule in enumerate(RULES):
        parts.append(_curve(SECOND, _of(rows, *COMPARED), rule, COLOURS[r], "none"))
    for m, members in enumerate(sorted({row["members"] for row in rows})):
        parts += _legend(LEFT + 8, TOP + 20 + 18 * m, f"{members} members", COLOURS[m], "none")
    for i, images in enumerate(sorted({row["images"] for row in rows})):
        parts += _legend(LEFT + 8, TOP + 82 + 18 * i, f"{images:,} images", "#444", DASHES[i])
    for r, rule in enumerate(RULES):
        at = SECOND + 8 + (PANEL - 16) / 2 * (r % 2)
        parts += _legend(at, HEIGHT - 12 if r > 1 else HEIGHT - 28, rule, COLOURS[r], "none")
    return "\n".join([*parts, "</svg>\n"])


def _x(left: float, similarity: float) -> float:
    return left + PANEL * math.log(max(similarity, LEAST) / LEAST) / math.log(MOST / LEAST)


def _y(share: float) -> float:
    return TOP + (1 - share) * (HEIGHT - TOP - BOTTOM)


def _axes(left: float, title: str) -> list[str]:
    parts = [f'<text x="{left + PANEL / 2}" y="24" text-anchor="middle" font-weight="bold">{title}</text>']
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        parts.append(f'<path d="M{left} {_y(share):.1f}h{PANEL}" stroke="#ddd"/>')
        parts.append(f'<text x="{left - 8}" y="{_y(share) + 4:.1f}" text-anchor="end">{share:.0%}</text>')
    for similarity in (0.03, 0.05, 0.1, 0.2, 0.5, 1.0):
        at = _x(left, similarity)
        parts.append(f'<text x="{at:.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{similarity:g}</text>')
    what = "corrected NMI inside fragments"
    parts.append(f'<text x="{left + PANEL / 2}" y="{HEIGHT - BOTTOM + 34}" text-anchor="middle">{what}</text>')
    middle = (_y(0) + _y(1)) / 2
    words = "ensembles whose fragments are found"
    parts.append(f'<text transform="translate({left - 44} {middle}) rotate(-90)" text-anchor="middle">{words}</text>')
    return parts


def _curve(left: float, rows: list[dict[str, Any]], rule: str, colour: str, dashes: str) -> str:
    points = " ".join(f"{_x(left, row['similarity']):.1f},{_y(row['found'][rule]):.1f}" for row in rows)
    return (
        f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2" stroke-dasharray="{dashes}"'
        ' stroke-linejoin="round"/>'
    )


def _legend(x: float, y: float, words: str, colour: str, dashes: str) -> list[str]:
    return [
        f'<path d="M{x:.1f} {y - 4}h26" stroke="{colour}" stroke-width="2" stroke-dasharray="{dashes}"/>',
        f'<text x="{x + 32:.1f}" y="{y}">{words}</text>',
    ]


def _of(rows: list[dict[str, Any]], members: int, images: int) -> list[dict[str, Any]]:
    return [row for row in rows if (row["members"], row["images"]) == (members, images)]


def main() -> None:
    """Measure, unless only the picture is asked for, and draw."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--seeds", type=int, default=8, help="ensembles of each size and noise")
    arguments.add_argument("--draw", action="store_true", help="only draw, from resolution.json")
    arguments.add_argument("--figures", type=Path, default=Path("resolution.json"), help="file of the figures")
    options = arguments.parse_args()
    if not options.draw:
        options.figures.write_text(json.dumps(measure(options.seeds)), encoding="utf-8")
    rows = json.loads(options.figures.read_text(encoding="utf-8"))
    (Path(__file__).parent / "pictures" / "resolution.svg").write_text(picture(rows), encoding="utf-8")


if __name__ == "__main__":
    main()
