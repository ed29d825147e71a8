"""The analysis of an ensemble: similarity of its channels, hotspots, layouts and traversals."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from vaefrag_core.array_types import BoolArray, FloatArray, IntArray, RealArray
from vaefrag_core.artifacts.channel_map import ChannelMap
from vaefrag_core.artifacts.files import check_shapes, load_arrays, load_json, reports_damage, save_arrays, save_json
from vaefrag_core.artifacts.hotspot import Hotspots
from vaefrag_core.artifacts.image_copies import ceiling_name
from vaefrag_core.artifacts.null_tests import NullTests
from vaefrag_core.artifacts.over_training import OverTraining
from vaefrag_core.artifacts.stability import Stability
from vaefrag_core.artifacts.traversals import Traversals
from vaefrag_core.config import AnalysisConfig, Estimator, Measure
from vaefrag_core.measures.channel_states import saturated_channels
from vaefrag_core.measures.information_terms import above_chance, bits_above_chance, level_from_factors

CLEAR_OF_CHANCE = 3.0  # standard deviations from which on a channel tells something of a label
_LISTS = ("label_names", "member_keys", "identifiers", "messages", "diverged")  # of a ChannelMatrix
_FACTS = ("n_images", "input_entropy_bits", "estimator", "integration_error_bits")
_LATER = (  # arrays that analyses of earlier versions lack
    "chance",
    "information_error",
    "label_chance",
    "label_shuffled_nmi",
    "label_images",
    "label_bins",
    "label_unbinned_bits",
)


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
        chance: (C, 4) factors of the NMI that two channels which share nothing show on so few images, see
            `measures.information_terms.level_from_factors`. NaN where NMI is undefined; (C, 2) or empty in results of
            earlier versions.
        label_chance: (F, 4) the same for labels; NaN for those that some images lack, and where channels are too few.
        label_shuffled_nmi: (C, F) mean NMI of each channel with shuffles of such a label; NaN for the others.
        label_images: (F,) number of images that have each label.
        label_bins: (F,) number of bins that the values of a label were cut into; 0 where each stands for itself.
        label_unbinned_bits: (C, F) what a draw of each channel tells of a binned label without its bins, see
            `structure.label_information`; NaN for labels that are not binned, empty where it was not worked out.
        member_keys: (M,) `Posteriors.member_keys` of the members compared; () in a subset.
        identifiers: names of labels that name images rather than tell something of them; compared with nothing.
        messages: what a user should know about the images, channels and labels.
        input_entropy_bits: H(X), less than log2 N where images are copies; None of analyses that did not look for them.
        information_error: (C,) standard error of the information over the choice of images, bits; empty in results of
            earlier versions.
        diverged: numbers of the members whose training diverged: their channels are not compared for hotspots.
        estimator: `bound`, or `exact`: what all information here is.
        integration_error_bits: largest change of some exact bits on a grid twice as fine; 0 of the bound.
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
    label_shuffled_nmi: FloatArray = field(default_factory=lambda: np.zeros((0, 0)))
    label_images: IntArray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    label_bins: IntArray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    label_unbinned_bits: FloatArray = field(default_factory=lambda: np.zeros((0, 0)))
    member_keys: tuple[str, ...] = ()
    identifiers: tuple[str, ...] = ()
    messages: tuple[str, ...] = ()
    input_entropy_bits: float | None = None
    information_error: FloatArray = field(default_factory=lambda: np.zeros(0))
    diverged: tuple[int, ...] = ()
    estimator: Estimator = "bound"
    integration_error_bits: float = 0.0

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
        return level_from_factors(factors, factors)

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
        fitted = level_from_factors(self.chance[channels], self.label_chance)
        if self.label_shuffled_nmi.shape != self.label_nmi.shape:
            return fitted
        by_shuffles = self.label_shuffled_nmi[channels]
        return np.asarray(np.where(np.isfinite(by_shuffles), by_shuffles, fitted))

    def corrected_label_nmi(self, channels: Any) -> FloatArray:
        """Return NMI with each label counted from the level of chance, (K, F) of K channels; see `corrected_nmi`.

        Where the level is of shuffles, on other images than `information_bits`, (NMI − level) / (1 − level).
        """
        above, _ = self._label_bits_above_chance(channels)
        own = _positive(self._bits_above_chance(channels).diagonal())
        # two draws of a label are one: what they tell together is its entropy
        known = len(self.label_chance)
        alone = 1 - level_from_factors(self.label_chance, self.label_chance).diagonal() if known else np.nan
        label_own = bits_above_chance(self.label_bits, (1 + alone) * self.label_bits, self.ceiling_bits)
        corrected = above / np.sqrt(np.outer(own, _positive(label_own)))
        level = self.label_chance_nmi(channels)
        plain = above_chance(self.label_nmi[channels], level)
        fitted = np.isfinite(self.label_chance).all(axis=1) if len(self.label_chance) else False
        return np.asarray(np.where(fitted, corrected, plain))

    def label_nmi_of(self, channels: Any) -> tuple[FloatArray, FloatArray]:
        """Return mean NMI with each label over some channels, (F,), as it is and corrected for chance."""
        return self.label_nmi[channels].mean(axis=0), self.corrected_label_nmi(channels).mean(axis=0)

    def unbinned_bits_of(self, channels: Any) -> FloatArray:
        """Return the mean bits told of each binned label without its bins, (F,); NaN where there are none."""
        if self.label_unbinned_bits.shape != self.label_nmi.shape:
            return np.full(len(self.label_names), np.nan)
        return np.asarray(self.label_unbinned_bits[channels].mean(axis=0))

    @property
    def compared_labels(self) -> tuple[int, ...]:
        """The positions of the labels that are no identifiers."""
        return tuple(f for f, name in enumerate(self.label_names) if name not in self.identifiers)

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
            images = np.maximum(self.label_images, 1) if len(self.label_images) else self.n_images
            above, by_chance = (bits.mean(axis=0) for bits in self._label_bits_above_chance(channels))
            clear = above > CLEAR_OF_CHANCE * np.sqrt(by_chance / (images * math.log(2)))
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
            label_shuffled_nmi=_some_rows(self.label_shuffled_nmi, rows),
            label_unbinned_bits=_some_rows(self.label_unbinned_bits, rows),
            chance=self.chance[rows] if len(self.chance) else self.chance,
            information_error=self.information_error[rows] if len(self.information_error) else self.information_error,
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
            information_error=self.information_error,
            label_shuffled_nmi=self.label_shuffled_nmi,
            label_images=self.label_images,
            label_bins=self.label_bins,
            label_unbinned_bits=self.label_unbinned_bits,
        )
        save_json(folder, {name: getattr(self, name) for name in (*_FACTS, *_LISTS)})

    @classmethod
    @reports_damage
    def load(cls, folder: Path) -> "ChannelMatrix":
        """Read what `save` wrote; the square matrices stay on disk, memory-mapped."""
        facts = load_json(folder)
        arrays = load_arrays(folder, "channel_names", "information_bits", "information_twice_bits", "label_bits")
        arrays |= load_arrays(folder, "label_nmi", "label_vi_bits")
        arrays |= load_arrays(folder, "nmi", "vi_bits", mmap=True)
        arrays |= load_arrays(folder, *(name for name in _LATER if (folder / f"{name}.npy").exists()))
        check_shapes(folder, arrays, information_bits="C", information_twice_bits="C", channel_names="C 2", nmi="C C")
        check_shapes(folder, arrays, nmi="C C", vi_bits="C C", label_nmi="C F", label_vi_bits="C F", label_bits="F")
        texts: Any = {name: tuple(facts.get(name, ())) for name in _LISTS}
        numbers: Any = {name: facts[name] for name in _FACTS if name in facts}
        return cls(**arrays, **texts, **numbers)


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


def _some_rows(array: FloatArray, rows: IntArray) -> FloatArray:
    """Return some rows of an array; all of one that holds nothing."""
    return array[rows] if len(array) else array


def _positive(bits: FloatArray) -> FloatArray:
    """Return bits that can be divided by: NaN where they are 0 or less."""
    return np.where(bits > 0, bits, np.nan)
