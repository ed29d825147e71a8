"""The stages end to end, on real digits."""

import inspect
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from support import Trained
from vaefrag.jobs import worker
from vaefrag_core import fusion_pipeline, pipeline
from vaefrag_core.artifacts import ChannelMatrix, Posteriors
from vaefrag_core.config import AnalysisConfig, BootstrapConfig, DatasetConfig, HotspotConfig, default_analysis
from vaefrag_core.datasets.catalog import dataset_size, load_dataset
from vaefrag_core.ensemble_store import EnsembleStore
from vaefrag_core.errors import InvalidInputError, MissingDataError, VaefragError
from vaefrag_core.structure.matrices import compare_channels


def test_an_ensemble_is_trained_compared_mapped_and_painted(trained: Trained) -> None:
    analysis = trained.store.analysis(trained.id)
    posteriors = trained.store.posteriors(trained.id)
    assert posteriors.mean.shape == (6, 300, 6)
    assert posteriors.label_names == ("digit",)
    assert analysis.matrix.nmi.shape == (36, 36)
    assert set(analysis.hotspots) == set(analysis.maps) == {"nmi", "vi"}
    assert analysis.traversals is not None
    assert analysis.traversals.images.shape == (36, 4, 9, 8, 8)
    live = ~analysis.hotspots["nmi"].dead
    assert live.sum() >= 12
    assert np.isfinite(analysis.maps["nmi"].umap[live]).all()


def test_live_channels_tell_digits_apart(trained: Trained) -> None:
    matrix = trained.store.analysis(trained.id).matrix
    assert matrix.label_nmi.max() > 0.2
    assert matrix.label_bits[0] == pytest.approx(np.log2(10), abs=0.05)


def test_the_same_request_computes_nothing_again(trained: Trained) -> None:
    analysis = trained.store.folder(trained.id) / "analysis"
    before = {path.name for path in analysis.iterdir()}
    stages: list[str] = []
    pipeline.analyze(trained.id, trained.store, on_stage=lambda stage, share: stages.append(stage))
    assert {path.name for path in analysis.iterdir()} == before
    assert stages == ["compare", "hotspots", "maps", "hotspots", "maps", "traversals", "traversals"]


def test_both_estimators_stand_side_by_side(trained: Trained) -> None:
    store, exact = trained.store, default_analysis("exact")
    by_bound = pipeline.analyze(trained.id, store).matrix
    by_integrals = pipeline.analyze(trained.id, store, exact).matrix
    assert (by_bound.estimator, by_integrals.estimator) == ("bound", "exact")
    live = by_bound.information_bits > 0.1
    assert (by_integrals.information_bits[live] > by_bound.information_bits[live]).all()
    assert 0 < by_integrals.integration_error_bits < 1e-4
    assert store.analysis(trained.id).matrix.estimator == "exact"
    stages: list[str] = []
    again = pipeline.analyze(trained.id, store, on_stage=lambda stage, share: stages.append(stage))
    np.testing.assert_array_equal(again.matrix.nmi, by_bound.nmi)
    # one call of each where nothing is computed
    assert stages == ["compare", "hotspots", "maps", "hotspots", "maps", "traversals", "traversals"]


def test_other_settings_are_another_result_and_the_newest_is_shown(trained: Trained) -> None:
    store = trained.store
    config = AnalysisConfig(hotspots=HotspotConfig(measure="vi", min_bits=0.3))
    analysis = pipeline.analyze(trained.id, store, config)
    assert (analysis.matrix.information_bits[~analysis.hotspots["vi"].dead] >= 0.3).all()
    assert store.analysis(trained.id).config == config
    pipeline.analyze(trained.id, store)
    assert store.analysis(trained.id).config == AnalysisConfig()


def test_repeating_the_training_changes_nothing(trained: Trained) -> None:
    before = trained.store.posteriors(trained.id).key
    statuses = pipeline.train(trained.spec, trained.store)
    assert {status.state for status in statuses} == {"done"}
    assert trained.store.posteriors(trained.id).key == before


