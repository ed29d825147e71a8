"""How sure numbers are, as pages show it: errors of pairs, hotspots near chance, members that diverged."""

import json
import shutil
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from plotly.utils import PlotlyJSONEncoder

from support import Trained, loaded
from vaefrag import drawn_images
from vaefrag.commands import reports
from vaefrag.drawn_images import errors_of_pair
from vaefrag.jobs.job_store import JobStore
from vaefrag.pages import ensemble_list
from vaefrag.pages.channel_details import details_panel
from vaefrag.pages.explorer import explorer_page
from vaefrag.pages.explorer_view import ExplorerView
from vaefrag.pages.page import PageRequest
from vaefrag.pages.site import Site
from vaefrag.queries import OpenAnalysis, Queries
from vaefrag_core import pipeline
from vaefrag_core.ensemble_store import EnsembleStore
from vaefrag_core.training.checkpoints import save_checkpoint
from webpages import text_of


@pytest.fixture
def analysis(queries: Queries, trained: Trained) -> OpenAnalysis:
    return queries.open(trained.id)


def plain(content: Any) -> Any:
    return json.loads(json.dumps(content, cls=PlotlyJSONEncoder))


def test_a_pair_shows_its_standard_errors(site: Site, trained: Trained, analysis: OpenAnalysis) -> None:
    u, v = analysis.hotspots["nmi"].order[:2]
    view = ExplorerView(site, trained.id, f"?pair={analysis.names[u]},{analysis.names[v]}")
    assert view.posteriors is not None
    errors = errors_of_pair(view.posteriors, u, v)
    words = text_of(plain(details_panel(view)))
    assert f"{analysis.matrix.nmi[u, v]:.3f} ± {errors.nmi:.3f}" in words
    assert "one standard error over images" in words
    assert errors.bits[0] == pytest.approx(analysis.matrix.information_error[u], rel=1e-3)


def test_of_many_images_some_are_drawn_and_it_is_said(
    site: Site, trained: Trained, analysis: OpenAnalysis, monkeypatch: pytest.MonkeyPatch
) -> None:
    u, v = analysis.hotspots["nmi"].order[:2]
    view = ExplorerView(site, trained.id, f"?pair={analysis.names[u]},{analysis.names[v]}")
    assert view.posteriors is not None
    of_all = errors_of_pair(view.posteriors, u, v)
    monkeypatch.setattr(drawn_images, "MOST_IMAGES", 150)  # of 300
    of_some = errors_of_pair(view.posteriors, u, v)
    assert of_some.nmi == pytest.approx(of_all.nmi, rel=0.3)  # unscaled they were √2 as large
    assert of_some.bits[0] == pytest.approx(of_all.bits[0], rel=0.3)
    assert of_some != of_all
    panel = plain(details_panel(view))
    assert "from 150 images drawn from the 300" in text_of(panel)
    assert "Posterior means of 150 images drawn from the 300 of the fingerprint sample." in text_of(panel)


@pytest.mark.parametrize(("error", "grey"), [(0.01, 0), (10.0, 1)])
def test_what_is_near_chance_is_grey_and_says_why(
    site: Site, trained: Trained, analysis: OpenAnalysis, error: float, grey: int
) -> None:
    hotspots = analysis.hotspots["nmi"]
    assert hotspots.inside is not None
    doubtful = hotspots.inside.error * 0 + 0.001
    doubtful[0] = error
    changed = replace(hotspots, inside=replace(hotspots.inside, error=doubtful))
    site.queries._open[trained.id] = replace(analysis, hotspots={**analysis.hotspots, "nmi": changed})
    shown = plain(explorer_page(ExplorerView(site, trained.id, "")).content)
    assert json.dumps(shown).count("near-chance") == grey
    assert text_of(shown).count("which reaches 0, the level of chance") == grey
    summary = site.queries.summary(site.queries.store.record(trained.id))
    assert (summary.hotspots, summary.near_chance) == (len(hotspots.groups), grey)
    assert ("1 near chance" in text_of(plain(ensemble_list.page(site, PageRequest({})).content))) == bool(grey)


def test_a_member_that_diverged_is_named_and_holds_no_hotspot(trained: Trained, workspace: EnsembleStore) -> None:
    folder = workspace.folder(trained.id)
    shutil.copytree(trained.store.folder(trained.id), folder, ignore=shutil.ignore_patterns("analysis*"))
    checkpoint = loaded(workspace.members_folder(trained.id), 2)
    loss = np.append(checkpoint.history.loss[:-1], 1e18)
    save_checkpoint(
        workspace.members_folder(trained.id) / "2", replace(checkpoint, history=replace(checkpoint.history, loss=loss))
    )
    analysis = pipeline.analyze(trained.id, workspace)
    assert analysis.matrix.diverged == (2,)
    hotspots = analysis.hotspots["nmi"]
    assert (hotspots.labels[analysis.matrix.member == 2] == -1).all()
    assert hotspots.recurrence is not None
    assert 2 not in hotspots.recurrence.members
    result = reports.analysis_result(trained.id, analysis)
    assert result["members_diverged"] == [2]
    assert any("Member 2 diverged" in message for message in result["messages"])
    site = Site(Queries(workspace, NoCache()), "/", JobStore(workspace.workspace))
    assert "Member 2 diverged" in text_of(plain(explorer_page(ExplorerView(site, trained.id, "")).content))


def test_the_result_has_errors_and_the_table_fits_80_columns(
    trained: Trained, analysis: OpenAnalysis, capsys: pytest.CaptureFixture[str]
) -> None:
    for group in reports.analysis_result(trained.id, analysis)["hotspots"]:
        low, high = group["mean_nmi_corrected_interval"]
        assert low < group["mean_nmi_corrected"] < high
        assert high - low == pytest.approx(2 * 1.96 * group["mean_nmi_corrected_error"], rel=1e-3)
        assert group["doubts"] == []
    reports.show_analysis(analysis)
    shown = capsys.readouterr()
    lines = (shown.out + shown.err).splitlines()
    assert max(len(line) for line in lines if line.startswith("  ")) <= 80  # sentences wrap by themselves
    assert any("In brackets one standard error over images" in line for line in lines)


class NoCache:
    """Remembers nothing."""

    def get(self, key: str) -> None:
        return None

    def set(self, key: str, value: object) -> None:
        return None
