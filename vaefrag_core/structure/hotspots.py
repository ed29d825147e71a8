"""Recurring groups of channels: density clustering of the whole ensemble's channels.

Reference: Ankerst, M., Breunig, M. M., Kriegel, H.-P., Sander, J. (1999). OPTICS: ordering points to identify
the clustering structure. SIGMOD Record 28(2), 49-60.
"""

from typing import Any

import numpy as np

from vaefrag_core.array_types import BoolArray, FloatArray, IntArray
from vaefrag_core.artifacts import ChannelMatrix, Hotspot, Hotspots, Posteriors
from vaefrag_core.config import HotspotConfig
from vaefrag_core.structure.optics import optics_walk

SMALLEST_MIN_SAMPLES = 3  # a group that came back in fewer than three runs is no hotspot
NOTABLE_CHANCE = 0.05  # NMI of independent channels from which on a reader should be warned
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
    min_samples, messages = _min_samples(matrix, config, int((~dead).sum()))
    order, reachability, labels = _optics(distance, np.flatnonzero(~dead), min_samples, config)
    labels = _in_order(_recurring(labels, matrix), order)
    dead_last = np.flatnonzero(dead)[np.argsort(-matrix.information_bits[dead], kind="stable")]
    groups = tuple(
        _describe(label, order[labels[order] == label], matrix, distance) for label in range(labels.max(initial=-1) + 1)
    )
    messages = (*messages, *_cautions(matrix, ~dead), *matrix.messages)
    if not groups and min_samples is not None:
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


def more_live_channels(config: HotspotConfig) -> str:
    """Say what would leave more channels alive."""
    if config.min_bits > HotspotConfig().min_bits:
        return f"Analyse with a lower --min-bits than {config.min_bits:g}."
    return "Train more members, with more steps, or with a smaller β."


