"""The analysis of an ensemble: similarity of its channels, hotspots, layouts and traversals."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from vaefrag_core.array_types import BoolArray, FloatArray, ImageArray, IntArray, RealArray
from vaefrag_core.artifacts.channel_map import ChannelMap
from vaefrag_core.artifacts.files import check_shapes, load_arrays, load_json, reports_damage, save_arrays, save_json
from vaefrag_core.artifacts.hotspot import Hotspot
from vaefrag_core.artifacts.image_copies import ceiling_name
from vaefrag_core.artifacts.null_tests import NullTests
from vaefrag_core.artifacts.over_training import OverTraining
from vaefrag_core.artifacts.recurrence import Recurrence
from vaefrag_core.artifacts.stability import Stability
from vaefrag_core.config import AnalysisConfig, Measure
from vaefrag_core.measures.channel_states import saturated_channels
from vaefrag_core.measures.information_terms import bits_above_chance

CLEAR_OF_CHANCE = 3.0  # standard deviations from which on a channel tells something of a label
_TEXTS = ("label_names", "member_keys", "identifiers", "messages")  # of a ChannelMatrix


@dataclass(frozen=True, eq=False)
class ChannelMatrix:
    """Information of every channel and similarity of every pair.

    Args:
        channel_names: (C, 2) member's number and channel's number within it, of each flat index.
        information_bits: (C,) I(X;U).
        information_twice_bits: (C,) I(X;U,U′), of two independent draws from the same posterior.
        nmi: (C, C), symmetric; NaN where a channel carries no information at all, and where it is saturated.
        vi_bits: (C, C), symmetric, bits.
        n_images: N; no information can exceed log2 N.
        label_names: F names.
        label_bits: (F,) entropy of each label on the images that have it.
        label_nmi: (C, F) NMI of each channel with each label, on these images; NaN where it is undefined.
        label_vi_bits: (C, F).
        chance: (C, 2) factors x and y: on so few images, two channels that share nothing show an NMI of about
            x_U x_V − y_U y_V. NaN where NMI is undefined; empty in results of earlier versions.
        label_chance: (F, 2) the same for labels; NaN for those that some images lack.
        member_keys: (M,) `Posteriors.member_keys` of the members compared; () in a subset.
        identifiers: names of labels that seem to name images rather than to tell something of them.
        messages: what a user should know about the images, channels and labels.
        input_entropy_bits: H(X), less than log2 N where images are copies; None of analyses that did not look for them.
    """

    channel_names: IntArray
    information_bits: FloatArray
    information_twice_bits: FloatArray
    nmi: RealArray
    vi_bits: RealArray
    n_images: int
    label_names: tuple[str, ...] = ()
    label_bits: FloatArray = field(default_factory=lambda: np.zeros(0))
    label_nmi: FloatArray = field(default_factory=lambda: np.zeros((0, 0)))
    label_vi_bits: FloatArray = field(default_factory=lambda: np.zeros((0, 0)))
    chance: FloatArray = field(default_factory=lambda: np.zeros((0, 2)))
    label_chance: FloatArray = field(default_factory=lambda: np.zeros((0, 2)))
    member_keys: tuple[str, ...] = ()
    identifiers: tuple[str, ...] = ()
    messages: tuple[str, ...] = ()
    input_entropy_bits: float | None = None

    @property
    def n_channels(self) -> int:
        """C."""
        return len(self.information_bits)

    @property
    def ceiling_bits(self) -> float:
        """H(X), log2 N without copies: what a channel shows that tells all images apart, whatever more it carries."""
        return math.log2(self.n_images) if self.input_entropy_bits is None else self.input_entropy_bits

    @property
    def ceiling_name(self) -> str:
        """What to call the ceiling: "log2 1,000", or "H(X)" where images are copies."""
        return ceiling_name(self.n_images, self.ceiling_bits)

    @property
    def saturated(self) -> BoolArray:
        """(C,) True where a channel tells every image from every other, so that it cannot be compared."""
        return saturated_channels(self.information_bits, self.n_images, self.ceiling_bits)

    @property
    def near_ceiling(self) -> BoolArray:
        """(C,) True where information is within a tenth of the ceiling, where it may be far too low."""
        return np.asarray((self.information_bits > 0.9 * self.ceiling_bits) & (self.n_images > 1))

    def chance_nmi(self, channels: Any) -> FloatArray:
        """Return the NMI that independent channels of the same information would show: (K, K) for K channels."""
        factors = self.chance[channels] if len(self.chance) else np.full((len(channels), 2), np.nan)
        return np.asarray(np.maximum(np.outer(*factors.T[[0, 0]]) - np.outer(*factors.T[[1, 1]]), 0.0))

    def typical_chance_nmi(self, channels: Any) -> float:
        """Return the median chance level over pairs of different channels; NaN without one."""
        level = self.chance_nmi(channels)[~np.eye(len(channels), dtype=bool)]
        return float(np.median(level[np.isfinite(level)])) if np.isfinite(level).any() else math.nan

    def corrected_nmi(self, channels: Any) -> FloatArray:
        """Return NMI counted from the level of chance, (K, K) for K channels; see `bits_above_chance`.

        NMI = s_UV / √( s_UU s_VV ), with s the bits shared above chance: 0 on average of independent channels, 1 of
        equal ones. NaN where NMI is undefined, or chance was not worked out.
        """
        above = self._bits_above_chance(channels)
        own = np.sqrt(_positive(above.diagonal()))
        return np.asarray(above / np.outer(own, own))

    def corrected_similarity(self, measure: Measure, channels: Any) -> FloatArray:
        """Return similarity corrected for chance, (K, K) of K channels: 0 on average of independent ones, 1 of equal.

        Of NMI it is `corrected_nmi`. Of VI it is 1 − VI / E[VI] = 2 s_UV / (s_UU + s_VV), E[VI] being what independent
        channels of the same information would show. NaN where it is undefined. Where chance was not worked out,
        similarity is taken as it is.
        """
        if measure == "nmi":
            return self.corrected_nmi(channels) if len(self.chance) else self._square(self.nmi, channels)
        if not len(self.chance):
            own = self._own_bits(channels)
            total = _positive(np.add.outer(own, own))
            return np.asarray(1 - self._square(self.vi_bits, channels) / total)
        above = self._bits_above_chance(channels)
        own = _positive(above.diagonal())
        return np.asarray(2 * above / np.add.outer(own, own))

    def _bits_above_chance(self, channels: Any) -> FloatArray:
        """Return what channels share above chance, (K, K) bits; the diagonal is of two draws of one channel."""
        own, bits = self._own_bits(channels), self.information_bits[channels]
        scale = np.sqrt(np.outer(own, own))
        shared = np.where(np.eye(len(bits), dtype=bool), own, self._square(self.nmi, channels) * scale)
        both = np.add.outer(bits, bits)
        by_chance = both - self.chance_nmi(channels) * scale
        return bits_above_chance(both - shared, by_chance, self.ceiling_bits)

    def _own_bits(self, channels: Any) -> FloatArray:
        """Return I(U;U′) of channels, (K,) bits."""
        return np.asarray(np.maximum(2 * self.information_bits[channels] - self.information_twice_bits[channels], 0.0))

    def _square(self, matrix: RealArray, channels: Any) -> FloatArray:
        return np.asarray(matrix, dtype=np.float64)[np.ix_(channels, channels)]

    def label_chance_nmi(self, channels: Any) -> FloatArray:
        """Return the NMI with each label that channels which share nothing with it would show: (K, F)."""
        if not (len(self.chance) and len(self.label_chance)):
            return np.full((len(channels), len(self.label_names)), np.nan)
        (x, y), (label_x, label_y) = self.chance[channels].T, self.label_chance.T
        return np.asarray(np.maximum(np.outer(x, label_x) - np.outer(y, label_y), 0.0))

    def corrected_label_nmi(self, channels: Any) -> FloatArray:
        """Return NMI with each label counted from the level of chance, (K, F) of K channels; see `corrected_nmi`."""
        above, _ = self._label_bits_above_chance(channels)
        own = _positive(self._bits_above_chance(channels).diagonal())
        # two draws of a label are one: what they tell together is its entropy
        alone = 1 - (self.label_chance**2 @ [1.0, -1.0] if len(self.label_chance) else np.nan)
        label_own = bits_above_chance(self.label_bits, (1 + alone) * self.label_bits, self.ceiling_bits)
        return np.asarray(above / np.sqrt(np.outer(own, _positive(label_own))))

    def best_label(self, channels: Any) -> int | None:
        """Return the label that channels tell most about, by their mean corrected NMI with it.

        Identifiers are no labels here, and what is told about a label counts from three standard deviations above
        chance on: of N images, √( chance / (N ln 2) ) bits, as of independent clusterings.

        Returns:
            Its place among the labels; None when there is none above chance. Where chance was not worked out, NMI is
            taken as it is.
        """
        nmi = self.label_nmi[channels].mean(axis=0) if self.label_names else np.zeros(0)
        if len(self.chance):
            above, by_chance = (bits.mean(axis=0) for bits in self._label_bits_above_chance(channels))
            clear = above > CLEAR_OF_CHANCE * np.sqrt(by_chance / (self.n_images * math.log(2)))
            nmi = np.where(clear, self.corrected_label_nmi(channels).mean(axis=0), np.nan)
        values = np.where([name in self.identifiers for name in self.label_names], np.nan, nmi)
        return int(np.nanargmax(values)) if np.isfinite(values).any() else None

    def _label_bits_above_chance(self, channels: Any) -> tuple[FloatArray, FloatArray]:
        """Return what channels share with labels above chance, and by chance, (K, F) bits each."""
        both = np.add.outer(self.information_bits[channels], self.label_bits)
        scale = np.sqrt(np.outer(self._own_bits(channels), self.label_bits))
        by_chance = self.label_chance_nmi(channels) * scale
        joint = both - self.label_nmi[channels] * scale
        return bits_above_chance(joint, both - by_chance, self.ceiling_bits), by_chance

    @property
    def member(self) -> IntArray:
        """(C,) the member of each channel."""
        return self.channel_names[:, 0]

    def similarity(self, measure: Measure) -> RealArray:
        """Return the (C, C) matrix of a measure: NMI, or VI in bits."""
        return self.nmi if measure == "nmi" else self.vi_bits

    def subset(self, channels: Any) -> "ChannelMatrix":
        """Return the matrix of some of its channels.

        Args:
            channels: (K,) flat indices; the new matrix has them in this order.
        """
        square, rows = np.ix_(channels, channels), np.asarray(channels, dtype=np.int64)
        return replace(
            self,
            channel_names=self.channel_names[rows],
            information_bits=self.information_bits[rows],
            information_twice_bits=self.information_twice_bits[rows],
            nmi=np.asarray(self.nmi)[square],
            vi_bits=np.asarray(self.vi_bits)[square],
            label_nmi=self.label_nmi[rows] if self.label_names else self.label_nmi,
            label_vi_bits=self.label_vi_bits[rows] if self.label_names else self.label_vi_bits,
            chance=self.chance[rows] if len(self.chance) else self.chance,
            member_keys=(),
        )

    def save(self, folder: Path) -> None:
        """Write into a folder that exists."""
        save_arrays(
            folder,
            channel_names=self.channel_names,
            information_bits=self.information_bits,
            information_twice_bits=self.information_twice_bits,
            nmi=np.asarray(self.nmi, dtype=np.float32),
            vi_bits=np.asarray(self.vi_bits, dtype=np.float32),
            label_bits=self.label_bits,
            label_nmi=self.label_nmi,
            label_vi_bits=self.label_vi_bits,
            chance=self.chance,
            label_chance=self.label_chance,
        )
        save_json(folder, {name: getattr(self, name) for name in ("n_images", "input_entropy_bits", *_TEXTS)})

    @classmethod
    @reports_damage
    def load(cls, folder: Path) -> "ChannelMatrix":
        """Read what `save` wrote; the square matrices stay on disk, memory-mapped."""
        facts = load_json(folder)
        arrays = load_arrays(folder, "channel_names", "information_bits", "information_twice_bits", "label_bits")
        arrays |= load_arrays(folder, "label_nmi", "label_vi_bits")
        arrays |= load_arrays(folder, "nmi", "vi_bits", mmap=True)
        # analyses of earlier versions have no such arrays
        arrays |= load_arrays(folder, *(n for n in ("chance", "label_chance") if (folder / f"{n}.npy").exists()))
        check_shapes(folder, arrays, information_bits="C", information_twice_bits="C", channel_names="C 2", nmi="C C")
        check_shapes(folder, arrays, nmi="C C", vi_bits="C C", label_nmi="C F", label_vi_bits="C F", label_bits="F")
        texts: Any = {name: tuple(facts.get(name, ())) for name in _TEXTS}
        return cls(**arrays, **texts, n_images=facts["n_images"], input_entropy_bits=facts.get("input_entropy_bits"))


@dataclass(frozen=True, eq=False)
class Hotspots:
    """The hotspots of the channels, and an order that shows them. Arrays are indexed by flat channel.

    Args:
        order: (C,) flat indices in the order in which OPTICS visits them, held to finish a hotspot that it has entered;
            then saturated channels, then dead ones by information.
        reachability: (C,) distance at which each channel was reached from those before it in this order; ∞ for the
            first, and for saturated and dead ones.
        labels: (C,) hotspot of each channel, −1 for noise and for saturated and dead channels.
        dead: (C,) True where a channel carries less information than the threshold.
        sign: (C,) +1 or −1: the direction in which a channel runs like its hotspot's medoid.
        groups: the hotspots, by label.
        min_samples: neighbours by which OPTICS judged density.
        messages: what a user should know about this result.
        recurrence: which members hold each hotspot, judged by the others; None in results of earlier versions.
    """

    order: IntArray
    reachability: FloatArray
    labels: IntArray
    dead: BoolArray
    sign: IntArray
    groups: tuple[Hotspot, ...]
    min_samples: int
    messages: tuple[str, ...] = ()
    recurrence: Recurrence | None = None

    def save(self, folder: Path) -> None:
        """Write into a folder that exists."""
        save_arrays(
            folder,
            order=self.order,
            reachability=self.reachability,
            labels=self.labels,
            dead=self.dead,
            sign=self.sign,
        )
        if self.recurrence is not None:
            save_arrays(folder, members=self.recurrence.members, holds=self.recurrence.holds)
        groups = [vars(group) for group in self.groups]
        facts = {"groups": groups, "min_samples": self.min_samples, "messages": self.messages}
        save_json(folder, facts | {"recurrence": self.recurrence is not None})

    @classmethod
    @reports_damage
    def load(cls, folder: Path) -> "Hotspots":
        """Read what `save` wrote."""
        facts = load_json(folder)
        groups = tuple(Hotspot.read(group) for group in facts["groups"])
        arrays = load_arrays(folder, "order", "reachability", "labels", "dead", "sign")
        check_shapes(folder, arrays, order="C", reachability="C", labels="C", dead="C", sign="C")
        recurrence = None
        if facts.get("recurrence"):  # results of earlier versions have none
            held = load_arrays(folder, "members", "holds")
            check_shapes(folder, held, members="M", holds=f"{len(groups)} M")
            recurrence = Recurrence(**held)
        return cls(
            **arrays,
            groups=groups,
            min_samples=facts["min_samples"],
            messages=tuple(facts["messages"]),
            recurrence=recurrence,
        )


@dataclass(frozen=True, eq=False)
class Traversals:
    """Traversals of every channel: base images with that one channel moved across its range.

    Args:
        images: (C, K, T, H, W) or (C, K, T, H, W, 3) uint8: K base images, T values.
        values: (C, T) the values, ascending, in the latent units of the channel.
        base: (K,) positions of the base images in the fingerprint sample.
    """

    images: ImageArray
    values: FloatArray
    base: IntArray

    def save(self, folder: Path) -> None:
        """Write into a folder that exists."""
        save_arrays(folder, images=self.images, values=self.values, base=self.base)

    @classmethod
    @reports_damage
    def load(cls, folder: Path) -> "Traversals":
        """Read what `save` wrote; the images stay on disk, memory-mapped."""
        arrays = load_arrays(folder, "values", "base") | load_arrays(folder, "images", mmap=True)
        check_shapes(folder, arrays, values="C T", base="K", images="C K T *")
        return cls(**arrays)


@dataclass(frozen=True, eq=False)
class Analysis:
    """All results of one `analyze`.

    Args:
        config: the settings; `config.hotspots.measure` is the measure that the user chose.
        posteriors_key: key of the posteriors that were analysed.
        matrix: information and similarity of all channels.
        hotspots: hotspots by measure.
        maps: layouts by measure.
        traversals: None where there are no models to decode with (imported posteriors).
        stability: stability of the hotspots by measure; empty without resamples.
        over_training: None where the ensemble kept no snapshots.
        null_tests: what the hotspots were held against, by measure; empty until `vaefrag null` has run.
    """

    config: AnalysisConfig
    posteriors_key: str
    matrix: ChannelMatrix
    hotspots: Mapping[Measure, Hotspots]
    maps: Mapping[Measure, ChannelMap]
    traversals: Traversals | None
    stability: Mapping[Measure, Stability] = field(default_factory=dict)
    over_training: OverTraining | None = None
    null_tests: Mapping[Measure, NullTests] = field(default_factory=dict)


def _positive(bits: FloatArray) -> FloatArray:
    """Return bits that can be divided by: NaN where they are 0 or less."""
    return np.where(bits > 0, bits, np.nan)
