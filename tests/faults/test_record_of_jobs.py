"""The record of jobs damaged, emptied, gone, or on a disk that cannot be written: what was made is still shown."""

import json
import os
import resource
import shutil
import signal
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from faults.conftest import fill, read_only
from support import Trained, wait_until
from support_jobs import Lab, spec_of
from test_cli import vaefrag
from vaefrag.fault_sentences import fault_sentence
from vaefrag.jobs import record_file
from vaefrag.jobs.job_store import JobStore
from vaefrag.jobs.record_file import COPY_FILE, RECORD_FILE, copy_record, examine, find_damage, restore_record
from vaefrag_core.ensemble_store import EnsembleStore
from vaefrag_core.errors import VaefragError
from webpages import app_of, post_to, text_of


def _zero_the_middle(record: Path) -> None:
    content = bytearray(record.read_bytes())
    content[4096:12288] = bytes(8192)
    record.write_bytes(content)


def _flip_in_an_entry(record: Path) -> None:
    """Change what an entry holds, which SQLite itself does not see."""
    with sqlite3.connect(record) as connection:
        (row, value) = connection.execute("SELECT rowid, value FROM Cache ORDER BY length(value) DESC").fetchone()
        flipped = value[:20] + bytes(byte ^ 255 for byte in value[20:28]) + value[28:]
        connection.execute("UPDATE Cache SET value = ? WHERE rowid = ?", (flipped, row))


def _empty_the_table(record: Path) -> None:
    with sqlite3.connect(record) as connection:
        connection.execute("DELETE FROM Cache")


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "cut off": (lambda record: record.write_bytes(record.read_bytes()[:5000]), "damaged"),
    "zeroed": (_zero_the_middle, "damaged"),
    "flipped": (_flip_in_an_entry, "damaged"),
    "another file": (lambda record: record.write_bytes(b"no database" * 1000), "damaged"),
    "truncated to nothing": (lambda record: record.write_bytes(b""), "lost"),
    "gone": (lambda record: record.unlink(), "lost"),
    "without jobs": (_empty_the_table, "emptied"),
}


def _submitted(workspace: Path, *, copied: bool = True) -> str:
    job_store = JobStore(workspace)
    job_id = job_store.submit_training(spec_of())
    job_store.close()
    with sqlite3.connect(workspace / "jobs" / RECORD_FILE) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    if copied:
        copy_record(workspace / "jobs")
    return job_id


@pytest.mark.parametrize("damage", DAMAGES)
def test_jobs_are_read_from_the_copy_and_the_copy_takes_the_place_of_the_record(tmp_path: Path, damage: str) -> None:
    job_id, folder = _submitted(tmp_path), tmp_path / "jobs"
    before = JobStore(tmp_path).snapshot(job_id)
    spoil, state = DAMAGES[damage]
    spoil(folder / RECORD_FILE)
    job_store = JobStore(tmp_path)
    assert job_store.snapshot(job_id) == before
    assert state in examine(folder).state
    assert "`vaefrag jobs restore`" in job_store.problem
    with pytest.raises(VaefragError, match="Ensembles and results are not touched"):
        job_store.submit_training(spec_of())
    assert "its copy of" in restore_record(folder)
    assert restore_record(folder) == ""
    assert (JobStore(tmp_path).snapshot(job_id), JobStore(tmp_path).problem) == (before, "")
    assert JobStore(tmp_path).submit_training(spec_of()) in JobStore(tmp_path).job_ids()
    job_store._opened = None  # five seconds later
    assert job_id in job_store.job_ids()


def test_without_a_copy_the_record_is_set_aside(tmp_path: Path) -> None:
    _submitted(tmp_path, copied=False)
    (tmp_path / "jobs" / RECORD_FILE).write_bytes(b"no database" * 1000)
    assert JobStore(tmp_path).jobs() == []
    assert "There is no copy" in JobStore(tmp_path).problem
    assert "a new one begins" in restore_record(tmp_path / "jobs")
    assert JobStore(tmp_path).submit_training(spec_of()) in JobStore(tmp_path).job_ids()
    assert len(list((tmp_path / "jobs").glob("damaged-*.db"))) == 1


def test_a_damaged_record_takes_the_place_of_no_good_copy(tmp_path: Path) -> None:
    _submitted(tmp_path)
    folder = tmp_path / "jobs"
    good = (folder / COPY_FILE).read_bytes()
    _flip_in_an_entry(folder / RECORD_FILE)
    with pytest.raises(sqlite3.DatabaseError):
        copy_record(folder)
    assert (folder / COPY_FILE).read_bytes() == good
    assert [path.name for path in folder.iterdir() if path.name.startswith(f".{COPY_FILE}")] == []


def test_an_entry_in_a_form_that_could_run_code_is_not_read(tmp_path: Path) -> None:
    job_id = _submitted(tmp_path, copied=False)
    with sqlite3.connect(tmp_path / "jobs" / RECORD_FILE) as connection:
        connection.execute("UPDATE Cache SET mode = 4")  # diskcache's mark of a pickle
    assert JobStore(tmp_path).jobs() == []
    assert job_id not in JobStore(tmp_path).job_ids()


def test_a_new_workspace_has_no_problem(own: Trained) -> None:
    assert JobStore(own.store.workspace).problem == ""
    (own.store.workspace / "jobs").mkdir()
    assert JobStore(own.store.workspace).problem == ""
    assert not (own.store.workspace / "jobs" / RECORD_FILE).exists()


