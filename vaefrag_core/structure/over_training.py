"""What channels tell at several steps of training, and since when they tell what they tell at the end."""

import numpy as np

from vaefrag_core.array_types import FloatArray
from vaefrag_core.artifacts import ChannelMatrix, OverTraining, Posteriors, Snapshots
from vaefrag_core.config import HotspotConfig
from vaefrag_core.structure.hotspots import find_hotspots
from vaefrag_core.structure.matrices import compare_across, compare_channels
from vaefrag_core.structure.pairwise_information import Progress


def follow_training(
    snapshots: Snapshots,
    posteriors: Posteriors,
    matrix: ChannelMatrix,
    config: HotspotConfig,
    *,
    on_progress: Progress = lambda done, total: None,
) -> OverTraining:
    """Compare all channels at every snapshot, look for hotspots among them, and compare each with its final self.

    Args:
        snapshots: of M members on N images, at S steps.
        posteriors: of the same members and images at the end.
        matrix: of the same channels at the end: pairs that have not changed since are taken from it.
        config: of the hotspots.
        on_progress: called with images compared and their number over all steps; an exception that it raises ends
            the work.

    Returns:
        Information, NMI with the end, live channels and hotspots of each step. It takes about S − 1 times as long as
        the comparison of the channels at the end.
    """
    n_images, count = posteriors.n_images, len(snapshots.steps)
    information, nmi, live, groups = [], [], [], []
    for s in range(count):
        then = Posteriors(
            np.array(snapshots.mean[s]),
            np.array(snapshots.logvar[s]),
            sample_id=posteriors.sample_id,
            member_ids=posteriors.member_ids,
        )

        def compared(done: int, total: int, before: int = s * n_images) -> None:
            on_progress(before + done, count * n_images)

        at_step = compare_channels(then, known=matrix, on_progress=compared)
        found = find_hotspots(at_step, config)
        information.append(at_step.information_bits)
        nmi.append(_with_end(then, posteriors))
        live.append(~found.dead)
        groups.append(found.groups)
    return OverTraining(
        steps=np.asarray(snapshots.steps),
        information_bits=np.stack(information),
        nmi_with_end=np.stack(nmi),
        live=np.stack(live),
        hotspots=np.array([len(of_step) for of_step in groups], dtype=np.int64),
        n_members=posteriors.n_members,
        groups=tuple(groups),
    )


def _with_end(then: Posteriors, end: Posteriors) -> FloatArray:
    """NMI of each channel with its final self, (C,)."""
    (mean, logvar), (end_mean, end_logvar) = then.flat(), end.flat()
    found, start = [], 0
    # Member by member: of the products of all channels, those of one member with itself are all that is looked at.
    for width in then.channels_of_member:
        own = slice(start, start + width)
        pairs = compare_across((mean[own], logvar[own]), (end_mean[own], end_logvar[own]))
        found.append(np.diagonal(pairs))
        start += width
    return np.concatenate(found)
