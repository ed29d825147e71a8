"""The set that a URL names, checked against the workspace, and what the core says about it."""

from collections.abc import Mapping, Sequence
from functools import cached_property

import numpy as np

from vaefrag.pages.explorer_view import ExplorerView
from vaefrag.pages.set_selection import SetSelection, parse_set_selection
from vaefrag.pages.site import Site
from vaefrag.queries import OpenAnalysis
from vaefrag_core.array_types import FloatArray
from vaefrag_core.artifacts import Posteriors
from vaefrag_core.channel_sets import SetStore, least_bits, pool_set
from vaefrag_core.ensemble_store import EnsembleRecord
from vaefrag_core.errors import InvalidInputError, VaefragError
from vaefrag_core.synthesis.channel_pool import ChannelName, ChannelPool, check_same_sample
from vaefrag_core.synthesis.combination import (
    Additions,
    Combination,
    GreedySelection,
    MemberInformation,
    combine,
    member_information,
    own_member_rows,
    rank_additions,
    select_greedily,
)
from vaefrag_core.synthesis.held_out_growth import HeldOutGrowth, grow_on_halves

GREEDY_SIZE = 10  # channels of the longest greedy set
RANDOM_SETS = 10
SHAPLEY_IMAGES = 2_000  # with more, the subsets of a set take too long for a page


