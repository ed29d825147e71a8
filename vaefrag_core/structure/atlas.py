"""Hotspots of a sweep, followed from value to value: which go on, appear, split, merge and end.

Two hotspots of neighbouring ensembles are compared by the mean NMI of their channels, one from each. Only that
rectangle of pairs is computed, by the same stream as all other similarities.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from vaefrag_core.array_types import BoolArray, FloatArray, IntArray
from vaefrag_core.artifacts import Atlas, ChannelMatrix, Hotspot, Hotspots, Posteriors, SpaceMatrix, SweepPoint
from vaefrag_core.config import DEFAULT_ESTIMATOR, AtlasConfig, Estimator
from vaefrag_core.errors import InvalidInputError
from vaefrag_core.structure.compared_rows import Progress
from vaefrag_core.structure.matrices import compare_across


@dataclass(frozen=True, eq=False)
class SweepEnsemble:
    """One value of a sweep, with the analysis of its ensemble.

    Args:
        value: the coefficient that the sweep varies.
        ensemble_id: the ensemble.
        posteriors: posteriors of its members on the sample that all ensembles share.
        information_bits: (C,) information of their channels.
        live: (C,) True where a channel is not dead.
        groups: their hotspots.
        spaces: the comparison of its members' whole spaces; None where there is none.
        estimator: of the information.
    """

    value: float
    ensemble_id: str
    posteriors: Posteriors
    information_bits: FloatArray
    live: BoolArray
    groups: tuple[Hotspot, ...]
    spaces: SpaceMatrix | None = None
    estimator: Estimator = DEFAULT_ESTIMATOR

    @classmethod
    def at_end(
        cls,
        value: float,
        ensemble_id: str,
        posteriors: Posteriors,
        analysis: tuple[ChannelMatrix, Hotspots],
        spaces: SpaceMatrix | None = None,
    ) -> "SweepEnsemble":
        """Take an ensemble as its analysis at the end of training has it.

        Args:
            value: the coefficient that the sweep varies.
            ensemble_id: the ensemble.
            posteriors: posteriors of its members.
            analysis: the matrix of all channels, and their hotspots.
            spaces: the comparison of its members' whole spaces, where there is one.
        """
        matrix, hotspots = analysis
        live = ~hotspots.dead
        return cls(
            value, ensemble_id, posteriors, matrix.information_bits, live, hotspots.groups, spaces, matrix.estimator
        )

    @property
    def labels(self) -> IntArray:
        """(C,) hotspot of each channel, −1 for noise and for dead channels."""
        labels = np.full(len(self.live), -1, dtype=np.int64)
        for group in self.groups:
            labels[list(group.channels)] = group.number
        return labels


def draw_atlas(
    ensembles: Sequence[SweepEnsemble],
    config: AtlasConfig | None = None,
    *,
    on_progress: Progress = lambda done, total: None,
) -> Atlas:
    """Follow the hotspots of a sweep from each value to the next.

    Args:
        ensembles: the ensembles in the order of their values. Reversed, they have the same atlas reversed.
        config: the NMI from which on two hotspots are linked.
        on_progress: called with images done and their total over all neighbours; an exception that it raises ends
            the work.

    Returns:
        A point for each value, and the mean NMI between the hotspots of neighbours.

    Raises:
        InvalidInputError: when the ensembles were not encoded on one fingerprint sample.
    """
    config = config or AtlasConfig()
    _check_sample(ensembles)
    n_images = ensembles[0].posteriors.n_images
    total = n_images * (len(ensembles) - 1)

    def report(done: int, _: int) -> None:
        on_progress(n_images * len(cross) + done, total)

    cross: list[FloatArray] = []
    for first, second in pairwise(ensembles):
        cross.append(_mean_nmi_of_hotspots(first, second, report))
    return Atlas(
        points=tuple(_point(ensemble) for ensemble in ensembles),
        cross=tuple(cross),
        lineages=_lineages([len(ensemble.groups) for ensemble in ensembles], cross, config.min_nmi),
        min_nmi=config.min_nmi,
        n_images=n_images,
    )


def _check_sample(ensembles: Sequence[SweepEnsemble]) -> None:
    if not ensembles:
        raise InvalidInputError("Expected an ensemble for at least one value, got none.")
    first = ensembles[0]
    for ensemble in ensembles:
        sample = ensemble.posteriors.sample_id
        if sample is None or sample != first.posteriors.sample_id:
            raise InvalidInputError(
                f"Expected all ensembles on one fingerprint sample, got {first.posteriors.sample_id!r} of"
                f" {first.ensemble_id} and {sample!r} of {ensemble.ensemble_id}. Train them with the same data set and"
                " fingerprint."
            )


def _point(ensemble: SweepEnsemble) -> SweepPoint:
    per_member = np.split(ensemble.live, np.cumsum(ensemble.posteriors.channels_of_member)[:-1])
    return SweepPoint(
        value=float(ensemble.value),
        ensemble_id=ensemble.ensemble_id,
        live_channels=tuple(int(live.sum()) for live in per_member),
        bits=tuple(ensemble.information_bits[ensemble.live].tolist()),
        space_bits=() if ensemble.spaces is None else tuple(ensemble.spaces.information_bits.tolist()),
        hotspots=ensemble.groups,
    )


def _mean_nmi_of_hotspots(first: SweepEnsemble, second: SweepEnsemble, on_progress: Progress) -> FloatArray:
    """Return the mean NMI of the channels of each hotspot with those of each hotspot of the next: (H, H')."""
    columns = [_in_hotspots(ensemble) for ensemble in (first, second)]
    if not all(len(channels) for channels in columns):
        on_progress(first.posteriors.n_images, first.posteriors.n_images)
        return np.zeros((len(first.groups), len(second.groups)))
    sides = []
    for ensemble, channels in zip((first, second), columns, strict=True):
        mean, logvar = ensemble.posteriors.flat()
        sides.append((mean[channels], logvar[channels]))
    # Undefined where a channel tells nothing apart, and then it shares nothing. In a hotspot only a threshold of 0 bits
    # leaves such channels.
    estimator: Estimator = "exact" if first.estimator == second.estimator == "exact" else "bound"
    nmi = np.nan_to_num(compare_across(*sides, estimator=estimator, on_progress=on_progress), nan=0.0)
    rows, cols = (
        _mean_weights(ensemble, channels) for ensemble, channels in zip((first, second), columns, strict=True)
    )
    return np.asarray(rows @ nmi @ cols.T)


def _in_hotspots(ensemble: SweepEnsemble) -> IntArray:
    return np.flatnonzero(ensemble.labels >= 0)


def _mean_weights(ensemble: SweepEnsemble, channels: IntArray) -> FloatArray:
    """Return the weights (H, K) that average over the channels of each hotspot, of K channels."""
    inside = ensemble.labels[channels][None] == np.arange(len(ensemble.groups))[:, None]
    return np.asarray(inside / inside.sum(axis=1, keepdims=True))


def _lineages(counts: Sequence[int], cross: Sequence[FloatArray], min_nmi: float) -> tuple[tuple[int, ...], ...]:
    """Number the lineages: a hotspot is on that of the one it goes on from, the most alike first, or begins a new one.

    Args:
        counts: number of hotspots at each value.
        cross: (H, H') mean NMI between the hotspots of each value and the next.
        min_nmi: NMI from which on a hotspot can go on as another.
    """
    lineages = [list(range(counts[0]))]
    n_lineages = counts[0]
    for nmi in cross:
        linked = nmi >= min_nmi
        lineage_of: dict[int, int] = {}  # of the hotspots at the next value
        unmatched = set(range(nmi.shape[0]))
        for s, t in np.argwhere(linked)[np.argsort(-nmi[linked], kind="stable")].tolist():
            if s in unmatched and t not in lineage_of:
                lineage_of[t] = lineages[-1][s]
                unmatched.remove(s)
        row = []
        for t in range(nmi.shape[1]):
            row.append(lineage_of.get(t, n_lineages))
            n_lineages += t not in lineage_of
        lineages.append(row)
    return tuple(tuple(row) for row in lineages)
