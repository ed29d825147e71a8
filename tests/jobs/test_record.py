"""The record: what is asked for stays, what is read costs nothing, and older records can be read."""

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from app.jobs import record
from app.jobs.ledger import Ledger
from app.jobs.record import JobBook
from app.jobs.rows import MemberRow, pack_members, unpack_members
from vaefrag_core.config import AnalysisConfig, EnsembleSpec, TrainConfig
from vaefrag_core.errors import BrokenFileError, InvalidInputError, MissingDataError


def spec_of(members: int = 3, seed: int = 0) -> EnsembleSpec:
    return EnsembleSpec(members=members, train=TrainConfig(seed=seed))


def test_looking_makes_nothing(tmp_path: Path) -> None:
    book = JobBook(tmp_path)
    assert book.jobs() == []
    assert book.workers() == []
    assert book.revision() == 0
    with pytest.raises(MissingDataError, match="There is no job 'x'"):
        book.snapshot("x")
    assert list(tmp_path.iterdir()) == []


def test_a_job_is_read_back_as_it_was_asked_for(tmp_path: Path) -> None:
    job_id = JobBook(tmp_path).submit_training(spec_of(), who="ada", most_slots=2)
    snapshot = JobBook(tmp_path).snapshot(job_id)
    assert EnsembleSpec.model_validate(snapshot.job.submission.request) == spec_of()
    assert (snapshot.job.submission.who, snapshot.job.submission.most_slots) == ("ada", 2)
    assert snapshot.job.state == "queued"
    assert snapshot.job.counts == {"queued": 3}
    assert [row.index for row in snapshot.members] == [0, 1, 2]


def test_a_double_click_makes_one_job_and_lets_a_paused_one_go_on(tmp_path: Path) -> None:
    book = JobBook(tmp_path)
    first = book.submit_training(spec_of())
    book.wish(first, "pause")
    assert book.submit_training(spec_of()) == first
    assert book.job(first).wish.want == "run"
    assert book.submit_training(spec_of(seed=1)) != first
    assert len(book.job_ids()) == 2


def test_two_analyses_of_one_ensemble_differ_by_their_settings(tmp_path: Path) -> None:
    book = JobBook(tmp_path)
    one = book.submit_analysis("x")
    assert book.submit_analysis("x") == one
    assert book.submit_analysis("x", AnalysisConfig(map={"seed": 3})) != one  # type: ignore[arg-type]


