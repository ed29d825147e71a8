"""`vaefrag certificate` and `vaefrag compare`: what they say of ensembles of which it is known."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from support import Trained
from vaefrag.cli import cli
from vaefrag_core import pipeline
from vaefrag_core.artifacts import Posteriors
from vaefrag_core.ensemble_store import EnsembleStore
from vaefrag_core.structure.planted_comparisons import plant_departures, plant_pair
from vaefrag_core.structure.planted_ensembles import Planted


def analysed(workspace: Path, posteriors: Posteriors, name: str = "planted") -> str:
    store = EnsembleStore(workspace)
    ensemble_id = store.add(posteriors, name).id
    pipeline.analyze(ensemble_id, store)
    return ensemble_id


def invoke(workspace: Path, *arguments: str) -> Result:
    return CliRunner().invoke(cli, [*arguments, "--workspace", str(workspace)])


def json_of(workspace: Path, *arguments: str) -> dict:
    result = invoke(workspace, *arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


@pytest.fixture(scope="module")
def departed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, int, int]:
    workspace = tmp_path_factory.mktemp("departed")
    posteriors, odd, clearest = plant_departures(Planted(members=7, fragments=3, images=200), seed=2)
    return workspace, analysed(workspace, posteriors), odd, clearest


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, str]:
    workspace = tmp_path_factory.mktemp("pair")
    sides = plant_pair(Planted(members=4, fragments=4, images=150), (0, 1, 2), (0, 1, 3), seed=3)
    one, other = (analysed(workspace, posteriors, name) for name, (posteriors, _) in zip("ab", sides, strict=True))
    return workspace, one, other


def test_the_consensus_and_the_outlier_are_named(departed: tuple[Path, str, int, int], tmp_path: Path) -> None:
    workspace, ensemble_id, odd, clearest = departed
    file = tmp_path / "certificate.md"
    result = json_of(workspace, "certificate", ensemble_id, "--output", str(file))
    assert (result["consensus"], result["outliers"]) == (clearest, [odd])
    assert result["members"][odd]["hotspots_lacking"] == [0, 1, 2]
    analysis = json_of(workspace, "analyze", ensemble_id)
    shared = ("hotspot", "size", "members", "medoid", "return_probability", "return_interval")
    for told, analysed_ in zip(result["hotspots"], analysis["hotspots"], strict=True):
        assert {name: told[name] for name in shared} == {name: analysed_[name] for name in shared}
    for channel in result["channels"]:
        hotspot = channel["hotspot"]
        inside = {"member": channel["member"], "channel": channel["channel"]}
        assert all((inside in h["channels"]) == (h["hotspot"] == hotspot) for h in analysis["hotspots"])
    text = file.read_text()
    assert f"Member {clearest} stands best" in text
    assert result["methods"] in text
    assert f"| {odd} | 0 of 3 |" in text
    words = " ".join(invoke(workspace, "certificate", ensemble_id).output.split())
    assert f"Member {odd} shares clearly less with the hotspots" in words
    assert "made by another program" in words
    assert max(map(len, invoke(workspace, "certificate", ensemble_id).output.split("NMI:")[0].splitlines())) <= 80
    refused = invoke(workspace, "certificate", ensemble_id, "--output", str(file))
    assert refused.exit_code == 1
    assert "is there already" in str(refused.exception)


def test_the_paragraph_holds_what_a_trained_ensemble_is_repeated_by(trained: Trained) -> None:
    result = json_of(trained.store.workspace, "certificate", trained.id)
    record = trained.store.record(trained.id)
    spec = trained.spec
    facts: Sequence[str] = (
        f"{spec.members} variational autoencoders",
        spec.train.title,
        f"trained on {spec.dataset.name}",
        f"ensemble seed {spec.train.seed}",
        f"{spec.train.steps:,} steps of {spec.train.batch_size} images",
        f"drawn with seed {spec.fingerprint.seed}",
        *(f"{name} {version}" for name, version in record.versions.items()),
        f"posteriors {trained.store.posteriors(trained.id).key}",
    )
    assert len(record.versions) >= 4
    for fact in facts:
        assert fact in result["methods"], fact


def test_an_ensemble_that_is_not_analysed_has_no_certificate(tmp_path: Path) -> None:
    posteriors, _, _ = plant_departures(Planted(members=3, fragments=1, images=50), seed=0)
    ensemble_id = EnsembleStore(tmp_path).add(posteriors, "new").id
    for arguments in (("certificate", ensemble_id), ("compare", ensemble_id, "other")):
        refused = invoke(tmp_path, *arguments)
        assert refused.exit_code == 1
        assert "vaefrag analyze" in str(refused.exception)


def test_two_ensembles_are_held_against_each_other(pair: tuple[Path, str, str]) -> None:
    workspace, one, other = pair
    result = json_of(workspace, "compare", one, other, "--draws", "9")
    assert result["ensembles"] == [one, other]
    assert sum(map(sum, result["found_in_both"])) == 2
    for key, transpose in ((one, False), (other, True)):
        for item in result["hotspots"][key]:
            matrix = result["mean_nmi_corrected"]
            row = [line[item["hotspot"]] for line in matrix] if transpose else matrix[item["hotspot"]]
            assert item["best_match_nmi_corrected"] == max(row) == row[item["best_match"]]
            assert item["found_in_both"] == (item["best_match_nmi_corrected"] > 0.3)
            assert (item["best_match_p_value"] == pytest.approx(0.1)) >= item["found_in_both"]
        assert sum(item["found_in_both"] for item in result["hotspots"][key]) == 2
    words = " ".join(invoke(workspace, "compare", one, other, "--draws", "3").output.split())
    assert f"2 of 3 hotspots of {one} are found in {other}." in words
    assert result == json_of(workspace, "compare", one, other, "--draws", "9")


def test_other_samples_and_the_same_ensemble_twice_are_refused(pair: tuple[Path, str, str], tmp_path: Path) -> None:
    workspace, one, _ = pair
    twice = invoke(workspace, "compare", one, one)
    assert twice.exit_code == 1
    assert "two different ensembles" in str(twice.exception)
    sides = plant_pair(Planted(members=3, fragments=2, images=60), (0, 1), (0, 1), seed=1)
    ids = [
        analysed(tmp_path, Posteriors(p.mean, p.logvar, sample_id=name), name)
        for name, (p, _) in zip(("first sample", "second sample"), sides, strict=True)
    ]
    refused = invoke(tmp_path, "compare", *ids)
    assert refused.exit_code == 1
    assert "cannot be compared: they are of different samples" in str(refused.exception)
