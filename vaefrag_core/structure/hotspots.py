"""Hotspots of an ensemble: the groups of channels that come back, described, and the order in which channels are shown.

`hotspot_groups` says which channels form a hotspot; OPTICS gives the order and the reachability of the picture.

Reference: Ankerst, M., Breunig, M. M., Kriegel, H.-P., Sander, J. (1999). OPTICS: ordering points to identify
the clustering structure. SIGMOD Record 28(2), 49-60.
"""

import numpy as np

from vaefrag_core.array_types import BoolArray, FloatArray, IntArray
from vaefrag_core.artifacts import ChannelMatrix, Hotspot, Hotspots, Posteriors
from vaefrag_core.config import HotspotConfig
from vaefrag_core.measures.channel_states import dead_channels
from vaefrag_core.structure.hotspot_groups import FEWEST_MEMBERS, recurring_groups
from vaefrag_core.structure.optics import optics_walk
from vaefrag_core.structure.similarity_inside import mean_inside

SMALLEST_MIN_SAMPLES = 3  # neighbours: with fewer, reachability is the distance to the nearest channel
NOTABLE_CHANCE = 0.05  # NMI of independent channels from which on a reader should be warned
SHARE_OF_MEMBERS = 0.4  # the neighbours by which OPTICS judges density, as a share of the members
NO_HOTSPOT = "No group of channels comes back in enough members, clearly above chance and apart from the others."


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
        The OPTICS order, each hotspot in one piece, the reachability and the hotspots. The result does not depend on
        the order in which members are listed, except where two channels tie exactly.

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
    min_samples = _min_samples(matrix, config, len(comparable))
    group_of_channel = hotspot_of_channels(matrix, config)
    order, reachability = _optics_order(distance, comparable, min_samples, group_of_channel)
    labels = _along_the_order(group_of_channel, order)
    dead_by_bits = np.flatnonzero(dead)[np.argsort(-matrix.information_bits[dead], kind="stable")]
    groups = tuple(
        _describe(label, order[labels[order] == label], matrix, distance) for label in range(labels.max(initial=-1) + 1)
    )
    messages = (
        *_too_few(matrix, config, len(comparable)),
        *_diverged(matrix),
        *_cautions(matrix, ~dead),
        *matrix.messages,
    )
    if not groups and len(comparable) >= FEWEST_MEMBERS:
        messages = (*messages, NO_HOTSPOT)
    return Hotspots(
        order=np.concatenate([order, np.setdiff1d(np.flatnonzero(~dead), comparable), dead_by_bits]),
        reachability=reachability,
        labels=labels,
        dead=dead,
        sign=_signs(groups, posteriors, matrix.n_channels),
        groups=groups,
        min_samples=min_samples,
        messages=messages,
    )


def hotspot_of_channels(matrix: ChannelMatrix, config: HotspotConfig) -> IntArray:
    """Say of each channel in which hotspot it is, and no more: for whoever looks for hotspots many times.

    Args:
        matrix: the comparison of C channels.
        config: thresholds.

    Returns:
        (C,) number of the channel's hotspot, the largest hotspot first; −1 for channels of none.
    """
    comparable = comparable_channels(matrix, config)
    similarity = matrix.corrected_similarity(config.measure, comparable)
    hotspot = np.full(matrix.n_channels, -1, dtype=np.int64)
    for number, group in enumerate(recurring_groups(similarity, matrix.member[comparable], config)):
        hotspot[comparable[group]] = number
    return hotspot


