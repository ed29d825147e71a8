"""An ensemble at several steps of its training: its posteriors, and their analysis."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vaefrag_core.array_types import BoolArray, Float32Array, FloatArray, IntArray
from vaefrag_core.artifacts.files import check_shapes, load_arrays, load_json, reports_damage, save_arrays, save_json
from vaefrag_core.artifacts.hotspot import Hotspot
from vaefrag_core.artifacts.posteriors import Posteriors


@dataclass(frozen=True, eq=False)
class Snapshots:
    """Posteriors of every member on the fingerprint sample at S steps of its training.

    Args:
        steps: (S,) ascending; the last is the end.
        mean: (S, M, N, D), latent units.
        logvar: (S, M, N, D) ln σ².
    """

    steps: IntArray
    mean: Float32Array
    logvar: Float32Array

    def posteriors(self, s: int, end: Posteriors) -> Posteriors:
        """Return the posteriors at one of the steps.

        Args:
            s: position of the step.
            end: posteriors of the same members on the same sample at the end.
        """
        mean, logvar = np.array(self.mean[s]), np.array(self.logvar[s])  # from the disk into memory
        return Posteriors(
            mean,
            logvar,
            sample_id=end.sample_id,
            member_ids=end.member_ids,
            copy_of=end.image_copies,
            diverged=end.diverged_members,
        )

    def save(self, folder: Path) -> None:
        """Write into a folder that exists."""
        save_arrays(folder, steps=self.steps, mean=self.mean, logvar=self.logvar)

    @classmethod
    @reports_damage
    def load(cls, folder: Path) -> "Snapshots":
        """Read what `save` wrote; the posteriors stay on disk, memory-mapped."""
        arrays = load_arrays(folder, "steps") | load_arrays(folder, "mean", "logvar", mmap=True)
        check_shapes(folder, arrays, steps="S", mean="S M N D", logvar="S M N D")
        return cls(**arrays)


@dataclass(frozen=True, eq=False)
class OverTraining:
    """Channels and hotspots from step to step of training.

    Args:
        steps: (S,) ascending; the last is the end.
        information_bits: (S, C) information of each channel.
        nmi_with_end: (S, C) NMI of each channel with itself at the end; NaN where it is undefined.
        live: (S, C) True where a channel is not dead.
        hotspots: (S,) number of hotspots among the channels of that step.
        n_members: M, all with the same number of channels.
        groups: (S,) the hotspots themselves; () in results of earlier versions.
    """

    steps: IntArray
    information_bits: FloatArray
    nmi_with_end: FloatArray
    live: BoolArray
    hotspots: IntArray
    n_members: int
    groups: tuple[tuple[Hotspot, ...], ...] = ()

    @property
    def live_of_members(self) -> IntArray:
        """(S, M) live channels of each member."""
        return np.asarray(self.live.reshape(len(self.steps), self.n_members, -1).sum(axis=2))

    @property
    def mean_live_bits(self) -> FloatArray:
        """(S,) mean information of the channels that are live at that step; NaN where none is."""
        return _row_means(self.information_bits, self.live)

    @property
    def mean_nmi_with_end(self) -> FloatArray:
        """(S,) mean over the channels that are live at the end; NaN where it is defined for none."""
        return _row_means(self.nmi_with_end, self.live[-1] & np.isfinite(self.nmi_with_end))

    def save(self, folder: Path) -> None:
        """Write into a folder that exists."""
        arrays = dict(vars(self))
        groups = [[vars(group) for group in at_step] for at_step in arrays.pop("groups")]
        save_json(folder, {"n_members": arrays.pop("n_members"), "groups": groups})
        save_arrays(folder, **arrays)

    @classmethod
    @reports_damage
    def load(cls, folder: Path) -> "OverTraining":
        """Read what `save` wrote."""
        names = ("steps", "information_bits", "nmi_with_end", "live", "hotspots")
        facts = load_json(folder)
        groups = tuple(tuple(map(Hotspot.read, at_step)) for at_step in facts.get("groups", ()))
        arrays = load_arrays(folder, *names)
        check_shapes(folder, arrays, steps="S", information_bits="S C", nmi_with_end="S C", live="S C", hotspots="S")
        return cls(**arrays, n_members=int(facts["n_members"]), groups=groups)


def _row_means(values: FloatArray, counted: BoolArray) -> FloatArray:
    """Average each row over its counted values; NaN where there are none."""
    count = counted.sum(axis=1)
    return np.where(count > 0, np.where(counted, values, 0.0).sum(axis=1) / np.maximum(count, 1), np.nan)
