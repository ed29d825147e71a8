"""`vaefrag jobs` and `train --detach`, as a script would use them."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from support import wait_until
from support_jobs import LONG, Lab
from test_cli import vaefrag
from vaefrag.jobs.engine_process import engine_state


def json_of(*arguments: str) -> dict[str, Any]:
    done = vaefrag(*arguments, "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert isinstance(result, dict)
    return result


def test_a_job_is_left_to_the_engine_and_steered_from_elsewhere(lab: Lab) -> None:
    workspace = ("--workspace", str(lab.workspace))
    small = ("--members", "2", "--steps", str(LONG), "--widths", "8", "--channels", "2", "--workers", "1")
    job = json_of("train", *small, "--detach", *workspace)["job"]
    try:
        lab.wait(lambda: lab.snapshot(job).members[0].step > 0)
        listed = json_of("jobs", "list", *workspace)
        assert [entry["job"] for entry in listed["jobs"]] == [job]
        assert listed["engine"]["running"]
        assert json_of("jobs", "pause", job, *workspace)["want"] == "pause"
        lab.wait(lambda: lab.state(job) == "paused")
        wait_until(lambda: not engine_state(lab.workspace).running)  # a paused job needs none
        json_of("jobs", "resume", job, *workspace)  # starts one again
        step = lab.snapshot(job).members[0].step
        lab.wait(lambda: lab.snapshot(job).members[0].step > step)
        assert json_of("jobs", "show", job, *workspace)["rows"][0]["attempt"] == 2
        json_of("jobs", "cancel", job, *workspace)
        lab.wait(lambda: lab.state(job) == "cancelled")
        json_of("jobs", "retry", job, *workspace)
        lab.wait(lambda: lab.snapshot(job).members[0].state == "running")
    finally:
        vaefrag("jobs", "cancel", job, *workspace)
    lab.wait(lambda: lab.state(job) == "cancelled")
    texts = [line["text"] for line in json_of("jobs", "logs", job, *workspace)["lines"]]
    assert any(text.startswith("Paused by ") for text in texts)
    wait_until(lambda: not engine_state(lab.workspace).running)


@pytest.mark.parametrize("command", ["list", "show", "logs", "cancel", "pause", "resume", "retry"])
def test_every_command_explains_itself_and_speaks_json(command: str) -> None:
    done = vaefrag("jobs", command, "--help")
    assert done.returncode == 0
    assert "--json" in re.sub(r"\x1b\[[0-9;]*m", "", done.stdout)


@pytest.mark.parametrize("command", ["show", "logs", "cancel", "pause", "resume", "retry"])
def test_a_job_that_is_not_there_is_named(tmp_path: Path, command: str) -> None:
    done = vaefrag("jobs", command, "nothing", "--workspace", str(tmp_path))
    assert done.returncode == 1
    assert "There is no job 'nothing'" in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("beta", ["1", "1,2"])
def test_a_training_without_a_trained_member_fails_with_the_reasons_and_is_not_analysed(lab: Lab, beta: str) -> None:
    workspace = ("--workspace", str(lab.workspace))
    done = vaefrag("train", "--members", "5", "--beta", beta, "--network", "nowhere.at_all:Net", *workspace)
    assert done.returncode == 1
    assert "Member 2 stopped: Network nowhere.at_all:Net: expected a class" in done.stderr
    assert "Member 3 stopped" not in done.stderr
    assert "… and 2 more." in done.stderr
    assert "was trained to its end. Mend what is named above, then `vaefrag jobs retry " in done.stderr
    assert {job.submission.kind for job in lab.job_store.jobs()} == {"train"}
    wait_until(lambda: not engine_state(lab.workspace).running)


def test_an_error_that_nobody_foresaw_is_told_with_where_it_came_from(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1]))
    workspace = ("--workspace", str(lab.workspace))
    done = vaefrag("train", "--members", "1", "--network", "custom_networks:Breaking", *workspace)
    assert done.returncode == 1
    assert "An error that is not foreseen: ZeroDivisionError: " in done.stderr
    (job,) = lab.job_store.jobs()
    assert "return output / (1 // int(_Breaking.calls < 30))" in vaefrag("jobs", "logs", job.id, *workspace).stderr
    wait_until(lambda: not engine_state(lab.workspace).running)
