"""Stability of hotspots: whether they come back on other draws of members and of images.

Members, or images, are drawn with replacement, as many as there are; the hotspots of the resample are set against
the original ones. What is drawn several times is taken once, which leaves about 63 % of all in each resample:

- A copy of a member would bring copies of its channels, pairs of NMI 1 that are dense although no other run has learnt
  the same. What hotspots are to show, recurrence in independent runs, would be faked.
- A copy of an image is a pair of images that no channel tells apart, and that alone makes independent channels look
  alike, as every image's pair with itself does (`chance_level`). With copies the level of chance would
  be that of N/2 images, without them it is that of 0.63 N.

Either way a resample is smaller than the whole, and hotspots are harder to find in it: what is reported is rather too
low than too high.

Reference: Hennig, C. (2007). Cluster-wise assessment of cluster stability. Computational Statistics & Data Analysis
52(1), 258-271. https://doi.org/10.1016/j.csda.2006.11.025
"""

from collections.abc import Iterator, Mapping

import numpy as np

from vaefrag_core.array_types import BoolArray, FloatArray, IntArray
from vaefrag_core.artifacts import ChannelMatrix, Hotspot, Hotspots, Posteriors, Stability
from vaefrag_core.config import BootstrapConfig, HotspotConfig, Measure
from vaefrag_core.structure.hotspots import find_hotspots
from vaefrag_core.structure.matrices import compare_channels
from vaefrag_core.structure.pairwise_information import Progress
from vaefrag_core.structure.similarity_inside import similarity_inside

FEWEST_MEMBERS = 3  # of which two can be drawn without all of them being drawn


def hotspot_stability(
    posteriors: Posteriors,
    matrix: ChannelMatrix,
    hotspots: Mapping[Measure, Hotspots],
    config: HotspotConfig,
    bootstrap: BootstrapConfig,
    *,
    threads: int | None = None,
    on_progress: Progress = lambda done, total: None,
) -> dict[Measure, Stability]:
    """Look for the hotspots of an analysis again on resamples of members and of images.

    For every hotspot and resample: the largest Jaccard index with a hotspot of the resample,

        J(A, B) = |A ∩ B| / |A ∪ B|,

    over the channels that both contain. A `min_samples` of the config shrinks with the members drawn. The images that
    were not drawn judge what the drawn ones have found: a group that was chosen for being alike on some images is
    rather less alike on others.

    Args:
        posteriors: M members on N images.
        matrix: the comparison of their channels.
        hotspots: hotspots of the matrix, by measure.
        config: the settings that they were found with; its `measure` is not read.
        bootstrap: number of resamples, and their seed.
        threads: CPU threads of the comparison of channels, by default as many as torch uses.
        on_progress: called with resamples done and their total; an exception that it raises ends the work.

    Returns:
        Jaccard indices by measure. They depend neither on threads nor on the order in which members are listed. Fewer
        than three members cannot be resampled: their Jaccard indices are NaN.
    """
    settings: dict[Measure, HotspotConfig] = {m: config.model_copy(update={"measure": m}) for m in hotspots}
    over_members, over_images = (
        {m: np.full((bootstrap.resamples, len(original.groups)), np.nan) for m, original in hotspots.items()}
        for _ in range(2)
    )
    # By number, so that it does not matter how members are listed.
    by_number = np.argsort(matrix.member, kind="stable")
    inside = {m: np.full((*over_images[m].shape, 2), np.nan) for m in hotspots}
    members_rng, images_rng = np.random.default_rng(bootstrap.seed).spawn(2)
    total = 2 * bootstrap.resamples
    numbers = np.unique(matrix.member)
    if len(numbers) >= FEWEST_MEMBERS:
        for r, drawn in enumerate(_draws(members_rng, len(numbers), bootstrap.resamples)):
            channels = by_number[np.isin(matrix.member[by_number], numbers[drawn])]
            resample = matrix.subset(channels)
            for measure, original in hotspots.items():
                shrunk = _with_share_of_members(settings[measure], len(drawn) / len(numbers))
                labels = find_hotspots(resample, shrunk).labels
                over_members[measure][r] = _best_matches(original.groups, matrix, channels, labels)[0]
            on_progress(r + 1, total)
    for r, images in enumerate(_draws(images_rng, posteriors.n_images, bootstrap.resamples)):
        others = np.setdiff1d(np.arange(posteriors.n_images), images)
        on_drawn = compare_channels(_on_images(posteriors, images), threads=threads)
        on_others = compare_channels(_on_images(posteriors, others), threads=threads) if len(others) > 1 else None
        for measure, original in hotspots.items():
            labels = find_hotspots(on_drawn, settings[measure]).labels
            over_images[measure][r], match = _best_matches(original.groups, matrix, by_number, labels)
            for k, part in enumerate((on_drawn, on_others)):
                inside[measure][r, :, k] = [_mean_inside(part, measure, labels == label) for label in match]
        on_progress(bootstrap.resamples + r + 1, total)
    return {m: Stability(over_members[m], over_images[m], bootstrap.seed, inside[m]) for m in hotspots}


