"""The recurring groups of channels, and the order that shows them."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vaefrag_core.array_types import BoolArray, FloatArray, IntArray
from vaefrag_core.artifacts.files import check_shapes, load_arrays, load_json, reports_damage, save_arrays, save_json
from vaefrag_core.artifacts.nmi_inside import NmiInside
from vaefrag_core.artifacts.recurrence import Recurrence


@dataclass(frozen=True)
class Hotspot:
    """One recurring group of channels.

    Args:
        number: 0 for the first along the OPTICS order.
        channels: flat indices, in OPTICS order.
        n_members: distinct members that have a channel in it.
        mean_nmi: mean NMI of its pairs of different members.
        mean_vi_bits: mean VI of these pairs, bits.
        mean_bits: mean information of its channels, bits.
        medoid: flat index of the channel with the smallest mean distance to the others.
        label_nmi: mean NMI of its channels with each label, (F,).
    """

    number: int
    channels: tuple[int, ...]
    n_members: int
    mean_nmi: float
    mean_vi_bits: float
    mean_bits: float
    medoid: int
    label_nmi: tuple[float, ...]

    @property
    def size(self) -> int:
        """Number of channels."""
        return len(self.channels)

    @classmethod
    def read(cls, facts: Mapping[str, Any]) -> "Hotspot":
        """Restore a hotspot from its `vars`, after their way through JSON."""
        lists = {name: tuple(facts[name]) for name in ("channels", "label_nmi")}
        number = facts.get("number", facts.get("label"))  # results of earlier versions call it their label
        return cls(**{**{name: value for name, value in facts.items() if name != "label"}, **lists, "number": number})


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
        groups: the hotspots, by number.
        min_samples: neighbours by which OPTICS judged density.
        messages: what a user should know about this result.
        recurrence: which members hold each hotspot, judged by the others; None in results of earlier versions.
        inside: corrected NMI inside each hotspot, with its error over images: a result of its own, and None by the
            measure that was not asked for.
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
    inside: NmiInside | None = None

    def save(self, folder: Path) -> None:
        """Write into a folder that exists, all but `inside`."""
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
