"""What `vaefrag train` makes of its options, without training."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from vaefrag.cli import cli
from vaefrag.commands import training_runs
from vaefrag_core.config import EnsembleSpec, FingerprintConfig
from vaefrag_core.config_errors import parse
from vaefrag_core.ensemble_store import EnsembleStore
from vaefrag_core.errors import InvalidInputError
from vaefrag_core.presets import with_preset
from vaefrag_core.spec_validation import resolve


@pytest.fixture
def specs(monkeypatch: pytest.MonkeyPatch) -> list[EnsembleSpec]:
    """Note what would be trained."""
    specs: list[EnsembleSpec] = []

    def note(spec: EnsembleSpec, *_: Any, **__: Any) -> dict[str, Any]:
        specs.append(spec)
        return {"job": "a job", "id": spec.key}

    monkeypatch.setattr(training_runs, "train_and_wait", note)
    monkeypatch.setattr(training_runs, "train_detached", note)
    return specs


@pytest.mark.parametrize("instructions", [True, False])
@pytest.mark.parametrize("detach", [(), ("--detach",)])
def test_what_a_cpu_lacks_for_bfloat16_is_said_and_not_refused(
    specs: list[EnsembleSpec], monkeypatch: pytest.MonkeyPatch, instructions: bool, detach: tuple[str, ...]
) -> None:
    monkeypatch.setattr("vaefrag_core.training.precision.cpu_multiplies_bfloat16", lambda: instructions)
    messages: list[str] = []
    monkeypatch.setattr("vaefrag.terminal.print_message", lambda text, **_: messages.append(text))
    done = CliRunner().invoke(cli, ["train", "--precision", "bfloat16", "--no-analyze", *detach])
    CliRunner().invoke(cli, ["train", "--no-analyze"])
    assert done.exit_code == 0, done.exception
    assert [spec.train.precision for spec in specs] == ["bfloat16", "float32"]
    lacks = [text for text in messages if "The CPU of this machine has no instructions for bfloat16" in text]
    assert len(lacks) == (not instructions)


def test_another_precision_is_refused(specs: list[EnsembleSpec]) -> None:
    refused = CliRunner().invoke(cli, ["train", "--precision", "half"])
    assert isinstance(refused.exception, InvalidInputError)
    assert "expected 'float32' or 'bfloat16', got 'half'" in str(refused.exception)
    assert specs == []


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ([], {}),
        (["--beta", "1", "--steps", "7"], {"train": {"beta": "1", "steps": 7}}),  # β as typed, though it is the default
        (["--architecture", "mlp", "--widths", "5, 6"], {"model": {"architecture": "mlp", "widths": ["5", "6"]}}),
    ],
)
def test_what_was_typed_wins_over_a_preset(
    specs: list[EnsembleSpec], typed: list[str], expected: dict[str, Any]
) -> None:
    done = CliRunner().invoke(cli, ["train", "--preset", "locatello-2019", *typed])
    assert done.exit_code == 0, done.output
    assert specs == [resolve(with_preset("locatello-2019", expected))]


def test_without_a_preset_the_options_are_the_defaults_of_a_spec(specs: list[EnsembleSpec]) -> None:
    assert CliRunner().invoke(cli, ["train"]).exit_code == 0
    assert specs[0].key == EnsembleSpec().key == "395269cdafba"


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        (["--gamma", "5"], "--gamma: beta-vae does not read it. Leave it out, or choose --objective annealed-vae."),
        (["--lambda-od", "5"], "choose --objective dip-vae-i or dip-vae-ii."),
        (["--objective", "factor-vae", "--beta", "5"], "--beta: factor-vae does not read it"),
        (["--discriminator-widths", "9"], "--discriminator-widths: beta-vae does not read it"),
        (["--pixel-variance", "1"], "--pixel-variance: the likelihood bernoulli does not read it"),
        (["--preset", "locatello-2019", "--widths", "9"], "--widths: it is of the mlp, and conv64 is to be trained"),
        (["--network", "mine:Net", "--activation", "tanh"], "--activation: it is of the mlp, and mine:Net is to be"),
    ],
)
def test_an_option_that_nothing_would_come_of_is_refused(
    specs: list[EnsembleSpec], typed: list[str], sentence: str
) -> None:
    refused = CliRunner().invoke(cli, ["train", *typed])
    assert isinstance(refused.exception, InvalidInputError)
    assert sentence in str(refused.exception)
    assert specs == []


def test_an_option_that_is_read_is_taken(specs: list[EnsembleSpec]) -> None:
    typed = ["--objective", "factor-vae", "--gamma-tc", "5", "--discriminator-widths", "9", "--likelihood", "gaussian"]
    done = CliRunner().invoke(cli, ["train", *typed, "--pixel-variance", "1", "--widths", "7", "--activation", "tanh"])
    assert done.exit_code == 0, done.exception
    (spec,) = specs
    assert (spec.train.gamma_tc, spec.train.discriminator_widths) == (5.0, (9,))
    assert (spec.model.pixel_variance, spec.model.widths, spec.model.activation) == (1.0, (7,), "tanh")


def test_all_images_are_as_many_as_the_data_set_has(specs: list[EnsembleSpec]) -> None:
    for size in ("all", "1797"):
        done = CliRunner().invoke(cli, ["train", "--fingerprint-size", size, "--no-analyze"])
        assert done.exit_code == 0, done.exception
    assert [spec.fingerprint.size for spec in specs] == [1797, 1797]
    assert specs[0].key == specs[1].key  # said in either way it is one ensemble
    refused = CliRunner().invoke(cli, ["train", "--fingerprint-size", "every"])
    assert str(refused.exception) == "--fingerprint-size: expected a whole number, or all, got 'every'."
    with pytest.raises(InvalidInputError, match=r"expected a number here; `spec_validation.resolve` takes all"):
        parse(FingerprintConfig, {"size": "all"})


def arrays_of_labels(folder: Path, **more: Any) -> list[str]:
    """Write images with three labels, and return the options that name the file."""
    rng = np.random.default_rng(0)
    labels = np.stack([np.arange(40), rng.integers(0, 4, 40), rng.integers(0, 900, 40)], axis=1)
    images = rng.integers(0, 256, (40, 8, 8), dtype=np.uint8)
    np.savez(folder / "x.npz", images=images, labels=labels, label_names=["row", "kind", "size"], **more)
    return ["train", "--dataset", "npz", "--path", str(folder / "x.npz"), "--fingerprint-size", "all"]


def test_naming_an_identifier_leaves_the_ensemble_the_same(specs: list[EnsembleSpec], tmp_path: Path) -> None:
    typed = arrays_of_labels(tmp_path)
    for more in ([], ["--identifier", "size", "--identifier", "row"]):
        assert CliRunner().invoke(cli, [*typed, *more]).exit_code == 0
    plain, named = specs
    assert (plain.dataset.identifiers, named.dataset.identifiers) == ((), ("row", "size"))
    assert plain.key == named.key
    assert "identifiers" not in plain.model_dump(mode="json")["dataset"]  # as earlier versions wrote it, and read it
    assert parse(EnsembleSpec, named.model_dump(mode="json")) == named


def test_identifiers_that_the_file_names_are_the_specs(specs: list[EnsembleSpec], tmp_path: Path) -> None:
    assert (
        CliRunner().invoke(cli, [*arrays_of_labels(tmp_path, identifiers="size"), "--identifier", "row"]).exit_code == 0
    )
    assert specs[0].dataset.identifiers == ("row", "size")


@pytest.mark.parametrize("dataset", ["npz", "digits"])
def test_an_identifier_that_is_no_label_is_refused_before_training(
    specs: list[EnsembleSpec], tmp_path: Path, dataset: str
) -> None:
    typed = arrays_of_labels(tmp_path) if dataset == "npz" else ["train"]
    refused = CliRunner().invoke(cli, [*typed, "--identifier", "sise"])
    labels = "row, kind, size" if dataset == "npz" else "digit"
    assert str(refused.exception) == f"--identifier: expected identifiers among the labels, {labels}, got 'sise'."
    assert specs == []


def test_the_last_identifiers_stand_but_not_those_of_an_earlier_job(tmp_path: Path) -> None:
    store = EnsembleStore(tmp_path)
    plain, named = (resolve({"dataset": {"identifiers": names}}) for names in ((), ("digit",)))
    created = store.create(plain)
    for spec in (named, plain, named):
        record = store.create(spec)
        assert (record.id, record.created) == (created.id, created.created)
        assert store.record(record.id).spec.dataset.identifiers == spec.dataset.identifiers
    store.create(plain, created.id)  # as the engine does when it comes to a job
    assert store.record(created.id).spec == named
