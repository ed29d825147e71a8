"""The atlas of a sweep at the steps of training of which all its ensembles have kept snapshots."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from vaefrag_core.artifacts import Atlas, OverTraining, Snapshots
from vaefrag_core.structure.atlas import SweepEnsemble


@dataclass(frozen=True, eq=False)
class TrainingHistory:
    """An ensemble over its training.

    Args:
        snapshots: its posteriors at each step.
        over_training: the analysis of each step, hotspots included.
    """

    snapshots: Snapshots
    over_training: OverTraining

    def at(self, step: int, end: SweepEnsemble) -> SweepEnsemble:
        """Return the ensemble as it was at one of its steps.

        Args:
            step: step of training.
            end: the same ensemble at the end.
        """
        s = self.over_training.steps.tolist().index(step)
        return replace(
            end,
            posteriors=self.snapshots.posteriors(s, end.posteriors),
            information_bits=self.over_training.information_bits[s],
            live=self.over_training.live[s],
            groups=self.over_training.groups[s],
            spaces=None,  # whole members are compared at the end only
        )


def shared_steps(histories: Sequence[TrainingHistory | None]) -> tuple[int, ...]:
    """Return the steps that all ensembles have, ascending; () when one of them has no history."""
    steps = [set(history.over_training.steps.tolist()) for history in histories if history is not None]
    return tuple(sorted(set.intersection(*steps))) if steps and len(steps) == len(histories) else ()


def with_lineages_of(earlier: Atlas, end: Atlas) -> Atlas:
    """Number the lineages of an atlas at a step like those at the end with which they share most channels.

    A channel's number means the same throughout training, so that nothing has to be compared. Lineages that share none,
    or come second, take numbers that the end does not use.

    Args:
        earlier: the atlas at a step of training.
        end: the atlas at the end.
    """
    shared: Counter[tuple[int, int]] = Counter()
    for p, (point, end_point) in enumerate(zip(earlier.points, end.points, strict=True)):
        for group in point.hotspots:
            for other in end_point.hotspots:
                common = len(set(group.channels) & set(other.channels))
                shared[earlier.lineages[p][group.number], end.lineages[p][other.number]] += common
    number: dict[int, int] = {}
    for (lineage, end_lineage), common in shared.most_common():
        if common and lineage not in number and end_lineage not in number.values():
            number[lineage] = end_lineage
    unused = 1 + max((lineage for row in end.lineages for lineage in row), default=-1)
    for lineage in sorted({lineage for row in earlier.lineages for lineage in row} - number.keys()):
        number[lineage] = unused
        unused += 1
    return replace(earlier, lineages=tuple(tuple(number[lineage] for lineage in row) for row in earlier.lineages))
