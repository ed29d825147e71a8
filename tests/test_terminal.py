"""What people read while they wait, at the width of a plain terminal."""

import io
from types import SimpleNamespace

import numpy as np
import pytest
from rich.console import Console

from vaefrag import terminal


def test_a_line_of_training_shows_all_it_has_to_say_in_80_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = io.StringIO()
    monkeypatch.setattr(terminal, "console", Console(file=shown, width=80))
    member = SimpleNamespace(state="done", step=100, loss=324.06, kl_nats=np.zeros(10))
    with terminal.training_progress(members=20, steps=100) as update:
        update([member] * 20)
    line = shown.getvalue()
    assert "Training 20/20" in line
    assert "100 % · loss 324.06 · 200/200 dead 0:00:00 left 0:00:00" in line
