"""A sweep as jobs: submitted, and stopped, all together."""

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from vaefrag.commands import training_runs
from vaefrag.jobs.engine_job_store import EngineJobStore
from vaefrag.jobs.job_store import JobStore
from vaefrag.jobs.job_watcher import follow_all
from vaefrag.settings import Settings
from vaefrag_core.ensemble_store import EnsembleStore
from vaefrag_core.sweeps import SweepStore, resolve_sweep


class Keeper:
    """Of an engine that is never looked for."""

    def failure(self) -> str:
        return ""

    def ensure(self) -> None:
        return None


@pytest.fixture
def detached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Leave a sweep to an engine that does not come."""
    monkeypatch.setattr(training_runs, "ensure_engine", lambda settings, slots: nullcontext())
    sweep, specs = resolve_sweep({"dataset": {"name": "digits"}, "train": {"beta": "1,2,4"}, "members": 2})
    assert sweep is not None
    return training_runs.train_sweep_detached(sweep, specs, Settings(workspace=tmp_path), workers=1, estimator=None)


def test_a_detached_sweep_is_one_job_for_each_value(detached: dict[str, Any], tmp_path: Path) -> None:
    (sweep,) = SweepStore(EnsembleStore(tmp_path)).sweeps()
    jobs = JobStore(tmp_path).jobs()[::-1]
    assert detached["sweep"] == sweep.id
    assert [row["job"] for row in detached["ensembles"]] == [job.id for job in jobs]
    assert [row["value"] for row in detached["ensembles"]] == [1, 2, 4]
    assert [job.submission.ensemble_id for job in jobs] == list(sweep.ensembles)
    assert {(job.submission.most_slots, job.submission.analyze) for job in jobs} == {(1, False)}


def test_a_wish_to_stop_pauses_every_job_that_has_not_ended(detached: dict[str, Any], tmp_path: Path) -> None:
    job_store, engine = JobStore(tmp_path), EngineJobStore(tmp_path)
    jobs = [row["job"] for row in detached["ensembles"]]
    engine.sync()
    engine.open[jobs[0]].update(state="done", ended=1.0)
    engine.flush()
    calls: list[bool] = []

    def should_stop() -> bool:
        if calls:  # what the engine makes of it, one job after the other
            engine.sync()
            wishes = {job_id: engine.open[job_id].desired.state for job_id in jobs[1:]}
            assert wishes == {jobs[1]: "pause", jobs[2]: "pause"}
            engine.open[jobs[min(len(calls), 2)]].update(state="paused")
            engine.flush()
        calls.append(True)
        return True

    ended = follow_all(job_store, jobs, Keeper(), should_stop=should_stop)  # type: ignore[arg-type]
    assert [snapshot.job.state for snapshot in ended] == ["done", "paused", "paused"]
    assert len(calls) == 3
