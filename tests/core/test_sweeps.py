"""Sweeps: what may be a list, what they are called, and where they are kept."""

import json
from pathlib import Path
from typing import Any

import pytest

from vaefrag_core.ensemble_store import EnsembleStore, ensemble_id_of, write_text
from vaefrag_core.errors import BrokenFileError, InvalidInputError, MissingDataError
from vaefrag_core.spec_validation import resolve
from vaefrag_core.sweeps import SweepStore, resolve_sweep


def asked(name: str = "", **train: Any) -> dict[str, Any]:
    return {"name": name, "dataset": {"name": "digits"}, "train": {"objective": "beta-vae", **train}, "members": 3}


def swept(name: str = "", **train: Any) -> Any:
    return resolve_sweep(asked(name, **train))


def test_a_list_gives_an_ensemble_for_each_value_ascending() -> None:
    sweep, specs = resolve_sweep(asked(beta="4, 1,2 ,1.0,"))
    assert sweep is not None
    assert (sweep.coefficient, sweep.symbol, sweep.values) == ("beta", "β", (1, 2, 4))
    assert [spec.train.beta for spec in specs] == [1, 2, 4]
    assert sweep.ensembles == tuple(ensemble_id_of(resolve(asked(beta=value))) for value in (1, 2, 4))
    assert sweep.name == "digits beta-vae, β 1 to 4"
    assert [spec.name for spec in specs] == [f"digits beta-vae β={value}" for value in (1, 2, 4)]


def test_a_single_value_is_no_sweep() -> None:
    sweep, specs = resolve_sweep(asked(beta="4"))
    assert sweep is None
    assert specs == [resolve(asked(beta=4))]


def test_a_name_goes_to_the_sweep_and_with_its_value_to_each_ensemble() -> None:
    sweep, specs = resolve_sweep(asked("n" * 80, objective="dip-vae-i", lambda_od="5,10"))
    assert sweep is not None
    assert sweep.name == "n" * 80 + ", λod 5 to 10"
    assert [spec.name for spec in specs] == ["n" * 74 + " λod=5", "n" * 73 + " λod=10"]


def test_equal_sweeps_are_the_same_sweep_whatever_they_are_called(workspace: EnsembleStore) -> None:
    sweeps = SweepStore(workspace)
    first = sweeps.create(*swept(beta="1,2"))
    again = sweeps.create(*swept("another name", beta="2,1.0"))
    other = sweeps.create(*swept(beta="1,2,4"))
    assert again == first
    assert first.id.startswith("digits-beta-vae-beta-")
    assert other.id != first.id
    assert sweeps.ids() == sorted([first.id, other.id])
    assert sweeps.sweeps() == [first, other]
    assert sweeps.of_ensemble(other.ensembles[2]) == [other]
    assert sweeps.of_ensemble(first.ensembles[0]) == [first, other]


def test_ensembles_that_exist_are_taken_over(workspace: EnsembleStore) -> None:
    before = workspace.create(resolve(asked("mine", beta=2)))
    sweep = SweepStore(workspace).create(*swept(beta="1,2"))
    assert sweep.ensembles[1] == before.id
    assert workspace.record(before.id) == before
    assert sorted(workspace.ids()) == sorted(sweep.ensembles)


@pytest.mark.parametrize(
    ("train", "field", "sentence"),
    [
        ({"beta": "1,2", "gamma": "1,2"}, "train.gamma", "Expected a list of one coefficient, got lists of beta and"),
        ({"gamma": "1,2"}, "train.gamma", "beta-vae does not read gamma. Give a list of one of beta."),
        ({"beta": "2, 2.0"}, "train.beta", "A sweep takes at least two values of beta, got '2, 2.0'."),
        ({"beta": "1," * 51}, "train.beta", "A sweep takes at most 50 values of beta, got 51."),
        ({"beta": ","}, "train.beta", "A sweep takes at least two values of beta, got ','."),
        ({"beta": "1,two"}, "train.beta", r"beta .*expected a number, got 'two'"),
        ({"beta": "1,-2"}, "train.beta", r"beta .*expected a value greater than or equal to 0, got -2"),
        ({"objective": "nonsense", "beta": "1,2"}, "train.objective", "objective"),
    ],
)
def test_what_cannot_be_swept_is_said_at_its_field(train: dict[str, Any], field: str, sentence: str) -> None:
    with pytest.raises(InvalidInputError, match=sentence) as caught:
        resolve_sweep(asked(**train))
    assert field in caught.value.fields


def test_a_sweep_that_an_earlier_version_made_is_found_with_its_ensembles(workspace: EnsembleStore) -> None:
    # As version 0.1.0 wrote it, but for its values' order in the id: γ of factor-vae stood in no ensemble's id.
    text = (
        '{"name":"digits factor-vae, γ 5 to 10","coefficient":"gamma_tc","values":[5.0,10.0],'
        '"ensembles":["digits-factor-vae-1-b6ada59c","digits-factor-vae-1-9307aed9"]}'
    )
    write_text(workspace.workspace / "sweeps" / "digits-factor-vae-gamma-tc-d73108c9.json", text)
    values = {"train": {"objective": "factor-vae", "gamma_tc": "5,10"}}
    for spec, ensemble_id in zip(resolve_sweep(values)[1], json.loads(text)["ensembles"], strict=True):
        facts = {"format": 1, "spec": spec.model_dump(mode="json"), "created": "", "versions": {}}
        write_text(workspace.folder(ensemble_id) / "spec.json", json.dumps(facts))
    sweeps = SweepStore(workspace)
    again = sweeps.create(*resolve_sweep(values))  # type: ignore[arg-type]
    assert again.id == "digits-factor-vae-gamma-tc-d73108c9"
    assert again == sweeps.sweep("digits-factor-vae-gamma-tc-d73108c9")
    assert sweeps.ids() == [again.id]
    assert len(workspace.ids()) == 2


def test_a_list_that_the_default_objective_does_not_read_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="beta-vae does not read gamma"):
        resolve_sweep({"train": {"gamma": "1,2"}})


def test_what_is_not_there_or_broken_is_named(workspace: EnsembleStore) -> None:
    sweeps = SweepStore(workspace)
    with pytest.raises(MissingDataError, match=r"There is no sweep 'x' in .* Sweeps there: none"):
        sweeps.sweep("x")
    with pytest.raises(MissingDataError, match="that is not a sweep's id"):
        sweeps.sweep("../x")
    sweep = sweeps.create(*swept(beta="1,2"))
    with pytest.raises(MissingDataError, match=f"Run `vaefrag atlas {sweep.id}`"):
        sweeps.atlas(sweep.id)
    Path(workspace.workspace / "sweeps" / f"{sweep.id}.json").write_text("{")
    with pytest.raises(BrokenFileError, match="expected a sweep"):
        sweeps.sweep(sweep.id)
    assert sweeps.sweeps() == []
