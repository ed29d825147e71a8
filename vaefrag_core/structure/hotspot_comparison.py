"""The hotspots of two ensembles on one sample against each other: which are found in both, and which in one alone.

Two hotspots are the same fragment by the rule that makes one hotspot of two halves: what they share is above the floor,
and at least `cohesion` of what the closer-knit of them shares inside. Chance is what is shared when the images of one
ensemble are shuffled as a whole: its hotspots stay as they are, and have nothing in common with those of the other.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from vaefrag_core.array_types import BoolArray, FloatArray, IntArray
from vaefrag_core.artifacts import ChannelMatrix, Hotspot, Posteriors
from vaefrag_core.artifacts.image_copies import shuffled_images
from vaefrag_core.config import HotspotConfig
from vaefrag_core.errors import InvalidInputError
from vaefrag_core.structure.hotspot_groups import mean_between_members
from vaefrag_core.structure.hotspot_significance import p_values_of
from vaefrag_core.structure.matrices import compare_across, compare_channels


@dataclass(frozen=True, eq=False)
class HotspotComparison:
    """What the A hotspots of one ensemble and the B of another share.

    Args:
        between: (A, B) mean corrected NMI of the channels of one with those of the other.
        inside: mean corrected NMI inside each hotspot, between different members: (A,) and (B,).
        same: (A, B) True where they are one fragment by the rule of hotspots.
        highest_by_chance: (R,) the highest `between` of any pair, in each shuffle of the second ensemble's images.
    """

    between: FloatArray
    inside: tuple[FloatArray, FloatArray]
    same: BoolArray
    highest_by_chance: FloatArray

    @property
    def p_values(self) -> FloatArray:
        """(A, B) how often the highest of all pairs reaches what a pair shares, (1 + how often) / (1 + R)."""
        return p_values_of(self.between.ravel(), self.highest_by_chance).reshape(self.between.shape)

    def transposed(self) -> "HotspotComparison":
        """Return the comparison with the two ensembles' places exchanged."""
        return HotspotComparison(self.between.T, self.inside[::-1], self.same.T, self.highest_by_chance)


def compare_hotspots(
    first: tuple[Posteriors, Sequence[Hotspot]],
    second: tuple[Posteriors, Sequence[Hotspot]],
    config: HotspotConfig,
    *,
    draws: int = 99,
    seed: int = 0,
    threads: int | None = None,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> HotspotComparison:
    """Compare the hotspots of two ensembles on one sample; only channels of hotspots are compared.

    Args:
        first: posteriors of one ensemble on N images, and its hotspots.
        second: those of another on the same images.
        config: its `cohesion` and `min_similarity`.
        draws: shuffles of the second ensemble's images.
        seed: of the shuffles.
        threads: of the comparison; as many as torch uses when not given.
        on_progress: called with shuffles done and all shuffles; an exception that it raises ends the work.

    Raises:
        InvalidInputError: when the numbers of images differ.
    """
    if first[0].n_images != second[0].n_images:
        raise InvalidInputError(
            f"Expected two ensembles on the same images, got {first[0].n_images:,} and {second[0].n_images:,} images."
        )
    sides = [_channels_of_hotspots(*side) for side in (first, second)]
    (mean, logvar, weights, member), (mean_2, logvar_2, weights_2, member_2) = sides
    count = len(mean)
    if not count or not len(mean_2):
        nothing = np.zeros((len(weights), len(weights_2)))
        return HotspotComparison(nothing, (np.zeros(len(weights)), np.zeros(len(weights_2))), nothing > 0, np.zeros(0))
    # The chance level of a pair needs two numbers of each channel, worked out for all of them together.
    copies = next((p.image_copies for p, _ in (first, second) if p.copy_of is not None or p.images is not None), None)
    flat = [np.concatenate(both).T for both in ((mean, mean_2), (logvar, logvar_2))]
    matrix = compare_channels(
        Posteriors([flat[0]], [flat[1]], copy_of=copies), estimator=config.estimator, threads=threads
    )
    corrected = _corrected(matrix)
    between = weights @ corrected[:count, count:] @ weights_2.T
    inside = (
        _inside(corrected[:count, :count], weights, member),
        _inside(corrected[count:, count:], weights_2, member_2),
    )
    closer = np.maximum.outer(inside[0], inside[1])
    highest = np.zeros(draws)
    images = np.arange(first[0].n_images) if copies is None else copies
    for draw, shuffle in enumerate(shuffled_images(images, draws, np.random.default_rng(seed))):
        nmi = np.array(matrix.nmi, dtype=np.float64)
        nmi[:count, count:] = compare_across(
            (mean, logvar), (mean_2[:, shuffle], logvar_2[:, shuffle]), estimator=config.estimator, threads=threads
        )
        similarity = _corrected(replace(matrix, nmi=nmi))[:count, count:]
        highest[draw] = (weights @ similarity @ weights_2.T).max()
        on_progress(draw + 1, draws)
    same = (between > config.min_similarity) & (between >= config.cohesion * closer)
    return HotspotComparison(between, inside, same, highest)


def _channels_of_hotspots(
    posteriors: Posteriors, groups: Sequence[Hotspot]
) -> tuple[FloatArray, FloatArray, FloatArray, IntArray]:
    """Return means and ln σ² of the K channels in hotspots, weights (G, K) that average, and members."""
    channels = np.array([c for group in groups for c in group.channels], dtype=np.int64)
    mean, logvar = posteriors.flat()
    of = np.repeat(np.arange(len(groups)), [group.size for group in groups])
    inside = of[None] == np.arange(len(groups))[:, None]
    weights = inside / np.maximum(inside.sum(axis=1, keepdims=True), 1)
    return mean[channels], logvar[channels], weights, posteriors.channel_names[channels, 0]


def _corrected(matrix: ChannelMatrix) -> FloatArray:
    """Return corrected NMI of all pairs as the rule of hotspots takes it, 0 to 1."""
    nmi = matrix.corrected_similarity("nmi", np.arange(matrix.n_channels))
    return np.asarray(np.clip(np.nan_to_num(nmi), 0.0, 1.0))


def _inside(similarity: FloatArray, weights: FloatArray, member: IntArray) -> FloatArray:
    return np.array([mean_between_members(similarity, member, np.flatnonzero(row)) for row in weights])
