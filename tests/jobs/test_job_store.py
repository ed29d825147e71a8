"""The job store: what is submitted stays, reading it costs nothing, and older stores can be read."""

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import diskcache
import pytest

from vaefrag.jobs import job_file
from vaefrag.jobs.engine_job_store import EngineJobStore
from vaefrag.jobs.job_models import MemberRecord, pack_members, unpack_members
from vaefrag.jobs.job_store import JobStore
from vaefrag_core.config import AnalysisConfig, EnsembleSpec, TrainConfig
from vaefrag_core.errors import BrokenFileError, InvalidInputError, MissingDataError


def spec_of(members: int = 3, seed: int = 0) -> EnsembleSpec:
    return EnsembleSpec(members=members, train=TrainConfig(seed=seed))


def test_looking_makes_nothing(tmp_path: Path) -> None:
    job_store = JobStore(tmp_path)
    assert job_store.jobs() == []
    assert job_store.workers() == []
    assert job_store.revision() == 0
    with pytest.raises(MissingDataError, match="There is no job 'x'"):
        job_store.snapshot("x")
    assert list(tmp_path.iterdir()) == []


def test_a_job_is_read_back_as_it_was_asked_for(tmp_path: Path) -> None:
    job_id = JobStore(tmp_path).submit_training(spec_of(), who="ada", most_slots=2)
    snapshot = JobStore(tmp_path).snapshot(job_id)
    assert EnsembleSpec.model_validate(snapshot.job.submission.request) == spec_of()
    assert (snapshot.job.submission.who, snapshot.job.submission.most_slots) == ("ada", 2)
    assert snapshot.job.state == "queued"
    assert snapshot.job.counts == {"queued": 3}
    assert [row.index for row in snapshot.members] == [0, 1, 2]


def test_a_double_click_makes_one_job_and_lets_a_paused_one_go_on(tmp_path: Path) -> None:
    job_store = JobStore(tmp_path)
    first = job_store.submit_training(spec_of())
    job_store.set_desired_state(first, "pause")
    assert job_store.submit_training(spec_of()) == first
    assert job_store.job(first).desired.state == "run"
    assert job_store.submit_training(spec_of(seed=1)) != first
    assert len(job_store.job_ids()) == 2


def test_two_analyses_of_one_ensemble_differ_by_their_settings(tmp_path: Path) -> None:
    job_store = JobStore(tmp_path)
    one = job_store.submit_analysis("x")
    assert job_store.submit_analysis("x") == one
    assert job_store.submit_analysis("x", AnalysisConfig(map={"seed": 3})) != one  # type: ignore[arg-type]


def test_wishes_that_mean_nothing_are_refused(tmp_path: Path) -> None:
    engine_store = EngineJobStore(tmp_path)
    job_id = engine_store.submit_training(spec_of())
    with pytest.raises(InvalidInputError, match="is queued: nothing of it failed"):
        engine_store.retry(job_id)
    engine_store.sync()
    engine_store.open[job_id].update(state="done", ended=1.0)
    engine_store.flush()
    with pytest.raises(InvalidInputError, match=r"is done\. Only a job that runs, waits or is paused"):
        engine_store.set_desired_state(job_id, "cancel")


def test_a_revision_moves_with_its_job_alone(tmp_path: Path) -> None:
    job_store = JobStore(tmp_path)
    first, second = job_store.submit_training(spec_of()), job_store.submit_training(spec_of(seed=1))
    before = job_store.revision(first), job_store.revision(second), job_store.revision()
    job_store.set_desired_state(second, "pause")
    assert job_store.revision(first) == before[0]
    assert job_store.revision(second) > before[1]
    assert job_store.revision() > before[2]


def test_the_engine_sees_a_wish_and_the_pages_see_what_came_of_it(tmp_path: Path) -> None:
    engine_store, job_store = EngineJobStore(tmp_path), JobStore(tmp_path)
    job_id = job_store.submit_training(spec_of(members=130))
    engine_store.sync()
    job_store.set_desired_state(job_id, "cancel")
    engine_store.sync()
    assert engine_store.open[job_id].desired.state == "cancel"
    engine_store.open[job_id].update_member(129, state="running", step=50, loss=1.5, kl_nats=(0.5, 0.25))
    engine_store.open[job_id].log("A line.")
    engine_store.flush()
    row = job_store.snapshot(job_id).members[129]
    assert (row.state, row.step, row.loss, row.kl_nats) == ("running", 50, 1.5, (0.5, 0.25))
    assert job_store.job(job_id).counts == {"queued": 129, "running": 1}
    assert [line.text for line in job_store.log_lines(job_id)] == ["A line."]


def test_progress_alone_is_written_rarely_and_a_block_at_a_time(tmp_path: Path) -> None:
    engine_store = EngineJobStore(tmp_path)
    job_id = engine_store.submit_training(spec_of(members=300))
    engine_store.sync()
    for m in range(300):
        engine_store.open[job_id].update_member(m, step=1)
    engine_store.flush()
    engine_store.open[job_id].update_member(70, step=2)
    assert engine_store.open[job_id].changed_blocks == {1}
    revision = engine_store.revision()
    engine_store.flush(progress_too=False)
    assert engine_store.revision() == revision
    engine_store.flush()
    assert engine_store.revision() > revision


