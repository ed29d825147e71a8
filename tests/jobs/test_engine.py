"""The engine with real processes and real kills. What it does in between is read from the job store."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from support import wait_until
from support_jobs import Lab, kill, spec_of
from vaefrag.jobs.engine_process import engine_state
from vaefrag_core import pipeline
from vaefrag_core.ensemble_store import ensemble_id_of

STEPS = 1_000  # of a member that is killed on the way: long enough for that, and soon done
OFTEN = 0.1  # seconds between two checkpoints


def test_a_job_is_trained_and_analysed_by_itself(busy: Lab) -> None:
    spec = spec_of(members=4, steps=60)
    job_id = busy.job_store.submit_training(spec)
    busy.wait(lambda: busy.state(job_id) == "done")
    rows = busy.snapshot(job_id).members
    assert [(row.state, row.step, row.attempt) for row in rows] == [("done", 60, 1)] * 4
    assert all(len(row.kl_nats) == 3 and row.loss is not None for row in rows)
    ensemble_id = busy.job_store.job(job_id).submission.ensemble_id
    ours = [job for job in busy.job_store.jobs() if job.submission.ensemble_id == ensemble_id]
    assert [job.submission.kind for job in ours] == ["analyze", "train"]
    analysis = ours[0].id
    busy.wait(lambda: busy.state(analysis) == "done")
    assert busy.job_store.job(analysis).progress.analysed == 4
    assert busy.store.posteriors(ensemble_id).member_ids.tolist() == [0, 1, 2, 3]
    assert busy.store.analysis(ensemble_id).matrix.n_channels == 12


def test_there_is_one_engine_in_a_workspace(lab: Lab) -> None:
    lab.engine()
    second = lab.start("engine", "--workspace", str(lab.workspace))
    assert second.wait(30) == 1


def test_a_killed_worker_costs_nothing_but_time(busy: Lab, tmp_path: Path) -> None:
    spec = spec_of(members=4, steps=STEPS)  # two in each slot
    job_id = busy.job_store.submit_training(spec, analyze=False)
    reached = busy.wait_for_step(job_id)
    kill(busy.worker_pid(job_id))
    busy.wait(lambda: busy.snapshot(job_id).members[0].attempt == 2)
    busy.wait(lambda: busy.state(job_id) == "done", 120)
    assert reached > 0
    assert any("A worker died" in line.text for line in busy.job_store.log_lines(job_id))
    assert busy.weights_are_those_of_a_plain_run(spec, tmp_path / "plain")


def test_a_member_whose_workers_keep_dying_fails_and_says_so(busy: Lab) -> None:
    job_id = busy.job_store.submit_training(spec_of(), analyze=False)
    killed = 0
    while killed < 9:
        busy.wait(lambda last=killed: _begun_after(busy, job_id, last) or busy.state(job_id) == "failed")
        if busy.state(job_id) == "failed":
            break
        killed = busy.snapshot(job_id).members[0].attempt
        os.kill(busy.worker_pid(job_id), signal.SIGKILL)
    row = busy.snapshot(job_id).members[0]
    assert 3 <= row.attempt < 9
    assert "its worker died 3 times without progress" in row.error


def _begun_after(lab: Lab, job_id: str, attempt: int) -> bool:
    row = lab.snapshot(job_id).members[0]
    return row.attempt > attempt and bool(row.worker) and row.state == "running"


def test_an_engine_killed_with_all_its_workers_goes_on_where_it_was(lab: Lab, tmp_path: Path) -> None:
    first = lab.engine(slots=1, checkpoint_seconds=OFTEN)
    done, going, waiting = spec_of(steps=50), spec_of(steps=STEPS // 2, objective="factor-vae"), spec_of(steps=100)
    jobs = [lab.job_store.submit_training(spec, analyze=False) for spec in (done, going, waiting)]
    lab.wait(lambda: lab.state(jobs[0]) == "done")
    lab.wait_for_step(jobs[1])
    worker = lab.worker_pid(jobs[1])
    finished = (lab.store.members_folder(lab.job_store.job(jobs[0]).submission.ensemble_id) / "0").stat().st_mtime_ns
    first.kill()
    first.wait()
    wait_until(lambda: not _alive(worker))
    assert lab.state(jobs[1]) == "running"  # as it was left
    lab.engine(slots=1)
    lab.wait(lambda: [lab.state(job_id) for job_id in jobs] == ["done"] * 3, 120)
    attempts = [lab.snapshot(job_id).members[0].attempt for job_id in jobs]
    assert attempts == [1, 2, 1]
    assert (
        lab.store.members_folder(lab.job_store.job(jobs[0]).submission.ensemble_id) / "0"
    ).stat().st_mtime_ns == finished
    assert lab.weights_are_those_of_a_plain_run(going, tmp_path / "plain")


def test_pause_keeps_what_was_learnt_and_resume_goes_on(busy: Lab, tmp_path: Path) -> None:
    spec = spec_of(steps=STEPS)
    job_id = busy.job_store.submit_training(spec, analyze=False)
    busy.wait(lambda: busy.snapshot(job_id).members[0].step > 0)
    busy.job_store.set_desired_state(job_id, "pause")
    busy.wait(lambda: busy.state(job_id) == "paused", 4)
    step = busy.snapshot(job_id).members[0].step
    assert 0 < step < STEPS
    assert busy.snapshot(job_id).members[0].state == "queued"
    busy.job_store.set_desired_state(job_id, "run")
    busy.wait(lambda: busy.state(job_id) == "done", 120)
    assert busy.weights_are_those_of_a_plain_run(spec, tmp_path / "plain")


def test_cancel_ends_a_job_within_two_seconds_and_retry_brings_it_back(busy: Lab) -> None:
    job_id = busy.job_store.submit_training(spec_of(members=40), analyze=False)
    busy.wait(lambda: all(row.step > 0 for row in busy.snapshot(job_id).members))
    busy.job_store.set_desired_state(job_id, "cancel")
    busy.wait(lambda: busy.state(job_id) == "cancelled", 2)
    assert busy.job_store.job(job_id).counts == {"cancelled": 40}
    step = busy.snapshot(job_id).members[0].step
    busy.job_store.retry(job_id)
    busy.wait(lambda: all(row.step > step for row in busy.snapshot(job_id).members))
    busy.job_store.set_desired_state(job_id, "cancel")
    busy.wait(lambda: busy.state(job_id) == "cancelled", 4)


def test_cancel_does_not_wait_for_a_process_that_still_starts(busy: Lab) -> None:
    job_id = busy.job_store.submit_training(spec_of(), analyze=False)
    busy.wait(lambda: busy.snapshot(job_id).members[0].step > 0)
    kill(busy.worker_pid(job_id))
    busy.wait(lambda: _begun_after(busy, job_id, 1))  # in a new process, which has PyTorch to load
    busy.job_store.set_desired_state(job_id, "cancel")
    busy.wait(lambda: busy.state(job_id) == "cancelled", 1)
    after = busy.job_store.submit_training(spec_of(members=2, steps=50), analyze=False)
    busy.wait(lambda: busy.state(after) == "done")
    assert busy.job_store.job(job_id).counts == {"cancelled": 1}


def test_a_worker_that_does_not_listen_is_killed_and_its_neighbour_left_alone(busy: Lab) -> None:
    deaf, neighbour = (busy.job_store.submit_training(spec_of(), analyze=False) for _ in range(2))
    busy.wait(lambda: all(busy.snapshot(job_id).members[0].step > 0 for job_id in (deaf, neighbour)))
    stopped, other = busy.worker_pid(deaf), busy.worker_pid(neighbour)
    os.kill(stopped, signal.SIGSTOP)
    busy.job_store.set_desired_state(deaf, "cancel")
    busy.wait(lambda: busy.state(deaf) == "cancelled", 20)
    assert not _alive(stopped)
    assert _alive(other)
    step = busy.snapshot(neighbour).members[0].step
    busy.wait(lambda: busy.snapshot(neighbour).members[0].step > step)
    assert busy.snapshot(neighbour).members[0].attempt == 1


def test_an_analysis_does_not_wait_for_a_long_training(busy: Lab) -> None:
    analysed = spec_of(members=3, steps=50)
    pipeline.train(analysed, busy.store)
    training = busy.job_store.submit_training(spec_of(members=2), analyze=False)
    busy.wait(lambda: all(row.step > 0 for row in busy.snapshot(training).members))  # both slots
    analysis = busy.job_store.submit_analysis(ensemble_id_of(analysed))
    busy.wait(lambda: busy.state(analysis) in ("done", "failed"), 90)
    assert busy.job_store.job(analysis).progress.error == ""
    step = busy.snapshot(training).members[0].step
    busy.wait(lambda: busy.snapshot(training).members[0].step > step)


def test_a_full_disk_fails_the_member_and_leaves_the_record_whole(busy: Lab, tmp_path: Path) -> None:
    """The members' folder is on a file system that holds not even one checkpoint."""
    spec = spec_of(steps=200)
    folder = busy.store.members_folder(busy.store.create(spec).id)
    with small_disk(folder):
        job_id = busy.job_store.submit_training(spec, analyze=False)
        busy.wait(lambda: busy.state(job_id) == "failed")
        row = busy.snapshot(job_id).members[0]
        assert (row.state, row.attempt) == ("failed", 1)
        assert "The disk is full" in row.error
    busy.job_store.retry(job_id)
    busy.wait(lambda: busy.state(job_id) == "done")
    assert busy.weights_are_those_of_a_plain_run(spec, tmp_path / "plain")