def _draws(rng: np.random.Generator, count: int, times: int) -> Iterator[IntArray]:
    """Draw positions with replacement, and yield each that came up once, ascending; at least two."""
    for _ in range(times):
        drawn: IntArray = np.zeros(0, dtype=np.int64)
        while len(drawn) < 2:
            drawn = np.unique(rng.integers(count, size=count))
        yield drawn


def _with_share_of_members(config: HotspotConfig, share: float) -> HotspotConfig:
    """Scale `min_samples` to the members drawn; its default is a share of the members anyway."""
    if config.min_samples is None:
        return config
    return config.model_copy(update={"min_samples": max(2, round(config.min_samples * share))})


def _on_images(posteriors: Posteriors, images: IntArray) -> Posteriors:
    """Return the posteriors of some images, members in the order of their numbers."""
    order = np.argsort(posteriors.member_ids, kind="stable")
    return Posteriors(
        [posteriors.mean[m][images] for m in order],
        [posteriors.logvar[m][images] for m in order],
        member_ids=posteriors.member_ids[order],
        diverged=posteriors.diverged_members,
    )


def _mean_inside(matrix: ChannelMatrix | None, measure: Measure, inside: BoolArray) -> float:
    """Return the mean similarity inside some channels; NaN of none, and without images."""
    if matrix is None or not inside.any():
        return float("nan")
    return float(similarity_inside(matrix, [np.flatnonzero(inside)], measure)[0])


def _best_matches(
    groups: tuple[Hotspot, ...], matrix: ChannelMatrix, channels: IntArray, labels: IntArray
) -> tuple[FloatArray, IntArray]:
    """Find the hotspot of the resample that each original one is most like, by the Jaccard index.

    Args:
        groups: the original hotspots.
        matrix: the comparison of all channels.
        channels: (K,) flat indices of the channels of the resample.
        labels: (K,) their hotspots there, −1 for none.

    Returns:
        (G,) the largest Jaccard index, 0 to 1; NaN of hotspots of which fewer than two members were drawn. And (G,) the
        hotspot that has it; −2 where no channel is shared with any.
    """
    sizes = np.bincount(labels[labels >= 0], minlength=1)
    most, match = np.full(len(groups), np.nan), np.full(len(groups), -2)
    fewest = min(2, len(np.unique(matrix.member)))
    for g, group in enumerate(groups):
        inside = np.isin(channels, group.channels)
        if len(np.unique(matrix.member[channels[inside]])) < fewest:
            continue
        shared = np.bincount(labels[inside & (labels >= 0)], minlength=len(sizes))
        index = shared / (sizes + inside.sum() - shared)
        most[g] = index.max()
        if most[g] > 0:
            match[g] = index.argmax()
    return most, match
