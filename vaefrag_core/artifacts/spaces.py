"""The comparison of members by their whole latent spaces."""

import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from vaefrag_core.array_types import BoolArray, FloatArray, IntArray
from vaefrag_core.artifacts.files import check_shapes, load_arrays, load_json, reports_damage, save_arrays, save_json
from vaefrag_core.measures.channel_states import saturated_channels
from vaefrag_core.measures.information_terms import above_chance, vi_from_terms
from vaefrag_core.measures.space_similarity import SPACE_MEASURES

# Of the arrays, in the order in which they are stored: M members, the five `SPACE_MEASURES`, InfoM, InfoE and InfoC.
_SHAPES = {
    **dict.fromkeys(("member_ids", "live_channels"), "M"),
    **dict.fromkeys(("information_bits", "information_error", "own_bits", "own_error"), "M"),
    **dict.fromkeys(("vi_bits", "vi_error", "nmi", "nmi_error", "chance_bits", "chance_error"), "M M"),
    **dict.fromkeys(("similarity", "similarity_chance", "similarity_highest"), f"{len(SPACE_MEASURES)} M M"),
    **dict.fromkeys(("infomec", "infomec_chance"), "M 3"),
}
_FACTS = ("n_images", "draws", "shuffles", "input_entropy_bits")
MOST_ERROR = 0.1  # standard error of a corrected VI or NMI, above which neither is told
ROUNDING = 1e-9  # within which a level of chance is 1
ABOVE_ERRORS = 1.645  # standard errors that chance alone exceeds in one of twenty pairs


@dataclass(frozen=True)
class MeasureSummary:
    """One measure over all pairs of members on which it is defined.

    Args:
        name: "vi", "nmi" or one of `SPACE_MEASURES`.
        pairs: number of these pairs; without any, the rest is NaN.
        mean: over pairs; bits of VI.
        least: over pairs.
        most: over pairs.
        chance: mean of what the same spaces show once their images are shuffled.
        corrected: mean over pairs, 0 by chance and 1 of equal spaces.
        above: share of pairs that are more alike than chance would make one pair in twenty.
    """

    name: str
    pairs: int
    mean: float
    least: float
    most: float
    chance: float
    corrected: float
    above: float


