"""What the ensembles of a sweep show together: one point per value, and which hotspot goes on as which."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vaefrag_core.array_types import FloatArray
from vaefrag_core.artifacts.files import check_shapes, load_arrays, load_json, reports_damage, save_arrays, save_json
from vaefrag_core.artifacts.hotspot import Hotspot


@dataclass(frozen=True)
class SweepPoint:
    """One value of a sweep, and what its ensemble shows.

    Args:
        value: of the coefficient.
        ensemble_id: the ensemble.
        live_channels: (M,) how many channels of each member are not dead.
        bits: information of each live channel, bits.
        space_bits: (M,) information of each member's whole latent space, bits; () when it was not estimated.
        hotspots: of its ensemble, by label.
    """

    value: float
    ensemble_id: str
    live_channels: tuple[int, ...]
    bits: tuple[float, ...]
    space_bits: tuple[float, ...]
    hotspots: tuple[Hotspot, ...]

    @property
    def members(self) -> int:
        """M."""
        return len(self.live_channels)

    @property
    def summed_bits(self) -> tuple[float, ...]:
        """(M,) sum over the live channels of each member, bits: what several of them tell counts several times."""
        ends = np.cumsum(self.live_channels)[:-1]
        return tuple(float(part.sum()) for part in np.split(np.array(self.bits), ends))

    @property
    def tightness(self) -> float:
        """Mean NMI inside its hotspots, each counted once; NaN without any."""
        return spread_of([hotspot.mean_nmi for hotspot in self.hotspots])[0]


@dataclass(frozen=True)
class Link:
    """A hotspot that shares much with one at the next value.

    Args:
        step: the first of both values' place in the sweep.
        source: label of the hotspot there.
        target: label of the one at the next value.
        nmi: mean NMI of their channels.
    """

    step: int
    source: int
    target: int
    nmi: float


@dataclass(frozen=True, eq=False)
class Atlas:
    """The hotspots of a sweep, followed from value to value.

    Args:
        points: by ascending value.
        cross: between each point and the next, (H, H') mean NMI of the channels of their hotspots.
        threads: of each point, the number of the thread that each of its hotspots is on: a hotspot goes on as the one
            it shares most with, if that one shares most with it among those left.
        min_nmi: from which on two hotspots are linked.
        n_images: N.
        steps: of training at which there is such an atlas as well, ascending; the last is the end, which this one
            shows. () where not all ensembles have kept snapshots.
    """

    points: tuple[SweepPoint, ...]
    cross: tuple[FloatArray, ...]
    threads: tuple[tuple[int, ...], ...]
    min_nmi: float
    n_images: int
    steps: tuple[int, ...] = ()

    @property
    def links(self) -> tuple[Link, ...]:
        """All pairs of hotspots at neighbouring values that share `min_nmi` or more."""
        return tuple(
            Link(step, int(s), int(t), float(square[s, t]))
            for step, square in enumerate(self.cross)
            for s, t in np.argwhere(square >= self.min_nmi)
        )

    def fate(self, step: int, label: int) -> tuple[int, int]:
        """Say how many hotspots at the value before, and at the value after, a hotspot is linked to."""
        before = int((self.cross[step - 1][:, label] >= self.min_nmi).sum()) if step > 0 else 0
        after = int((self.cross[step][label] >= self.min_nmi).sum()) if step < len(self.cross) else 0
        return before, after

    def save(self, folder: Path) -> None:
        """Write into a folder that exists."""
        save_arrays(folder, **{f"cross_{step}": square for step, square in enumerate(self.cross)})
        points = [vars(point) | {"hotspots": [vars(group) for group in point.hotspots]} for point in self.points]
        facts = {name: getattr(self, name) for name in ("threads", "min_nmi", "n_images", "steps")}
        save_json(folder, {"points": points, **facts})

    @classmethod
    @reports_damage
    def load(cls, folder: Path) -> "Atlas":
        """Read what `save` wrote."""
        facts = load_json(folder)
        names = [f"cross_{step}" for step in range(len(facts["points"]) - 1)]
        arrays = load_arrays(folder, *names)
        counts = [len(content["hotspots"]) for content in facts["points"]]
        for name, before, after in zip(names, counts, counts[1:], strict=False):
            check_shapes(folder, arrays, **{name: f"{before} {after}"})
        return cls(
            points=tuple(_point(content) for content in facts["points"]),
            cross=tuple(arrays[name] for name in names),
            threads=tuple(tuple(numbers) for numbers in facts["threads"]),
            min_nmi=facts["min_nmi"],
            n_images=facts["n_images"],
            steps=tuple(facts.get("steps", ())),
        )


def spread_of(values: Sequence[float]) -> tuple[float, float]:
    """Give mean and standard deviation; NaN of nothing."""
    return (float(np.mean(values)), float(np.std(values))) if len(values) else (float("nan"), float("nan"))


def _point(content: dict[str, Any]) -> SweepPoint:
    groups = tuple(Hotspot.read(group) for group in content["hotspots"])
    lists = {name: tuple(content[name]) for name in ("live_channels", "bits", "space_bits")}
    return SweepPoint(**content | lists | {"hotspots": groups})
