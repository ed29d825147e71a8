"""Circles from cut circles: continuity of fused spaces against the number of learners, as the paper's SO(2) example.

    python docs/circle.py --workspace circle              the whole of it: up to two hours; stop and repeat at will
    python docs/circle.py --quick --workspace circle      a few minutes
    python docs/circle.py --optimizers --workspace circle our steps against plain gradient descent's

Learners are β-VAEs of one channel, which has to cut the circle somewhere: MLPs of 2 × 256 units (tanh), mean squared
error (a gaussian of variance 1, on two coordinates), β 0.03, Adam 1e-3. Spaces of two channels are fused from them;
a repeat takes learners that no other has taken, as far as they go.
Writes figures to standard output and `circle.json`, and a picture, `circle.svg`, beside it.

Reference: Murphy, K. A., Dillavou, S., Bassett, D. S. (2024). https://arxiv.org/abs/2405.21042
"""

import argparse
import json
import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from vaefrag_core import pipeline
from vaefrag_core.artifacts import Posteriors
from vaefrag_core.config import FusionConfig
from vaefrag_core.datasets.catalog import load_dataset
from vaefrag_core.datasets.fingerprint import draw_fingerprint
from vaefrag_core.ensemble_store import EnsembleStore
from vaefrag_core.fusion_store import FusionStore
from vaefrag_core.measures.bhattacharyya_coefficient import bhattacharyya_coefficient
from vaefrag_core.measures.reference_spaces import ReferenceSpaces
from vaefrag_core.synthesis.evaluation import ring_discontinuity
from vaefrag_core.synthesis.fusion import fuse, fuse_learners, objective_value

OBJECTIVES = ("vi", "nmi", "mutual-information")
COLOURS = {"vi": "#1f77b4", "nmi": "#d62728", "mutual-information": "#2ca02c"}