def _min_samples(matrix: ChannelMatrix, config: HotspotConfig, n_live: int) -> tuple[int | None, tuple[str, ...]]:
    """Choose `min_samples`; None when there are too few live channels to cluster."""
    members = len(np.unique(matrix.member))
    wanted = config.min_samples or max(SMALLEST_MIN_SAMPLES, round(SHARE_OF_MEMBERS * members))
    if n_live < SMALLEST_MIN_SAMPLES:
        return None, (
            f"Only {n_live} of {matrix.n_channels} channels carr{'ies' if n_live == 1 else 'y'} at least"
            f" {config.min_bits:g} bits: too few to look"
            f" for hotspots. {more_live_channels(config)}",
        )
    if wanted > n_live // 2:
        adapted = max(2, min(wanted, n_live // 2))
        return adapted, (
            f"min_samples was lowered from {wanted} to {adapted}: only {n_live} channels carry at least"
            f" {config.min_bits:g} bits. Hotspots of so few channels may be chance.",
        )
    return wanted, ()


def _cautions(matrix: ChannelMatrix, live: BoolArray) -> tuple[str, ...]:
    """Say where so few images make information too low or similarity too high."""
    cautions = []
    full = int((matrix.near_ceiling & live).sum())
    if full:
        cautions.append(
            f"{full} of {int(live.sum())} live channels are within a tenth of {matrix.ceiling_name} ="
            f" {matrix.ceiling_bits:.1f} bits, the most that {matrix.n_images:,} images can show: they carry more than"
            " is shown. Take a larger fingerprint."
        )
    chance = matrix.typical_chance_nmi(np.flatnonzero(live))
    if chance > NOTABLE_CHANCE:
        cautions.append(
            f"On {matrix.n_images:,} images, two channels like these that share nothing would show an NMI of about"
            f" {chance:.2f}. Take a larger fingerprint, or read the corrected NMI."
        )
    return tuple(cautions)


def _optics(
    distance: FloatArray, live: IntArray, min_samples: int | None, config: HotspotConfig
) -> tuple[IntArray, FloatArray, IntArray]:
    """Order the live channels, and give reachability and label of all channels."""
    reachability, labels = np.full(len(distance), np.inf), np.full(len(distance), -1)
    if min_samples is None:
        return live, reachability, labels
    from sklearn.cluster import cluster_optics_xi

    live = _densest_first(distance, live, min_samples)
    # Identical channels have reachability 0, of which the steepness test takes a ratio; a distance far below
    # anything measured stands in for it.
    apart = np.maximum(distance[np.ix_(live, live)], 1e-9) * (1 - np.eye(len(live)))
    visits, reachability[live], predecessor = optics_walk(apart, min_samples)
    order = live[visits]
    labels[live], _ = cluster_optics_xi(
        reachability=reachability[live],
        predecessor=predecessor,
        ordering=visits,
        min_samples=min_samples,
        xi=config.xi,
    )
    labels[order] = _valleys(reachability[order], labels[order])
    return order, reachability, labels


def _valleys(reachability: FloatArray, labels: IntArray) -> IntArray:
    """Give each cluster the full width of its valley at half depth.

    The ξ method finds where valleys are, but draws their edges badly: it counts a whole flank in, up to channels
    that are hardly nearer to the valley than to anything else, and stops at a ripple of the valley's floor. So from
    each cluster's floor (its median reachability) to the lower of the two barriers between it and its neighbours,
    whatever lies contiguously below the middle belongs to it.

    Args:
        reachability: (L,) in OPTICS order; the distance of each channel to those before it.
        labels: (L,) of the ξ method, in the same order.

    Returns:
        (L,) labels; two valleys never overlap, as each ends below the barrier between them.
    """
    cores = [np.flatnonzero(labels == label)[[0, -1]] for label in range(labels.max(initial=-1) + 1)]
    cores.sort(key=lambda core: int(core[0]))
    highest = reachability[np.isfinite(reachability)].max(initial=0.0)
    wide = np.full_like(labels, -1)
    for k, (first, last) in enumerate(cores):
        left = reachability[cores[k - 1][1] + 1 : first + 1].max() if k > 0 else np.inf
        right_end = cores[k + 1][0] + 1 if k + 1 < len(cores) else len(labels)
        right = reachability[last + 1 : right_end].max(initial=0.0) or np.inf
        rim = min(left, right, highest)
        half = (np.median(reachability[first + 1 : last + 1]) + rim) / 2
        start, end = int(first), int(last)
        while end > start and reachability[end] > half:
            end -= 1
        while start < end and reachability[start + 1] > half:
            start += 1
        while start > 0 and reachability[start] <= half:
            start -= 1
        while end + 1 < len(labels) and reachability[end + 1] <= half:
            end += 1
        wide[start : end + 1] = k
    return wide


def _densest_first(distance: FloatArray, live: IntArray, min_samples: int) -> IntArray:
    """List channels by their core distance, not by where they stand: OPTICS depends on the order it is given.

    It starts with the first. From the middle of a dense group, the first valley of the reachability holds that
    group and nothing else; from a lonely channel, it would hold that channel too.
    """
    nearest = np.sort(distance[np.ix_(live, live)], axis=1)
    # Rounded, since sums over differently ordered rows differ in their last digits; the second settles ties.
    core, spread = np.round(nearest[:, min_samples - 1], 9), np.round(nearest.sum(axis=1), 6)
    return live[np.lexsort((spread, core))]


def _recurring(labels: IntArray, matrix: ChannelMatrix) -> IntArray:
    """Leave out groups of a single member: what one run repeats within itself did not come back in another."""
    members = len(np.unique(matrix.member))
    groups = range(labels.max(initial=-1) + 1)
    lonely = [label for label in groups if len(np.unique(matrix.member[labels == label])) < min(2, members)]
    return np.where(np.isin(labels, lonely), -1, labels)


def _in_order(labels: IntArray, order: IntArray) -> IntArray:
    """Number the groups as they come along the OPTICS order."""
    seen = dict.fromkeys(int(label) for label in labels[order] if label >= 0)
    new = {old: rank for rank, old in enumerate(seen)}
    return np.array([new.get(int(label), -1) for label in labels], dtype=np.int64)


def _describe(label: int, channels: IntArray, matrix: ChannelMatrix, distance: FloatArray) -> Hotspot:
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
