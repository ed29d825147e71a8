"""Workers started by hand: on a second address, with and without the engine's folder, over TLS, cut off and back."""

import contextlib
import http.client
import os
import shutil
import signal
import stat
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from support import wait_until
from support_jobs import Lab, spec_of
from vaefrag.jobs.job_models import WorkerRecord
from vaefrag_core.ensemble_store import ensemble_id_of
from vaefrag_core.training.checkpoints import checkpoint_path

STEPS = 1_000
OFTEN = 0.1  # seconds between two checkpoints
ALLOWED_SILENCE = 5.0  # seconds
NEEDS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="hiding a folder from a process needs to be root")


def hidden(folder: Path) -> tuple[str, ...]:
    """What to put before a command that must not see a folder."""
    return ("unshare", "-m", "sh", "-c", 'mount -t tmpfs none "$0" && exec "$@"', str(folder))


def joined(lab: Lab, count: int) -> list[WorkerRecord]:
    lab.wait(lambda: len(lab.job_store.workers()) == count)
    return [row for row in lab.job_store.workers() if "127.0.0.2" in row.address]


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """An engine with one slot, and a worker on a second address that shares its folder."""
    yield from _with_a_worker(Lab(tmp_path_factory.mktemp("together") / "workspace"), shared=True)


@pytest.fixture(scope="module")
def apart(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """The same, but the worker does not see the folder."""
    yield from _with_a_worker(Lab(tmp_path_factory.mktemp("apart") / "workspace"), shared=False)


def _with_a_worker(lab: Lab, *, shared: bool) -> Iterator[Lab]:
    lab.engine(worker_lost_seconds=ALLOWED_SILENCE, checkpoint_seconds=OFTEN)
    if shared:
        lab.worker("--host", "127.0.0.2")
    else:
        elsewhere = shutil.copytree(lab.workspace / "jobs" / "tls", lab.workspace.parent / "tls")
        place = (lab.address(), "--tls", str(elsewhere))
        lab.start("worker", *place, "--host", "127.0.0.2", before=hidden(lab.workspace))
    joined(lab, 2)
    yield lab
    lab.close()


@pytest.mark.parametrize("shared", [True, pytest.param(False, marks=NEEDS_ROOT)])
def test_a_worker_joins_takes_members_dies_and_goes_on(
    request: pytest.FixtureRequest, tmp_path: Path, shared: bool
) -> None:
    lab: Lab = request.getfixturevalue("together" if shared else "apart")
    lab.wait(lambda: all(("workspace" in row.offers) == shared for row in joined(lab, 2)))
    spec = spec_of(members=2, steps=STEPS, snapshots=5)
    job_id = lab.job_store.submit_training(spec, analyze=False)
    lab.wait(lambda: any("127.0.0.2" in row.address and row.members for row in lab.job_store.workers()))
    (member,) = next(row.members for row in lab.job_store.workers() if "127.0.0.2" in row.address)
    lab.wait_for_step(job_id, member)
    os.kill(lab.worker_pid(job_id, member), signal.SIGKILL)
    lab.wait(lambda: lab.state(job_id) == "done", 120)
    assert lab.snapshot(job_id).members[member].attempt == 2
    assert lab.weights_are_those_of_a_plain_run(spec, tmp_path / "plain")


@NEEDS_ROOT
def test_an_analysis_waits_for_a_worker_that_sees_the_folder(apart: Lab) -> None:
    joined(apart, 2)
    spec = spec_of(members=2, steps=50, snapshots=2)
    job_id = apart.job_store.submit_training(spec)
    apart.wait(lambda: all(job.state == "done" for job in apart.job_store.jobs()))
    assert apart.job_store.jobs()[0].submission.kind == "analyze"
    assert apart.job_store.job(job_id).progress.analysed == 2
    followed = apart.store.analysis(ensemble_id_of(spec)).over_training
    assert followed is not None
    assert followed.steps.tolist() == [10, 50]


def test_a_worker_joins_the_next_engine_by_itself(lab: Lab) -> None:
    engine = lab.engine()
    lab.worker("--host", "127.0.0.2")
    joined(lab, 2)
    engine.kill()
    engine.wait()
    lab.engine()  # at another port, with other certificates
    assert joined(lab, 2)


def test_a_worker_that_was_cut_off_and_comes_back_changes_nothing(together: Lab, tmp_path: Path) -> None:
    lab, by_hand = together, together.processes[-1]
    joined(lab, 2)
    spec = spec_of(members=2, steps=STEPS)
    job_id = lab.job_store.submit_training(spec, analyze=False)
    lab.wait(lambda: any("127.0.0.2" in row.address and row.members for row in lab.job_store.workers()))
    (member,) = next(row.members for row in lab.job_store.workers() if "127.0.0.2" in row.address)
    lab.wait_for_step(job_id, member)
    stopped = time.time()
    os.killpg(by_hand.pid, signal.SIGSTOP)
    try:
        lab.wait(lambda: lab.state(job_id) == "done", 120)
        file = checkpoint_path(lab.store.members_folder(lab.job_store.job(job_id).submission.ensemble_id) / str(member))
        before = file.stat().st_ino
    finally:
        os.killpg(by_hand.pid, signal.SIGCONT)
    lab.wait(
        lambda: any("127.0.0.2" in row.address for row in lab.job_store.workers())
    )  # it has noticed, and joined anew
    assert file.stat().st_ino == before
    noticed = next(line.at for line in lab.job_store.log_lines(job_id) if "A worker died" in line.text)
    assert noticed - stopped < 4 * ALLOWED_SILENCE  # it is not waited for as well
    assert lab.snapshot(job_id).members[member].attempt == 2
    assert lab.weights_are_those_of_a_plain_run(spec, tmp_path / "plain")


def test_tls_lets_in_whom_the_lab_has_signed_and_nobody_else(lab: Lab, tmp_path: Path) -> None:
    ours, theirs = certificates(tmp_path / "ours"), certificates(tmp_path / "theirs")
    lab.engine("--tls", str(ours))
    assert lab.address().startswith("tls://")
    stranger = lab.worker(lab.address(), "--tls", str(theirs), "--host", "127.0.0.3", "--once")
    lab.worker(lab.address(), "--tls", str(ours), "--host", "127.0.0.2")
    joined(lab, 2)
    wait_until(lambda: stranger.poll() is not None, 60)
    assert not any("127.0.0.3" in row.address for row in lab.job_store.workers())
    job_id = lab.job_store.submit_training(spec_of(members=2, steps=50), analyze=False)
    lab.wait(lambda: lab.state(job_id) == "done")


def certificates(folder: Path) -> Path:
    """Make an authority and a certificate, by the commands of docs/engine.md."""
    folder.mkdir()
    new = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30"]
    authority = ["-subj", "/CN=lab authority", "-keyout", "ca.key", "-out", "ca.pem"]
    subprocess.run([*new, *authority], cwd=folder, check=True, capture_output=True)
    signed = ["-CA", "ca.pem", "-CAkey", "ca.key", "-subj", "/CN=vaefrag", "-keyout", "key.pem", "-out", "cert.pem"]
    subprocess.run([*new, *signed], cwd=folder, check=True, capture_output=True)
    return folder


def test_members_train_on_gpus_alone_as_long_as_there_are_any(lab: Lab, tmp_path: Path) -> None:
    """No GPU is at hand: the CPU stands in its place, and all else is as it would be."""
    lab.engine(device="cpu", gpu_device="cpu", gpu_members=1, checkpoint_seconds=OFTEN)
    place = ("--workspace", str(lab.workspace), "--host", "127.0.0.2")
    worker = lab.start("worker", *place, "--gpus", "1", "--slots", "2", gpu_device="cpu")
    lab.wait(lambda: [row for row in joined(lab, 3) if row.offers.get("gpu")])
    spec = spec_of(members=4, steps=300)
    job_id = lab.job_store.submit_training(spec, analyze=False)
    busy: set[tuple[str, tuple[int, ...]]] = set()

    def ended() -> bool:
        busy.update((row.address, row.members) for row in lab.job_store.workers() if row.members)
        return lab.state(job_id) == "done"

    lab.wait(ended, 120)
    assert busy
    assert all("127.0.0.2" in address and len(members) == 1 for address, members in busy)
    assert lab.weights_are_those_of_a_plain_run(spec, tmp_path / "plain")
    worker.send_signal(signal.SIGTERM)
    lab.wait(lambda: not joined(lab, 1))
    after = lab.job_store.submit_training(spec_of(steps=50), analyze=False)
    lab.wait(lambda: lab.state(after) == "done")


def test_a_worker_without_the_gpus_it_promises_does_not_join(lab: Lab) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "vaefrag.cli", "worker", "--workspace", str(lab.workspace), "--gpus", "99"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "Expected 99 GPUs on this machine, got" in done.stderr


def _listening(session: int) -> list[tuple[str, int]]:
    """Return where the processes of a session listen."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, ProcessLookupError):
            if os.getsid(process.pid) == session:
                found += [c.laddr[:2] for c in process.net_connections("tcp") if c.status == psutil.CONN_LISTEN]
    return found


def test_nobody_else_on_this_machine_runs_code_in_an_engine_or_reads_its_pages(lab: Lab, tmp_path: Path) -> None:
    engine = lab.engine(slots=2)
    joined(lab, 2)
    folder = lab.workspace / "jobs" / "tls"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}
    mark = tmp_path / "ran"
    places = _listening(engine.pid)
    assert len(places) >= 5  # the scheduler, and of each slot a nanny and a worker
    for host, port in places:
        with pytest.raises((OSError, http.client.HTTPException)):
            urllib.request.urlopen(f"http://{host}:{port}/health", timeout=5)
    address = lab.address()
    for stranger, shown in ((address.replace("tls://", "tcp://"), "None"), (address, "None"), (address, THEIRS)):
        assert "Error" in _run_there(stranger, shown, mark).stderr
    assert not mark.exists()
    ours = f"read_security(Path({str(folder)!r}))"
    assert not _run_there(address, ours, mark).returncode  # the same, with what the engine has left to its user
    assert mark.exists()
    engine.terminate()
    engine.wait(30)
    assert not folder.exists()


THEIRS = "Security.temporary()"


def _run_there(address: str, security: str, mark: Path) -> subprocess.CompletedProcess[str]:
    """Have a scheduler run a function, as whoever reaches it could."""
    script = f"""
from pathlib import Path
from distributed import Client
from distributed.security import Security
from vaefrag.jobs.cluster_security import read_security

client = Client({address!r}, security={security}, timeout=5)
client.run_on_scheduler(Path({str(mark)!r}).touch)
"""
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
