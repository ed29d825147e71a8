"""What `vaefrag train` makes of its options, without training."""

from typing import Any

import pytest
from typer.testing import CliRunner

from app.cli import cli
from app.commands import runs
from vaefrag_core.config import EnsembleSpec
from vaefrag_core.errors import InvalidInputError


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[EnsembleSpec]:
    """Note what would be trained."""
    specs: list[EnsembleSpec] = []

    def note(spec: EnsembleSpec, *_: Any, **__: Any) -> dict[str, Any]:
        specs.append(spec)
        return {"job": "a job", "id": spec.key}

    monkeypatch.setattr(runs, "train_and_wait", note)
    monkeypatch.setattr(runs, "train_detached", note)
    return specs


@pytest.mark.parametrize("instructions", [True, False])
@pytest.mark.parametrize("detach", [(), ("--detach",)])
def test_what_a_cpu_lacks_for_bfloat16_is_said_and_not_refused(
    asked: list[EnsembleSpec], monkeypatch: pytest.MonkeyPatch, instructions: bool, detach: tuple[str, ...]
) -> None:
    monkeypatch.setattr("vaefrag_core.training.precision.cpu_multiplies_bfloat16", lambda: instructions)
    said: list[str] = []
    monkeypatch.setattr("app.terminal.say", lambda text, **_: said.append(text))
    done = CliRunner().invoke(cli, ["train", "--precision", "bfloat16", "--no-analyze", *detach])
    CliRunner().invoke(cli, ["train", "--no-analyze"])
    assert done.exit_code == 0, done.exception
    assert [spec.train.precision for spec in asked] == ["bfloat16", "float32"]
    lacks = [text for text in said if "The CPU of this machine has no instructions for bfloat16" in text]
    assert len(lacks) == (not instructions)


def test_another_precision_is_refused(asked: list[EnsembleSpec]) -> None:
    refused = CliRunner().invoke(cli, ["train", "--precision", "half"])
    assert isinstance(refused.exception, InvalidInputError)
    assert "expected 'float32' or 'bfloat16', got 'half'" in str(refused.exception)
    assert asked == []
