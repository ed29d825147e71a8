"""How far rules that cut hotspots can be believed: `vaefrag bench hotspots`, on ensembles whose hotspots are known."""

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from vaefrag import terminal
from vaefrag_core.array_types import FloatArray, IntArray
from vaefrag_core.artifacts import Posteriors
from vaefrag_core.config import HotspotConfig
from vaefrag_core.structure.hotspot_groups import recurring_groups, required_members
from vaefrag_core.structure.matrices import compare_channels
from vaefrag_core.structure.planted_ensembles import Planted, independent, plant

Cut = Callable[[FloatArray, IntArray], list[IntArray]]

LIVE_BITS = 0.01
AGREEMENT = 0.95  # adjusted Rand index from which on a planted ensemble counts as found
FIXED_CUT = 0.5  # similarity at which a tree is cut without looking at it
XI = 0.05  # scikit-learn's
NULLS: tuple[dict[str, Any], ...] = (
    {"members": 3, "channels": 4, "images": 200},
    {"members": 10, "channels": 10, "images": 100},
    {"members": 5, "channels": 5, "images": 300, "heavy_tails": True},
    {"members": 6, "channels": 5, "images": 300, "copies": 0.4},
    {"members": 20, "channels": 5, "images": 300},
)
NOISES = (0.01, 0.1, 0.3, 0.5, 0.8, 1.0, 1.1, 1.2, 1.4)


def bench_hotspots(seeds: int) -> dict[str, Any]:
    """Try each rule on ensembles in which nothing comes back, and on ones with planted fragments.

    Args:
        seeds: ensembles of each kind.

    Returns:
        JSON content: for each rule the share of false alarms and the share found at each similarity inside hotspots.
    """
    nulls = [independent(**settings, seed=seed) for settings in NULLS for seed in range(seeds)]
    terminal.print_message(f"Comparing the channels of {len(nulls)} ensembles without a hotspot …")
    compared_nulls = [_compare(posteriors)[:2] for posteriors in nulls]
    false_alarms = {name: _share(bool(cut(*live)) for live in compared_nulls) for name, cut in CUTS.items()}
    curve = []
    for noise in NOISES:
        terminal.print_message(f"Planting {seeds} ensembles with noise {noise:g} …")
        curve.append(_planted_row(noise, seeds))
    return {"seeds": seeds, "nulls": len(nulls), "false_alarms": false_alarms, "planted": curve}


def show_hotspots(result: dict[str, Any]) -> None:
    """Show the result as a table: a column for each rule, a row for each similarity inside the planted hotspots."""
    names = list(CUTS)
    rows = [["no hotspot planted: false alarms", *(f"{result['false_alarms'][name]:.0%}" for name in names)]]
    rows += [
        [f"planted, NMI inside {row['similarity']:.2f}", *(f"{row['found'][name]:.0%}" for name in names)]
        for row in result["planted"]
    ]
    seconds = {name: float(np.mean([row["seconds"][name] for row in result["planted"]])) for name in names}
    rows.append(["milliseconds", *(f"{1e3 * seconds[name]:.0f}" for name in names)])
    terminal.show_table(["ensembles", *names], rows, right=names)
    terminal.print_message(
        f"First line: of {result['nulls']} ensembles in which nothing comes back, those with a hotspot. The others: of"
        f" {result['seeds']} ensembles with planted fragments, by the corrected NMI inside these, those of which every"
        f" fragment was found (their number, and an adjusted Rand index of {AGREEMENT} or more)."
    )


def _planted_row(noise: float, seeds: int) -> dict[str, Any]:
    found: dict[str, list[bool]] = {name: [] for name in CUTS}
    seconds: dict[str, list[float]] = {name: [] for name in CUTS}
    similarities = []
    for seed in range(seeds):
        posteriors, truth, planted = _planted(noise, seed)
        similarity, member, live = _compare(posteriors)
        similarities.append(_inside(similarity, truth[live], planted.fragments))
        for name, cut in CUTS.items():
            begin = time.perf_counter()
            groups = cut(similarity, member)
            seconds[name].append(time.perf_counter() - begin)
            cluster = np.full(len(truth), -1)
            for number, group in enumerate(groups):
                cluster[live[group]] = number
            found[name].append(len(groups) == planted.fragments and _agreement(truth, cluster) >= AGREEMENT)
    return {
        "noise": noise,
        "similarity": float(np.mean(similarities)),
        "found": {name: _share(values) for name, values in found.items()},
        "seconds": {name: float(np.mean(values)) for name, values in seconds.items()},
    }