def test_what_could_not_be_written_is_written_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine_store = EngineJobStore(tmp_path)
    job_id = engine_store.submit_training(spec_of())
    engine_store.sync()
    engine_store.open[job_id].update_member(0, state="done")
    with monkeypatch.context() as patch:
        patch.setattr(EngineJobStore, "_count_change", _full)
        with pytest.raises(OSError, match="full"):
            engine_store.flush()
    assert JobStore(tmp_path).snapshot(job_id).members[0].state == "queued"
    engine_store.flush()
    assert JobStore(tmp_path).snapshot(job_id).members[0].state == "done"


def _full(*arguments: object) -> None:
    raise OSError("full")


def test_reading_waits_for_no_writer(tmp_path: Path) -> None:
    job_store, writer = JobStore(tmp_path), JobStore(tmp_path)
    job_id = job_store.submit_training(spec_of())
    job_store.snapshot(job_id)
    with writer._writing() as cache:
        cache["revision"] = 99
        began = time.perf_counter()
        revisions: list[int] = []
        thread = threading.Thread(target=lambda: revisions.append(job_store.revision()))
        thread.start()
        thread.join(5)
        assert revisions != [99]
        assert revisions
        assert time.perf_counter() - began < 1


def test_reading_needs_neither_torch_nor_dask(tmp_path: Path) -> None:
    JobStore(tmp_path).submit_training(spec_of())
    script = (
        "import sys, json; from vaefrag.jobs.job_store import JobStore; jobs = JobStore(sys.argv[1]).jobs();"
        "print(json.dumps([len(jobs), sorted({'torch', 'dask', 'distributed', 'umap', 'sklearn'} & set(sys.modules))]))"
    )
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == [1, []]


def test_a_look_at_300_members_that_have_not_changed_is_quick(tmp_path: Path) -> None:
    engine_store = EngineJobStore(tmp_path)
    job_id = engine_store.submit_training(spec_of(members=300))
    engine_store.sync()
    for m in range(300):
        engine_store.open[job_id].update_member(m, state="running", step=100, loss=1.0, kl_nats=(0.1,) * 10)
    engine_store.flush()
    job_store = JobStore(tmp_path)
    job_store.revision(job_id)
    began = time.perf_counter()
    for _ in range(100):
        job_store.revision(job_id)
    assert (time.perf_counter() - began) / 100 < 0.010
    began = time.perf_counter()
    job_store.snapshot(job_id)
    assert time.perf_counter() - began < 0.25


def _submit_for_ever(workspace: str) -> None:
    job_store = JobStore(workspace)
    for seed in range(100_000):
        job_store.submit_training(spec_of(seed=seed))


def test_a_writer_killed_anywhere_leaves_whole_jobs(tmp_path: Path) -> None:
    job_store = JobStore(tmp_path)
    for _ in range(3):
        before = len(job_store.job_ids())
        child = multiprocessing.get_context("spawn").Process(target=_submit_for_ever, args=(str(tmp_path),))
        child.start()
        deadline = time.monotonic() + 60
        while len(job_store.job_ids()) < before + 5:
            assert time.monotonic() < deadline
            time.sleep(0.001)
        assert child.pid is not None
        os.kill(child.pid, signal.SIGKILL)
        child.join()
        for job in job_store.jobs(limit=10_000):
            EnsembleSpec.model_validate(job.submission.request)
        seed = 1_000_000 + before
        assert job_store.submit_training(spec_of(seed=seed)) in job_store.job_ids()


def test_an_older_record_is_brought_up_step_by_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job_store = JobStore(tmp_path)
    job_id = job_store.submit_training(spec_of())
    job_store.close()
    monkeypatch.setattr(job_file, "FORMAT", 3)
    monkeypatch.setattr(
        job_file,
        "MIGRATIONS",
        {1: lambda cache: cache.set("steps", [1]), 2: lambda cache: cache.set("steps", [1, 2])},
    )
    engine_store = EngineJobStore(tmp_path)
    assert engine_store._get("steps", None) == [1, 2]
    assert engine_store._get("format", None) == 3
    assert engine_store.job(job_id).state == "queued"


def test_a_newer_record_is_not_touched(tmp_path: Path) -> None:
    job_store = JobStore(tmp_path)
    job_store.submit_training(spec_of())
    job_store._cache["format"] = 99
    job_store.close()
    with pytest.raises(BrokenFileError, match="format 1 or older, got 99"):
        JobStore(tmp_path).jobs()


def test_rows_of_other_versions_are_read_by_name() -> None:
    packed = pack_members([MemberRecord(4, "done", step=7)])
    packed["fields"].append("mood")
    packed["rows"][0].append("good")
    left_out = packed["fields"].index("worker")
    del packed["fields"][left_out], packed["rows"][0][left_out]
    assert unpack_members(json.loads(json.dumps(packed))) == [MemberRecord(4, "done", step=7)]


