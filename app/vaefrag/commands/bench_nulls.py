"""Whether what hotspots are held against keeps its word: `vaefrag bench nulls`, on ensembles whose truth is known.

shuffled images    nothing comes back: every p-value has to be as likely as any other
false discoveries  real groups beside groups of noise: of those called real, few may be noise
turned axes        members that cut what they share at random axes: again every p-value as likely as any other;
                   planted fragments, which members have on the same axes: beyond nearly all turned ensembles
"""

from collections.abc import Iterator
from typing import Any, TypeVar

import numpy as np

from vaefrag import terminal
from vaefrag_core.array_types import FloatArray
from vaefrag_core.artifacts import ChannelMatrix, Posteriors
from vaefrag_core.config import HotspotConfig
from vaefrag_core.structure.hotspot_groups import highest_inside, recurring_groups
from vaefrag_core.structure.hotspot_significance import (
    false_discovery_rates,
    highest_by_chance,
    p_values_of,
)
from vaefrag_core.structure.hotspots import comparable_channels
from vaefrag_core.structure.matrices import compare_channels
from vaefrag_core.structure.planted_ensembles import Planted, independent, plant, random_axes
from vaefrag_core.structure.rotation_null import search_rotated
from vaefrag_core.structure.similarity_inside import similarity_inside

Kind = TypeVar("Kind")

CONFIG = HotspotConfig()
DRAWS = 19  # the least by which a p-value can be 0.05
FDR_DRAWS = 59
LEVELS = (0.05, 0.1, 0.25, 0.5)
INDEPENDENT: dict[str, dict[str, Any]] = {
    "0.5 to 6 bits": {"members": 4, "channels": 3, "images": 100},
    "heavy tails": {"members": 5, "channels": 3, "images": 120, "heavy_tails": True},
    "40 % of the images copied": {"members": 4, "channels": 4, "images": 120, "copies": 0.4},
}
TURNED: dict[str, dict[str, Any]] = {
    "3 shared of 3, 2 bits each": {"members": 5, "shared": 3, "images": 150},
    "3 shared of 3, 0.7 to 3 bits": {"members": 5, "shared": 3, "images": 150, "unequal": True},
    "2 shared of 3, 0.7 to 3 bits": {"members": 4, "shared": 2, "images": 150, "private": 1, "unequal": True},
}
PLANTED: dict[str, Planted] = {
    "noise 0.3": Planted(members=6, fragments=3, images=200, noise=0.3),
    "noise 0.8, held by half": Planted(members=8, fragments=2, images=200, noise=0.8, held=0.5),
}
MIXED = Planted(members=6, fragments=2, images=150, noise=0.9, idle=0.7)


def bench_nulls(seeds: int) -> dict[str, Any]:
    """Try the p-values and percentiles of `vaefrag null` on ensembles whose truth is known.

    Args:
        seeds: ensembles of each kind.

    Returns:
        JSON content: for each kind of ensemble the share of p-values at or below each level, the share of false
        discoveries, and the share of planted hotspots that stand above 95 % of turned ensembles.
    """
    shuffled = {
        kind: _levels([_shuffled_p(settings, seed) for seed in range(seeds)])
        for kind, settings in _announced(INDEPENDENT, seeds)
    }
    discoveries = false_discoveries(seeds)
    turned = {
        kind: _levels([_turned_p(settings, seed) for seed in range(seeds)])
        for kind, settings in _announced(TURNED, seeds)
    }
    planted = {kind: _beyond_turned(planted, seeds) for kind, planted in _announced(PLANTED, seeds)}
    return {
        "seeds": seeds,
        "draws": DRAWS,
        "levels": list(LEVELS),
        "shuffled": shuffled,
        "false_discoveries": discoveries,
        "turned": turned,
        "planted": planted,
    }


def _announced(kinds: dict[str, Kind], seeds: int) -> Iterator[tuple[str, Kind]]:
    for kind, settings in kinds.items():
        terminal.print_message(f"{seeds} ensembles: {kind} …")
        yield kind, settings


def _levels(p_values: list[float]) -> list[float]:
    """Return the share of p-values at or below each level."""
    return [float(np.mean(np.array(p_values) <= level + 1e-9)) for level in LEVELS]


def _shuffled_p(settings: dict[str, Any], seed: int) -> float:
    """Hold the best group of an ensemble in which nothing comes back against shuffled images."""
    posteriors = independent(**settings, seed=seed)
    matrix = compare_channels(posteriors)
    live = comparable_channels(matrix, CONFIG)
    inside = highest_inside(matrix.corrected_similarity("nmi", live), matrix.member[live])
    return float(p_values_of(np.array([inside]), highest_by_chance(posteriors, CONFIG, DRAWS, seed=seed))[0])