def _planted(noise: float, seed: int) -> tuple[Posteriors, IntArray, Planted]:
    """Plant 4 to 30 members with 1 to 6 fragments, held by half of the members to all, beside idle channels."""
    rng = np.random.default_rng(seed)
    planted = Planted(
        members=int(rng.choice([4, 6, 10, 20, 30])),
        fragments=int(rng.choice([1, 2, 3, 6])),
        images=int(rng.choice([300, 600])),
        noise=noise,
        held=float(rng.choice([0.5, 0.7, 1.0])),
        idle=float(rng.choice([0.2, 0.4, 0.6])),
    )
    return *plant(planted, seed), planted


def _compare(posteriors: Posteriors) -> tuple[FloatArray, IntArray, IntArray]:
    """Return the corrected NMI of live channels, their members, and their flat indices."""
    matrix = compare_channels(posteriors)
    live = np.flatnonzero(matrix.information_bits >= LIVE_BITS)
    return matrix.corrected_nmi(live), matrix.member[live], live


def _inside(similarity: FloatArray, fragment: IntArray, fragments: int) -> float:
    """Average the similarity of pairs of channels that tell the same fragment."""
    squares = [similarity[np.ix_(fragment == k, fragment == k)] for k in range(fragments)]
    return float(np.mean([square[np.triu_indices(len(square), 1)].mean() for square in squares]))


def _agreement(truth: IntArray, cluster: IntArray) -> float:
    from sklearn.metrics import adjusted_rand_score

    return float(adjusted_rand_score(truth, cluster))


def _share(values: Any) -> float:
    return float(np.mean(list(values)))


def _by_optics(similarity: FloatArray, member: IntArray) -> list[IntArray]:
    """OPTICS with its ξ method on −ln NMI, as in the paper."""
    from sklearn.cluster import OPTICS

    distance = -np.log(np.clip(np.nan_to_num(similarity), 1e-4, 1.0))
    np.fill_diagonal(distance, 0.0)
    neighbours = min(max(3, round(0.4 * len(np.unique(member)))), len(distance) // 2)
    clustering = OPTICS(min_samples=max(2, neighbours), metric="precomputed", xi=XI)
    return _of_three_members(clustering.fit_predict(np.maximum(distance, 1e-9)), member)


def _by_hdbscan(similarity: FloatArray, member: IntArray) -> list[IntArray]:
    from sklearn.cluster import HDBSCAN

    span = required_members(len(np.unique(member)), HotspotConfig())
    clustering = HDBSCAN(min_cluster_size=span, metric="precomputed", copy=True)
    return _of_three_members(clustering.fit_predict(_as_distance(similarity)), member)


def _by_fixed_cut(similarity: FloatArray, member: IntArray) -> list[IntArray]:
    from sklearn.cluster import AgglomerativeClustering

    clustering = AgglomerativeClustering(
        n_clusters=None, metric="precomputed", linkage="average", distance_threshold=1 - FIXED_CUT
    )
    return _of_three_members(clustering.fit_predict(_as_distance(similarity)), member)


def _as_distance(similarity: FloatArray) -> FloatArray:
    distance = 1 - np.clip(np.nan_to_num((similarity + similarity.T) / 2), 0, 1)
    np.fill_diagonal(distance, 0.0)
    return distance


def _of_three_members(cluster: Sequence[int], member: IntArray) -> list[IntArray]:
    """Keep the clusters that span as many members as a hotspot has to: other rules do not look at members."""
    span = required_members(len(np.unique(member)), HotspotConfig())
    groups = [np.flatnonzero(np.asarray(cluster) == number) for number in range(max(cluster) + 1)]
    return [group for group in groups if len(np.unique(member[group])) >= span]


CUTS: dict[str, Cut] = {
    "vaefrag": recurring_groups,
    "OPTICS, ξ": _by_optics,
    "HDBSCAN": _by_hdbscan,
    f"linkage at {FIXED_CUT}": _by_fixed_cut,
}
