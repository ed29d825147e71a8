"""Configs: frozen, checked, and named by their content."""

import pytest
from pydantic import ValidationError

from vaefrag_core.config import (
    AnalysisConfig,
    BootstrapConfig,
    Config,
    EnsembleSpec,
    FusionConfig,
    HotspotConfig,
    ModelConfig,
    TrainConfig,
    content_key,
)
from vaefrag_core.config_errors import parse
from vaefrag_core.errors import InvalidInputError
from vaefrag_core.objectives import OBJECTIVES


def test_a_key_is_the_same_on_every_machine() -> None:
    # Written down once: a change here orphans every result on every disk.
    assert content_key({"b": 1, "a": [1.5, "β"]}) == "e4429b9c5271"


def test_equal_specs_are_the_same_ensemble_whatever_they_are_called() -> None:
    assert EnsembleSpec(name="one").key == EnsembleSpec(name="two").key
    assert EnsembleSpec().key != EnsembleSpec(train=TrainConfig(beta=2.0)).key
    assert EnsembleSpec().key != EnsembleSpec(members=3).key
    assert EnsembleSpec().key == "395269cdafba"  # or every workspace would lose its ensembles


def test_what_was_added_later_counts_only_where_it_is_used() -> None:
    assert EnsembleSpec(train=TrainConfig(gamma_tc=3.0, discriminator_widths=(4,))).key == "395269cdafba"
    factor = [
        TrainConfig(objective="factor-vae", gamma_tc=gamma, gamma=other) for gamma, other in ((1, 1), (1, 2), (2, 1))
    ]
    keys = [EnsembleSpec(train=train).key for train in factor]
    assert keys[0] == keys[1] != keys[2]
    assert EnsembleSpec(train=factor[0]).name == "digits factor-vae γ=1"
    clipped = [EnsembleSpec(train=TrainConfig(clip_gradient=norm)).key for norm in (None, 1.0, 2.0)]
    assert clipped[0] == "395269cdafba"
    assert len(set(clipped)) == 3
    precise = [EnsembleSpec(train=TrainConfig(precision=name)).key for name in ("float32", "bfloat16")]
    assert precise[0] == "395269cdafba" != precise[1]
    kept = [EnsembleSpec(train=TrainConfig(snapshots=count)).key for count in (0, 1, 8)]
    assert kept[0] == "395269cdafba"
    assert len(set(kept)) == 3
    own = [EnsembleSpec(model=ModelConfig(network="a.b:C", widths=widths)).key for widths in ((8,), (9,))]
    assert own[0] == own[1] != "395269cdafba"


def test_coefficients_that_the_objective_does_not_read_are_no_part_of_what_was_asked_for() -> None:
    assert EnsembleSpec(train=TrainConfig(gamma=3.0)).key == EnsembleSpec().key
    annealed = [
        TrainConfig(objective="annealed-vae", gamma=gamma, beta=beta) for gamma, beta in ((1, 1), (2, 1), (1, 2))
    ]
    keys = [EnsembleSpec(train=train).key for train in annealed]
    assert keys[0] == keys[2] != keys[1]
    assert EnsembleSpec(train=annealed[0]).name == "digits annealed-vae γ=1 C=25"


def test_a_spec_names_itself() -> None:
    assert EnsembleSpec(train=TrainConfig(beta=16)).name == "digits beta-vae β=16"


def test_a_spec_survives_json() -> None:
    spec = EnsembleSpec(members=7)
    assert EnsembleSpec.model_validate_json(spec.model_dump_json()) == spec


def test_configs_are_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        TrainConfig().beta = 3.0  # type: ignore[misc]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"train": {"beta": -1}},
            r"beta \(weight of the KL term; .*\): expected a value greater than or equal to 0, got -1\.",
        ),
        ({"train": {"beta": float("nan")}}, "beta .*: expected a finite number|a value greater than"),
        ({"members": 0}, r"members \(VAEs in the ensemble\): expected a value greater than or equal to 1, got 0\."),
        ({"train": {"objective": "gan"}}, f"objective .*: expected 'beta-vae', .* or '{[*OBJECTIVES][-1]}', got 'gan'"),
        (
            {"train": {"precision": "half"}},
            r"precision \(of the networks' products .*\): expected 'float32' or 'bfloat16', got 'half'\.",
        ),
        (
            {"model": {"widths": [64, "x"]}},
            r"^value 2 of widths \(units of each .* mlp\): expected a whole number, got 'x'\.$",
        ),
        ({"model": {"widths": ["a"]}}, r"^value 1 of widths [^.]*: expected a whole number, got 'a'\.$"),
        ({"model": {"widths": []}}, r"widths .*: expected at least 1 value, got \[\]\."),
        ({"train": {"seed": "1.5"}}, r"seed .*: expected a whole number, got 1\.5\."),
        ({"train": {"beta": "much"}}, r"beta .*: expected a number, got 'much'\."),
        ({"steps": 5}, "There is no setting 'steps'. Leave it out."),
        ({"train": {"steps": "many", "seed": -1}}, "steps.*seed"),
    ],
)
def test_a_wrong_value_is_named_with_what_was_expected(values: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        parse(EnsembleSpec, values)


def test_what_is_wrong_with_fields_together_is_said_of_all_of_them() -> None:
    with pytest.raises(InvalidInputError, match=r"^Expected either members or channels, got both\.$"):
        parse(FusionConfig, {"members": [0, 1], "channels": [[0, 3]]})


def test_every_field_says_what_it_is() -> None:
    def nested(model: type[Config]) -> list[str]:
        missing = []
        for name, field in model.model_fields.items():
            if isinstance(field.annotation, type) and issubclass(field.annotation, Config):
                missing += nested(field.annotation)
            elif not field.description:
                missing.append(f"{model.__name__}.{name}")
        return missing

    assert nested(EnsembleSpec) + nested(AnalysisConfig) == []


def test_a_bootstrap_that_is_not_wanted_is_no_part_of_an_analysis() -> None:
    assert AnalysisConfig().key == "44573f19acce"  # as before there was any, but for the rule that finds hotspots
    assert AnalysisConfig(bootstrap=BootstrapConfig(seed=3)).key == AnalysisConfig().key
    resampled = AnalysisConfig(bootstrap=BootstrapConfig(resamples=9, seed=3))
    assert resampled.key != AnalysisConfig().key
    assert AnalysisConfig.model_validate_json(resampled.model_dump_json()) == resampled
    assert AnalysisConfig.model_validate_json(AnalysisConfig().model_dump_json()) == AnalysisConfig()


def test_settings_of_analyses_that_cut_hotspots_at_a_relative_drop_are_read() -> None:
    earlier = {"hotspots": {"measure": "vi", "min_bits": 0.01, "min_samples": None, "xi": 0.02, "nmi_floor": 1e-4}}
    assert AnalysisConfig.model_validate(earlier) == AnalysisConfig(hotspots=HotspotConfig(measure="vi"))