class ChannelSetView:
    """The set of channels that a URL names, and the ensemble that more are picked from.

    Args:
        site: queries and addresses.
        search: query of the URL.
    """

    def __init__(self, site: Site, search: str | None) -> None:
        self.site = site
        self.sets = SetStore(site.queries.store.workspace)
        self.ensembles = self._analysed_ensembles()
        selection, self.problems = parse_set_selection(search, self.sets)
        self.selection = self._check_selection(selection)

    @property
    def channels(self) -> tuple[ChannelName, ...]:
        """The channels of the set."""
        return self.selection.channels

    @cached_property
    def picker(self) -> ExplorerView | None:
        """The ensemble that channels are picked from, with the set marked; None when there is none to pick from."""
        ensemble = self.selection.ensemble_id
        if ensemble not in self.ensembles:
            return None
        view = ExplorerView(self.site, ensemble, "")
        view.selection = view.selection.select(*(str(c) for c in self.channels if c.ensemble == ensemble))
        return view

    @property
    def analysis(self) -> OpenAnalysis:
        """The analysis of the ensemble that channels are picked from."""
        return self.analysis_of(self.selection.ensemble_id)

    @cached_property
    def combination(self) -> Combination | None:
        """What the set tells; None when it is empty."""
        if not self.channels:
            return None
        pool = pool_set(self.channels, self.posteriors_of)
        quick = pool.posteriors.n_images <= SHAPLEY_IMAGES
        # dead channels are left out already, by what their analysis found of them
        return combine(pool.posteriors, pool.flat_indices(self.channels), min_bits=-np.inf, shapley=quick)

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the labels that channels can be ranked by: those known of two images or more."""
        return rankable_labels(self.analysis) if self.picker else ()

    def analysis_of(self, ensemble: str) -> OpenAnalysis:
        """Open the analysis of an ensemble."""
        return self.site.queries.open(ensemble)

    def posteriors_of(self, ensemble: str) -> Posteriors:
        """Return the posteriors that the analysis of an ensemble was made from.

        Raises:
            MissingDataError: when there are none, or members have been encoded anew since.
        """
        return self.site.queries.posteriors(self.analysis_of(ensemble))

    def hotspot(self, channel: ChannelName) -> int:
        """Return the hotspot of a channel in its ensemble, −1 for none."""
        analysis = self.analysis_of(channel.ensemble)
        return int(analysis.hotspots[analysis.measure].labels[analysis.index[str(channel)]])

    def medoids(self) -> list[ChannelName]:
        """Return the medoid of every hotspot of the ensemble that channels are picked from."""
        analysis = self.analysis
        names = [analysis.matrix.channel_names[group.medoid] for group in analysis.hotspots[analysis.measure].groups]
        return [ChannelName(analysis.ensemble_id, int(member), int(channel)) for member, channel in names]

    def rank_additions(self) -> tuple[ChannelPool, Additions]:
        """Rank the live channels that could be added."""
        pool = self._pool()
        additions = rank_additions(
            pool.posteriors,
            pool.flat_indices(self.channels),
            label=self._label,
            min_bits=least_bits(pool, self.site.queries.store),
            information_bits=self._information_bits(pool),
        )
        return pool, additions

    def grow(self) -> tuple[list[ChannelName], GreedySelection, MemberInformation]:
        """Grow a set from nothing in the ensemble shown; remembered, as it does not depend on the set."""
        pool, label = pool_set((), self.posteriors_of, self.selection.ensemble_id), self._label

        def compute() -> tuple[GreedySelection, MemberInformation]:
            least, bits = least_bits(pool, self.site.queries.store), self._information_bits(pool)
            growth = select_greedily(
                pool.posteriors, GREEDY_SIZE, label=label, min_bits=least, information_bits=bits, draws=RANDOM_SETS
            )
            return growth, member_information(pool.posteriors, label=label, min_bits=least, information_bits=bits)

        # the number rises when another result is computed from the same analysis: caches outlive versions
        key = f"growth/2/{self.analysis.ensemble_id}/{self.analysis.version}/{label}"
        growth, spaces = self.site.queries.cached(key, compute)
        return [pool.names[c] for c in growth.channels], growth, spaces

    def grow_on_halves(self) -> HeldOutGrowth | None:
        """Grow sets on halves of the images and tell them on the others; remembered, like `grow`."""
        pool, label = pool_set((), self.posteriors_of, self.selection.ensemble_id), self._label

        def compute() -> HeldOutGrowth | None:
            least, bits = least_bits(pool, self.site.queries.store), self._information_bits(pool)
            return grow_on_halves(
                pool.posteriors, GREEDY_SIZE, label=label, min_bits=least, information_bits=bits, draws=RANDOM_SETS
            )

        key = f"halves/1/{self.analysis.ensemble_id}/{self.analysis.version}/{label}"
        return self.site.queries.cached(key, compute)

    def compare_members(self) -> MemberInformation:
        """Compare the set with each whole member of the ensemble shown."""
        pool = self._pool()
        shown = [name.ensemble == self.selection.ensemble_id for name in pool.names]
        members = np.unique(pool.posteriors.channel_names[shown, 0])
        least, bits = least_bits(pool, self.site.queries.store), self._information_bits(pool)
        ensembles = dict.fromkeys(name.ensemble for name in pool.names)
        versions = "+".join(f"{ensemble}/{self.analysis_of(ensemble).version}" for ensemble in ensembles)
        spaces = member_information(
            pool.posteriors,
            pool.flat_indices(self.channels),
            min_bits=least,
            information_bits=bits,
            members=self.site.queries.cached(
                f"member rows/1/{versions}",
                lambda: own_member_rows(pool.posteriors, min_bits=least, information_bits=bits),
            ),
        )
        return MemberInformation(*(part[members] for part in vars(spaces).values()))

    @property
    def _label(self) -> str | None:
        return self.selection.ranked_by if self.selection.ranked_by in self.labels else None

    def _pool(self) -> ChannelPool:
        """Put the ensembles of the set and the one that is picked from side by side."""
        return pool_set(self.channels, self.posteriors_of, self.selection.ensemble_id)

    def _information_bits(self, pool: ChannelPool) -> FloatArray:
        """Return what each channel tells alone, as its analysis found it, (C,) bits."""
        analyses = {ensemble: self.analysis_of(ensemble) for ensemble in {name.ensemble for name in pool.names}}
        bits = [analyses[name.ensemble].matrix.information_bits for name in pool.names]
        places = [analyses[name.ensemble].index[str(name)] for name in pool.names]
        return np.array([alone[place] for alone, place in zip(bits, places, strict=True)])

    def _analysed_ensembles(self) -> Mapping[str, EnsembleRecord]:
        """Return the ensembles that have been analysed, the newest first."""
        ensembles = {}
        for record in self.site.queries.store.records():
            try:
                self.site.queries.store.analysis_index(record.id)
            except VaefragError:
                continue
            ensembles[record.id] = record
        return ensembles

    def _default_ensemble(self) -> str:
        """Return the newest ensemble that has live channels; the newest when none has, "" when there is none."""
        for ensemble in self.ensembles:
            analysis = self.analysis_of(ensemble)
            if not analysis.hotspots[analysis.measure].dead.all():
                return ensemble
        return next(iter(self.ensembles), "")

    def _check_selection(self, selection: SetSelection) -> SetSelection:
        """Leave out what cannot be combined, and note why."""
        channels: list[ChannelName] = []
        for channel in selection.channels:
            try:
                self._check_channel(channel, channels)
            except VaefragError as error:
                self.problems.append(str(error))
            else:
                channels.append(channel)
        if tuple(channels) != selection.channels:
            selection = selection.select(channels)
        selection = selection.replace(ensemble_id=self._check_ensemble(selection))
        labels = rankable_labels(self.analysis_of(selection.ensemble_id)) if selection.ensemble_id else ()
        if selection.ranked_by not in ("bits", *labels):
            self.problems.append(f"There is no label “{selection.ranked_by[:40]}” to rank by. Ranking by bits.")
            selection = selection.replace(ranked_by="bits")
        return selection

    def _check_ensemble(self, selection: SetSelection) -> str:
        """Return the ensemble to pick channels from: the one asked for, if its sample is that of the set."""
        ensemble, channels = selection.ensemble_id, selection.channels
        default = channels[0].ensemble if channels else ""
        if ensemble not in self.ensembles:
            if ensemble:
                self.problems.append(f"There is no analysed ensemble “{ensemble[:60]}” to pick channels from.")
            return default or self._default_ensemble()
        if channels and ensemble != default:
            try:
                check_same_sample({default: self.posteriors_of(default), ensemble: self.posteriors_of(ensemble)})
            except VaefragError as error:
                self.problems.append(str(error))
                return default
        return ensemble

    def _check_channel(self, channel: ChannelName, others: Sequence[ChannelName]) -> None:
        """Refuse what is not there, dead, or of another sample than the channels before it.

        Raises:
            VaefragError: what is wrong with it.
        """
        analysis = self.analysis_of(channel.ensemble)
        if str(channel) not in analysis.index:
            raise InvalidInputError(
                f"There is no channel {channel} in {channel.ensemble}: they are named member.channel, from"
                f" {analysis.names[0]} to {analysis.names[-1]}."
            )
        bits, least = analysis.matrix.information_bits[analysis.index[str(channel)]], analysis.config.hotspots.min_bits
        if bits < least:
            raise InvalidInputError(
                f"Channel {channel} is dead: it tells {bits:.3f} bits, less than {least:g}. It is left out."
            )
        posteriors = self.posteriors_of(channel.ensemble)
        if others and others[0].ensemble != channel.ensemble:
            first = others[0].ensemble
            check_same_sample({first: self.posteriors_of(first), channel.ensemble: posteriors})


def rankable_labels(analysis: OpenAnalysis) -> tuple[str, ...]:
    """Return the names of the labels that are known of two images or more: of fewer, nothing is told."""
    matrix = analysis.matrix
    return tuple(name for name, bits in zip(matrix.label_names, matrix.label_bits, strict=True) if np.isfinite(bits))
