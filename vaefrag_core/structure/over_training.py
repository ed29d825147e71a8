"""Channels and hotspots at several steps of training, and since when channels are what they are at the end."""

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
        snapshots: M members on N images, at S steps.
        posteriors: the same members on the same images at the end.
        matrix: the comparison of the channels at the end; pairs that have not changed since are taken from it.
        config: how hotspots are found.
        on_progress: called with images compared and their total over all steps; an exception that it raises ends
            the work.

    Returns:
        Information, NMI with the end, live channels and hotspots of each step. It takes about S − 1 times as long as
        the comparison of the channels at the end.
    """
    n_images, count = posteriors.n_images, len(snapshots.steps)
    information, nmi, live, groups = [], [], [], []
    for s in range(count):
        at_step = snapshots.posteriors(s, posteriors)

        def compared(done: int, total: int, before: int = s * n_images) -> None:
            on_progress(before + done, count * n_images)

        comparison = compare_channels(at_step, earlier=matrix, on_progress=compared)
        hotspots = find_hotspots(comparison, config)
        information.append(comparison.information_bits)
        nmi.append(_nmi_with_end(at_step, posteriors))
        live.append(~hotspots.dead)
        groups.append(hotspots.groups)
    return OverTraining(
        steps=np.asarray(snapshots.steps),
        information_bits=np.stack(information),
        nmi_with_end=np.stack(nmi),
        live=np.stack(live),
        hotspots=np.array([len(of_step) for of_step in groups], dtype=np.int64),
        n_members=posteriors.n_members,
        groups=tuple(groups),
    )


def _nmi_with_end(at_step: Posteriors, end: Posteriors) -> FloatArray:
    """NMI of each channel with its final self, (C,)."""
    (mean, logvar), (end_mean, end_logvar) = at_step.flat(), end.flat()
    nmi, start = [], 0
    # Member by member: all channels at once would compute the pairs of different members as well, for nothing.
    for width in at_step.channels_of_member:
        own = slice(start, start + width)
        pairs = compare_across((mean[own], logvar[own]), (end_mean[own], end_logvar[own]))
        nmi.append(np.diagonal(pairs))
        start += width
    return np.concatenate(nmi)
