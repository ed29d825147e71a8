"""How the ensembles of a sweep stand."""

from dataclasses import dataclass

from vaefrag.jobs.ensemble_status import ACTIVE_STATES, count_failed_members, open_job, status_of
from vaefrag.pages.site import Site
from vaefrag_core.errors import VaefragError


@dataclass(frozen=True)
class SweepStatus:
    """How one ensemble of a sweep stands.

    Args:
        value: of the coefficient.
        ensemble_id: the ensemble.
        word: in short.
        done: members trained.
        failed: members that failed.
        members: all of them.
        at_work: whether a job is open.
        current: whether its newest analysis is in the atlas.
        snapshots: steps at which its members are kept.
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
    """Say how an ensemble of a sweep stands.

    Args:
        site: queries and the record.
        value: of the coefficient.
        ensemble_id: the ensemble.
        drawn_from: the key of the analysis from which the atlas was drawn; None when it is not in it.
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
    standing = status_of(record, site.queries.store, site.job_store)
    word = standing.words
    if standing.state == "trained":
        word = "analysed, not in the atlas yet" if key else "not analysed yet"
    at_work, failed = standing.state in ACTIVE_STATES, len(standing.failed)
    return SweepStatus(value, ensemble_id, word, standing.done, failed, members, at_work, False, snapshots)