@dataclass(frozen=True, eq=False, kw_only=True)
class SpaceMatrix:
    """Information of every member's whole latent space and similarity of every pair.

    Information, VI and NMI are estimated by Monte Carlo; the other measures look at posterior means.

    Args:
        member_ids: (M,) the members' numbers in their ensemble.
        live_channels: (M,) active units that vary, on which the other measures look.
        information_bits: (M,) I(X;U), at most log2 N.
        information_error: (M,) its standard error, bits.
        own_bits: (M,) I(U;U′), what two draws tell alike.
        own_error: (M,) its standard error, bits.
        vi_bits: (M, M), symmetric, 0 on the diagonal, bits.
        vi_error: (M, M) standard errors, bits.
        nmi: (M, M), symmetric, 1 on the diagonal; NaN of faint spaces, with own bits within 5 standard errors of 0.
        nmi_error: (M, M) standard errors.
        chance_bits: (M, M) what pairs share once their images are shuffled, I(U;V), bits; NaN on the diagonal.
        chance_error: (M, M) its standard error over shuffles, bits.
        similarity: (5, M, M) in the order of `SPACE_MEASURES`; NaN where a space has no live channel.
        similarity_chance: (5, M, M) its mean over shuffles.
        similarity_highest: (5, M, M) the highest of these 19 shuffles: higher by chance in one of twenty pairs.
        infomec: (M, 3) InfoM, InfoE and InfoC of each member; NaN without labels.
        infomec_chance: (M, 3) the same of shuffled labels.
        n_images: N.
        draws: number of draws behind the estimates.
        shuffles: number of shuffles behind `chance_bits`.
        input_entropy_bits: H(X), less than log2 N where images are copies; None where they were not looked for.
    """

    member_ids: IntArray
    live_channels: IntArray
    information_bits: FloatArray
    information_error: FloatArray
    own_bits: FloatArray
    own_error: FloatArray
    vi_bits: FloatArray
    vi_error: FloatArray
    nmi: FloatArray
    nmi_error: FloatArray
    chance_bits: FloatArray
    chance_error: FloatArray
    similarity: FloatArray
    similarity_chance: FloatArray
    similarity_highest: FloatArray
    infomec: FloatArray
    infomec_chance: FloatArray
    n_images: int
    draws: int
    shuffles: int
    input_entropy_bits: float | None = None

    @property
    def n_members(self) -> int:
        """M."""
        return len(self.member_ids)

    @property
    def input_bits(self) -> float:
        """H(X), log2 N without copies: what tells all images of the sample apart."""
        return math.log2(self.n_images) if self.input_entropy_bits is None else self.input_entropy_bits

    @property
    def saturated(self) -> BoolArray:
        """(M,) True where a space tells every image from every other, so that its NMI means nothing."""
        return saturated_channels(self.information_bits, self.n_images, self.input_bits)

    @property
    def faint(self) -> BoolArray:
        """(M,) True where a space repeats too little from draw to draw for an NMI."""
        return np.isnan(self.nmi.diagonal())

    @cached_property
    def vi_chance(self) -> FloatArray:
        """(M, M) VI of spaces like these that share nothing, bits."""
        own = self.own_bits
        return vi_from_terms(self.chance_bits, own[:, None], own[None, :])

    @cached_property
    def vi_corrected(self) -> FloatArray:
        """(M, M) 1 − VI / E[VI], E[VI] being that of shuffled images: 0 by chance, 1 of equal spaces.

        NaN where NMI is, or where the errors of both would be enlarged beyond `MOST_ERROR`.
        """
        error = np.hypot(self.vi_error, 2 * self.chance_error)
        known = error < MOST_ERROR * self.vi_chance - ROUNDING
        return 1 - self.vi_bits / np.where(np.isnan(self.nmi) | ~known, np.nan, self.vi_chance)

    @cached_property
    def vi_corrected_error(self) -> FloatArray:
        """(M, M) the standard error of `vi_corrected`, NaN where that is."""
        return np.hypot(self.vi_error, 2 * self.chance_error * (1 - self.vi_corrected)) / self.vi_chance

    @cached_property
    def nmi_chance(self) -> FloatArray:
        """(M, M) NMI of spaces like these that share nothing."""
        return np.where(np.isnan(self.nmi), np.nan, self.chance_bits / self._scale())

    @cached_property
    def nmi_corrected(self) -> FloatArray:
        """(M, M) (NMI − level) / (1 − level), the level being that of shuffled images: 0 by chance, 1 of equal spaces.

        NaN where NMI is, or where the errors of both would be enlarged beyond `MOST_ERROR`.
        """
        # Whatever the value is: else alike pairs, whose errors are smaller, would be shown more often than others.
        error = np.hypot(self.nmi_error, self.chance_error / self._scale())
        known = error < MOST_ERROR * (1 - self.nmi_chance) - ROUNDING
        return above_chance(self.nmi, np.where(known, self.nmi_chance, np.nan))

    @cached_property
    def nmi_corrected_error(self) -> FloatArray:
        """(M, M) the standard error of `nmi_corrected`, NaN where that is."""
        of_level = self.chance_error / self._scale() * (1 - self.nmi_corrected)
        return np.hypot(self.nmi_error, of_level) / (1 - self.nmi_chance)

    def _scale(self) -> FloatArray:
        root = np.sqrt(np.where(self.own_bits > 0, self.own_bits, np.nan))
        return np.outer(root, root)

    @property
    def summaries(self) -> tuple[MeasureSummary, ...]:
        """VI, NMI and then the other measures, over pairs of different members."""
        # What one pair shares by chance varies from shuffle to shuffle, and by the draws of its own estimate.
        spread = self.chance_error**2 * self.shuffles
        vi_above = self.vi_chance - self.vi_bits > ABOVE_ERRORS * np.sqrt(self.vi_error**2 + 4 * spread)
        nmi_spread = np.sqrt(self.nmi_error**2 + spread / self._scale() ** 2)
        nmi_above = self.nmi - self.nmi_chance > ABOVE_ERRORS * nmi_spread
        by_information = (
            self._summary("vi", self.vi_bits, self.vi_chance, self.vi_corrected, vi_above),
            self._summary("nmi", self.nmi, self.nmi_chance, self.nmi_corrected, nmi_above),
        )
        return by_information + tuple(
            self._summary(name, value, chance, above_chance(value, chance), value > highest)
            for name, value, chance, highest in zip(
                SPACE_MEASURES, self.similarity, self.similarity_chance, self.similarity_highest, strict=True
            )
        )

    def _summary(
        self, name: str, value: FloatArray, chance: FloatArray, corrected: FloatArray, above: BoolArray
    ) -> MeasureSummary:
        pairs = np.triu(np.isfinite(value), 1)
        if not pairs.any():
            return MeasureSummary(name, 0, *[math.nan] * 6)
        low, high = float(value[pairs].min()), float(value[pairs].max())
        means = [_mean(part[pairs]) for part in (chance, corrected, above.astype(np.float64))]
        return MeasureSummary(name, int(pairs.sum()), float(value[pairs].mean()), low, high, *means)

    @property
    def messages(self) -> tuple[str, ...]:
        """What a user should know about this result."""
        messages = []
        if self.saturated.any():
            messages.append(
                f"{int(self.saturated.sum())} of {self.n_members} members tell every one of the {self.n_images:,}"
                " images from every other: the NMI of such spaces is near 1 whatever they are. Take a larger"
                " fingerprint, or train with a larger β."
            )
        if self.faint.any():
            messages.append(
                f"{int(self.faint.sum())} of {self.n_members} members"
                f" ({', '.join(map(str, self.member_ids[self.faint]))}) tell so little that their own information is"
                " within 5 standard errors of 0: NMI would be a ratio of noise and is undefined; VI holds. More"
                " draws would settle spaces that are faint and not empty."
            )
        pairs = np.triu(np.isfinite(self.nmi), 1)
        unknown = int((pairs & (np.isnan(self.nmi_corrected) | np.isnan(self.vi_corrected))).sum())
        if unknown:
            messages.append(
                f"Of {unknown:,} of {int(pairs.sum()):,} pairs corrected VI or NMI is undefined: by chance they share"
                " nearly as much as a space with itself, which would enlarge the error of the draws to more than"
                f" {MOST_ERROR:g}. Take more images, or more draws."
            )
        return tuple(messages)

    def save(self, folder: Path) -> None:
        """Write into a folder that exists."""
        save_arrays(folder, **{name: getattr(self, name) for name in _SHAPES})
        save_json(folder, {name: getattr(self, name) for name in _FACTS})

    @classmethod
    @reports_damage
    def load(cls, folder: Path) -> "SpaceMatrix":
        """Read what `save` wrote."""
        facts = load_json(folder)
        arrays = load_arrays(folder, *_SHAPES)
        check_shapes(folder, arrays, **_SHAPES)
        return cls(
            **arrays,
            n_images=int(facts["n_images"]),
            draws=int(facts["draws"]),
            shuffles=int(facts["shuffles"]),
            input_entropy_bits=facts.get("input_entropy_bits"),
        )


def _mean(values: FloatArray) -> float:
    """Return the mean of the values that are defined; NaN without any."""
    values = values[np.isfinite(values)]
    return float(values.mean()) if len(values) else math.nan