def test_a_store_of_the_first_version_opens(tmp_path: Path) -> None:
    """Written as that version wrote it, name by name."""
    spec = spec_of(members=2).model_dump(mode="json")
    fields = [
        "index",
        "state",
        "attempt",
        "worker",
        "error",
        "step",
        "loss",
        "kl_nats",
        "steps_per_second",
        "seen",
        "task",
        "deaths",
        "died_at",
    ]
    stored = {
        "format": 1,
        "revision": 7,
        "inbox": 2,
        "order": ["a"],
        "job:a": {
            "id": "a",
            "kind": "train",
            "ensemble_id": "e",
            "title": "An ensemble",
            "request": spec,
            "members": 2,
            "who": "ada@box",
            "created": 1.0,
            "analyze": True,
            "most_slots": None,
            "partial": False,
        },
        "wish:a": {"want": "pause", "retries": 3, "who": "bob@box"},
        "progress:a": {
            "state": "paused",
            "error": "",
            "started": 2.0,
            "ended": None,
            "retries": 3,
            "analysed": 0,
            "analysed_at": 0.0,
            "stage": "",
            "share": 0.0,
            "attempt": 1,
            "deaths": 0,
            "counts": {"queued": 1, "done": 1},
        },
        "members:a:0": {
            "fields": fields,
            "rows": [
                [0, "done", 1, "box 7", "", 50, 1.5, [0.5, 0.25], 9.0, 3.0, "a-0-1-ff", 0, -1],
                [1, "queued", 0, "", "", 0, None, [], None, None, "", 0, -1],
            ],
        },
        "revision:a": 6,
        "log:a": [[2.5, "ada@box asked for it."]],
        "workers": [
            {
                "address": "tcp://127.0.0.1:1",
                "name": "box 7",
                "offers": {"cpu": 1},
                "job": "",
                "members": [],
                "cpu_percent": 0,
                "memory_bytes": 0,
            }
        ],
    }
    cache = diskcache.Cache(str(tmp_path / "jobs"), disk=diskcache.JSONDisk)
    for key, value in stored.items():
        cache[key] = value
    cache.close()
    job_store = JobStore(tmp_path)
    job, members = job_store.snapshot("a").job, job_store.snapshot("a").members
    assert (job.desired.state, job.desired.retries, job.desired.who) == ("pause", 3, "bob@box")
    assert (job.state, job.counts, job.revision) == ("paused", {"queued": 1, "done": 1}, 6)
    assert (members[0].state, members[0].kl_nats, members[0].worker) == ("done", (0.5, 0.25), "box 7")
    assert [line.text for line in job_store.log_lines("a")] == ["ada@box asked for it."]
    assert job_store.workers()[0].offers == {"cpu": 1}
    engine_store = EngineJobStore(tmp_path)
    engine_store.sync()
    assert engine_store.open["a"].desired.state == "pause"
    job_store.set_desired_state("a", "run", who="eve")
    assert job_store._get("wish:a", None) == {"want": "run", "retries": 3, "who": "eve"}  # for that version, too


def test_of_analyses_made_along_the_way_the_last_one_stays(tmp_path: Path) -> None:
    engine_store, pages = EngineJobStore(tmp_path), JobStore(tmp_path)

    def ended(ensemble: str, *, partial: bool, state: str = "done") -> str:
        job_id = engine_store.submit_analysis(ensemble, partial=partial)
        engine_store.sync()
        engine_store.open[job_id].update(state=state, ended=time.time())
        engine_store.flush()
        return job_id

    whole, other, first = ended("a", partial=False), ended("b", partial=True), ended("a", partial=True)
    assert engine_store.job_ids() == [whole, other, first]
    assert pages.snapshot(first).job.state == "done"
    second = ended("a", partial=True, state="failed")
    assert engine_store.job_ids() == [whole, other, second]
    for job_store in (JobStore(tmp_path), pages, engine_store):  # one that has never read it, and two that have
        for read in (job_store.job, job_store.snapshot, job_store.log_lines, job_store.retry):
            with pytest.raises(MissingDataError, match=f"There is no job '{first}'"):
                read(first)
        with pytest.raises(MissingDataError, match=f"There is no job '{first}'"):
            job_store.set_desired_state(first, "cancel")
    assert [key for key in engine_store._cache if first in key] == []


@pytest.mark.parametrize("has_read", [True, False])
def test_a_job_that_is_deleted_while_a_list_is_read_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_read: bool
) -> None:
    engine_store, pages = EngineJobStore(tmp_path), JobStore(tmp_path)
    first = engine_store.submit_analysis("a", partial=True)
    ids = pages.job_ids()
    if has_read:
        pages.job(first)
    for _ in range(2):
        engine_store.sync()
        for open_job in engine_store.open.values():
            open_job.update(state="done", ended=time.time())
        engine_store.flush()
        engine_store.submit_analysis("a", partial=True)
    second, third = engine_store.job_ids()
    monkeypatch.setattr(pages, "job_ids", lambda: [*ids, second, third, *ids])  # as they were read a moment before
    assert [job.id for job in pages.jobs()] == [third, second]
    newest = pages.newest_job("a", "analyze")
    assert newest is not None
    assert newest.id == third
    assert pages.open_job("a", "analyze") == newest