def test_commands_and_pages_go_on_with_a_damaged_record(own: Trained, tmp_path: Path) -> None:
    workspace = own.store.workspace
    _submitted(workspace, copied=False)
    _zero_the_middle(workspace / "jobs" / RECORD_FILE)
    listed = vaefrag("list", "--workspace", str(workspace), "--json")
    assert json.loads(listed.stdout)["ensembles"][0]["hotspots"] is not None
    assert "`vaefrag jobs restore`" in listed.stderr
    assert "Traceback" not in listed.stderr
    app = app_of(own.store, tmp_path / "cache")
    for path in ("/", f"/ensembles/{own.id}", "/jobs"):
        shown = post_to(app, "page.children", {"url.pathname": path}, {"url.search": ""})
        assert "record of jobs is damaged" in text_of(shown["alarm"]["children"]), path
    done = vaefrag("jobs", "restore", "--workspace", str(workspace))
    assert (done.returncode, "a new one begins" in done.stderr) == (0, True)
    assert vaefrag("jobs", "list", "--workspace", str(workspace)).stderr.count("record") == 0


def test_an_engine_brings_the_copy_back_and_goes_on(lab: Lab) -> None:
    process = lab.engine(checkpoint_seconds=0.1)
    job_id = lab.job_store.submit_training(spec_of(), analyze=False)
    step = lab.wait_for_step(job_id)
    folder = lab.workspace / "jobs"
    lab.wait(lambda: (folder / COPY_FILE).is_file())
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    (folder / RECORD_FILE).write_bytes(b"no database" * 1000)
    assert lab.snapshot(job_id).job.submission.id == job_id  # from the copy
    lab.engine(checkpoint_seconds=0.1)
    lab.wait_for_step(job_id, beyond=step)
    assert (lab.job_store.problem, find_damage(folder / RECORD_FILE)) == ("", "")


def test_a_lost_record_is_noticed_by_the_engine_that_wrote_it(lab: Lab) -> None:
    process = lab.engine()
    job_id = lab.job_store.submit_training(spec_of(), analyze=False)
    lab.wait(lambda: lab.state(job_id) == "running" and (lab.workspace / "jobs" / COPY_FILE).is_file())
    for path in (lab.workspace / "jobs").glob(f"{RECORD_FILE}*"):
        path.unlink()
    process.wait(60)
    lab.engine()
    lab.wait(lambda: job_id in lab.job_store.job_ids() and lab.state(job_id) == "running")


def test_a_read_only_workspace_is_shown(own: Trained, tmp_path: Path) -> None:
    workspace = own.store.workspace
    job_id = _submitted(workspace)
    with read_only(workspace):
        assert own.id in vaefrag("list", "--workspace", str(workspace), "--json").stdout
        shown = vaefrag("jobs", "list", "--workspace", str(workspace), "--json")
        assert job_id in shown.stdout
        refused = vaefrag("jobs", "cancel", job_id, "--workspace", str(workspace))
        assert (refused.returncode, refused.stderr.count("error:"), "Traceback" in refused.stderr) == (1, 1, False)
        assert "cannot be written" in refused.stderr
        app = app_of(own.store, tmp_path / "cache")
        page = post_to(app, "page.children", {"url.pathname": "/"}, {"url.search": ""})
        assert "cannot be written" in text_of(page["alarm"]["children"])


def test_a_full_disk_ends_in_sentences_and_leaves_no_ghost(own: Trained, small_disk: Path) -> None:
    workspace, exported = small_disk / "workspace", own.store.workspace / "all.npz"
    own.store.posteriors(own.id).save(exported)
    job_id = _submitted(workspace)
    filler = fill(small_disk)
    for arguments in (("import", str(exported)), ("jobs", "cancel", job_id), ("train", "--members", "2", "--detach")):
        refused = vaefrag(*arguments, "--workspace", str(workspace))
        assert (refused.returncode, "Traceback" in refused.stderr) == (1, False), refused.stderr
        assert "full" in refused.stderr
    assert EnsembleStore(workspace).ids() == []
    assert job_id in vaefrag("jobs", "list", "--workspace", str(workspace), "--json").stdout
    filler.unlink()
    assert vaefrag("import", str(exported), "--workspace", str(workspace)).returncode == 0
    assert len(EnsembleStore(workspace).ids()) == 1


def test_an_import_that_cannot_be_written_leaves_nothing(own: Trained, tmp_path: Path) -> None:
    posteriors, store = own.store.posteriors(own.id), EnsembleStore(tmp_path / "new")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limits[1]))  # a form of a full disk that every machine has
    try:
        with pytest.raises(OSError, match="large") as raised:
            store.add(posteriors, "too large")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, ignored)
    assert "larger than this process may write" in fault_sentence(raised.value)
    assert (store.ids(), list(tmp_path.glob("new/ensembles/*"))) == ([], [])


@pytest.mark.parametrize("number", [1, 5, 12, 13, 24, 27, 28, 30, 122])
def test_every_fault_of_the_machine_is_one_sentence(number: int) -> None:
    sentence = fault_sentence(OSError(number, os.strerror(number), "/there"))
    assert "/there" in sentence
    assert sentence.endswith(".")
    assert "\n" not in sentence


def test_the_copy_is_one_file_of_the_moment(tmp_path: Path) -> None:
    job_id = _submitted(tmp_path)
    alone = tmp_path / "elsewhere" / RECORD_FILE
    alone.parent.mkdir()
    shutil.copy(tmp_path / "jobs" / COPY_FILE, alone)
    assert record_file.RecordReader(alone).get("order", []) == [job_id]
    wait_until(lambda: not (tmp_path / "jobs" / f"{COPY_FILE}-wal").exists())
