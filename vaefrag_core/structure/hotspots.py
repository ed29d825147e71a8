"""Recurring groups of channels: density clustering of the whole ensemble's channels.

Reference: Ankerst, M., Breunig, M. M., Kriegel, H.-P., Sander, J. (1999). OPTICS: ordering points to identify
the clustering structure. SIGMOD Record 28(2), 49-60.
"""

import numpy as np

from vaefrag_core.array_types import BoolArray, FloatArray, IntArray
from vaefrag_core.artifacts import ChannelMatrix, Hotspot, Hotspots, Posteriors
from vaefrag_core.config import HotspotConfig
from vaefrag_core.measures.channel_states import dead_channels
from vaefrag_core.structure.optics import optics_walk

SMALLEST_MIN_SAMPLES = 3  # a group that came back in fewer than three runs is no hotspot
NOTABLE_CHANCE = 0.05  # NMI of independent channels from which on a reader should be warned
SHARE_OF_MEMBERS = 0.4  # a hotspot's core channel has close relatives in about this share of the members
SMALLEST_DISTANCE = 1e-6  # what NMI and VI are exact to: nearer channels count as equally near


def channel_distance(matrix: ChannelMatrix, config: HotspotConfig) -> FloatArray:
    """Distances on which channels are clustered and mapped.

    −ln clip(NMI, floor, 1), or VI in bits. NMI above 1 and VI below 0 are true values of the measures; only
    the distance made from them is clipped, at 0.

    Args:
        matrix: the comparison of C channels.
        config: says which measure and which `nmi_floor`.

    Returns:
        (C, C), symmetric, zero on the diagonal. Where NMI is undefined the distance is the largest there is.

    Example:
        >>> nmi = np.array([[1.0, 0.5], [0.5, 1.0]])
        >>> channels = np.array([[0, 0], [1, 0]])
        >>> matrix = ChannelMatrix(channels, np.ones(2), np.ones(2), nmi, 1 - nmi, n_images=100)
        >>> channel_distance(matrix, HotspotConfig()).round(3).tolist()
        [[0.0, 0.693], [0.693, 0.0]]
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

    Dead channels, and those that cannot be compared since they tell every image from every other, belong to no group.

    Args:
        matrix: the comparison of C channels.
        config: thresholds; the defaults of `HotspotConfig` without it.
        posteriors: posteriors of the same channels, from which each channel takes the sign in which it runs like its
            hotspot's medoid. Without them all signs are +1.

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
    dead = dead_channels(matrix.information_bits, config.min_bits)
    comparable = comparable_channels(matrix, config)
    distance = channel_distance(matrix, config)
    min_samples, messages = _min_samples(matrix, config, comparable)
    order, reachability, labels = _cluster(distance, comparable, min_samples, config)
    labels = _numbered_in_order(_recurring(labels, matrix), order)
    dead_by_bits = np.flatnonzero(dead)[np.argsort(-matrix.information_bits[dead], kind="stable")]
    groups = tuple(
        _describe(label, order[labels[order] == label], matrix, distance) for label in range(labels.max(initial=-1) + 1)
    )
    messages = (*messages, *_cautions(matrix, ~dead), *matrix.messages)
    if not groups and min_samples is not None:
        messages = (*messages, "No group of channels recurs densely enough to be called a hotspot.")
    return Hotspots(
        order=np.concatenate([order, np.flatnonzero(matrix.saturated & ~dead), dead_by_bits]),
        reachability=reachability,
        labels=labels,
        dead=dead,
        sign=_signs(groups, posteriors, matrix.n_channels),
        groups=groups,
        min_samples=min_samples or 0,
        messages=messages,
    )


def comparable_channels(matrix: ChannelMatrix, config: HotspotConfig) -> IntArray:
    """Find the channels that hotspots and maps are made of: neither dead nor saturated.

    Args:
        matrix: the comparison of C channels.
        config: its `min_bits`.

    Returns:
        (L,) flat indices, ascending.

    Example:
        >>> bits, nmi = np.array([0.001, 1.0, 5.0]), np.eye(3)
        >>> matrix = ChannelMatrix(np.zeros((3, 2), dtype=np.int64), bits, bits, nmi, 1 - nmi, n_images=32)
        >>> comparable_channels(matrix, HotspotConfig()).tolist()
        [1]
    """
    return np.flatnonzero(~dead_channels(matrix.information_bits, config.min_bits) & ~matrix.saturated)


def more_live_channels(config: HotspotConfig) -> str:
    """Return the advice on what would leave more channels alive."""
    if config.min_bits > HotspotConfig().min_bits:
        return f"Analyse with a lower --min-bits than {config.min_bits:g}."
    return "Train more members, with more steps, or with a smaller β."


def _min_samples(
    matrix: ChannelMatrix, config: HotspotConfig, comparable: IntArray
) -> tuple[int | None, tuple[str, ...]]:
    """Choose `min_samples`, with what a user should know about it; None when too few channels are left to cluster."""
    members, n_live = len(np.unique(matrix.member)), len(comparable)
    usual = config.min_samples or max(SMALLEST_MIN_SAMPLES, round(SHARE_OF_MEMBERS * members))
    if n_live < SMALLEST_MIN_SAMPLES and matrix.saturated.any():
        return None, (f"Only {n_live} of {matrix.n_channels} channels can be compared: too few to look for hotspots.",)
    if n_live < SMALLEST_MIN_SAMPLES:
        return None, (
            f"Only {n_live} of {matrix.n_channels} channels carr{'ies' if n_live == 1 else 'y'} at least"
            f" {config.min_bits:g} bits: too few to look"
            f" for hotspots. {more_live_channels(config)}",
        )
    if usual > n_live // 2:
        adapted = max(2, min(usual, n_live // 2))
        return adapted, (
            f"min_samples was lowered from {usual} to {adapted}: only {n_live} channels carry at least"
            f" {config.min_bits:g} bits. Hotspots of so few channels may be chance.",
        )
    return usual, ()


def _cautions(matrix: ChannelMatrix, live: BoolArray) -> tuple[str, ...]:
    """Return warnings where so few images make information too low or similarity too high."""
    cautions = []
    near_ceiling = int((matrix.near_ceiling & live).sum())
    if near_ceiling:
        cautions.append(
            f"{near_ceiling} of {int(live.sum())} live channels are within a tenth of {matrix.ceiling_name} ="
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


def _cluster(
    distance: FloatArray, comparable: IntArray, min_samples: int | None, config: HotspotConfig
) -> tuple[IntArray, FloatArray, IntArray]:
    """Return the OPTICS order of the comparable channels, and reachability and label of all channels."""
    reachability, labels = np.full(len(distance), np.inf), np.full(len(distance), -1)
    if min_samples is None:
        return comparable, reachability, labels
    from sklearn.cluster import cluster_optics_xi

    start = _densest_first(distance, comparable, min_samples)
    # Identical channels have reachability 0, and the steepness test would divide by it.
    apart = np.maximum(distance[np.ix_(start, start)], SMALLEST_DISTANCE) * (1 - np.eye(len(start)))
    visits, reachability[start], predecessor = optics_walk(apart, min_samples)
    order = start[visits]
    labels[start], _ = cluster_optics_xi(
        reachability=reachability[start],
        predecessor=predecessor,
        ordering=visits,
        min_samples=min_samples,
        xi=config.xi,
    )
    labels[order] = _widened_to_half_depth(reachability[order], labels[order])
    return order, reachability, labels


def _widened_to_half_depth(reachability: FloatArray, labels: IntArray) -> IntArray:
    """Redraw each cluster as the full width of its valley at half depth.

    The ξ method finds where valleys are, but draws their edges badly: it counts a whole flank in, up to channels
    that are hardly nearer to the valley than to anything else, and stops at a ripple of the valley's floor. Half depth
    is the middle between a cluster's floor (its median reachability) and the lower of the two barriers that separate it
    from its neighbours; whatever lies contiguously below belongs to it.

    Args:
        reachability: (L,) in OPTICS order; the distance of each channel to those before it.
        labels: (L,) of the ξ method, in the same order.

    Returns:
        (L,) labels; two valleys never overlap, as each ends below the barrier between them.
    """
    cores = [np.flatnonzero(labels == label)[[0, -1]] for label in range(labels.max(initial=-1) + 1)]
    cores.sort(key=lambda core: int(core[0]))
    highest = reachability[np.isfinite(reachability)].max(initial=0.0)
    widened = np.full_like(labels, -1)
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
        widened[start : end + 1] = k
    return widened


def _densest_first(distance: FloatArray, channels: IntArray, min_samples: int) -> IntArray:
    """Sort channels by their core distance rather than by where they stand: OPTICS depends on the order of its input.

    It starts with the first. From the middle of a dense group, the first valley of the reachability holds that
    group and nothing else; from a lonely channel, it would hold that channel too.
    """
    nearest = np.sort(distance[np.ix_(channels, channels)], axis=1)
    # Rounded, since sums over differently ordered rows differ in their last digits; the second breaks ties.
    core, spread = np.round(nearest[:, min_samples - 1], 9), np.round(nearest.sum(axis=1), 6)
    return channels[np.lexsort((spread, core))]


def _recurring(labels: IntArray, matrix: ChannelMatrix) -> IntArray:
    """Leave out groups of a single member: what one run repeats within itself did not come back in another."""
    members = len(np.unique(matrix.member))
    groups = range(labels.max(initial=-1) + 1)
    lonely = [label for label in groups if len(np.unique(matrix.member[labels == label])) < min(2, members)]
    return np.where(np.isin(labels, lonely), -1, labels)


def _numbered_in_order(labels: IntArray, order: IntArray) -> IntArray:
    """Number the groups as they come along the OPTICS order."""
    in_order = dict.fromkeys(int(label) for label in labels[order] if label >= 0)
    number = {label: rank for rank, label in enumerate(in_order)}
    return np.array([number.get(int(label), -1) for label in labels], dtype=np.int64)


def _describe(label: int, channels: IntArray, matrix: ChannelMatrix, distance: FloatArray) -> Hotspot:
    """Summarize a hotspot by the means over its pairs and channels, and by its medoid."""
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


def _signs(groups: tuple[Hotspot, ...], posteriors: Posteriors | None, n_channels: int) -> IntArray:
    """Return +1 where a channel's means rise with those of its hotspot's medoid, −1 where they fall."""
    sign = np.ones(n_channels, dtype=np.int64)
    if posteriors is None:
        return sign
    mean, _ = posteriors.flat()
    mean = mean - mean.mean(axis=1, keepdims=True)
    for group in groups:
        channels = np.array(group.channels)
        sign[channels] = np.where(mean[channels] @ mean[group.medoid] < 0, -1, 1)
    return sign
