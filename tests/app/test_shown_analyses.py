"""What an analysis found beyond hotspots, on the pages: their stability, the level of chance, labels."""

from pathlib import Path

import numpy as np
import pytest

from vaefrag_core import pipeline
from vaefrag_core.artifacts import Posteriors
from vaefrag_core.config import AnalysisConfig, BootstrapConfig, NullConfig
from vaefrag_core.ensemble_store import EnsembleStore
from vaefrag_core.null_pipeline import run_null_tests
from webpages import Tab, app_of

RESAMPLES = 5


def imported(store: EnsembleStore, bootstrap: int = RESAMPLES) -> str:
    """Take 6 members in that all know one source, and analyse them."""
    rng = np.random.default_rng(2)
    mean = rng.normal(size=(6, 60, 2))
    mean[..., 0] = rng.normal(size=60)
    labels = np.stack([np.arange(60), mean[0, :, 0] > 0, np.where(np.arange(60) < 50, 1, np.nan)], axis=1)
    names = ("file", "sign", "one")
    posteriors = Posteriors(mean, np.full_like(mean, -3.0), labels=labels, label_names=names, identifiers=("file",))
    record = store.add(posteriors, "One source")
    pipeline.analyze(record.id, store, AnalysisConfig(bootstrap=BootstrapConfig(resamples=bootstrap)))
    return record.id


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> EnsembleStore:
    store = EnsembleStore(tmp_path_factory.mktemp("found"))
    imported(store)
    return store


@pytest.fixture
def path(store: EnsembleStore) -> str:
    return f"/ensemble/{store.ids()[0]}"


def test_the_hotspot_table_says_how_often_each_returns(store: EnsembleStore, path: str, tmp_path: Path) -> None:
    tab = Tab(app_of(store, tmp_path), path, "?hotspot=0")
    found = store.analysis(store.ids()[0]).stability["nmi"]
    cell = f"{found.returned('members')[0]:.0%} / {found.returned('images')[0]:.0%}"
    assert tab.words.count(cell) == 2  # in the table, and in the details of the one chosen
    assert f"in how many of {RESAMPLES} resamples" in tab.words
    assert f"{found.mean_jaccard('members')[0]:.2f} / {found.mean_jaccard('images')[0]:.2f}" in tab.words


def test_without_resamples_nothing_is_said_of_them(workspace: EnsembleStore, tmp_path: Path) -> None:
    words = Tab(app_of(workspace, tmp_path), f"/ensemble/{imported(workspace, bootstrap=0)}").words
    assert "returns" not in words
    assert "resamples" not in words


def test_the_level_of_chance_stands_below_the_matrix_and_the_corrected_nmi_in_the_details(
    store: EnsembleStore, path: str, tmp_path: Path
) -> None:
    app, matrix = app_of(store, tmp_path), store.analysis(store.ids()[0]).matrix
    words = Tab(app, path, "?pair=0.1,3.1").words
    level = matrix.typical_chance_nmi(range(12))
    assert f"that share nothing would show an NMI of about {level:.3f}" in words
    corrected = matrix.corrected_nmi([1, 7])[0, 1]
    assert abs(corrected - matrix.nmi[1, 7]) > 0.01
    shown = f"{round(corrected, 3) + 0.0:.3f}".replace("-", "−")
    assert f"corrected NMI ? {shown}" in words


def test_a_label_that_names_images_is_said_to_and_is_not_the_best(
    store: EnsembleStore, path: str, tmp_path: Path
) -> None:
    tab = Tab(app_of(store, tmp_path), path)
    (group,) = store.analysis(store.ids()[0]).hotspots["nmi"].groups
    matrix = store.analysis(store.ids()[0]).matrix
    assert matrix.identifiers == ("file",)
    sign = matrix.corrected_label_nmi(list(group.channels))[:, 1].mean()
    assert f"sign {sign:.2f}" in tab.words
    assert "file 0." not in tab.words
    assert "Label file was declared an identifier" in tab.words
    assert "Label one is known of 50 of 60 images" in tab.words
    assert "Colour sign one" in Tab(app_of(store, tmp_path), path, "?pair=0.1,3.1").words


def test_what_hotspots_were_held_against_stands_beside_them_once_it_has_been(
    workspace: EnsembleStore, tmp_path: Path
) -> None:
    ensemble_id = imported(workspace, bootstrap=0)
    app = app_of(workspace, tmp_path)
    before = Tab(app, f"/ensemble/{ensemble_id}", "?hotspot=0").words
    assert f"vaefrag null {ensemble_id}" in before
    assert "p (FDR)" not in before
    assert "members lacking it ? none" in before
    tests = run_null_tests(ensemble_id, workspace, NullConfig(draws=3, choices=2))
    after = Tab(app, f"/ensemble/{ensemble_id}", "?hotspot=0").words  # the same app: what it holds open is read anew
    assert f"vaefrag null {ensemble_id}" not in after
    assert tests.p_values.tolist() == [0.25]
    assert after.count("0.25 (0.25)") == 1  # in the details of the one chosen
    assert after.count("0.25") >= 3  # and in the table
    assert after.count(f"{tests.rotation_percentiles[0]:.0f}%") >= 2
    assert "From 3 members on, nine tenths of the hotspots are found again." in after
