"""Benchmarks say first what they cannot time, and lose nothing that they have timed."""

import json
from typing import Any

import pytest
from typer.testing import CliRunner

from vaefrag.cli import cli
from vaefrag.commands import bench, bench_train
from vaefrag.commands.bench_train import Case
from vaefrag_core.config import DatasetConfig
from vaefrag_core.datasets.base import ImageDataset
from vaefrag_core.datasets.catalog import load_dataset
from vaefrag_core.errors import MissingDataError

DIGITS = Case("digits", "mlp", steps=10, members=2, plain=1)
CLOTHES = Case("fashion-mnist", "conv28", steps=10, members=2, plain=1)


@pytest.fixture
def messages(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Collect what people are told, tables by their first column."""
    texts: list[str] = []
    monkeypatch.setattr("vaefrag.terminal.print_message", lambda text, **_: texts.append(text))
    monkeypatch.setattr(
        "vaefrag.terminal.show_table", lambda columns, rows, **_: texts.append(f"table of {[row[0] for row in rows]}")
    )
    return texts


@pytest.fixture
def without_clothes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let Fashion-MNIST be nowhere."""

    def load(config: DatasetConfig) -> ImageDataset:
        if config.name == "fashion-mnist":
            raise MissingDataError("Fashion-MNIST is nowhere.")
        return load_dataset(config)

    monkeypatch.setattr(bench_train, "load_dataset", load)


@pytest.mark.usefixtures("without_clothes")
def test_a_missing_data_set_is_named_first_and_the_others_are_timed(
    messages: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench_train, "CASES", (DIGITS, CLOTHES))
    monkeypatch.setattr(bench_train, "PRECISION", (CLOTHES, DIGITS))
    done = CliRunner().invoke(cli, ["bench", "train", "--repeats", "1", "--threads", "1"], catch_exceptions=False)
    assert done.exit_code == 0
    assert messages[0] == "fashion-mnist is left out: Fashion-MNIST is nowhere."
    assert [text for text in messages if text.startswith("table")] == ["table of ['mlp']", "table of ['mlp']"]
    as_json = CliRunner().invoke(cli, ["bench", "train", "--repeats", "1", "--threads", "1", "--json"])
    result = json.loads(as_json.stdout)
    assert [row["dataset"] for row in result["rows"] + result["precision"]] == ["digits", "digits"]
    assert result["left_out"] == [{"dataset": "fashion-mnist", "reason": "Fashion-MNIST is nowhere."}]


@pytest.mark.usefixtures("without_clothes")
def test_where_no_data_set_is_there_nothing_is_begun(messages: list[str]) -> None:
    with pytest.raises(MissingDataError, match=r"^fashion-mnist: Fashion-MNIST is nowhere\.$"):
        bench_train.bench_train([CLOTHES], [CLOTHES], repeats=1, threads=1)
    assert messages == []


def test_training_that_was_timed_is_shown_when_the_next_case_fails(
    messages: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(bench_train, "_precision_row", fail)
    with pytest.raises(KeyboardInterrupt):
        bench_train.bench_train([DIGITS], [DIGITS], repeats=1, threads=1)
    assert "table of ['mlp']" in messages


def test_measures_that_were_timed_are_shown_when_the_next_size_fails(
    messages: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise MemoryError

    monkeypatch.setattr(bench, "_exponent", fail)
    with pytest.raises(MemoryError):
        bench.bench_measures(((12, 20),), repeats=1, threads=1, growth=True)
    assert "table of ['12']" in messages
