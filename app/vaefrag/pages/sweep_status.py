"""How far the ensembles of a sweep are."""

from dataclasses import dataclass

from vaefrag.jobs.ensemble_status import ACTIVE_STATES, count_failed_members, open_job, status_of
from vaefrag.pages.site import Site
from vaefrag_core.errors import VaefragError


@dataclass(frozen=True)
class SweepStatus:
    """How far one ensemble of a sweep is.

    Args:
        value: the coefficient's value.
        ensemble_id: the ensemble.
        word: its state in short.
        done: how many members are trained.
        failed: how many members failed.
        members: how many there are.
        at_work: whether a job is open.
        current: whether its newest analysis is in the atlas.
        snapshots: at how many steps its members are saved.
    """

    value: float
    ensemble_id: str
    word: str
    done: int = 0
    failed: int = 0
    members: int = 0
    at_work: bool = False
    current: bool = False
    snapshots: int = 0


def sweep_status_of(site: Site, value: float, ensemble_id: str, drawn_from: str | None) -> SweepStatus:
    """Return how far an ensemble of a sweep is.

    Args:
        site: queries and the job store.
        value: the coefficient's value.
        ensemble_id: the ensemble.
        drawn_from: the key of the analysis that is in the atlas; None when none is.
    """
    try:
        record = site.queries.store.record(ensemble_id)
    except VaefragError:
        return SweepStatus(value, ensemble_id, "cannot be read")
    try:
        key = site.queries.store.analysis_index(ensemble_id).key
    except VaefragError:
        key = ""
    members, snapshots = record.source.n_members, record.source.snapshots
    if key and drawn_from == key and open_job(ensemble_id, site.job_store) is None:
        # Not from the members' files: this is asked at every look.
        failed = count_failed_members(ensemble_id, site.job_store)
        word = "analysed" + (f", {failed} of {members} members failed" if failed else "")
        return SweepStatus(value, ensemble_id, word, members - failed, failed, members, False, True, snapshots)
    status = status_of(record, site.queries.store, site.job_store)
    word = status.words
    if status.state == "trained":
        word = "analysed, not in the atlas yet" if key else "not analysed yet"
    at_work, failed = status.state in ACTIVE_STATES, len(status.failed)
    return SweepStatus(value, ensemble_id, word, status.done, failed, members, at_work, False, snapshots)
