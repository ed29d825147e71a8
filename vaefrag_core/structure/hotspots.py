"""Recurring groups of channels: density clustering of the whole ensemble's channels.

Reference: Ankerst, M., Breunig, M. M., Kriegel, H.-P., Sander, J. (1999). OPTICS: ordering points to identify
the clustering structure. SIGMOD Record 28(2), 49-60.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vaefrag_core.artifacts import ChannelMatrix, Hotspot, Hotspots, Posteriors
from vaefrag_core.config import HotspotConfig

FloatArray = NDArray[np.float64]

SMALLEST_MIN_SAMPLES = 3  # a group that came back in fewer than three runs is no hotspot
SHARE_OF_MEMBERS = 0.4  # a hotspot's core channel has close relatives in about this share of the members


def channel_distance(matrix: ChannelMatrix, config: HotspotConfig) -> FloatArray:
    """Distances on which channels are clustered and mapped.

    −ln clip(NMI, floor, 1), or VI in bits. NMI above 1 and VI below 0 are true values of the measures; only
    the distance made from them is clipped, at 0.

    Args:
        matrix: of C channels.
        config: its `measure` and `nmi_floor`.

    Returns:
        (C, C), symmetric, zero on the diagonal. Where NMI is undefined the distance is the largest there is.
    """
    if config.measure == "nmi":
        similarity = np.nan_to_num(np.asarray(matrix.nmi, dtype=np.float64), nan=0.0)
        distance = -np.log(np.clip(similarity, config.nmi_floor, 1.0))
    else:
        distance = np.maximum(np.asarray(matrix.vi_bits, dtype=np.float64), 0.0)
    np.fill_diagonal(distance, 0.0)
    return np.asarray((distance + distance.T) / 2)


def find_hotspots(
    matrix: ChannelMatrix, config: HotspotConfig | None = None, *, posteriors: Posteriors | None = None
) -> Hotspots:
    """Find the groups of channels that come back across the ensemble.

    Args:
        matrix: of C channels.
        config: thresholds; the defaults when not given.
        posteriors: of the same channels; gives each channel the sign in which it runs like its hotspot's
            medoid. Without it all signs are +1.

    Returns:
        The OPTICS order, the reachability and the hotspots. The result does not depend on the order in which
        members are listed, except where two channels tie exactly.

    Example:
        Two groups of three channels each, alike within and unlike across:

        >>> nmi = np.kron(np.eye(2), np.full((3, 3), 0.9)) + 0.01
        >>> np.fill_diagonal(nmi, 1.0)
        >>> channels = np.array([(m, d) for d in range(2) for m in range(3)])
        >>> matrix = ChannelMatrix(channels, np.ones(6), np.ones(6), nmi, 1 - nmi, n_images=100)
        >>> find_hotspots(matrix).labels.tolist()
        [0, 0, 0, 1, 1, 1]
    """
    config = config or HotspotConfig()
    dead = matrix.information_bits < config.min_bits
    distance = channel_distance(matrix, config)
    live = _canonical(matrix, distance, dead)
    min_samples, messages = _min_samples(matrix, config, len(live))
    order, reachability, labels = live, np.full(matrix.n_channels, np.inf), np.full(matrix.n_channels, -1)
    if min_samples is not None:
        order, reachability[live], labels[live] = _optics(distance[np.ix_(live, live)], live, min_samples, config)
    labels = _in_order(labels, order)
    dead_last = np.flatnonzero(dead)[np.argsort(-matrix.information_bits[dead], kind="stable")]
    groups = tuple(
        _describe(label, order[labels[order] == label], matrix, distance) for label in range(labels.max(initial=-1) + 1)
    )
    if not groups:
        messages = (*messages, "No group of channels recurs densely enough to be called a hotspot.")
    return Hotspots(
        order=np.concatenate([order, dead_last]),
        reachability=reachability,
        labels=labels,
        dead=dead,
        sign=_signs(groups, posteriors, matrix.n_channels),
        groups=groups,
        min_samples=min_samples or 0,
        messages=messages,
    )


def _canonical(matrix: ChannelMatrix, distance: FloatArray, dead: NDArray[np.bool_]) -> NDArray[np.int64]:
    """List the live channels by what they are, not by where they stand: OPTICS depends on the order it is given."""
    live = np.flatnonzero(~dead)
    spread = distance[np.ix_(live, live)].sum(axis=1)
    # Rounded, since the sum over a differently ordered row differs in its last digits.
    return live[np.lexsort((np.round(spread, 6), -np.round(matrix.information_bits[live], 6)))]


def _min_samples(matrix: ChannelMatrix, config: HotspotConfig, n_live: int) -> tuple[int | None, tuple[str, ...]]:
    """Choose `min_samples`; None when there are too few live channels to cluster."""
    members = len(np.unique(matrix.member))
    wanted = config.min_samples or max(SMALLEST_MIN_SAMPLES, round(SHARE_OF_MEMBERS * members))
    if n_live < SMALLEST_MIN_SAMPLES:
        return None, (
            f"Only {n_live} of {matrix.n_channels} channels carry at least {config.min_bits:g} bits: too few to look"
            " for hotspots. Train more members, or with a smaller β.",
        )
    if wanted > n_live // 2:
        adapted = max(2, min(wanted, n_live // 2))
        return adapted, (
            f"min_samples was lowered from {wanted} to {adapted}: only {n_live} channels carry at least"
            f" {config.min_bits:g} bits. Hotspots of so few channels may be chance.",
        )
    return wanted, ()


def _optics(
    distance: FloatArray, live: NDArray[np.int64], min_samples: int, config: HotspotConfig
) -> tuple[NDArray[np.int64], FloatArray, NDArray[np.int64]]:
    from sklearn.cluster import OPTICS

    # Identical channels have reachability 0, of which the steepness test takes a ratio; a distance far below
    # anything measured stands in for it.
    optics = OPTICS(metric="precomputed", min_samples=min_samples, cluster_method="xi", xi=config.xi)
    optics.fit(np.maximum(distance, 1e-9) * (1 - np.eye(len(distance))))
    return live[optics.ordering_], optics.reachability_, optics.labels_


def _in_order(labels: NDArray[np.int64], order: NDArray[np.int64]) -> NDArray[np.int64]:
    """Number the groups as they come along the OPTICS order."""
    seen = dict.fromkeys(int(label) for label in labels[order] if label >= 0)
    new = {old: rank for rank, old in enumerate(seen)}
    return np.array([new.get(int(label), -1) for label in labels], dtype=np.int64)


def _describe(label: int, channels: NDArray[np.int64], matrix: ChannelMatrix, distance: FloatArray) -> Hotspot:
    square = np.ix_(channels, channels)
    pairs = ~np.eye(len(channels), dtype=bool)
    return Hotspot(
        label=label,
        channels=tuple(int(c) for c in channels),
        n_members=len(np.unique(matrix.member[channels])),
        mean_nmi=float(matrix.nmi[square][pairs].mean()),
        mean_vi_bits=float(matrix.vi_bits[square][pairs].mean()),
        mean_bits=float(matrix.information_bits[channels].mean()),
        medoid=int(channels[distance[square].sum(axis=1).argmin()]),
        label_nmi=tuple(float(v) for v in matrix.label_nmi[channels].mean(axis=0)) if matrix.label_names else (),
    )


def _signs(groups: tuple[Hotspot, ...], posteriors: Posteriors | None, n_channels: int) -> Any:
    """+1 where a channel's means rise with those of its hotspot's medoid, −1 where they fall."""
    sign = np.ones(n_channels, dtype=np.int64)
    if posteriors is None:
        return sign
    mean, _ = posteriors.flat()
    mean = mean - mean.mean(axis=1, keepdims=True)
    for group in groups:
        channels = np.array(group.channels)
        sign[channels] = np.where(mean[channels] @ mean[group.medoid] < 0, -1, 1)
    return sign
