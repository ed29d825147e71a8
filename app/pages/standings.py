"""How the ensembles of a sweep stand: from the record of jobs while one is open, else from their files."""

from collections import Counter
from dataclasses import dataclass

from app.pages.site import Site
from vaefrag_core.errors import VaefragError


@dataclass(frozen=True)
class Standing:
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
        analysed: whether there is an analysis.
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
    analysed: bool = False
    snapshots: int = 0


def standing_of(site: Site, value: float, ensemble_id: str, drawn_from: str | None) -> Standing:
    """Say how an ensemble stands.

    Args:
        site: queries and the record.
        value: of the coefficient.
        ensemble_id: the ensemble.
        drawn_from: the key of the analysis from which the atlas was drawn; None when it is not in it.
    """
    queries = site.queries
    try:
        record = queries.store.record(ensemble_id)
    except VaefragError:
        return Standing(value, ensemble_id, "cannot be read")
    try:
        key = queries.store.analysis_index(ensemble_id).key
    except VaefragError:
        key = ""
    current = bool(key) and drawn_from == key
    members, snapshots = record.spec.members, record.spec.train.snapshots
    job = site.book.open_job(ensemble_id, "train")
    if job is not None:
        done, failed = job.counts.get("done", 0), job.counts.get("failed", 0)
        word = f"{'paused' if job.state == 'paused' else 'in training'}, {done} of {members} members trained"
        return Standing(value, ensemble_id, word, done, failed, members, True, False, bool(key), snapshots)
    analysis = site.book.open_job(ensemble_id, "analyze")
    if current and analysis is None:
        return Standing(value, ensemble_id, "analysed", members, 0, members, False, True, True, snapshots)
    counts = Counter(status.state for status in queries.members(record))
    done, failed = counts["done"], counts["failed"]
    if analysis is not None:
        word = "being analysed"
    elif failed == members:
        word = "failed"
    elif _analysis_failed(site, ensemble_id):
        word = "analysis failed"
    elif done + failed < members:
        word = f"stopped, {done} of {members} members trained"
    else:
        word = "analysed, not in the atlas yet" if key else "not analysed yet"
    at_work = analysis is not None
    return Standing(value, ensemble_id, word, done, failed, members, at_work, current, bool(key), snapshots)


def _analysis_failed(site: Site, ensemble_id: str) -> bool:
    """Tell whether the newest analysis that was asked for came to nothing."""
    jobs = (job for job in site.book.jobs() if job.submission.ensemble_id == ensemble_id)
    newest = next((job for job in jobs if job.submission.kind == "analyze"), None)
    return newest is not None and newest.state == "failed"