def test_a_stopped_ensemble_has_no_posteriors_until_it_is_resumed(workspace: EnsembleStore) -> None:
    spec = pipeline.resolve(
        {"model": {"widths": [8], "channels": 2}, "train": {"steps": 50}, "fingerprint": {"size": 20}, "members": 2}
    )
    stopped = pipeline.train(spec, workspace, should_stop=lambda: True)
    assert {status.state for status in stopped} <= {"running", "waiting"}
    (ensemble_id,) = workspace.ids()
    with pytest.raises(MissingDataError, match="no posteriors yet"):
        workspace.posteriors(ensemble_id)
    with pytest.raises(MissingDataError, match=r"No member of .* has been trained to the end"):
        pipeline.encode(ensemble_id, workspace)
    pipeline.train(spec, workspace)
    assert workspace.posteriors(ensemble_id).n_members == 2


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"dataset": {"name": "digts"}}, "Did you mean 'digits'"),
        ({"fingerprint": {"size": 2000}}, r"asks for 2,000 images; 'digits' has 1,797\. Lower"),
        ({"model": {"architecture": "conv28"}}, "expects images of 28×28 pixels, got 8×8"),
        ({"members": 0}, "members .*: expected a value greater than or equal to 1, got 0"),
    ],
)
def test_wrong_wishes_are_refused_before_anything_is_trained(values: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        pipeline.resolve(values)


def test_auto_chooses_the_network_by_the_images() -> None:
    assert pipeline.resolve({"model": {"architecture": "auto"}}).model.architecture == "mlp"


def test_every_field_at_fault_is_named() -> None:
    with pytest.raises(InvalidInputError) as caught:
        pipeline.resolve({"train": {"beta": -1, "steps": "many"}, "members": 0})
    assert set(caught.value.fields) == {"train.beta", "train.steps", "members"}
    assert caught.value.fields["members"] == "Expected a value greater than or equal to 1, got 0."
    assert "members (VAEs in the ensemble): expected a value greater than or equal to 1, got 0." in str(caught.value)
    for values, field in (
        ({"dataset": {"name": "digts"}}, "dataset.name"),
        ({"dataset": {"name": "fashion-mnist", "path": "/nowhere"}}, "dataset.path"),
        ({"fingerprint": {"size": 2000}}, "fingerprint.size"),
        ({"model": {"architecture": "conv28"}}, "model.architecture"),
        ({"dataset": {"name": "circle"}}, "model.likelihood"),
    ):
        with pytest.raises(VaefragError) as caught_one:
            pipeline.resolve(values)
        assert list(caught_one.value.fields) == [field]


def test_a_data_set_is_as_large_as_it_says() -> None:
    for name in ("digits", "sprites", "sprites-32", "circle"):
        config = DatasetConfig(name=name)
        dataset = load_dataset(config)
        assert dataset_size(config) == (dataset.n_images, dataset.image_shape)


def test_points_are_trained_on_and_painted(tmp_path: Path) -> None:
    spec = pipeline.resolve(
        {
            "dataset": {"name": "circle"},
            "model": {"likelihood": "gaussian", "channels": 1, "widths": [16], "pixel_variance": 0.01},
            "train": {"steps": 300, "learning_rate": 0.01},
            "fingerprint": {"size": 200},
            "members": 2,
        }
    )
    store = EnsembleStore(tmp_path)
    (first, *_) = pipeline.train(spec, store)
    analysis = pipeline.analyze(store.create(spec).id, store)
    assert first.state == "done"
    assert analysis.matrix.label_names == ("angle",)
    assert (analysis.matrix.information_bits > 1).all()
    assert analysis.traversals is not None
    painted = np.asarray(analysis.traversals.images).astype(int)  # (C, K, T, h, w)
    assert painted.shape[-2:] == (32, 32)
    rows = (painted > 200).sum(axis=(0, 1, 2, 4))
    assert rows[:14].sum() > 0  # above the centre: a mean cut to 0…1 would never be below it
    assert rows[18:].sum() > 0


def test_the_stages_that_jobs_run_are_those_that_the_pipeline_names() -> None:
    named = re.findall(r"^ {4}\w+ job +(\w+)|^ {20,}(\w+)  ", pipeline.__doc__ or "", flags=re.MULTILINE)
    stages = {first or other for first, other in named}
    assert stages == {"train_group", "update_posteriors", "analyze", "renew_atlases", "fuse_ensemble"}
    source = inspect.getsource(worker)
    called = set(re.findall(r"pipeline\.(\w+)\(|\b(fuse_ensemble)\(", source))
    assert {first or other for first, other in called} == stages
    assert all(hasattr(pipeline, stage) or hasattr(fusion_pipeline, stage) for stage in stages)


def test_posteriors_are_encoded_again_only_when_members_have_been_trained_since(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = EnsembleStore(tmp_path)
    shutil.copytree(trained.store.folder(trained.id), store.folder(trained.id))
    whole = store.posteriors(trained.id)
    assert pipeline.update_posteriors(trained.id, store).key == whole.key
    written = (store.folder(trained.id) / "posteriors.npz").stat().st_mtime_ns
    assert pipeline.update_posteriors(trained.id, store).n_members == 6
    assert (store.folder(trained.id) / "posteriors.npz").stat().st_mtime_ns == written
    fewer = replace(whole, mean=whole.mean[1:], logvar=whole.logvar[1:], member_ids=whole.member_ids[1:])
    store.save_posteriors(trained.id, fewer)
    assert pipeline.update_posteriors(trained.id, store).key == whole.key  # as if member 0 had come since
    imported = store.add(fewer, "imported")
    assert pipeline.update_posteriors(imported.id, store).key == fewer.key  # there are no members to encode
    (store.folder(imported.id) / "posteriors.npz").unlink()
    with pytest.raises(MissingDataError, match="imported was imported"):
        pipeline.update_posteriors(imported.id, store)


def test_likelihood_of_points_is_said_in_one_sentence() -> None:
    with pytest.raises(
        InvalidInputError, match=r"^Likelihood bernoulli expects values in 0…1; those of 'circle' reach"
    ):
        pipeline.resolve({"dataset": {"name": "circle"}})


def test_importing_the_core_is_light() -> None:
    code = (
        "import sys, vaefrag_core, vaefrag_core.ensemble_store;"
        "from vaefrag_core.spec_validation import resolve; resolve({});"
        "print([m for m in ('torch', 'sklearn', 'umap', 'scipy', 'numba') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"


def test_what_was_compared_before_is_not_compared_again(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = EnsembleStore(tmp_path)
    shutil.copytree(trained.store.folder(trained.id), store.folder(trained.id))
    whole = store.posteriors(trained.id)
    fewer = Posteriors(whole.mean[1:], whole.logvar[1:], images=whole.images, member_ids=whole.member_ids[1:])
    fewer = replace(fewer, sample_id=whole.sample_id)
    store.save_posteriors(trained.id, fewer)
    known: list[ChannelMatrix | None] = []

    def compare(posteriors: Posteriors, **settings: Any) -> ChannelMatrix:
        known.append(settings["earlier"])
        return compare_channels(posteriors, **settings)

    monkeypatch.setattr(pipeline, "compare_channels", compare)
    analysis = pipeline.analyze(trained.id, store)
    assert [before.member_keys for before in known if before] == [whole.member_keys]
    before = trained.store.analysis(trained.id).matrix
    np.testing.assert_array_equal(analysis.matrix.nmi, before.nmi[6:, 6:])


def test_stability_is_worked_out_once_kept_and_shown_when_asked_for(trained: Trained, tmp_path: Path) -> None:
    store = EnsembleStore(tmp_path)
    shutil.copytree(trained.store.folder(trained.id), store.folder(trained.id))
    config = AnalysisConfig(bootstrap=BootstrapConfig(resamples=4, seed=1))
    told: list[float] = []

    def on_stage(stage: str, share: float) -> None:
        if stage == "stability":
            told.append(share)
            if share > 0.2 and not stopped:
                stopped.append(stage)
                raise InterruptedError

    stopped: list[str] = []
    with pytest.raises(InterruptedError):
        pipeline.analyze(trained.id, store, config, on_stage=on_stage)
    kinds = [path.name.partition("-")[0] for path in (store.folder(trained.id) / "analysis").iterdir()]
    assert "stability" not in kinds  # nor anything half made
    assert all(kind and not kind.startswith(".") for kind in kinds)
    analysis = pipeline.analyze(trained.id, store, config, on_stage=on_stage)
    assert told == [0.0, 1 / 8, 2 / 8, 0.0, *(k / 8 for k in range(1, 9))]
    assert set(analysis.stability) == {"nmi", "vi"}
    for measure, stability in analysis.stability.items():
        assert stability.members.shape == stability.images.shape == (4, len(analysis.hotspots[measure].groups))
    pipeline.analyze(trained.id, store, config, on_stage=on_stage)
    assert told[-1] == 0.0  # begun, and found there
    assert pipeline.analyze(trained.id, store).stability == {}
