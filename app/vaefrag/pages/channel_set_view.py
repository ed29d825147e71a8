"""The set that a URL names, checked against the workspace, and what the core says about it."""

from collections.abc import Sequence
from functools import cached_property

import numpy as np

from vaefrag.pages.explorer_view import View
from vaefrag.pages.set_selection import SetSelection, parse_set_selection
from vaefrag.pages.site import Site
from vaefrag.queries import OpenAnalysis
from vaefrag_core.artifacts import Posteriors
from vaefrag_core.channel_sets import SetStore, gather
from vaefrag_core.config import HotspotConfig
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
    rank_additions,
    select_greedily,
)

GREEDY_SIZE = 10  # channels of the longest greedy set
RANDOM_SETS = 10
SHAPLEY_IMAGES = 2_000  # with more, the subsets of a set take too long for a page
LIVE = HotspotConfig().min_bits


class ChannelSetView:
    """A set of channels, looked at.

    Args:
        site: queries and addresses.
        search: query of the URL.
    """

    def __init__(self, site: Site, search: str | None) -> None:
        self.site = site
        self.sets = SetStore(site.queries.store.workspace)
        asked, self.problems = parse_set_selection(search, self.sets)
        self.ensembles = self._ensembles()
        self.chosen = self._checked(asked)

    @property
    def channels(self) -> tuple[ChannelName, ...]:
        """The channels of the set."""
        return self.chosen.channels

    @cached_property
    def view(self) -> View | None:
        """The ensemble that channels are picked from, with the set marked; None when there is none to pick from."""
        if self.chosen.at not in self.ensembles:
            return None
        view = View(self.site, self.chosen.at, "")
        names = [str(c) for c in self.channels if c.ensemble == self.chosen.at]
        view.selection = view.selection.of(*names)
        return view

    @cached_property
    def combination(self) -> Combination | None:
        """What the set tells; None when it is empty."""
        if not self.channels:
            return None
        pooled = gather(self.channels, self._posteriors)
        flat, quick = pooled.flat_indices(self.channels), pooled.posteriors.n_images <= SHAPLEY_IMAGES
        return combine(pooled.posteriors, flat, min_bits=-np.inf, shapley=quick)  # the dead are out already

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the labels that the channels are compared with."""
        return self.opened(self.chosen.at).matrix.label_names if self.view else ()

    def opened(self, ensemble: str) -> OpenAnalysis:
        """Give the analysis of an ensemble."""
        return self.site.queries.open(ensemble)

    def hotspot(self, channel: ChannelName) -> int:
        """Give the hotspot of a channel in its ensemble, −1 for none."""
        opened = self.opened(channel.ensemble)
        return int(opened.hotspots(opened.measure).labels[opened.index[str(channel)]])

    def medoids(self) -> list[ChannelName]:
        """Give the medoid of every hotspot of the ensemble shown."""
        opened = self.opened(self.chosen.at)
        return self.named(opened, [group.medoid for group in opened.hotspots(opened.measure).groups])

    def named(self, opened: OpenAnalysis, channels: Sequence[int]) -> list[ChannelName]:
        """Name flat channels of an ensemble."""
        return [ChannelName(opened.ensemble_id, *(int(n) for n in opened.names[c].split("."))) for c in channels]

    def ranked(self) -> tuple[ChannelPool, Additions]:
        """Rank what could be added."""
        pooled = gather(self.channels, self._posteriors, self.chosen.at)
        flat = pooled.flat_indices(self.channels)
        bits = self._known_bits(pooled)
        return pooled, rank_additions(pooled.posteriors, flat, label=self._label, information_bits=bits)

    def growth(self) -> tuple[list[ChannelName], GreedySelection, MemberInformation]:
        """Grow a set from nothing in the ensemble shown; remembered, as it does not depend on the set."""
        opened = self.opened(self.chosen.at)

        def make() -> tuple[GreedySelection, MemberInformation]:
            pooled = gather((), self._posteriors, self.chosen.at)
            bits, label = self._known_bits(pooled), self._label
            found = select_greedily(
                pooled.posteriors, GREEDY_SIZE, label=label, information_bits=bits, draws=RANDOM_SETS
            )
            return found, member_information(pooled.posteriors, label=label, min_bits=LIVE, information_bits=bits)

        grown, spaces = self.site.queries.cached(f"growth/2/{opened.ensemble_id}/{opened.version}/{self._label}", make)
        names = gather((), self._posteriors, self.chosen.at).names
        return [names[c] for c in grown.channels], grown, spaces

    def carried(self) -> MemberInformation:
        """Say how much of the members of the ensemble shown the set carries."""
        pooled = gather(self.channels, self._posteriors, self.chosen.at)
        own = [c for c, name in enumerate(pooled.names) if name.ensemble == self.chosen.at]
        members = np.unique(
            np.repeat(np.arange(pooled.posteriors.n_members), pooled.posteriors.channels_of_member)[own]
        )
        bits, flat = self._known_bits(pooled), pooled.flat_indices(self.channels)
        found = member_information(pooled.posteriors, flat, min_bits=LIVE, information_bits=bits)
        return MemberInformation(found.bits[members], found.shared_bits[members])

    @property
    def _label(self) -> str | None:
        return self.chosen.by if self.chosen.by in self.labels else None

    def _known_bits(self, pooled: ChannelPool) -> np.ndarray:
        """Give what each channel tells alone, as its analysis found it; 0 of channels that it does not know yet."""
        known: dict[ChannelName, float] = {}
        for ensemble in {name.ensemble for name in pooled.names}:
            opened = self.opened(ensemble)
            names = self.named(opened, range(len(opened.names)))
            known |= dict(zip(names, opened.matrix.information_bits.tolist(), strict=True))
        return np.array([known.get(name, 0.0) for name in pooled.names])

    def _posteriors(self, ensemble: str) -> Posteriors:
        return self.site.queries.posteriors(self.opened(ensemble))

    def _ensembles(self) -> dict[str, EnsembleRecord]:
        """Give the ensembles that have been analysed, the newest first."""
        found = {}
        for record in self.site.queries.store.records():
            try:
                self.site.queries.store.analysis_index(record.id)
            except VaefragError:
                continue
            found[record.id] = record
        return found

    @property
    def _first(self) -> str:
        """Give the newest ensemble that has live channels to pick; the newest when none has, "" when there is none."""
        for ensemble in self.ensembles:
            opened = self.opened(ensemble)
            if not opened.hotspots(opened.measure).dead.all():
                return ensemble
        return next(iter(self.ensembles), "")

    def _checked(self, asked: SetSelection) -> SetSelection:
        """Leave out what cannot be combined, and say why."""
        kept: list[ChannelName] = []
        for channel in asked.channels:
            try:
                self._check(channel, kept)
            except VaefragError as error:
                self.problems.append(str(error))
            else:
                kept.append(channel)
        if asked.at and asked.at not in self.ensembles:
            self.problems.append(f"There is no analysed ensemble “{asked.at[:60]}” to pick channels from.")
        first = kept[0].ensemble if kept else self._first
        chosen = asked if tuple(kept) == asked.channels else asked.of(kept)
        chosen = chosen.to(at=asked.at if asked.at in self.ensembles else first)
        if kept and chosen.at != first:
            try:
                check_same_sample({first: self._posteriors(first), chosen.at: self._posteriors(chosen.at)})
            except InvalidInputError as error:
                self.problems.append(str(error))
                chosen = chosen.to(at=first)
        labels = self.opened(chosen.at).matrix.label_names if chosen.at else ()
        if chosen.by != "bits" and chosen.by not in labels:
            self.problems.append(f"There is no label “{chosen.by[:40]}”. Ranking by bits.")
            chosen = chosen.to(by="bits")
        return chosen

    def _check(self, channel: ChannelName, kept: Sequence[ChannelName]) -> None:
        """Refuse what is not there, dead, or of another sample.

        Raises:
            VaefragError: saying which.
        """
        opened = self.opened(channel.ensemble)
        if str(channel) not in opened.index:
            raise InvalidInputError(
                f"There is no channel {channel} in {channel.ensemble}: they are named member.channel, from"
                f" {opened.names[0]} to {opened.names[-1]}."
            )
        bits, least = opened.matrix.information_bits[opened.index[str(channel)]], self._least(opened)
        if bits < least:
            raise InvalidInputError(
                f"Channel {channel} is dead: it tells {bits:.3f} bits, less than {least:g}. It is left out."
            )
        if kept and kept[0].ensemble != channel.ensemble:
            first = kept[0].ensemble
            check_same_sample({first: self._posteriors(first), channel.ensemble: self._posteriors(channel.ensemble)})

    @staticmethod
    def _least(opened: OpenAnalysis) -> float:
        return opened.analysis.config.hotspots.min_bits
