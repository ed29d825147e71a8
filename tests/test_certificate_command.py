"""`vaefrag certificate` and `vaefrag compare`: what they say of ensembles of which it is known."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from support import Trained
from vaefrag.cli import cli
from vaefrag_core import pipeline
from vaefrag_core.artifacts import Posteriors
from vaefrag_core.config import AnalysisConfig
from vaefrag_core.config_errors import parse
from vaefrag_core.ensemble_store import EnsembleStore
from vaefrag_core.structure.planted_comparisons import plant_departures, plant_pair
from vaefrag_core.structure.planted_ensembles import Planted
from webpages import Tab, app_of


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


@pytest.fixture(scope="module")
def doubled(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, str]:
    """Return two ensembles whose members tell every fragment by two channels each; the first held against chance."""
    workspace = tmp_path_factory.mktemp("doubled")
    rng = np.random.default_rng(5)
    ids = []
    for name, (posteriors, _) in zip(
        "ab", plant_pair(Planted(members=4, fragments=3, images=120), (0, 1), (0, 2), seed=1), strict=True
    ):
        mean = [np.repeat(m, 2, axis=1) + 0.02 * rng.normal(size=(len(m), 2 * m.shape[1])) for m in posteriors.mean]
        logvar = [np.repeat(v, 2, axis=1) for v in posteriors.logvar]
        ids.append(analysed(workspace, Posteriors(mean, logvar, sample_id="one sample"), name))
    assert invoke(workspace, "null", ids[0], "--draws", "4").exit_code == 0
    return workspace, ids[0], ids[1]


def test_a_hotspot_has_one_corrected_nmi_wherever_it_is_shown(doubled: tuple[Path, str, str], tmp_path: Path) -> None:
    workspace, one, other = doubled
    store = EnsembleStore(workspace)
    analysis = store.analysis(one)
    matrix, groups = analysis.matrix, analysis.hotspots["nmi"].groups
    assert len(groups) == 2
    expected = []
    for group in groups:  # by a plain loop, over pairs of different members
        corrected = matrix.corrected_nmi(list(group.channels))
        member = [int(matrix.member[c]) for c in group.channels]
        pairs = [corrected[u, v] for u in range(group.size) for v in range(u) if member[u] != member[v]]
        assert len(pairs) < group.size * (group.size - 1) / 2  # or all pairs would say the same
        expected.append(float(np.mean(pairs)))
    told = {
        command: [item["mean_nmi_corrected"] for item in json_of(workspace, command, one)["hotspots"]]
        for command in ("analyze", "certificate")
    }
    told["compare"] = [
        item["mean_nmi_corrected"]
        for item in json_of(workspace, "compare", one, other, "--draws", "1")["hotspots"][one]
    ]
    told["null"] = [item["similarity"] for item in json_of(workspace, "null", one, "--draws", "4")["hotspots"]]
    for command, values in told.items():
        assert values == pytest.approx(expected, abs=1e-6), command
    app = app_of(store, tmp_path / "cache")
    for page, digits in (("certificate", 2), ("ensemble", 2)):
        words = Tab(app, f"/{page}/{one}").words
        for value in expected:
            assert f"{value:.{digits}f}" in words, page


def test_what_hotspots_were_held_against_is_in_the_certificate(doubled: tuple[Path, str, str], tmp_path: Path) -> None:
    workspace, one, other = doubled
    tests, hotspots = EnsembleStore(workspace).analysis(one).null_tests["nmi"], 2
    result, without = (json_of(workspace, "certificate", ensemble_id) for ensemble_id in (one, other))
    assert result["null_command"] is None
    for number in range(hotspots):
        item = result["hotspots"][number]
        assert item["null"] == {
            "p_value": pytest.approx(float(tests.p_values[number])),
            "false_discovery_rate": pytest.approx(float(tests.false_discovery_rates[number])),
            "rotation_percentile": pytest.approx(float(tests.rotation_percentiles[number])),
        }
        low, high = item["mean_nmi_corrected_interval"]
        assert low < item["mean_nmi_corrected"] < high
    p_value = f"{tests.p_values[0]:.2g}"
    assert f"with their images shuffled, they have p = {p_value}" in result["methods"]
    assert "axes were turned at random" in result["methods"]
    command = f"vaefrag null {other}"
    assert without["null_command"] == command
    assert all(item["null"] is None for item in without["hotspots"])
    compared = json_of(workspace, "compare", one, other, "--draws", "1")
    assert compared["null_commands"] == [command]
    assert compared["hotspots"][one][0]["null"] == result["hotspots"][0]["null"]
    app = app_of(EnsembleStore(workspace), tmp_path / "cache")
    for ensemble_id, said in ((one, False), (other, True)):
        file = tmp_path / f"{ensemble_id}.md"
        output = invoke(workspace, "certificate", ensemble_id, "--output", str(file)).output
        page = Tab(app, f"/certificate/{ensemble_id}").words
        texts = {"paragraph": (result if ensemble_id == one else without)["methods"], "file": file.read_text()}
        for place, text in (texts | {"terminal": " ".join(output.split()), "page": page}).items():
            assert (f"vaefrag null {ensemble_id}" in text) == said, place
            assert ("not been held against chance" in text) == said, place
        assert max(map(len, output.split("NMI:")[0].splitlines())) <= 80
        table = output.split("they holds.")[-1].split("NMI inside:")[0]
        assert max(len(line) for line in table.splitlines() if line.startswith(" ")) <= 80


def test_only_the_measure_that_is_used_has_its_errors_worked_out(doubled: tuple[Path, str, str]) -> None:
    workspace, one, _ = doubled
    store = EnsembleStore(workspace)
    hotspots = store.analysis(one).hotspots
    assert hotspots["nmi"].inside is not None
    assert hotspots["vi"].inside is None
    config = parse(AnalysisConfig, {"hotspots": {"measure": "vi"}})
    by_vi = pipeline.analyze(one, store, config).hotspots
    assert by_vi["vi"].inside is not None
    assert len(by_vi["vi"].inside.error) == len(by_vi["vi"].groups)
    assert by_vi["nmi"].inside is None
    again = pipeline.analyze(one, store)
    np.testing.assert_array_equal(again.hotspots["nmi"].inside.error, hotspots["nmi"].inside.error)
    assert "nmi" in again.null_tests


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