def test_wishes_that_mean_nothing_are_refused(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    job_id = ledger.submit_training(spec_of())
    with pytest.raises(InvalidInputError, match="is queued: nothing of it failed"):
        ledger.retry(job_id)
    ledger.take_in()
    ledger.open[job_id].update(state="done", ended=1.0)
    ledger.flush()
    with pytest.raises(InvalidInputError, match=r"is done\. Only a job that runs, waits or is paused"):
        ledger.wish(job_id, "cancel")


def test_a_revision_moves_with_its_job_alone(tmp_path: Path) -> None:
    book = JobBook(tmp_path)
    first, second = book.submit_training(spec_of()), book.submit_training(spec_of(seed=1))
    before = book.revision(first), book.revision(second), book.revision()
    book.wish(second, "pause")
    assert book.revision(first) == before[0]
    assert book.revision(second) > before[1]
    assert book.revision() > before[2]


def test_the_engine_sees_a_wish_and_the_pages_see_what_came_of_it(tmp_path: Path) -> None:
    ledger, book = Ledger(tmp_path), JobBook(tmp_path)
    job_id = book.submit_training(spec_of(members=130))
    ledger.take_in()
    book.wish(job_id, "cancel")
    ledger.take_in()
    assert ledger.open[job_id].wish.want == "cancel"
    ledger.open[job_id].update_row(129, state="running", step=50, loss=1.5, kl_nats=(0.5, 0.25))
    ledger.open[job_id].say("A line.")
    ledger.flush()
    row = book.snapshot(job_id).members[129]
    assert (row.state, row.step, row.loss, row.kl_nats) == ("running", 50, 1.5, (0.5, 0.25))
    assert book.job(job_id).counts == {"queued": 129, "running": 1}
    assert [line.text for line in book.log(job_id)] == ["A line."]


def test_progress_alone_is_written_rarely_and_a_block_at_a_time(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    job_id = ledger.submit_training(spec_of(members=300))
    ledger.take_in()
    for m in range(300):
        ledger.open[job_id].update_row(m, step=1)
    ledger.flush()
    ledger.open[job_id].update_row(70, step=2)
    assert ledger.open[job_id].changed_blocks == {1}
    revision = ledger.revision()
    ledger.flush(progress_too=False)
    assert ledger.revision() == revision
    ledger.flush()
    assert ledger.revision() > revision


def test_what_could_not_be_written_is_written_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = Ledger(tmp_path)
    job_id = ledger.submit_training(spec_of())
    ledger.take_in()
    ledger.open[job_id].update_row(0, state="done")
    with monkeypatch.context() as patch:
        patch.setattr(Ledger, "_bump", _full)
        with pytest.raises(OSError, match="full"):
            ledger.flush()
    assert JobBook(tmp_path).snapshot(job_id).members[0].state == "queued"
    ledger.flush()
    assert JobBook(tmp_path).snapshot(job_id).members[0].state == "done"


def _full(*arguments: object) -> None:
    raise OSError("full")


def test_reading_waits_for_no_writer(tmp_path: Path) -> None:
    book, writer = JobBook(tmp_path), JobBook(tmp_path)
    job_id = book.submit_training(spec_of())
    book.snapshot(job_id)
    with writer._writing() as cache:
        cache["revision"] = 99
        began = time.perf_counter()
        found: list[int] = []
        thread = threading.Thread(target=lambda: found.append(book.revision()))
        thread.start()
        thread.join(5)
        assert found != [99]
        assert found
        assert time.perf_counter() - began < 1


def test_reading_needs_neither_torch_nor_dask(tmp_path: Path) -> None:
    JobBook(tmp_path).submit_training(spec_of())
    script = (
        "import sys, json; from app.jobs.record import JobBook; jobs = JobBook(sys.argv[1]).jobs();"
        "print(json.dumps([len(jobs), sorted({'torch', 'dask', 'distributed', 'umap', 'sklearn'} & set(sys.modules))]))"
    )
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == [1, []]


def test_a_look_at_300_members_that_have_not_changed_is_quick(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    job_id = ledger.submit_training(spec_of(members=300))
    ledger.take_in()
    for m in range(300):
        ledger.open[job_id].update_row(m, state="running", step=100, loss=1.0, kl_nats=(0.1,) * 10)
    ledger.flush()
    book = JobBook(tmp_path)
    book.revision(job_id)
    began = time.perf_counter()
    for _ in range(100):
        book.revision(job_id)
    assert (time.perf_counter() - began) / 100 < 0.010
    began = time.perf_counter()
    book.snapshot(job_id)
    assert time.perf_counter() - began < 0.25


def _submit_for_ever(workspace: str) -> None:
    book = JobBook(workspace)
    for seed in range(100_000):
        book.submit_training(spec_of(seed=seed))


def test_a_writer_killed_anywhere_leaves_whole_jobs(tmp_path: Path) -> None:
    book = JobBook(tmp_path)
    for _ in range(3):
        before = len(book.job_ids())
        child = multiprocessing.get_context("spawn").Process(target=_submit_for_ever, args=(str(tmp_path),))
        child.start()
        deadline = time.monotonic() + 60
        while len(book.job_ids()) < before + 5:
            assert time.monotonic() < deadline
            time.sleep(0.001)
        assert child.pid is not None
        os.kill(child.pid, signal.SIGKILL)
        child.join()
        for job in book.jobs(limit=10_000):
            EnsembleSpec.model_validate(job.submission.request)
        seed = 1_000_000 + before
        assert book.submit_training(spec_of(seed=seed)) in book.job_ids()


def test_an_older_record_is_brought_up_step_by_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    book = JobBook(tmp_path)
    job_id = book.submit_training(spec_of())
    book.close()
    monkeypatch.setattr(record, "FORMAT", 3)
    monkeypatch.setattr(
        record, "MIGRATIONS", {1: lambda cache: cache.set("steps", [1]), 2: lambda cache: cache.set("steps", [1, 2])}
    )
    ledger = Ledger(tmp_path)
    assert ledger._get("steps", None) == [1, 2]
    assert ledger._get("format", None) == 3
    assert ledger.job(job_id).state == "queued"


def test_a_newer_record_is_not_touched(tmp_path: Path) -> None:
    book = JobBook(tmp_path)
    book.submit_training(spec_of())
    book._cache["format"] = 99
    book.close()
    with pytest.raises(BrokenFileError, match="format 1 or older, got 99"):
        JobBook(tmp_path).jobs()


def test_rows_of_other_versions_are_read_by_name() -> None:
    packed = pack_members([MemberRow(4, "done", step=7)])
    packed["fields"].append("mood")
    packed["rows"][0].append("good")
    left_out = packed["fields"].index("worker")
    del packed["fields"][left_out], packed["rows"][0][left_out]
    assert unpack_members(json.loads(json.dumps(packed))) == [MemberRow(4, "done", step=7)]


def test_of_analyses_made_along_the_way_the_last_one_stays(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)

    def ended(ensemble: str, *, partial: bool, state: str = "done") -> str:
        job_id = ledger.submit_analysis(ensemble, partial=partial)
        ledger.take_in()
        ledger.open[job_id].update(state=state, ended=time.time())
        ledger.flush()
        return job_id

    whole, other, first = ended("a", partial=False), ended("b", partial=True), ended("a", partial=True)
    assert ledger.job_ids() == [whole, other, first]
    second = ended("a", partial=True, state="failed")
    assert ledger.job_ids() == [whole, other, second]
    with pytest.raises(MissingDataError):
        JobBook(tmp_path).job(first)
    assert [key for key in ledger._cache if first in key] == []
