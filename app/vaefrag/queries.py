"""The store → arrays for pages. Nothing is estimated here: what is shown was computed by the core.

Analyses stay open, memory-mapped, as long as they are the newest; derived pictures are kept in a cache under
plain strings that name the artifacts they were made from, so that nothing stale is ever shown.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from threading import Lock
from typing import TypeVar

import numpy as np
from flask_caching import Cache
from numpy.typing import NDArray

from vaefrag_core.artifacts import Analysis, ChannelMatrix, Hotspots, Posteriors
from vaefrag_core.config import FusionConfig, Measure
from vaefrag_core.ensemble_store import AnalysisIndex, EnsembleRecord, EnsembleStore
from vaefrag_core.errors import BrokenFileError, MissingDataError, VaefragError
from vaefrag_core.fusion_store import FusionStore
from vaefrag_core.measures.kl_divergence import kl_to_prior_nats
from vaefrag_core.structure.hotspot_doubts import hotspot_doubts
from vaefrag_core.structure.hotspot_evidence import HotspotEvidence, hotspot_evidence
from vaefrag_core.sweeps import SweepStore
from vaefrag_core.training.checkpoints import History, MemberStatus, checkpoint_path, load_history, member_statuses

Result = TypeVar("Result")

OPEN_AT_ONCE = 4  # analyses; their large arrays are memory-mapped, so that an open one costs little
NEAREST = 8  # channels listed as neighbours of one
HISTORIES_KEPT = 500  # of members
MEMBERS_SHOWN = 6  # whose traversals stand side by side for a group


@dataclass(frozen=True)
class EnsembleSummary:
    """An ensemble as the list of the workspace shows it.

    Args:
        id: the ensemble's id.
        record: what the workspace knows of it; None when its folder is damaged.
        hotspots: how many there are; None when it has not been analysed.
        near_chance: how many of them may be no more than chance.
        measure: the measure that groups them.
        problem: what is wrong with its files; "" when nothing is.
    """

    id: str
    record: EnsembleRecord | None = None
    hotspots: int | None = None
    near_chance: int = 0
    measure: Measure = "nmi"
    problem: str = ""


@dataclass(frozen=True, eq=False, kw_only=True)
class OpenAnalysis(Analysis):
    """An analysis that is open, with names for its channels.

    Args:
        ensemble_id: the ensemble that was analysed.
        version: names the artifacts; the key of everything derived from them.
        tested: names what the hotspots were held against, of which nothing is derived.
    """

    ensemble_id: str
    version: str
    tested: Mapping[Measure, str] = field(default_factory=dict)

    @classmethod
    def of(cls, ensemble_id: str, index: AnalysisIndex, analysis: Analysis) -> "OpenAnalysis":
        """Name an analysis by its index."""
        return cls(**vars(analysis), ensemble_id=ensemble_id, version=index.key, tested=index.null_tests)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """(C,) "member.channel" of each flat index."""
        return tuple(f"{member}.{channel}" for member, channel in self.matrix.channel_names)

    @cached_property
    def index(self) -> dict[str, int]:
        """The flat index of each name."""
        return {name: c for c, name in enumerate(self.names)}

    @property
    def measure(self) -> Measure:
        """The measure that was asked for."""
        return self.config.hotspots.measure

    @property
    def ceiling_bits(self) -> float:
        """H(X), log2 N where no image is a copy: no channel can tell the images apart by more."""
        return self.matrix.ceiling_bits

    @property
    def n_members(self) -> int:
        """How many members were compared."""
        return len(np.unique(self.matrix.member))

    def doubts(self, measure: Measure) -> list[tuple[str, ...]]:
        """Return for each hotspot by a measure the sentences that say why it may be chance."""
        return hotspot_doubts(self.matrix, self.hotspots[measure], self.null_tests.get(measure))

    def evidence(self, measure: Measure) -> tuple[HotspotEvidence, ...]:
        """Return for each hotspot by a measure how sure it is."""
        return hotspot_evidence(self.matrix, self.hotspots[measure], self.null_tests.get(measure))

    def order(self, measure: Measure, dead: bool) -> NDArray[np.int64]:
        """Return flat indices in OPTICS order, live channels first; dead ones last, or not at all."""
        hotspots = self.hotspots[measure]
        return hotspots.order if dead else hotspots.order[~hotspots.dead[hotspots.order]]

    def colour_maximum(self, measure: Measure) -> float:
        """Return the end of the colour scale: 1 for NMI; for VI the largest among live channels, bits."""
        if measure == "nmi":
            return 1.0
        live = np.flatnonzero(~self.hotspots[measure].dead)
        # row by row: the matrix is memory-mapped, and a whole copy of it may not fit
        largest = max((float(self.matrix.vi_bits[c][live].max()) for c in live), default=1.0)
        return math.ceil(largest * 2) / 2 or 1.0


@dataclass(frozen=True)
class Neighbour:
    """A channel near another one.

    Args:
        channel: its flat index.
        nmi: between the two.
        vi_bits: between the two.
    """

    channel: int
    nmi: float
    vi_bits: float


@dataclass(frozen=True)
class PairFacts:
    """What two channels U and V tell together.

    Args:
        nmi: NaN where it is undefined.
        vi_bits: variation of information.
        bits: I(X;U) and I(X;V).
        joint_bits: I(X;U,V).
    """

    nmi: float
    vi_bits: float
    bits: tuple[float, float]
    joint_bits: float


class Queries:
    """What pages may ask.

    Args:
        store: the ensembles of the workspace.
        cache: keeps what is derived from them.
    """

    def __init__(self, store: EnsembleStore, cache: Cache) -> None:
        self.store = store
        self.sweeps, self.fusions = SweepStore(store), FusionStore(store)
        self._cache = cache
        self._open: dict[str, OpenAnalysis] = {}
        self._posteriors: dict[tuple[str, str], Posteriors] = {}
        self._fusion_ids: dict[tuple[object, ...], str] = {}
        self._histories: dict[tuple[str, int], tuple[int, History]] = {}
        self._lock = Lock()

    def summaries(self) -> list[EnsembleSummary]:
        """List the ensembles of the workspace, the newest first, damaged ones last."""
        sound = [self.summary(record) for record in self.store.records()]
        damaged = []
        for ensemble_id in sorted(set(self.store.ids()) - {item.id for item in sound}):
            try:
                self.store.record(ensemble_id)
            except VaefragError as error:
                damaged.append(EnsembleSummary(ensemble_id, problem=str(error)))
        return sound + damaged

    def summary(self, record: EnsembleRecord) -> EnsembleSummary:
        """Describe one ensemble."""
        try:
            analysis = self.open(record.id)
        except MissingDataError:
            return EnsembleSummary(record.id, record)
        except BrokenFileError as error:
            return EnsembleSummary(record.id, record, problem=str(error))
        doubts = analysis.doubts(analysis.measure)
        return EnsembleSummary(record.id, record, len(doubts), sum(map(bool, doubts)), analysis.measure)

    def members(self, record: EnsembleRecord) -> list[MemberStatus]:
        """Return how far each member is."""
        return member_statuses(self.store.members_folder(record.id), record.source.n_members)

    def open(self, ensemble_id: str) -> OpenAnalysis:
        """Open the newest analysis of an ensemble.

        Raises:
            MissingDataError: when there is none.
            BrokenFileError: when its files cannot be read.
        """
        index = self.store.analysis_index(ensemble_id)
        with self._lock:
            analysis = self._open.get(ensemble_id)
        if analysis is not None and (analysis.version, analysis.tested) == (index.key, index.null_tests):
            return analysis
        analysis = OpenAnalysis.of(ensemble_id, index, self.store.analysis(ensemble_id))
        with self._lock:
            self._open[ensemble_id] = analysis
            while len(self._open) > OPEN_AT_ONCE:
                self._open.pop(next(iter(self._open)))
        return analysis

    def history(self, ensemble_id: str, member: int) -> History:
        """Return what training has logged of a member so far; read again only when its checkpoint is another."""
        folder = self.store.members_folder(ensemble_id) / str(member)
        try:
            changed = checkpoint_path(folder).stat().st_mtime_ns
        except FileNotFoundError:
            return History.empty(0)
        key = (ensemble_id, member)
        entry = self._histories.get(key)
        if entry is None or entry[0] != changed:
            try:
                entry = changed, load_history(folder) or History.empty(0)
            except BrokenFileError:
                return History.empty(0)  # the job says what is wrong with it
            with self._lock:
                self._histories[key] = entry
                while len(self._histories) > HISTORIES_KEPT:
                    self._histories.pop(next(iter(self._histories)))
        return entry[1]

    def fusion_of(self, ensemble_id: str, config: FusionConfig) -> str:
        """Return the id of what a fusion makes; worked out again only when the posteriors it is made from are others.

        Raises:
            MissingDataError: when an ensemble, or its posteriors, are not there.
        """
        paths = [self.store.folder(source) / "posteriors.npz" for source in (ensemble_id, *config.others)]
        key = (ensemble_id, config.key, *(path.stat().st_mtime_ns for path in paths if path.is_file()))
        if key not in self._fusion_ids:
            self._fusion_ids[key] = self.fusions.id_of(ensemble_id, config)
        return self._fusion_ids[key]

    def posteriors(self, analysis: OpenAnalysis) -> Posteriors:
        """Return the posteriors that an open analysis was made from, kept while they are asked for.

        When members have been added since, theirs are left out: flat indices are those of the analysis.

        Raises:
            MissingDataError: when members have been encoded anew, so that these posteriors are gone.
            BrokenFileError: when their file cannot be read.
        """
        key = (analysis.ensemble_id, analysis.posteriors_key)
        with self._lock:
            posteriors = self._posteriors.get(key)
        if posteriors is None:
            posteriors = posteriors_behind(analysis, self.store.posteriors(analysis.ensemble_id))
            with self._lock:
                self._posteriors = {k: v for k, v in self._posteriors.items() if k[0] != key[0]} | {key: posteriors}
                while len(self._posteriors) > OPEN_AT_ONCE:
                    self._posteriors.pop(next(iter(self._posteriors)))
        return posteriors

    def cached(self, key: str, compute: Callable[[], Result]) -> Result:
        """Return what `compute` returns, remembered under a key that names everything it depends on."""
        result: Result | None = self._cache.get(key)
        if result is None:
            result = compute()
            self._cache.set(key, result)
        return result


def posteriors_behind(analysis: OpenAnalysis, newest: Posteriors) -> Posteriors:
    """Return the posteriors of the members that were analysed, by their key and not by their place.

    Args:
        analysis: made from these posteriors or from earlier ones.
        newest: of the same ensemble, perhaps with members that have been added.

    Raises:
        MissingDataError: when the newest do not hold what was analysed.
    """
    if newest.key == analysis.posteriors_key:
        return newest
    places = np.flatnonzero(np.isin(newest.member_ids, analysis.matrix.member))
    if len(places):
        mean, logvar = (tuple(arrays[m] for m in places) for arrays in (newest.mean, newest.logvar))
        earlier = replace(newest, mean=mean, logvar=logvar, member_ids=newest.member_ids[places])
        if earlier.key == analysis.posteriors_key:
            return earlier
    raise MissingDataError(
        f"The members of {analysis.ensemble_id} have been encoded anew since this analysis, so its posteriors are gone."
        f" Run `vaefrag analyze {analysis.ensemble_id}`."
    )


def distinct_names(records: Iterable[EnsembleRecord]) -> dict[str, str]:
    """Return what each ensemble is called, by id; those called the same are told apart by the end of their ids."""
    names = {record.id: record.name for record in records}
    count = Counter(names.values())
    return {key: name if count[name] == 1 else f"{name} · {key[-8:]}" for key, name in names.items()}


def pair_facts(matrix: ChannelMatrix, u: int, v: int) -> PairFacts:
    """Return the numbers of a pair.

    From VI(U,V) = 2 I(X;U,V) − I(X;U,U′) − I(X;V,V′) follows the joint information; for a channel and itself,
    that of two draws from the same posterior.
    """
    vi_bits = float(matrix.vi_bits[u, v])
    joint = (vi_bits + matrix.information_twice_bits[u] + matrix.information_twice_bits[v]) / 2
    bits = (float(matrix.information_bits[u]), float(matrix.information_bits[v]))
    return PairFacts(float(matrix.nmi[u, v]), vi_bits, bits, float(joint))


def nearest(matrix: ChannelMatrix, hotspots: Hotspots, channel: int, measure: Measure) -> list[Neighbour]:
    """List the live channels most similar to one, the nearest first; none where nothing can be compared."""
    if matrix.saturated[channel]:
        return []
    row = np.asarray(matrix.similarity(measure)[channel], dtype=np.float64)
    distance = np.nan_to_num(-row if measure == "nmi" else row, nan=np.inf)
    distance[hotspots.dead | matrix.saturated] = np.inf
    distance[channel] = np.inf
    closest = np.argsort(distance, kind="stable")[:NEAREST]
    return [
        Neighbour(int(c), float(matrix.nmi[channel, c]), float(matrix.vi_bits[channel, c]))
        for c in closest
        if np.isfinite(distance[c])
    ]


def representatives(matrix: ChannelMatrix, channels: Sequence[int], medoid: int, measure: Measure) -> list[int]:
    """Choose channels of distinct members that stand for a group: the medoid, then those nearest to it."""
    row = np.asarray(matrix.similarity(measure)[medoid], dtype=np.float64)[list(channels)]
    distance = np.nan_to_num(-row if measure == "nmi" else row, nan=np.inf)
    ranked = [medoid, *(channels[i] for i in np.argsort(distance, kind="stable") if channels[i] != medoid)]
    of_member = {int(matrix.member[c]): int(c) for c in reversed(ranked)}  # the nearest of each member stays
    return sorted(of_member.values(), key=ranked.index)[:MEMBERS_SHOWN]


def kl_nats(posteriors: Posteriors, channel: int) -> float:
    """Return the KL divergence of a channel's posteriors from the prior, mean over the fingerprint sample, nats."""
    return float(kl_to_prior_nats(*channel_posterior(posteriors, channel)).mean())


def channel_posterior(posteriors: Posteriors, channel: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return means and ln σ² of a flat channel, (N,) each."""
    ends = np.cumsum(posteriors.channels_of_member)
    member = int(np.searchsorted(ends, channel, side="right"))
    within = channel - int(ends[member]) + posteriors.channels_of_member[member]
    mean, logvar = posteriors.mean[member][:, within], posteriors.logvar[member][:, within]
    return np.asarray(mean, dtype=np.float64), np.asarray(logvar, dtype=np.float64)


def central_channel(matrix: ChannelMatrix, channels: Sequence[int], measure: Measure) -> int:
    """Return the channel of a group that is nearest to all others in it."""
    square = np.asarray(matrix.similarity(measure)[np.ix_(channels, channels)], dtype=np.float64)
    total = np.nan_to_num(-square if measure == "nmi" else square, nan=0.0).sum(axis=1)
    return int(channels[int(total.argmin())])
