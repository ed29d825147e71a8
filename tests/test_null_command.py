"""`vaefrag null` and `vaefrag bench hotspots`: what they say of ensembles of which it is known what comes back."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from vaefrag.cli import cli
from vaefrag.commands import bench_hotspots
from vaefrag_core import pipeline
from vaefrag_core.artifacts import Posteriors
from vaefrag_core.config import NullConfig
from vaefrag_core.ensemble_store import EnsembleStore
from vaefrag_core.errors import BrokenFileError
from vaefrag_core.null_pipeline import run_null_tests
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
    (folder / "curve_found.npy").unlink()
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


def test_the_rules_are_set_side_by_side(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_hotspots, "NULLS", ({"members": 4, "channels": 3, "images": 100},))
    monkeypatch.setattr(bench_hotspots, "NOISES", (0.05, 1.4))
    result = bench_hotspots.bench_hotspots(seeds=3)
    assert result["nulls"] == 3
    assert result["false_alarms"]["vaefrag"] == 0
    near, far = result["planted"]
    assert near["similarity"] > 0.9 > 0.2 > far["similarity"]
    assert near["found"]["vaefrag"] == 1
    assert far["found"]["vaefrag"] == 0
    assert set(near["found"]) == set(bench_hotspots.CUTS) == set(result["false_alarms"])
    bench_hotspots.show_hotspots(result)
    assert np.isfinite(list(near["seconds"].values())).all()