def _hotspots_inside(posteriors: Posteriors) -> tuple[ChannelMatrix, FloatArray]:
    """Return the comparison of an ensemble, and the similarity inside its hotspots, the highest first."""
    matrix = compare_channels(posteriors)
    live = comparable_channels(matrix, CONFIG)
    groups = recurring_groups(matrix.corrected_similarity("nmi", live), matrix.member[live], CONFIG)
    return matrix, np.sort(similarity_inside(matrix, [live[group] for group in groups], CONFIG.measure))[::-1]


def _turned_p(settings: dict[str, Any], seed: int) -> float:
    """Hold the best hotspot of members with random axes against members with other random axes; 0 without any."""
    posteriors = random_axes(**settings, seed=seed)
    matrix, inside = _hotspots_inside(posteriors)
    searches = search_rotated(posteriors, matrix, CONFIG, DRAWS, seed=seed)
    return float(searches.p_values(inside[:1] if len(inside) else np.zeros(1))[0])


def _beyond_turned(planted: Planted, seeds: int) -> dict[str, float]:
    """Return how many planted hotspots stand at the 95th percentile of turned ensembles or above it."""
    best, ranked = [], []
    for seed in range(seeds):
        posteriors, _ = plant(planted, seed)
        matrix, inside = _hotspots_inside(posteriors)
        searches = search_rotated(posteriors, matrix, CONFIG, DRAWS, seed=seed)
        best += searches.percentiles(inside).tolist()
        ranked += searches.percentiles_by_rank(inside).tolist()
    return {"hotspots": len(best), "among_best": _share_beyond(best), "among_rank": _share_beyond(ranked)}


def _share_beyond(percentiles: list[float]) -> float:
    return float(np.mean(np.array(percentiles) >= 94.7)) if percentiles else float("nan")  # 18 of 19 draws


def false_discoveries(seeds: int) -> dict[str, float]:
    """Judge planted groups beside the most similar groups of private channels, at a false discovery rate of 0.05.

    The private channels are dealt into two halves, and each half shows its best group: noise that was searched for.
    """
    terminal.print_message(f"{seeds} ensembles: planted groups, and the best of noise …")
    false: list[float] = []
    kept = called = 0
    for seed in range(seeds):
        posteriors, truth = plant(MIXED, seed)
        matrix = compare_channels(posteriors)
        live = comparable_channels(matrix, CONFIG)
        planted = [np.flatnonzero(truth == k) for k in range(MIXED.fragments)]
        private = np.random.default_rng(seed).permutation(live[truth[live] < 0])
        noise = [
            highest_inside(matrix.corrected_nmi(half), matrix.member[half], CONFIG)
            for half in np.array_split(private, 2)
        ]
        inside = np.concatenate([similarity_inside(matrix, planted, CONFIG.measure), noise])
        highest = highest_by_chance(posteriors, CONFIG, FDR_DRAWS, seed=seed)
        significant = false_discovery_rates(p_values_of(inside, highest)) <= 0.05
        n_false = int(significant[MIXED.fragments :].sum())
        false.append(n_false / max(int(significant.sum()), 1))
        called, kept = called + int(significant.sum()), kept + int(significant[: MIXED.fragments].sum())
    return {"called": called, "false": float(np.mean(false)), "power": kept / (seeds * MIXED.fragments)}


def show_nulls(result: dict[str, Any]) -> None:
    """Show the result as tables."""
    heads = [f"p ≤ {level:g}" for level in result["levels"]]
    for title, key in (("images shuffled; nothing comes back", "shuffled"), ("axes turned; axes are random", "turned")):
        rows = [[kind, *(f"{share:.1%}" for share in shares)] for kind, shares in result[key].items()]
        terminal.show_table([title, *heads], rows, right=heads)
    columns = ["axes turned; fragments planted", "hotspots", "≥ 95th of best", "≥ 95th of rank"]
    rows = [
        [kind, str(row["hotspots"]), f"{row['among_best']:.1%}", f"{row['among_rank']:.1%}"]
        for kind, row in result["planted"].items()
    ]
    terminal.show_table(columns, rows, right=columns[1:])
    discoveries = result["false_discoveries"]
    terminal.print_message(
        f"Of {MIXED.fragments} planted groups and the 2 best groups of private channels in each ensemble,"
        f" {discoveries['called']} are called real at a false discovery rate of 0.05: {discoveries['power']:.0%} of the"
        f" planted ones. False among those called: {discoveries['false']:.1%}."
    )
    terminal.print_message(f"{result['seeds']} ensembles of each kind, {result['draws']} draws of each.")