@contextmanager
def small_disk(folder: Path) -> Iterator[None]:
    folder.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", "size=16k", "none", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small file system needs to be root")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def test_an_engine_that_a_command_started_ends_when_nobody_needs_it(lab: Lab) -> None:
    done = subprocess.run(
        [*_command("train"), "--members", "2", "--steps", "50", "--workspace", str(lab.workspace), "--no-analyze"],
        env=os.environ | {"VAEFRAG_ENGINE_IDLE_SECONDS": "0.5", "VAEFRAG_SLOTS": "1"},
        check=False,
    )
    assert done.returncode == 0
    wait_until(lambda: not engine_state(lab.workspace).running, 20)


def _command(name: str) -> list[str]:
    return [sys.executable, "-m", "vaefrag.cli", name]


def test_three_hundred_members_wait_in_the_record_not_in_dask(busy: Lab) -> None:
    spec = spec_of(members=300)
    job_id = busy.job_store.submit_training(spec, analyze=False)
    busy.wait(lambda: busy.job_store.job(job_id).counts == {"running": 64, "queued": 236})
    with open(f"/proc/{busy.processes[0].pid}/status", encoding="ascii") as file:
        resident = next(int(line.split()[1]) for line in file if line.startswith("VmRSS"))
    assert resident < 200_000  # kB
    busy.job_store.set_desired_state(job_id, "cancel")
    busy.wait(lambda: busy.state(job_id) == "cancelled", 15)


