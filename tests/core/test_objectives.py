"""Every declared objective is trained, can be asked for everywhere, and is documented."""

import re
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest
import typer

from vaefrag.cli import cli
from vaefrag.components import spec_form
from vaefrag_core.config import Objective, TrainConfig
from vaefrag_core.objectives import OBJECTIVES, SETTINGS

DOCS = (Path(__file__).parents[2] / "docs" / "training.md").read_text(encoding="utf-8")
OPTIONS = {
    text: option
    for option in typer.main.get_command(cli).commands["train"].params  # type: ignore[attr-defined]
    for text in option.opts
}


def test_every_name_that_a_config_takes_is_declared_in_order() -> None:
    assert list(OBJECTIVES) == list(get_args(Objective))


@pytest.mark.parametrize("name", OBJECTIVES)
def test_an_objective_reads_settings_that_there_are_and_has_a_coefficient(name: Objective) -> None:
    declared = OBJECTIVES[name]
    assert set(declared.settings) <= set(SETTINGS) <= set(TrainConfig.model_fields)
    assert declared.coefficients
    assert TrainConfig(objective=name).unread_settings == set(SETTINGS) - set(declared.settings)


@pytest.mark.parametrize("name", SETTINGS)
def test_a_setting_is_read_and_has_an_option_and_a_field_of_the_form(name: str) -> None:
    setting = SETTINGS[name]
    assert setting.readers
    assert setting.field.description
    option = OPTIONS[setting.flag]
    assert option.help
    first = {f"train.{name}": TrainConfig.model_fields[name].default}
    typed = str(option.default).split(",")
    assert [float(part) for part in typed] == [
        float(part) for value in first.values() for part in (value if isinstance(value, tuple) else (value,))
    ]
    for objective in OBJECTIVES:
        assert spec_form.is_read(f"train.{name}", objective, "digits") == (objective in setting.readers)
    assert spec_form.FIELDS[f"train.{name}"].label == setting.labels.label


@pytest.mark.parametrize("name", OBJECTIVES)
def test_an_objective_has_its_row_in_the_documentation(name: Objective) -> None:
    (row,) = [line for line in DOCS.splitlines() if line.startswith(f"| `{name}` ")]
    _, _, formula, coefficients, reference, _ = (cell.strip() for cell in re.split(r"(?<!\\)\|", row))
    declared = OBJECTIVES[name]
    assert formula.replace("\\|", "|") == declared.formula
    assert reference == declared.reference
    flags = {SETTINGS[setting].flag for setting in declared.coefficients}
    assert set(re.findall(r"`(--[a-z-]+)`", coefficients)) == flags
    for setting in set(declared.settings) - set(declared.coefficients):
        assert f"`{SETTINGS[setting].flag}" in DOCS


def test_the_options_of_an_objective_say_who_reads_them() -> None:
    listed = OPTIONS["--objective"].help
    assert all(name in listed for name in OBJECTIVES)
    assert OPTIONS["--capacity"].help == "annealed-vae: KL that is allowed at the end, C, nats."
    assert OPTIONS["--beta"].help.startswith("Weight of the KL term")


def test_the_declarations_need_no_torch() -> None:
    code = "import sys, vaefrag_core.objectives, vaefrag_core.config; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "False"
