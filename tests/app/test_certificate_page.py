"""The page that says which run to publish, answered without a browser."""

from pathlib import Path

from dash import Dash

from support import Trained
from vaefrag_core import pipeline
from vaefrag_core.ensemble_store import EnsembleStore
from vaefrag_core.structure.planted_comparisons import plant_departures
from vaefrag_core.structure.planted_ensembles import Planted
from webpages import Tab, app_of


def test_the_page_names_consensus_outlier_and_every_live_channel(tmp_path: Path) -> None:
    store = EnsembleStore(tmp_path / "workspace")
    posteriors, odd, clearest = plant_departures(Planted(members=7, fragments=3, images=150), seed=2)
    ensemble_id = store.add(posteriors, "planted").id
    analysis = pipeline.analyze(ensemble_id, store)
    words = Tab(app_of(store, tmp_path / "cache"), f"/certificate/{ensemble_id}").words
    assert f"Member {clearest} stands best for the ensemble: it holds 3 of 3 hotspots" in words
    assert f"Member {odd} shares clearly less" in words
    assert "made by another program" in words
    assert words.count("outlier") == words.count("consensus") == 1
    dead = int(analysis.hotspots["nmi"].dead.sum())
    assert f"{dead} dead channel" in words
    names = {
        f"{m}.{d}" for c, (m, d) in enumerate(analysis.matrix.channel_names) if not analysis.hotspots["nmi"].dead[c]
    }
    assert names <= set(words.replace(",", " ").split())


def test_a_trained_ensemble_leads_to_its_certificate(app: Dash, trained: Trained) -> None:
    assert "which run to publish" in Tab(app, f"/ensemble/{trained.id}").words
    words = Tab(app, f"/certificate/{trained.id}").words
    assert f"ensemble seed {trained.spec.train.seed}" in words
    assert f"vaefrag null {trained.id}" in words


def test_what_is_not_there_has_no_certificate(app: Dash) -> None:
    assert "There is no ensemble 'gone'" in Tab(app, "/certificate/gone").words