def main() -> None:
    """Train, fuse, evaluate, and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workspace", type=Path, default=Path("circle"))
    parser.add_argument("--sizes", type=int, nargs="+", default=[2, 3, 5, 10, 20, 30, 50], help="learners fused")
    parser.add_argument("--repeats", type=int, default=5, help="fusions of each size, of other learners")
    parser.add_argument("--ensembles", type=int, default=5, help="of as many learners as the largest size")
    parser.add_argument("--steps", type=int, default=5_000, help="of training")
    parser.add_argument("--images", type=int, default=200, help="points of the sample")
    parser.add_argument("--fusion-steps", type=int, default=1_500, help="of fusing, at most")
    parser.add_argument("--quick", action="store_true", help="fewer and smaller")
    parser.add_argument("--optimizers", action="store_true", help="compare optimizers instead")
    parser.add_argument("--descent-steps", type=int, default=20_000, help="of plain gradient descent")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.sizes, arguments.repeats, arguments.ensembles = [2, 5, 10], 2, 1
        arguments.steps, arguments.images = min(arguments.steps, 2_000), 100
    torch.set_num_threads(1)
    store = EnsembleStore(arguments.workspace)
    if arguments.optimizers:
        compare_optimizers(store.posteriors(_train(store, arguments, seed=0)), arguments.descent_steps)
        return
    path = arguments.workspace / "circle.json"
    rows_before = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else []
    rows: list[dict[str, Any]] = []
    ensembles = [_train(store, arguments, seed) for seed in range(arguments.ensembles)]
    pool = [(ensemble_id, m, 0) for ensemble_id in ensembles for m in range(max(arguments.sizes))]
    for size in arguments.sizes:
        for repeat in range(min(arguments.repeats, len(pool) // size)):
            learners = pool[repeat * size : (repeat + 1) * size]
            for objective in OBJECTIVES:
                key = {"ensembles": ensembles, "repeat": repeat, "learners": size, "objective": objective}
                row = next((row for row in rows_before if row.items() >= key.items()), None)
                if row is None:
                    row = key | _fuse(store, learners, objective, arguments.fusion_steps)
                    rows_before.append(row)
                    path.write_text(json.dumps(rows_before, indent=1), encoding="utf-8")
                rows.append(row)
                print(json.dumps(row), flush=True)
    (arguments.workspace / "circle.svg").write_text(draw(rows, arguments.sizes), encoding="utf-8")
    torn = [ring_discontinuity(mean[_ring(store, e)]) for e in ensembles for mean in store.posteriors(e).mean]
    print(f"{len(torn)} learners alone: continuity {np.median(torn):.1f}  ({min(torn):.1f} … {max(torn):.1f})")
    for objective in OBJECTIVES:
        for size in arguments.sizes:
            low, middle, high = _spread(rows, objective, size)
            held, count = _held(rows, objective, size)
            line = f"{objective:>18}  {size:>2} learners: continuity {middle:6.1f}  ({low:.1f} … {high:.1f})"
            print(f"{line}  {held} of {count} fusions hold")


def compare_optimizers(posteriors: Posteriors, descent_steps: int) -> None:
    """Print the steps that both optimizers need for the same similarity, on the first five learners."""
    part = Posteriors(posteriors.mean[:5], posteriors.logvar[:5])
    began = time.monotonic()
    ours = fuse(part)
    seconds = time.monotonic() - began
    mean, logvar = (torch.from_numpy(np.asarray(a, dtype=np.float64)) for a in (part.mean, part.logvar))
    panel = ReferenceSpaces(bhattacharyya_coefficient(mean, logvar))
    generator = torch.Generator().manual_seed(0)
    shape = (1, posteriors.n_images, 2)
    space = [torch.randn(shape, generator=generator, dtype=torch.float64), torch.zeros(shape, dtype=torch.float64)]
    began, value = time.monotonic(), torch.zeros(1)
    for _ in range(descent_steps):  # at learning rate 3, from a standard normal
        for tensor in space:
            tensor.requires_grad_()
        value = objective_value(panel.compare(bhattacharyya_coefficient(*space)), "vi")
        slopes = torch.autograd.grad(value.sum(), space)
        space = [(tensor + 3 * slope).detach() for tensor, slope in zip(space, slopes, strict=True)]
    reached = ours.objectives.max(axis=1) >= float(value)
    needed = f"{int(reached.argmax()) + 1:,} steps" if reached.any() else "not reached"
    print(f"plain gradient descent: {float(value):.4f} after {descent_steps:,} steps, {time.monotonic() - began:.0f} s")
    print(f"vaefrag: as much after {needed}; {ours.objective:.4f} after {ours.steps:,} ({ours.end}), {seconds:.0f} s")


def draw(rows: list[dict[str, Any]], sizes: list[int]) -> str:
    """Draw continuity against the number of learners: medians over repeats, bars from the least to the greatest.

    A dot is hollow where most fusions are the usual failure of their objective.
    """
    width, height, left, right, top, bottom = 640, 400, 64, 16, 40, 48
    top_value = max(2.0, *(row["continuity"] for row in rows if math.isfinite(row["continuity"])))

    def x(size: int) -> float:
        share = (math.log(size) - math.log(sizes[0])) / max(math.log(sizes[-1]) - math.log(sizes[0]), 1e-9)
        return left + share * (width - left - right)

    def y(value: float) -> float:
        share = math.log(min(max(value, 1), top_value)) / math.log(top_value)
        return height - bottom - share * (height - top - bottom)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}"'
        ' font-family="sans-serif" font-size="12">',
        f'<rect width="{width}" height="{height}" fill="white"/>',
        f'<text x="{width / 2}" y="{height - 8}" text-anchor="middle">learners fused</text>',
        f'<text transform="translate(16 {height / 2}) rotate(-90)" text-anchor="middle">continuity (1: whole)</text>',
    ]
    for value in [v for v in (1, 3, 10, 30, 100, 300, 1000) if v <= top_value]:
        parts.append(f'<path d="M{left} {y(value):.1f}H{width - right}" stroke="#ddd"/>')
        parts.append(f'<text x="{left - 8}" y="{y(value) + 4:.1f}" text-anchor="end">{value}</text>')
    parts += [f'<text x="{x(n):.1f}" y="{height - bottom + 18}" text-anchor="middle">{n}</text>' for n in sizes]
    for o, objective in enumerate(OBJECTIVES):
        colour, shift = COLOURS[objective], 4 * (o - 1)
        spread = {size: _spread(rows, objective, size) for size in sizes}
        line = " ".join(f"{x(n) + shift:.1f},{y(spread[n][1]):.1f}" for n in sizes)
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>')
        for size, (low, middle, high) in spread.items():
            at = x(size) + shift
            parts.append(f'<path d="M{at:.1f} {y(low):.1f}V{y(high):.1f}" stroke="{colour}"/>')
            held, count = _held(rows, objective, size)
            fill = colour if 2 * held > count else "white"
            parts.append(f'<circle cx="{at:.1f}" cy="{y(middle):.1f}" r="3.5" fill="{fill}" stroke="{colour}"/>')
        parts.append(f'<text x="{left + 8 + 60 * o}" y="24" fill="{colour}">{objective}</text>')
    hint = f'<text x="{width - right}" y="24" text-anchor="end">hollow: most have shrunk or run to the ceiling</text>'
    parts.append(hint)
    return "\n".join([*parts, "</svg>"])


def _train(store: EnsembleStore, arguments: argparse.Namespace, seed: int) -> str:
    """Train one ensemble, or the rest of it, and return its id."""
    spec = pipeline.resolve(
        {
            "dataset": {"name": "circle"},
            "model": {
                "architecture": "mlp",
                "widths": [256, 256],
                "activation": "tanh",
                "channels": 1,
                "likelihood": "gaussian",
                "pixel_variance": 1.0,
            },
            "train": {"beta": 0.03, "steps": arguments.steps, "learning_rate": 1e-3, "seed": seed},
            "fingerprint": {"size": arguments.images},
            "members": max(arguments.sizes),
        }
    )
    pipeline.train(spec, store)
    return store.create(spec).id


def _fuse(store: EnsembleStore, channels: list[tuple[str, int, int]], objective: str, steps: int) -> dict[str, Any]:
    ensemble_id = channels[0][0]
    config = FusionConfig.model_validate({"objective": objective, "channels": channels, "steps": steps})
    learners = FusionStore(store).learners(ensemble_id, config)
    fused = fuse_learners(learners, config)
    ring = _ring(store, ensemble_id)
    return {
        "continuity": ring_discontinuity(fused.mean[ring]),
        "continuity_of_learners": float(np.median([ring_discontinuity(mean[ring]) for mean in learners.mean])),
        "bits": fused.information_bits,
        "bits_of_learners": float(fused.learner_bits.mean()),
        "value": fused.objective,
        "success": fused.success,
        "failure": fused.failure,
        "warnings": list(fused.warnings),
        "steps": fused.steps,
    }


def _ring(store: EnsembleStore, ensemble_id: str) -> NDArray[np.intp]:
    """Return the order of the sample's points around the circle."""
    spec = store.record(ensemble_id).spec
    return np.argsort(draw_fingerprint(load_dataset(spec.dataset), spec.fingerprint).index)


def _spread(rows: list[dict[str, Any]], objective: str, size: int) -> tuple[float, float, float]:
    values = [row["continuity"] for row in _rows_of(rows, objective, size)]
    return min(values), float(np.median(values)), max(values)


def _held(rows: list[dict[str, Any]], objective: str, size: int) -> tuple[int, int]:
    """Return how many fusions did not fail, and how many there are."""
    successes = [row["success"] for row in _rows_of(rows, objective, size)]
    return sum(successes), len(successes)


def _rows_of(rows: list[dict[str, Any]], objective: str, size: int) -> list[dict[str, Any]]:
    return [row for row in rows if (row["objective"], row["learners"]) == (objective, size)]


if __name__ == "__main__":
    main()
