"""The analysis of an ensemble: similarity of its channels, hotspots, layouts and traversals."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from vaefrag_core.array_types import BoolArray, FloatArray, ImageArray, IntArray, RealArray
from vaefrag_core.artifacts.files import check_shapes, load_arrays, load_json, reports_damage, save_arrays, save_json
from vaefrag_core.artifacts.hotspot import Hotspot
from vaefrag_core.artifacts.image_copies import ceiling_name
from vaefrag_core.artifacts.over_training import OverTraining
from vaefrag_core.artifacts.recurrence import Recurrence
from vaefrag_core.artifacts.stability import Stability
from vaefrag_core.config import AnalysisConfig, Measure
from vaefrag_core.measures.channel_states import saturated_channels

_LATER_ARRAYS = ("chance", "label_chance_nmi", "label_bins", "label_unbinned_bits")  # than the first version
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
        label_chance_nmi: (C, F) the NMI that each channel would show with a label of as many values that it shares
            nothing with; empty in results of earlier versions.
        label_bins: (F,) number of bins that the values of a label were cut into; 0 where each stands for itself.
        label_unbinned_bits: (C, F) what a draw of each channel tells of a binned label without its bins, see
            `structure.label_information`; NaN for labels that are not binned, empty where it was not worked out.
        member_keys: (M,) `Posteriors.member_keys` of the members compared; () in a subset.
        identifiers: names of labels that name images rather than tell something of them; they are compared with
            nothing.
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
    label_chance_nmi: FloatArray = field(default_factory=lambda: np.zeros((0, 0)))
    label_bins: IntArray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    label_unbinned_bits: FloatArray = field(default_factory=lambda: np.zeros((0, 0)))
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
        """(C,) True where information is within a tenth of the ceiling, and so too low an estimate."""
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
        """Return (NMI − chance) / (1 − chance), (K, K) for K channels: 0 on average of independent ones, 1 of equal."""
        return self._nmi_above(self.chance_nmi(channels), channels)

    def corrected_similarity(self, measure: Measure, channels: Any) -> FloatArray:
        """Return similarity corrected for chance, (K, K) of K channels: 0 on average of independent ones, 1 of equal.

        Of NMI it is `corrected_nmi`. Of VI it is 1 − VI / E[VI], E[VI] being what independent channels of the same
        information would show. NaN where it is undefined. Where chance was not worked out, similarity is taken as it
        is.
        """
        level = self.chance_nmi(channels) if len(self.chance) else np.zeros((len(channels), len(channels)))
        if measure == "nmi":
            return self._nmi_above(level, channels)
        own = 2 * self.information_bits[channels] - self.information_twice_bits[channels]  # I(U;U′)
        scale = np.sqrt(np.maximum(own, 0.0))
        expected = np.add.outer(own, own) - 2 * level * np.outer(scale, scale)
        vi_bits = np.asarray(self.vi_bits, dtype=np.float64)[np.ix_(channels, channels)]
        return np.asarray(1 - np.divide(vi_bits, expected, out=np.full_like(vi_bits, np.nan), where=expected > 0))

    def _nmi_above(self, level: FloatArray, channels: Any) -> FloatArray:
        nmi = np.asarray(self.nmi, dtype=np.float64)[np.ix_(channels, channels)]
        return np.asarray((nmi - level) / (1 - level))

    @property
    def corrected_label_nmi(self) -> FloatArray:
        """(C, F) NMI with each label corrected for chance, as `corrected_nmi`; NaN where chance was not worked out."""
        if self.label_chance_nmi.shape != self.label_nmi.shape:
            return np.full(self.label_nmi.shape, np.nan)
        return np.asarray((self.label_nmi - self.label_chance_nmi) / (1 - self.label_chance_nmi))

    def label_nmi_of(self, channels: Any) -> tuple[FloatArray, FloatArray]:
        """Return mean NMI with each label over some channels, (F,), as it is and corrected for chance."""
        rows = np.asarray(channels, dtype=np.int64)
        return self.label_nmi[rows].mean(axis=0), self.corrected_label_nmi[rows].mean(axis=0)

    def unbinned_bits_of(self, channels: Any) -> FloatArray:
        """Return the mean bits told of each binned label without its bins, (F,); NaN where there are none."""
        if self.label_unbinned_bits.shape != self.label_nmi.shape:
            return np.full(len(self.label_names), np.nan)
        return np.asarray(self.label_unbinned_bits[np.asarray(channels, dtype=np.int64)].mean(axis=0))

    @property
    def compared_labels(self) -> tuple[int, ...]:
        """The positions of the labels that are no identifiers."""
        return tuple(f for f, name in enumerate(self.label_names) if name not in self.identifiers)

    def best_label(self, label_nmi: Any) -> int | None:
        """Return the label with the highest of these NMI (F,), identifiers aside; None when none is defined."""
        values = np.array(label_nmi, dtype=np.float64)
        values[[name in self.identifiers for name in self.label_names]] = np.nan
        return int(np.nanargmax(values)) if np.isfinite(values).any() else None

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
            label_chance_nmi=self.label_chance_nmi[rows] if len(self.label_chance_nmi) else self.label_chance_nmi,
            label_unbinned_bits=self.label_unbinned_bits[rows]
            if len(self.label_unbinned_bits)
            else self.label_unbinned_bits,
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
            label_chance_nmi=self.label_chance_nmi,
            label_bins=self.label_bins,
            label_unbinned_bits=self.label_unbinned_bits,
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
        arrays |= load_arrays(folder, *(name for name in _LATER_ARRAYS if (folder / f"{name}.npy").exists()))
        check_shapes(folder, arrays, information_bits="C", information_twice_bits="C", channel_names="C 2", nmi="C C")
        check_shapes(folder, arrays, nmi="C C", vi_bits="C C", label_nmi="C F", label_vi_bits="C F", label_bits="F")
        texts: Any = {name: tuple(facts.get(name, ())) for name in _TEXTS}
        return cls(**arrays, **texts, n_images=facts["n_images"], input_entropy_bits=facts.get("input_entropy_bits"))


@dataclass(frozen=True, eq=False)
class Hotspots:
    """The OPTICS order of the channels and the groups cut from it. Arrays are indexed by flat channel.

    Args:
        order: (C,) flat indices in the order in which OPTICS visits them; then saturated channels, then dead ones by
            information.
        reachability: (C,) distance at which each channel was reached; ∞ for the first, and for saturated and dead ones.
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
class ChannelMap:
    """Channels laid out in the plane so that similar ones lie together.

    Args:
        mds: (C, 2) metric multidimensional scaling; NaN for dead and saturated channels.
        umap: (C, 2) UMAP of the same distances; NaN for the same channels.
        stress: Kruskal's stress-1 of the MDS layout: 0 is perfect, above 0.2 poor.
        messages: what a user should know about this result.
    """

    mds: FloatArray
    umap: FloatArray
    stress: float
    messages: tuple[str, ...] = ()

    def coordinates(self, method: Literal["mds", "umap"]) -> FloatArray:
        """Return the (C, 2) layout of a method."""
        return self.mds if method == "mds" else self.umap

    def save(self, folder: Path) -> None:
        """Write into a folder that exists."""
        save_arrays(folder, mds=self.mds, umap=self.umap)
        save_json(folder, {"stress": self.stress, "messages": self.messages})

    @classmethod
    @reports_damage
    def load(cls, folder: Path) -> "ChannelMap":
        """Read what `save` wrote."""
        facts = load_json(folder)
        arrays = load_arrays(folder, "mds", "umap")
        check_shapes(folder, arrays, mds="C 2", umap="C 2")
        return cls(**arrays, stress=facts["stress"], messages=tuple(facts["messages"]))


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
    """

    config: AnalysisConfig
    posteriors_key: str
    matrix: ChannelMatrix
    hotspots: Mapping[Measure, Hotspots]
    maps: Mapping[Measure, ChannelMap]
    traversals: Traversals | None
    stability: Mapping[Measure, Stability] = field(default_factory=dict)
    over_training: OverTraining | None = None
