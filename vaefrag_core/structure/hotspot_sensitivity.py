"""What other settings, the other measure, or one member less would find: how much hotspots hang on choices.

Reference: Hubert, L., Arabie, P. (1985). Comparing partitions. Journal of Classification 2, 193-218.
https://doi.org/10.1007/BF01908075
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from vaefrag_core.array_types import IntArray
from vaefrag_core.artifacts import ChannelMatrix, Hotspots
from vaefrag_core.config import HotspotConfig
from vaefrag_core.structure.hotspots import find_hotspots, hotspot_of_channels

OTHERS: dict[str, tuple[float | int | str, ...]] = {
    "member_share": (0.1, 0.2, 0.25, 0.3, 0.4, 0.5, 0.75),
    "cohesion": (0.4, 0.5, 0.55, 0.6, 0.65, 0.7, 0.8),
    "min_similarity": (0.05, 0.1, 0.15, 0.2, 0.3, 0.5),
    "measure": ("nmi", "vi"),
    "min_bits": (0.003, 0.01, 0.03, 0.1, 0.3),
    "min_samples": (3, 5, 8, 15),
}


@dataclass(frozen=True)
class OtherSetting:
    """What one other value of one setting finds.

    Args:
        setting: a field of `HotspotConfig`.
        value: its other value.
        hotspots: how many are found.
        agreement: adjusted Rand index with the hotspots of the analysis: 1 where they are the same, 0 where no more
            agrees than by chance.
    """

    setting: str
    value: float | int | str
    hotspots: int
    agreement: float


@dataclass(frozen=True)
class MemberLeftOut:
    """What is found without one member.

    Args:
        member: its number.
        hotspots: how many are found among the others.
        agreement: adjusted Rand index with the hotspots of the analysis, over the channels of the others.
    """

    member: int
    hotspots: int
    agreement: float


@dataclass(frozen=True)
class Sensitivity:
    """How much the hotspots of an analysis hang on its settings and its members.

    Args:
        hotspots: how many the analysis has.
        settings: what each other value finds, all else as in the analysis.
        members: what is found without each member.
    """

    hotspots: int
    settings: tuple[OtherSetting, ...]
    members: tuple[MemberLeftOut, ...]


def hotspot_sensitivity(
    matrix: ChannelMatrix,
    hotspots: Hotspots,
    config: HotspotConfig,
    *,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Sensitivity:
    """Look for hotspots again under each other value of a setting, and without each member.

    One thing is changed at a time. Agreement is the adjusted Rand index; a channel of no hotspot is a group of its own.

    Args:
        matrix: the comparison of C channels.
        hotspots: found in it.
        config: how they were found.
        on_progress: called with searches done and all searches; an exception that it raises ends the work.

    Returns:
        Numbers of hotspots and agreements. Nothing is compared anew: each takes a search of the stored matrix.
    """
    values = [(setting, value) for setting in OTHERS for value in _other_values(setting, config)]
    numbers = np.unique(matrix.member)
    total = count_searches(matrix, config)
    settings = []
    for done, (setting, value) in enumerate(values, start=1):
        other = config.model_copy(update={setting: value})
        # `min_samples` is read by the order alone: the whole search is repeated, so that the table shows it.
        labels = find_hotspots(matrix, other).labels if setting == "min_samples" else hotspot_of_channels(matrix, other)
        settings.append(OtherSetting(setting, value, _count(labels), _agreement(hotspots.labels, labels)))
        on_progress(done, total)
    members = []
    for done, number in enumerate(numbers, start=len(values) + 1):
        others = np.flatnonzero(matrix.member != number)
        labels = hotspot_of_channels(matrix.subset(others), config)
        agreement = _agreement(hotspots.labels[others], labels)
        members.append(MemberLeftOut(int(number), _count(labels), agreement))
        on_progress(done, total)
    return Sensitivity(len(hotspots.groups), tuple(settings), tuple(members))


def count_searches(matrix: ChannelMatrix, config: HotspotConfig) -> int:
    """Return how many searches `hotspot_sensitivity` takes."""
    values = sum(len(list(_other_values(setting, config))) for setting in OTHERS)
    return values + len(np.unique(matrix.member))


def _other_values(setting: str, config: HotspotConfig) -> Iterator[float | int | str]:
    of_analysis = getattr(config, setting)
    return (value for value in OTHERS[setting] if value != of_analysis)


def _count(labels: IntArray) -> int:
    return int(labels.max(initial=-1)) + 1


def _agreement(labels: IntArray, other: IntArray) -> float:
    from sklearn.metrics import adjusted_rand_score

    return float(adjusted_rand_score(_with_groups_of_one(labels), _with_groups_of_one(other)))


def _with_groups_of_one(labels: IntArray) -> IntArray:
    """Number the channels of no hotspot each for itself: one big group of them would agree whatever hotspots do."""
    return np.where(labels < 0, labels.max(initial=-1) + 1 + np.arange(len(labels)), labels)
