"""Rules that cut groups of channels from similarities: ours, and what the field has, made to fit the same question."""

from collections.abc import Callable, Sequence

import numpy as np

from vaefrag_core.array_types import FloatArray, IntArray
from vaefrag_core.config import HotspotConfig
from vaefrag_core.structure.hotspot_groups import recurring_groups, required_members

Rule = Callable[[FloatArray, IntArray], list[IntArray]]  # of corrected NMI (C, C) and the channels' members (C,)

FIXED_CUT = 0.5  # similarity at which a tree is cut without looking at it
XI = 0.05  # scikit-learn's


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


OURS = "vaefrag"
RULES: dict[str, Rule] = {
    OURS: recurring_groups,
    "OPTICS ξ": _by_optics,
    "HDBSCAN": _by_hdbscan,
    f"cut at {FIXED_CUT}": _by_fixed_cut,
}
