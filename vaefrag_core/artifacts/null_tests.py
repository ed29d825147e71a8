"""What the hotspots of an analysis were held against: shuffled images, turned axes, and fewer members."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from vaefrag_core.array_types import BoolArray, FloatArray, IntArray
from vaefrag_core.artifacts.files import check_shapes, load_arrays, load_json, reports_damage, save_arrays, save_json

TIE = 1e-6  # similarities are worked out in single precision; closer ones are equal
SETTLED = 0.9  # share of the hotspots that so many members have to show


@dataclass(frozen=True, eq=False)
class RotatedSearches:
    """The hotspots of R ensembles whose members' axes were turned at random.

    Args:
        similarity: (R, K) mean corrected similarity inside the hotspots of each, the highest first; 0 where there are
            fewer than K.
        channels: (R,) channels in hotspots.
        n_turned: members that have two live channels at least: no other can be turned.
    """

    similarity: FloatArray
    channels: IntArray
    n_turned: int

    @property
    def count(self) -> IntArray:
        """(R,) hotspots of each."""
        return np.asarray((self.similarity > 0).sum(axis=1), dtype=np.int64)

    @property
    def mean_similarity(self) -> FloatArray:
        """(R,) mean similarity inside hotspots; 0 without any."""
        return np.asarray(self.similarity.sum(axis=1) / np.maximum(self.count, 1))

    @property
    def best(self) -> FloatArray:
        """(R,) similarity inside the best hotspot; 0 without any."""
        return np.asarray(self.similarity[:, 0])

    def p_values(self, similarity: FloatArray) -> FloatArray:
        """Return how often the best hotspot among turned axes reaches each similarity (G,), (1 + reached) / (1 + R)."""
        reached = self.best[:, None] >= similarity[None, :] - TIE
        return np.asarray((1 + reached.sum(axis=0)) / (1 + len(self.best)))

    def percentiles(self, similarity: FloatArray) -> FloatArray:
        """Return in how many percent of turned ensembles the best hotspot stays below each similarity, (G,)."""
        return np.array([below(self.best, value) for value in similarity])

    def percentiles_by_rank(self, similarity: FloatArray) -> FloatArray:
        """Return the percentile of each of G hotspots among those of its rank: of the k-th best among k-th best."""
        rank = np.argsort(np.argsort(-similarity, kind="stable"))
        by_rank = np.zeros((len(self.similarity), max(len(similarity), self.similarity.shape[1])))
        by_rank[:, : self.similarity.shape[1]] = self.similarity
        return np.array([below(by_rank[:, k], value) for k, value in zip(rank, similarity, strict=True)])


@dataclass(frozen=True, eq=False)
class MemberCurve:
    """Hotspots among some of the members, over random choices of them.

    Args:
        members: (P,) members looked at, ascending; the last is all of them.
        hotspots: (P, S) hotspots in each of S choices.
        refound: (P, S) hotspots of all members that are among these.
    """

    members: IntArray
    hotspots: IntArray
    refound: IntArray

    @property
    def total(self) -> int:
        """Hotspots of all members."""
        return int(self.hotspots[-1, 0]) if len(self.hotspots) else 0

    @property
    def settled_from(self) -> int | None:
        """The fewest members from which on nine tenths of the hotspots are refound on average; None without any."""
        if not self.total:
            return None
        short = np.flatnonzero(self.refound.mean(axis=1) < SETTLED * self.total)
        return int(self.members[short[-1] + 1 if len(short) else 0])


@dataclass(frozen=True, eq=False)
class NullTests:
    """How far the G hotspots of one analysis are beyond chance, by one measure.

    Args:
        similarity: (G,) mean corrected similarity inside each hotspot, over pairs of different members.
        p_values: (G,) share of searches among shuffled images that reach it; see `hotspot_significance`.
        false_discovery_rates: (G,) of these.
        highest_by_chance: (R,) highest similarity inside any group of each search among shuffled images.
        rotated: the same search among members whose axes were turned.
        n_channels: channels in hotspots.
        curve: hotspots among fewer members.
        seed: of everything that was drawn.
    """

    similarity: FloatArray
    p_values: FloatArray
    false_discovery_rates: FloatArray
    highest_by_chance: FloatArray
    rotated: RotatedSearches
    n_channels: int
    curve: MemberCurve
    seed: int

    @property
    def rotation_p_values(self) -> FloatArray:
        """(G,) how often the best hotspot among turned axes reaches the similarity of each."""
        return self.rotated.p_values(self.similarity)

    @property
    def rotation_percentiles(self) -> FloatArray:
        """(G,) percent of turned ensembles whose best hotspot stays below each."""
        return self.rotated.percentiles(self.similarity)

    @property
    def overall(self) -> list[tuple[str, float, FloatArray, float]]:
        """Hotspots, channels in them, mean similarity: name, value, (R,) values of turned axes, percentile."""
        mean = float(self.similarity.mean()) if len(self.similarity) else 0.0
        values = (
            ("hotspots", len(self.similarity), self.rotated.count.astype(np.float64)),
            ("channels", self.n_channels, self.rotated.channels.astype(np.float64)),
            ("similarity", mean, self.rotated.mean_similarity),
        )
        return [(name, float(value), turned, below(turned, value)) for name, value, turned in values]

    @property
    def beyond_chance(self) -> BoolArray:
        """(G,) True where the rate of false discoveries is at most 0.05, or as low as so few draws can tell."""
        least = 1 / (1 + len(self.highest_by_chance))
        # A rate is a p-value times a ratio, which rounds.
        return np.asarray(self.false_discovery_rates <= max(0.05, least) + 1e-9)

    def save(self, folder: Path) -> None:
        """Write into a folder that exists."""
        save_arrays(
            folder,
            similarity=self.similarity,
            p_values=self.p_values,
            false_discovery_rates=self.false_discovery_rates,
            highest_by_chance=self.highest_by_chance,
            rotated_similarity=self.rotated.similarity,
            rotated_channels=self.rotated.channels,
            curve_members=self.curve.members,
            curve_hotspots=self.curve.hotspots,
            curve_refound=self.curve.refound,
        )
        save_json(folder, {"n_channels": self.n_channels, "n_turned": self.rotated.n_turned, "seed": self.seed})

    @classmethod
    @reports_damage
    def load(cls, folder: Path) -> "NullTests":
        """Read what `save` wrote."""
        facts = load_json(folder)
        own = load_arrays(folder, "similarity", "p_values", "false_discovery_rates", "highest_by_chance")
        rotated = load_arrays(folder, "rotated_similarity", "rotated_channels")
        curve = load_arrays(folder, "curve_members", "curve_hotspots", "curve_refound")
        arrays = own | rotated | curve
        check_shapes(folder, arrays, similarity="G", p_values="G", false_discovery_rates="G", highest_by_chance="R")
        check_shapes(folder, arrays, rotated_similarity="T K", rotated_channels="T")
        check_shapes(folder, arrays, curve_members="P", curve_hotspots="P S", curve_refound="P S")
        return cls(
            **own,
            rotated=RotatedSearches(rotated["rotated_similarity"], rotated["rotated_channels"], int(facts["n_turned"])),
            n_channels=int(facts["n_channels"]),
            curve=MemberCurve(curve["curve_members"], curve["curve_hotspots"], curve["curve_refound"]),
            seed=int(facts["seed"]),
        )


def below(values: ArrayLike, observed: float) -> float:
    """Return how many percent of the values are clearly below the one observed.

    Example:
        >>> below([0.1, 0.2, 0.3, 0.3], 0.3)
        50.0
    """
    return float(100 * np.mean(np.asarray(values) < observed - TIE))