def _alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("engine", "--host", "0.0.0.0"), "whoever reaches a Dask scheduler can run code as you"),
        (("engine", "--scheduler", "tcp://10.1.2.3:8786"), "whoever reaches a Dask scheduler can run code as you"),
        (("worker", "tcp://10.1.2.3:8786"), "whoever reaches a Dask scheduler can run code as you"),
        (("worker", "tls://10.1.2.3:8786"), "needs certificates"),
        (("worker", "tcp://127.0.0.1:8786"), "whoever reaches a Dask scheduler can run code as you"),
        (("engine", "--tls", "/nowhere"), "ca.pem, cert.pem, key.pem is not there"),
    ],
)
def test_nothing_beyond_this_machine_without_certificates(
    tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    where = ("--workspace", str(tmp_path)) if arguments[0] == "engine" else ()
    done = subprocess.run([*_command(arguments[0]), *arguments[1:], *where], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert message in done.stderr


def test_a_slot_that_dask_has_given_up_comes_back(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """Dask closes a slot whose process is not back in 15 s, as on a machine under load; here it is more impatient."""
    monkeypatch.setenv("DASK_DISTRIBUTED__DEPLOY__LOST_WORKER_TIMEOUT", "100ms")
    engine = psutil.Process(lab.engine(slots=1).pid)
    lab.wait(lambda: len(lab.job_store.workers()) == 1)
    (worker,) = [p for p in engine.children(recursive=True) if "spawn_main" in " ".join(p.cmdline())]
    worker.kill()
    lab.wait(lambda: not lab.job_store.workers())
    job_id = lab.job_store.submit_training(spec_of(steps=50), analyze=False)
    lab.wait(lambda: lab.state(job_id) == "done")
