"""An engine that is stopped is told from one that works, and two commands that start one share it."""

import os
import signal
from pathlib import Path

from support_jobs import Lab
from test_cli import TINY, vaefrag
from vaefrag.jobs.engine_process import engine_state
from vaefrag_core.ensemble_store import EnsembleStore
from webpages import app_of


def test_a_stopped_engine_is_no_healthy_one(lab: Lab, tmp_path: Path) -> None:
    process = lab.engine()
    client = app_of(EnsembleStore(lab.workspace), tmp_path, engine_silent_seconds=2).server.test_client()
    command = ("health", "--engine", "--workspace", str(lab.workspace))
    assert vaefrag(*command).returncode == 0
    assert (client.get("/healthz").json["engine"], client.get("/readyz").status_code) == (True, 200)
    os.kill(process.pid, signal.SIGSTOP)
    try:
        lab.wait(lambda: engine_state(lab.workspace).silent_seconds > 2)
        assert engine_state(lab.workspace).running
        assert client.get("/healthz").json == {"status": "degraded", "web": True, "engine": False}
        ready = client.get("/readyz")
        assert (ready.status_code, ready.json) == (503, {"ready": False, "record": True, "disk": True, "engine": False})
        os.environ["VAEFRAG_ENGINE_SILENT_SECONDS"] = "2"
        hung = vaefrag(*command)
        assert (hung.returncode, f"kill -9 {process.pid}" in hung.stderr) == (1, True)
    finally:
        os.environ.pop("VAEFRAG_ENGINE_SILENT_SECONDS", None)
        os.kill(process.pid, signal.SIGCONT)
    lab.wait(lambda: client.get("/healthz").json["engine"])


def test_two_commands_share_the_engine_that_one_of_them_starts(lab: Lab) -> None:
    both = [
        lab.start("train", *TINY, "--seed", seed, "--no-analyze", "--workspace", str(lab.workspace))
        for seed in ("1", "2")
    ]
    assert [process.wait(120) for process in both] == [0, 0]
    assert [job.state for job in lab.job_store.jobs()] == ["done", "done"]
