"""The hotspots of a sweep followed from value to value: which go on, appear, split, merge and end.

Two hotspots of neighbouring ensembles are compared by the mean NMI of their channels, one from each. Only that
rectangle of pairs is worked out, by the same stream as all other similarities.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from vaefrag_core.array_types import BoolArray, FloatArray, IntArray
from vaefrag_core.artifacts import Atlas, ChannelMatrix, Hotspot, Hotspots, Posteriors, SpaceMatrix, SweepPoint
from vaefrag_core.config import AtlasConfig
from vaefrag_core.errors import InvalidInputError
from vaefrag_core.structure.matrices import compare_across
from vaefrag_core.structure.pairwise_information import Progress


@dataclass(frozen=True, eq=False)
class SweepEnsemble:
    """One value of a sweep, with what is known of its ensemble.

    Args:
        value: of the coefficient.
        ensemble_id: the ensemble.
        posteriors: of its members on the sample that all ensembles share.
        information_bits: (C,) of their channels.
        live: (C,) True where a channel is not dead.
        groups: the hotspots found among them.
        spaces: its members compared whole, where that was asked for.
    """

    value: float
    ensemble_id: str
    posteriors: Posteriors
    information_bits: FloatArray
    live: BoolArray
    groups: tuple[Hotspot, ...]
    spaces: SpaceMatrix | None = None

    @classmethod
    def at_end(
        cls,
        value: float,
        ensemble_id: str,
        posteriors: Posteriors,
        found: tuple[ChannelMatrix, Hotspots],
        spaces: SpaceMatrix | None = None,
    ) -> "SweepEnsemble":
        """Take what an analysis found: the matrix of all channels, and hotspots."""
        matrix, hotspots = found
        live = ~hotspots.dead
        return cls(value, ensemble_id, posteriors, matrix.information_bits, live, hotspots.groups, spaces)

    @property
    def labels(self) -> IntArray:
        """(C,) hotspot of each channel, −1 for noise and for dead channels."""
        labels = np.full(len(self.live), -1, dtype=np.int64)
        for group in self.groups:
            labels[list(group.channels)] = group.label
        return labels


def draw_atlas(
    stops: Sequence[SweepEnsemble],
    config: AtlasConfig | None = None,
    *,
    on_progress: Progress = lambda done, total: None,
) -> Atlas:
    """Follow the hotspots of a sweep from each value to the next.

    Args:
        stops: the values, in order. Reversed, they give the same atlas reversed.
        config: from which NMI on two hotspots are linked.
        on_progress: called with images done and all images, of all neighbours; an exception that it raises ends
            the work.

    Returns:
        A point for each value, and the mean NMI between the hotspots of neighbours.

    Raises:
        InvalidInputError: when the ensembles were not encoded on one fingerprint sample.
    """
    config = config or AtlasConfig()
    _check_sample(stops)
    n_images = stops[0].posteriors.n_images
    total = n_images * (len(stops) - 1)

    def report(done: int, _: int) -> None:
        on_progress(n_images * len(cross) + done, total)

    cross: list[FloatArray] = []
    for first, second in pairwise(stops):
        cross.append(_shared_by_hotspots(first, second, report))
    return Atlas(
        points=tuple(_point(stop) for stop in stops),
        cross=tuple(cross),
        threads=_threads([len(stop.groups) for stop in stops], cross, config.min_nmi),
        min_nmi=config.min_nmi,
        n_images=n_images,
    )


def _check_sample(stops: Sequence[SweepEnsemble]) -> None:
    if not stops:
        raise InvalidInputError("Expected an ensemble for at least one value, got none.")
    first = stops[0]
    for stop in stops:
        sample = stop.posteriors.sample_id
        if sample is None or sample != first.posteriors.sample_id:
            raise InvalidInputError(
                f"Expected all ensembles on one fingerprint sample, got {first.posteriors.sample_id!r} of"
                f" {first.ensemble_id} and {sample!r} of {stop.ensemble_id}. Train them with the same data set and"
                " fingerprint."
            )


def _point(stop: SweepEnsemble) -> SweepPoint:
    per_member = np.split(stop.live, np.cumsum(stop.posteriors.channels_of_member)[:-1])
    return SweepPoint(
        value=float(stop.value),
        ensemble_id=stop.ensemble_id,
        live_channels=tuple(int(live.sum()) for live in per_member),
        bits=tuple(stop.information_bits[stop.live].tolist()),
        space_bits=() if stop.spaces is None else tuple(stop.spaces.information_bits.tolist()),
        hotspots=stop.groups,
    )


def _shared_by_hotspots(first: SweepEnsemble, second: SweepEnsemble, on_progress: Progress) -> FloatArray:
    """Give the mean NMI of the channels of each hotspot with those of each hotspot of the next: (H, H')."""
    columns = [_in_hotspots(stop) for stop in (first, second)]
    if not all(len(chosen) for chosen in columns):
        on_progress(first.posteriors.n_images, first.posteriors.n_images)
        return np.zeros((len(first.groups), len(second.groups)))
    sides = []
    for stop, chosen in zip((first, second), columns, strict=True):
        mean, logvar = stop.posteriors.flat()
        sides.append((mean[chosen], logvar[chosen]))
    # What tells nothing apart shares nothing; and no channel of a hotspot is like that unless dead ones were let in.
    nmi = np.nan_to_num(compare_across(sides[0], sides[1], on_progress=on_progress), nan=0.0)
    rows, cols = (_averaging(stop, chosen) for stop, chosen in zip((first, second), columns, strict=True))
    return np.asarray(rows @ nmi @ cols.T)


def _in_hotspots(stop: SweepEnsemble) -> IntArray:
    return np.flatnonzero(stop.labels >= 0)


def _averaging(stop: SweepEnsemble, chosen: IntArray) -> FloatArray:
    """Give the (H, K) weights that take the mean over each hotspot's channels, of K chosen ones."""
    held = stop.labels[chosen][None] == np.arange(len(stop.groups))[:, None]
    return np.asarray(held / held.sum(axis=1, keepdims=True))


def _threads(counts: Sequence[int], cross: Sequence[FloatArray], min_nmi: float) -> tuple[tuple[int, ...], ...]:
    """Give each hotspot the thread of the one it goes on from, the most alike first; others begin a new one."""
    threads = [list(range(counts[0]))]
    begun = counts[0]
    for square in cross:
        here: dict[int, int] = {}
        left = set(range(square.shape[0]))
        for s, t in np.argwhere(square >= min_nmi)[np.argsort(-square[square >= min_nmi], kind="stable")].tolist():
            if s in left and t not in here:
                here[t] = threads[-1][s]
                left.remove(s)
        row = []
        for t in range(square.shape[1]):
            row.append(here.get(t, begun))
            begun += t not in here
        threads.append(row)
    return tuple(tuple(row) for row in threads)
