"""The atlas of a sweep at steps of training: what its ensembles were at each step that all of them kept."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from vaefrag_core.artifacts import Atlas, OverTraining, Posteriors, Snapshots
from vaefrag_core.structure.atlas import SweepEnsemble


@dataclass(frozen=True, eq=False)
class TrainingHistory:
    """An ensemble over its training.

    Args:
        snapshots: its posteriors at each step.
        found: what was found in them, hotspots included.
    """

    snapshots: Snapshots
    found: OverTraining

    def at(self, step: int, end: SweepEnsemble) -> SweepEnsemble:
        """Give the ensemble as it was at one of its steps.

        Args:
            step: of training.
            end: the same ensemble at the end.
        """
        s = self.found.steps.tolist().index(step)
        then = Posteriors(
            np.array(self.snapshots.mean[s]),
            np.array(self.snapshots.logvar[s]),
            sample_id=end.posteriors.sample_id,
            member_ids=end.posteriors.member_ids,
        )
        return replace(
            end,
            posteriors=then,
            information_bits=self.found.information_bits[s],
            live=self.found.live[s],
            groups=self.found.groups[s],
            spaces=None,  # whole members are compared at the end only
        )


def shared_steps(courses: Sequence[TrainingHistory | None]) -> tuple[int, ...]:
    """Give the steps that all of them have, ascending; none when one of them was not followed over training."""
    known = [set(course.found.steps.tolist()) for course in courses if course is not None]
    return tuple(sorted(set.intersection(*known))) if known and len(known) == len(courses) else ()


def threaded_like(then: Atlas, end: Atlas) -> Atlas:
    """Name the threads of an atlas at a step after those at the end with which they share most channels.

    A channel's number means the same throughout training, so that nothing has to be compared. Threads that share none,
    or come second, take numbers that the end does not use.
    """
    shared: Counter[tuple[int, int]] = Counter()
    for p, (here, there) in enumerate(zip(then.points, end.points, strict=True)):
        for group in here.hotspots:
            for other in there.hotspots:
                common = len(set(group.channels) & set(other.channels))
                shared[then.threads[p][group.label], end.threads[p][other.label]] += common
    named: dict[int, int] = {}
    for (thread, like), common in shared.most_common():
        if common and thread not in named and like not in named.values():
            named[thread] = like
    unused = 1 + max((thread for threads in end.threads for thread in threads), default=-1)
    for thread in sorted({thread for threads in then.threads for thread in threads} - named.keys()):
        named[thread] = unused
        unused += 1
    return replace(then, threads=tuple(tuple(named[thread] for thread in threads) for threads in then.threads))
