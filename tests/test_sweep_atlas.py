"""The atlas of a sweep in a workspace: drawn over what has been analysed, kept, and renewed."""

import numpy as np
import pytest

from support import Trained, sweep_with, take_over
from vaefrag_core import pipeline
from vaefrag_core.config import AnalysisConfig, SpaceConfig
from vaefrag_core.config_errors import parse
from vaefrag_core.ensemble_store import EnsembleStore
from vaefrag_core.errors import MissingDataError
from vaefrag_core.structure.space_comparison import compare_spaces
from vaefrag_core.sweeps import Sweep, SweepStore


@pytest.fixture
def sweep(trained: Trained, workspace: EnsembleStore) -> Sweep:
    return sweep_with(trained, workspace)


def test_an_atlas_grows_as_ensembles_are_analysed(trained: Trained, workspace: EnsembleStore, sweep: Sweep) -> None:
    with pytest.raises(MissingDataError, match=r"No ensemble of sweep .* has been analysed yet"):
        pipeline.follow_hotspots(sweep.id, workspace)
    take_over(trained, workspace, sweep.ensembles[0])
    first = pipeline.follow_hotspots(sweep.id, workspace)
    assert [point.value for point in first.points] == [0.5]
    take_over(trained, workspace, sweep.ensembles[1])
    both = pipeline.follow_hotspots(sweep.id, workspace)
    assert [point.ensemble_id for point in both.points] == list(sweep.ensembles)
    # Equal posteriors: a hotspot shares with itself what its pairs share, and each channel with itself 1.
    nmi = np.array(workspace.analysis(sweep.ensembles[0]).matrix.nmi)
    np.fill_diagonal(nmi, 1.0)
    for label, group in enumerate(both.points[0].hotspots):
        itself = nmi[np.ix_(group.channels, group.channels)].mean()
        assert both.cross[0][label, label] == pytest.approx(itself, abs=1e-5)
        assert both.lineages[1][label] == both.lineages[0][label]
    assert SweepStore(workspace).atlas(sweep.id).links == both.links


def test_an_atlas_is_drawn_once_and_again_when_its_sources_change(
    trained: Trained, workspace: EnsembleStore, sweep: Sweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    take_over(trained, workspace, trained.id)
    told: list[float] = []
    sweeps = SweepStore(workspace)
    pipeline.renew_atlases(trained.id, workspace, on_stage=lambda stage, share: told.append(share))
    first = sweeps.atlas_index(sweep.id)
    assert told == [0.0]
    assert first.sources == {trained.id: workspace.analysis_index(trained.id).key}
    pipeline.renew_atlases(trained.id, workspace)
    assert sweeps.atlas_index(sweep.id) == first
    spaces = compare_spaces(trained.store.posteriors(trained.id), SpaceConfig(draws=100))
    monkeypatch.setattr(pipeline, "compare_spaces", lambda posteriors, config, on_progress: spaces)
    pipeline.analyze_spaces(trained.id, workspace)
    pipeline.renew_atlases(trained.id, workspace)
    assert sweeps.atlas_index(sweep.id).folder != first.folder
    assert sweeps.atlas(sweep.id).points[0].space_bits == tuple(spaces.information_bits.tolist())
    index, other = workspace.analysis_index(trained.id), parse(AnalysisConfig, {"map": {"seed": 1}})
    workspace.save_analysis_index(trained.id, index.model_copy(update={"config": other}))
    pipeline.renew_atlases(trained.id, workspace)
    assert sweeps.atlas_index(sweep.id).sources != first.sources


def test_an_ensemble_with_new_members_waits_for_their_analysis(
    trained: Trained, workspace: EnsembleStore, sweep: Sweep
) -> None:
    for ensemble_id in sweep.ensembles:
        take_over(trained, workspace, ensemble_id)
    grown = trained.store.posteriors(trained.id)
    workspace.save_posteriors(sweep.ensembles[1], type(grown)(grown.mean[:3], grown.logvar[:3], sample_id="x"))
    atlas = pipeline.follow_hotspots(sweep.id, workspace)
    assert [point.ensemble_id for point in atlas.points] == [trained.id]


def test_what_is_wrong_with_an_atlas_is_not_the_fault_of_an_analysis(
    trained: Trained, workspace: EnsembleStore, sweep: Sweep
) -> None:
    for ensemble_id in sweep.ensembles:
        take_over(trained, workspace, ensemble_id)
    (workspace.folder(trained.id) / "analysis" / workspace.analysis_index(trained.id).matrix / "facts.json").unlink()
    pipeline.renew_atlases(sweep.ensembles[1], workspace)
    with pytest.raises(MissingDataError):
        SweepStore(workspace).atlas(sweep.id)
