"""Presets: the figures of the papers, and what was asked for over them."""

from typing import Any

import pytest

from vaefrag_core.config import EnsembleSpec
from vaefrag_core.config_errors import parse
from vaefrag_core.datasets.catalog import describe_datasets
from vaefrag_core.errors import InvalidInputError
from vaefrag_core.presets import PRESETS, with_preset
from vaefrag_core.spec_validation import resolve


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
    assert (spec.dataset.name, spec.train.title, spec.model.architecture) == ("fashion-mnist", "beta-vae β=4", "conv28")
    assert spec.model.channels == 10


def test_circle_so2_has_one_channel_and_squared_error() -> None:
    spec = spec_of("circle-so2")
    assert (spec.dataset.name, spec.train.title, spec.train.learning_rate) == ("circle", "beta-vae β=0.03", 1e-3)
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
