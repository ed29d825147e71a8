"""The script of the circle runs, and writes what it says."""

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_the_circle_is_trained_fused_judged_and_drawn(tmp_path: Path) -> None:
    small = [
        "--sizes",
        "2",
        "3",
        "--repeats",
        "2",
        "--ensembles",
        "1",
        "--steps",
        "25",
        "--images",
        "24",
        "--fusion-steps",
        "10",
    ]
    command = [sys.executable, str(ROOT / "docs" / "circle.py"), *small, "--workspace", str(tmp_path)]
    here = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, env=here)
    assert done.returncode == 0, done.stderr
    rows = json.loads((tmp_path / "circle.json").read_text(encoding="utf-8"))
    assert [(row["learners"], row["repeat"]) for row in rows[::3]] == [
        (2, 0),
        (3, 0),
    ]  # three learners: one fusion each
    assert {row["objective"] for row in rows} == {"vi", "nmi", "mutual-information"}
    assert all(row["continuity"] >= 1 for row in rows)
    assert (tmp_path / "circle.svg").read_text(encoding="utf-8").startswith("<svg")
    assert "vi   3 learners: continuity" in done.stdout
