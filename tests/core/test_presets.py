"""Presets: the figures of the papers, and what was asked for over them."""

from typing import Any

import pytest
from typer.testing import CliRunner

from app.cli import cli
from app.commands import train as train_command
from vaefrag_core.config import EnsembleSpec, parse
from vaefrag_core.datasets.catalog import describe_datasets
from vaefrag_core.errors import InvalidInputError
from vaefrag_core.presets import PRESETS, with_preset
from vaefrag_core.specs import resolve


def spec_of(name: str, **values: Any) -> EnsembleSpec:
    return parse(EnsembleSpec, with_preset(name, values))


def test_locatello_2019_is_that_of_the_study() -> None:
    spec = spec_of("locatello-2019")
    assert (spec.model.architecture, spec.model.channels, spec.model.likelihood) == ("conv64", 10, "bernoulli")
    assert (spec.train.learning_rate, spec.train.batch_size, spec.train.steps) == (1e-4, 64, 300_000)
    assert spec.members == 50
    assert spec.train.objective == "beta-vae"
    assert spec.train.beta in (1, 2, 4, 6, 8, 16)


def test_murphy_2024_fashion_is_beta_4_with_the_paper_s_convolutions() -> None:
    spec = spec_of("murphy-2024-fashion")
    assert (spec.dataset.name, spec.train.words, spec.model.architecture) == ("fashion-mnist", "beta-vae β=4", "conv28")
    assert spec.model.channels == 10


def test_circle_so2_has_one_channel_and_squared_error() -> None:
    spec = spec_of("circle-so2")
    assert (spec.dataset.name, spec.train.words, spec.train.learning_rate) == ("circle", "beta-vae β=0.03", 1e-3)
    model = spec.model
    assert (model.widths, model.activation, model.channels, model.likelihood) == ((256, 256), "tanh", 1, "mse")


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_that_has_its_data_can_be_trained(name: str) -> None:
    here = {entry.name for entry in describe_datasets() if entry.available}
    if PRESETS[name].values["dataset"]["name"] in here:
        assert resolve(with_preset(name, {})) == spec_of(name)
    assert PRESETS[name].summary.endswith(".")


def test_what_was_asked_for_wins_and_the_rest_stays() -> None:
    spec = spec_of("locatello-2019", train={"beta": 16.0}, members=3)
    assert (spec.train.beta, spec.members, spec.train.steps) == (16.0, 3, 300_000)
    with pytest.raises(
        InvalidInputError, match=r"There is no preset 'x'\. Presets: locatello-2019, murphy-2024-fashion"
    ):
        with_preset("x", {})


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ([], {}),
        (["--beta", "1", "--steps", "7"], {"train": {"beta": "1", "steps": 7}}),  # β as typed, though it is the default
        (["--architecture", "mlp", "--widths", "5, 6"], {"model": {"architecture": "mlp", "widths": ["5", "6"]}}),
    ],
)
def test_on_the_command_line_what_was_typed_wins(
    monkeypatch: pytest.MonkeyPatch, typed: list[str], expected: dict[str, Any]
) -> None:
    asked: list[dict[str, Any]] = []

    def keep(values: dict[str, Any], *others: Any) -> dict[str, Any]:
        asked.append(values)
        return {}

    monkeypatch.setattr(train_command, "_train_and_analyze", keep)
    done = CliRunner().invoke(cli, ["train", "--preset", "locatello-2019", *typed])
    assert done.exit_code == 0, done.output
    assert asked == [with_preset("locatello-2019", expected)]


def test_without_a_preset_the_options_are_the_defaults_of_a_spec(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, Any]] = []
    monkeypatch.setattr(train_command, "_train_and_analyze", lambda values, *others: asked.append(values) or {})
    assert CliRunner().invoke(cli, ["train"]).exit_code == 0
    assert resolve(asked[0]).key == EnsembleSpec().key == "395269cdafba"