def comparable_channels(matrix: ChannelMatrix, config: HotspotConfig) -> IntArray:
    """Find the channels that hotspots and maps are made of: neither dead nor saturated, nor of a diverged member.

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
    of_diverged = np.isin(matrix.member, matrix.diverged)
    return np.flatnonzero(~dead_channels(matrix.information_bits, config.min_bits) & ~matrix.saturated & ~of_diverged)


def more_live_channels(config: HotspotConfig) -> str:
    """Return the advice on what would leave more channels alive."""
    if config.min_bits > HotspotConfig().min_bits:
        return f"Analyse with a lower --min-bits than {config.min_bits:g}."
    return "Train more members, with more steps, or with a smaller β."


def _min_samples(matrix: ChannelMatrix, config: HotspotConfig, n_live: int) -> int:
    """Return the neighbours by which OPTICS judges density: as asked for, at most half of the live channels."""
    members = len(np.unique(matrix.member))
    wanted = config.min_samples or max(SMALLEST_MIN_SAMPLES, round(SHARE_OF_MEMBERS * members))
    return max(2, min(wanted, n_live // 2))


def _too_few(matrix: ChannelMatrix, config: HotspotConfig, n_live: int) -> tuple[str, ...]:
    """Say so when there are too few live channels, or too few members, for anything to come back."""
    members = len(np.setdiff1d(matrix.member, matrix.diverged))
    few_members = (
        f"Hotspots are channels that come back in at least {FEWEST_MEMBERS} members, and there"
        f" {'is 1' if members == 1 else f'are {members}'}. Train more members."
    )
    if members < FEWEST_MEMBERS and matrix.diverged:
        return (few_members,)
    if n_live < FEWEST_MEMBERS and matrix.saturated.any():
        return (f"Only {n_live} of {matrix.n_channels} channels can be compared: too few to look for hotspots.",)
    if n_live < FEWEST_MEMBERS:
        return (
            f"Only {n_live} of {matrix.n_channels} channels carr{'ies' if n_live == 1 else 'y'} at least"
            f" {config.min_bits:g} bits: too few to look"
            f" for hotspots. {more_live_channels(config)}",
        )
    return (few_members,) if members < FEWEST_MEMBERS else ()


def _diverged(matrix: ChannelMatrix) -> tuple[str, ...]:
    """Name the members that are left out because their training diverged."""
    if not matrix.diverged:
        return ()
    names = ", ".join(map(str, matrix.diverged))
    one = len(matrix.diverged) == 1
    return (
        f"{'Member' if one else 'Members'} {names} diverged in training: {'its' if one else 'their'} loss, or KL from"
        " the prior, is far beyond that of the others, or no number. No hotspot is looked for in"
        f" {'its' if one else 'their'} channels. Lower the learning rate; of imported posteriors, see whether all"
        " members are in the same units.",
    )


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
    if len(matrix.chance):
        unknown = int((np.isnan(matrix.chance).any(axis=1) & live & ~matrix.saturated).sum())
        if unknown:
            cautions.append(
                f"Of {unknown} of {int(live.sum())} live channels it could not be worked out what they would share by"
                " chance on so few images: their NMI cannot be corrected, and they belong to no hotspot. Take a larger"
                " fingerprint, or noise that lets the posteriors overlap."
            )
    if chance > NOTABLE_CHANCE:
        cautions.append(
            f"On {matrix.n_images:,} images, two channels like these that share nothing would show an NMI of about"
            f" {chance:.2f}. Take a larger fingerprint, or read the corrected NMI."
        )
    return tuple(cautions)


def _optics_order(
    distance: FloatArray, live: IntArray, min_samples: int, group: IntArray
) -> tuple[IntArray, FloatArray]:
    """Return the live channels in OPTICS order, hotspots in one piece, and the reachability of all channels."""
    reachability = np.full(len(distance), np.inf)
    if len(live) < SMALLEST_MIN_SAMPLES:
        return live, reachability
    live = _densest_first(distance, live, min_samples)
    visits, reachability[live], _ = optics_walk(distance[np.ix_(live, live)], min_samples, group[live])
    return live[visits], reachability


def _densest_first(distance: FloatArray, channels: IntArray, min_samples: int) -> IntArray:
    """Sort channels by their core distance rather than by where they stand: OPTICS depends on the order of its input.

    It starts with the first. From the middle of a dense group, the first valley of the reachability holds that
    group and nothing else; from a lonely channel, it would hold that channel too.
    """
    nearest = np.sort(distance[np.ix_(channels, channels)], axis=1)
    # Rounded, since sums over differently ordered rows differ in their last digits; the second breaks ties.
    core, spread = np.round(nearest[:, min_samples - 1], 9), np.round(nearest.sum(axis=1), 6)
    return channels[np.lexsort((spread, core))]


def _along_the_order(group: IntArray, order: IntArray) -> IntArray:
    """Number the groups by where each stands in the order; −1 for channels of none."""
    labels = np.full(len(group), -1, dtype=np.int64)
    in_order = group[order][group[order] >= 0]
    for label, number in enumerate(dict.fromkeys(in_order.tolist())):
        labels[group == number] = label
    return labels


def _describe(number: int, channels: IntArray, matrix: ChannelMatrix, distance: FloatArray) -> Hotspot:
    """Summarize a hotspot by the means over its pairs and channels, and by its medoid."""
    square, member = np.ix_(channels, channels), matrix.member[channels]
    return Hotspot(
        number=number,
        channels=tuple(int(c) for c in channels),
        n_members=len(np.unique(member)),
        mean_nmi=mean_inside(matrix.nmi[square], member),
        mean_vi_bits=mean_inside(matrix.vi_bits[square], member),
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
