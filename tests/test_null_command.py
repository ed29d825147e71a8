"""`vaefrag null`, `sensitivity` and `bench hotspots`: what they say of ensembles whose hotspots are known."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from vaefrag.cli import cli
from vaefrag.commands import bench_hotspots
from vaefrag.commands.bench_rules import OURS, RULES
from vaefrag_core import pipeline
from vaefrag_core.artifacts import ChannelMatrix, Posteriors
from vaefrag_core.config import NullConfig
from vaefrag_core.ensemble_store import EnsembleStore
from vaefrag_core.errors import BrokenFileError, MissingDataError
from vaefrag_core.null_pipeline import run_null_tests
from vaefrag_core.structure.matrices import compare_channels
from vaefrag_core.structure.planted_ensembles import Planted, independent, plant


def analysed(workspace: Path, posteriors: Posteriors) -> str:
    store = EnsembleStore(workspace)
    ensemble_id = store.add(posteriors, "planted").id
    pipeline.analyze(ensemble_id, store)
    return ensemble_id


def null_of(workspace: Path, ensemble_id: str, *options: str) -> dict:
    arguments = ["null", ensemble_id, "--draws", "9", "--workspace", str(workspace), "--json", *options]
    result = CliRunner().invoke(cli, arguments)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_planted_fragments_are_beyond_chance_and_the_members_without_them_are_named(tmp_path: Path) -> None:
    posteriors, truth = plant(Planted(members=8, fragments=2, images=200, held=0.5, noise=0.2), seed=1)
    result = null_of(tmp_path, analysed(tmp_path, posteriors))
    member = posteriors.channel_names[:, 0]
    lacking = {tuple(sorted(set(range(8)) - set(member[truth == k].tolist()))) for k in (0, 1)}
    assert {tuple(item["members_lacking"]) for item in result["hotspots"]} == lacking
    for item in result["hotspots"]:
        assert item["p_value"] == pytest.approx(0.1)  # the least that nine draws can tell
        assert item["false_discovery_rate"] == pytest.approx(0.1)
        assert item["return_probability"] == 0.5
        low, high = item["return_interval"]
        assert low < 0.5 < high
        assert item["rotation_percentile"] == item["rotation_percentile_of_rank"] == 100
        assert item["rotation_p_value"] == pytest.approx(0.1)
    assert 0 < result["highest_by_chance"] < 0.1
    last = result["member_curve"]["points"][-1]
    assert (last["members"], last["hotspots_mean"], last["refound_range"]) == (8, 2, [2, 2])


def test_what_was_found_is_kept_with_the_analysis_and_never_beside_another(tmp_path: Path) -> None:
    posteriors, _ = plant(Planted(members=5, fragments=2, images=120, noise=0.2), seed=3)
    ensemble_id, store = analysed(tmp_path, posteriors), EnsembleStore(tmp_path)
    before, key = store.analysis(ensemble_id), store.analysis_index(ensemble_id).key
    assert before.null_tests == {}
    result = null_of(tmp_path, ensemble_id)
    tests = store.analysis(ensemble_id).null_tests["nmi"]
    assert tests.p_values.tolist() == [item["p_value"] for item in result["hotspots"]]
    assert store.analysis_index(ensemble_id).key == key  # nothing else that is made from the analysis is stale
    arguments = ["analyze", ensemble_id, "--workspace", str(tmp_path), "--json"]
    shown = json.loads(CliRunner().invoke(cli, arguments).stdout)
    assert shown["hotspots"][0]["null"]["p_value"] == result["hotspots"][0]["p_value"]
    assert shown["member_curve"] == result["member_curve"]
    other = json.loads(CliRunner().invoke(cli, [*arguments, "--cohesion", "0.7"]).stdout)
    assert "null" not in other["hotspots"][0]
    assert store.analysis(ensemble_id).null_tests == {}


def test_an_interrupted_test_leaves_nothing_behind(tmp_path: Path) -> None:
    posteriors, _ = plant(Planted(members=4, fragments=1, images=80, noise=0.2), seed=4)
    ensemble_id, store = analysed(tmp_path, posteriors), EnsembleStore(tmp_path)
    there = sorted((store.folder(ensemble_id) / "analysis").iterdir())

    def interrupt(stage: str, share: float) -> None:
        if stage == "rotated" and share > 0.5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_null_tests(ensemble_id, store, NullConfig(draws=3), on_stage=interrupt)
    assert sorted((store.folder(ensemble_id) / "analysis").iterdir()) == there
    assert store.analysis(ensemble_id).null_tests == {}


def test_a_damaged_result_says_what_to_delete(tmp_path: Path) -> None:
    posteriors, _ = plant(Planted(members=4, fragments=1, images=80, noise=0.2), seed=4)
    ensemble_id, store = analysed(tmp_path, posteriors), EnsembleStore(tmp_path)
    run_null_tests(ensemble_id, store, NullConfig(draws=1, choices=1))
    folder = store.folder(ensemble_id) / "analysis" / store.analysis_index(ensemble_id).null_tests["nmi"]
    (folder / "curve_hotspots.npy").unlink()
    with pytest.raises(BrokenFileError, match=f"Delete {folder} and run `vaefrag null {ensemble_id}`"):
        store.analysis(ensemble_id)
    shutil.rmtree(folder)
    assert store.analysis(ensemble_id).null_tests == {}
    run_null_tests(ensemble_id, store, NullConfig(draws=1, choices=1))
    assert list(store.analysis(ensemble_id).null_tests) == ["nmi"]


def test_draws_have_a_bound(tmp_path: Path) -> None:
    ensemble_id = analysed(tmp_path, independent(3, 2, 60, seed=2))
    refused = CliRunner().invoke(cli, ["null", ensemble_id, "--draws", "0", "--workspace", str(tmp_path)])
    assert refused.exit_code == 1
    assert "--draws" in str(refused.exception)


def test_where_nothing_comes_back_there_is_nothing_to_hold_against_chance(tmp_path: Path) -> None:
    ensemble_id = analysed(tmp_path, independent(4, 3, 120, seed=2))
    assert null_of(tmp_path, ensemble_id)["hotspots"] == []
    shown = CliRunner().invoke(cli, ["null", ensemble_id, "--draws", "3", "--workspace", str(tmp_path)])
    assert "the most similar group that spans enough members reaches" in " ".join(shown.output.split())


def test_the_same_seed_gives_the_same_and_another_does_not(tmp_path: Path) -> None:
    ensemble_id = analysed(tmp_path, independent(4, 3, 120, seed=2))
    once, again, other = (null_of(tmp_path, ensemble_id, "--seed", seed) for seed in ("1", "1", "2"))
    assert once == again
    assert once["highest_by_chance"] != other["highest_by_chance"]


def test_an_ensemble_that_has_not_been_analysed_is_refused(tmp_path: Path) -> None:
    ensemble_id = EnsembleStore(tmp_path).add(independent(3, 2, 50, seed=0), "new").id
    refused = CliRunner().invoke(cli, ["null", ensemble_id, "--workspace", str(tmp_path)])
    assert refused.exit_code == 1
    assert "vaefrag analyze" in str(refused.exception)


def test_rules_are_tried_by_the_estimator_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    kind = "nearly deterministic"  # of exact information, a smaller one
    monkeypatch.setattr(bench_hotspots, "NULLS", {kind: bench_hotspots.NULLS[kind]})
    monkeypatch.setattr(bench_hotspots, "PLANTED_PER_SEED", 0)
    monkeypatch.setattr(bench_hotspots, "VARIANTS", {})
    seen = []

    def compared(posteriors: Posteriors, *, estimator: str) -> ChannelMatrix:
        seen.append((posteriors.n_channels, estimator))
        return compare_channels(independent(3, 4, 60, seed=0), estimator="bound")

    monkeypatch.setattr(bench_hotspots, "compare_channels", compared)
    bench_hotspots.bench_hotspots(seeds=3, estimator="exact")
    assert seen == [(16, "exact")] * 3
    planted = bench_hotspots.Planted(members=4, fragments=1, images=100)
    monkeypatch.setattr(bench_hotspots, "compare_channels", compare_channels)
    inside = [bench_hotspots.try_rules(planted, 0, {}, estimator=e)["similarity"] for e in ("bound", "exact")]
    assert inside[1] < inside[0] - 0.02  # the bound tells too much of what is alike


def test_the_rules_are_set_side_by_side(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    small = {"members": (6,), "fragments": (2,), "held": (1.0,), "idle": (0.2,), "images": (150,)}
    kinds = ("independent, 0.5 to 6 bits", "deterministic encoders")
    monkeypatch.setattr(bench_hotspots, "NULLS", {kind: bench_hotspots.NULLS[kind] for kind in kinds})
    monkeypatch.setattr(bench_hotspots, "SETTINGS", small)
    monkeypatch.setattr(bench_hotspots, "VARIANTS", {"split": {"variant": "split"}})
    result = bench_hotspots.bench_hotspots(seeds=1)
    assert [(row["kind"], row["tried"]) for row in result["nulls"]] == [(kind, 4) for kind in kinds]
    for row in result["nulls"]:
        assert row["false_alarms"][OURS] == 0
        assert row["interval"] == pytest.approx([0.0, 0.49], abs=0.005)  # Wilson's of 0 in 4
    curve = [row for row in result["resolution"] if row["tried"]]
    assert sum(row["tried"] for row in curve) == 15
    assert (np.diff([row["similarity"] for row in curve]) < 0).all()
    above = [row for row in curve if row["noise"] <= bench_hotspots.RESOLVED_NOISE]
    assert all(row["found"][OURS] == 1 for row in above)
    assert all(row["similarity"] >= 0.3 for row in above)
    assert sum(row["tried"] for row in above) == result["above_resolution"]["tried"]
    assert [row["tried"] for row in result["settings"]] == [result["above_resolution"]["tried"]] * 5
    assert [row["tried"] for row in result["variants"]] == [3]
    assert set(curve[0]["found"]) == set(RULES) == set(result["nulls"][0]["false_alarms"])
    bench_hotspots.show_hotspots(result)
    table = capsys.readouterr().err.split("First table")[0].splitlines()
    assert max(len(line) for line in table) <= 80
    assert result["all_nulls"]["tried"] == 8
    assert result["all_nulls"]["false_alarms"][OURS] == 0
    assert [line.split()[0] for line in table if "100%" in line].count("members") == 1


def test_what_other_settings_would_find_is_shown_in_a_table_and_as_json(tmp_path: Path) -> None:
    posteriors, _ = plant(Planted(members=6, fragments=2, images=150, noise=0.1), seed=1)
    arguments = ["sensitivity", analysed(tmp_path, posteriors), "--workspace", str(tmp_path)]
    result = json.loads(CliRunner().invoke(cli, [*arguments, "--json"]).stdout)
    assert result["hotspots"] == 2
    assert result["settings"]["cohesion"]["of_analysis"] == 0.6
    assert {other["hotspots"] for other in result["settings"]["measure"]["others"]} == {2}
    assert [left_out["member"] for left_out in result["members_left_out"]] == list(range(6))
    shown = CliRunner().invoke(cli, arguments).output
    assert max(len(line) for line in shown.split("The analysis has")[0].splitlines()) <= 80
    for name in ("member share", "cohesion", "min similarity", "measure", "min bits", "min samples", "left out"):
        assert name in shown


def test_without_an_analysis_there_is_nothing_to_try_again(tmp_path: Path) -> None:
    store = EnsembleStore(tmp_path)
    ensemble_id = store.add(independent(4, 3, 120, seed=2), "planted").id
    result = CliRunner().invoke(cli, ["sensitivity", ensemble_id, "--workspace", str(tmp_path)])
    assert isinstance(result.exception, MissingDataError)
    assert "vaefrag analyze" in str(result.exception)
