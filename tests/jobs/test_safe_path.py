"""Engines and workers import nothing from the folder that they were started in, and users' networks from PYTHONPATH."""

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from support import wait_until
from support_jobs import Lab, spec_of
from vaefrag.jobs.engine_process import engine_state
from vaefrag.jobs.safe_path import use_safe_path

COMMAND = Path(sysconfig.get_path("scripts")) / "vaefrag"
# Names that our own processes import, early and late, and the package's former name.
NAMES = ("app", "queue", "torch", "numpy", "socket", "struct", "selectors", "multiprocessing", "distributed", "vaefrag")
SMALL = ("--members", "2", "--steps", "50", "--widths", "8", "--channels", "2")


@pytest.fixture
def traps(tmp_path: Path) -> Path:
    """A folder of modules that leave a marker when they are imported."""
    folder = tmp_path / "traps"
    (folder / "assets").mkdir(parents=True)
    trap = f"import os\nos.open({str(tmp_path / 'sprung')!r} + '-' + __name__, os.O_CREAT)\n"
    for name in NAMES:
        (folder / f"{name}.py").write_text(trap)
    (folder / "assets" / "__init__.py").write_text(trap)
    return folder


def sprung(tmp_path: Path) -> list[str]:
    return sorted(path.name for path in tmp_path.glob("sprung-*"))


@pytest.mark.skipif(not COMMAND.exists(), reason="vaefrag is not installed as a command")
def test_a_training_runs_nothing_of_the_folder_it_was_started_in(lab: Lab, traps: Path, tmp_path: Path) -> None:
    arguments = ["train", *SMALL, "--workers", "1", "--workspace", str(lab.workspace)]
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONSAFEPATH")}
    done = subprocess.run([str(COMMAND), *arguments], cwd=traps, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert {job.state for job in lab.job_store.jobs()} == {"done"}  # the training and the analysis
    assert sprung(tmp_path) == []
    wait_until(lambda: not engine_state(lab.workspace).running)


@pytest.mark.skipif(not COMMAND.exists(), reason="vaefrag is not installed as a command")
def test_neither_do_an_engine_and_a_worker_that_are_started_by_hand(
    lab: Lab, traps: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(traps)
    monkeypatch.delenv("PYTHONPATH", raising=False)

    def start(*arguments: str) -> None:
        lab.processes.append(subprocess.Popen([str(COMMAND), *arguments], start_new_session=True))

    start("engine", "--workspace", str(lab.workspace), "--slots", "1")
    lab.wait(lab.address)
    start("worker", "--workspace", str(lab.workspace), "--host", "127.0.0.2")
    lab.wait(lambda: len(lab.job_store.workers()) == 2)
    spec = spec_of(members=2, steps=300)
    job_id = lab.job_store.submit_training(spec)
    lab.wait(lambda: all(job.state == "done" for job in lab.job_store.jobs()) and lab.state(job_id) == "done", 120)
    pids = {member.worker for member in lab.snapshot(job_id).members}
    assert len(pids) == 2  # both of them have trained
    assert sprung(tmp_path) == []


def test_the_traps_work(traps: Path, tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", "import app, assets"], cwd=traps, check=True)
    assert sprung(tmp_path) == ["sprung-app", "sprung-assets"]


@pytest.mark.parametrize("first", ["current", "other"])
def test_only_the_current_folder_leaves_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first: str) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONSAFEPATH", "")
    folder = str(tmp_path) if first == "current" else str(tmp_path / "elsewhere")
    monkeypatch.setattr(sys, "path", [folder, str(tmp_path), "/rest"])
    use_safe_path()
    expected = [str(tmp_path), "/rest"] if first == "current" else [folder, str(tmp_path), "/rest"]
    assert sys.path == expected
    assert os.environ["PYTHONSAFEPATH"] == "1"


def test_a_network_is_found_by_pythonpath_and_not_in_the_current_folder(lab: Lab, traps: Path, tmp_path: Path) -> None:
    package = tmp_path / "mine" / "networks"
    package.mkdir(parents=True)
    shutil.copy(Path(__file__).parents[1] / "custom_networks.py", package / "small.py")
    command = [sys.executable, "-P", "-m", "vaefrag", "train", *SMALL[:2], "--steps", "50", "--channels", "2"]
    command += ["--network", "networks.small:Sound", "--workers", "1", "--workspace", str(lab.workspace)]
    plain = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    elsewhere = subprocess.run(command, cwd=package.parent, env=plain, capture_output=True, text=True)
    assert elsewhere.returncode == 1
    assert "put its folder on PYTHONPATH" in " ".join(elsewhere.stderr.split())
    wait_until(lambda: not engine_state(lab.workspace).running)
    trained = subprocess.run(
        command, cwd=traps, env=plain | {"PYTHONPATH": str(package.parent)}, capture_output=True, text=True
    )
    assert trained.returncode == 0, trained.stderr
    assert sprung(tmp_path) == []
    wait_until(lambda: not engine_state(lab.workspace).running)
