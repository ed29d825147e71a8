"""Every page and callback, as the browser would ask: what is shown, and what is said when there is nothing to show."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dash import Dash

from support import Trained
from vaefrag.jobs.job_store import JobStore
from vaefrag.pages.channel_details import details_panel
from vaefrag.pages.explorer import explorer_page
from vaefrag.pages.explorer_view import ExplorerView
from vaefrag.pages.site import Site
from vaefrag.queries import OpenAnalysis, Queries
from vaefrag_core import pipeline
from vaefrag_core.artifacts import Posteriors
from vaefrag_core.config import AnalysisConfig, MapConfig
from vaefrag_core.config_errors import parse
from vaefrag_core.ensemble_store import AnalysisIndex, EnsembleStore
from vaefrag_core.training.checkpoints import Checkpoint, History, save_checkpoint
from webpages import Tab, app_of, post_to, text_of

Post = Callable[..., Any]


@pytest.fixture
def analysis(queries: Queries, trained: Trained) -> OpenAnalysis:
    return queries.open(trained.id)


def page_of(store: EnsembleStore, cache: Path, path: str, search: str = "") -> str:
    answer = post_to(app_of(store, cache), "page.children", {"url.pathname": path}, {"url.search": search})
    return text_of(answer["page"]["children"])


def saved(store: EnsembleStore, index: int, state: Any, step: int, message: str = "") -> None:
    empty = History.empty(6)
    weights = {"w": np.zeros(1, dtype=np.float32)}
    checkpoint = Checkpoint(step=step, state=state, weights=weights, optimizer={}, history=empty, message=message)
    save_checkpoint(store.members_folder(store.ids()[0]) / str(index), checkpoint)


def test_the_list_shows_each_ensemble_with_what_was_found(post: Post, trained: Trained, analysis: OpenAnalysis) -> None:
    answer = post("page.children", {"url.pathname": "/"}, {"url.search": ""})
    words = text_of(answer["page"]["children"])
    assert trained.spec.name in words
    assert "6 of 6 trained" in words
    assert f"{len(analysis.hotspots['nmi'].groups)} hotspot" in words
    assert f"/data/matrix/{trained.id}/nmi/tile.png" in json.dumps(answer)
    assert answer["title"]["data"] == "Ensembles · vaefrag"


def test_an_empty_workspace_says_how_to_begin(workspace: EnsembleStore, tmp_path: Path) -> None:
    words = page_of(workspace, tmp_path / "cache", "/")
    assert "No ensembles here yet" in words
    assert "vaefrag demo" in words
    assert "vaefrag train --dataset digits" in words


def test_an_unknown_address_says_so(post: Post) -> None:
    answer = post("page.children", {"url.pathname": "/nothing/here"}, {"url.search": ""})
    assert "/nothing/here  is not an address of this site." in text_of(answer["page"]["children"])


@pytest.mark.parametrize("name", ["nowhere", "..%2F..%2Fetc", "%3Cscript%3E"])
def test_an_unknown_ensemble_says_so(post: Post, name: str) -> None:
    answer = post("page.children", {"url.pathname": f"/ensemble/{name}"}, {"url.search": ""})
    assert "No such ensemble" in text_of(answer["page"]["children"])


def test_a_damaged_spec_is_named(workspace: EnsembleStore, trained: Trained, tmp_path: Path) -> None:
    record = workspace.create(trained.spec)
    (workspace.folder(record.id) / "spec.json").write_text("{")
    assert "spec.json: expected a spec" in page_of(workspace, tmp_path / "cache", f"/ensemble/{record.id}")
    assert "spec.json: expected a spec" in page_of(workspace, tmp_path / "cache", "/")


def test_a_damaged_analysis_is_named(workspace: EnsembleStore, trained: Trained, tmp_path: Path) -> None:
    shutil.copytree(trained.store.folder(trained.id), workspace.folder(trained.id))
    index = workspace.analysis_index(trained.id)
    (workspace.folder(trained.id) / "analysis" / index.matrix / "facts.json").write_text("")
    words = page_of(workspace, tmp_path / "cache", f"/ensemble/{trained.id}")
    assert "A file cannot be read" in words
    assert f"vaefrag analyze {trained.id}" in words
    assert "analysis damaged" in page_of(workspace, tmp_path / "cache", "/")


def test_training_is_followed_member_by_member(workspace: EnsembleStore, trained: Trained, tmp_path: Path) -> None:
    record = workspace.create(trained.spec)
    saved(workspace, 0, "done", 400)
    saved(workspace, 1, "running", 200)
    saved(workspace, 2, "failed", 40, "Member 2 stopped: the loss became NaN.")
    tab = Tab(app_of(workspace, tmp_path / "cache"), f"/ensemble/{record.id}")
    assert "1 of 6 members are trained, 27% of all steps." in tab.words
    assert "1 trained, 1 begun, 3 waiting, 1 failed" in tab.words
    assert "Member 2 stopped: the loss became NaN." in tab.words
    looks = [f"cell-{state}" in json.dumps(tab.page) for state in ("done", "begun", "waiting", "failed")]
    assert looks == [True] * 4
    assert tab.fire("page.children@", ("tick", "n_intervals")) == 204
    saved(workspace, 1, "done", 400)
    moved = tab.fire("page.children@", ("tick", "n_intervals"))
    assert "2 of 6 members are trained" in text_of(moved["page"]["children"])


def test_trained_members_wait_for_the_analysis(workspace: EnsembleStore, trained: Trained, tmp_path: Path) -> None:
    record = workspace.create(trained.spec)
    for member in range(6):
        saved(workspace, member, "done", 400)
    words = page_of(workspace, tmp_path / "cache", f"/ensemble/{record.id}")
    assert "6 of 6 members are trained. Their channels have not been compared yet." in words
    assert "Analyse" in words
    assert "not analysed yet" in page_of(workspace, tmp_path / "cache", "/")


def test_an_ensemble_that_failed_whole_says_why(workspace: EnsembleStore, trained: Trained, tmp_path: Path) -> None:
    record = workspace.create(trained.spec)
    for member in range(6):
        saved(workspace, member, "failed", 3, "Member 2 stopped: the loss became NaN.")
    words = page_of(workspace, tmp_path / "cache", f"/ensemble/{record.id}")
    assert "Training failed" in words
    assert "Member 2 stopped: the loss became NaN." in words
    assert "… and 3 more." in words


@pytest.mark.parametrize(("ask", "estimator"), [("analyze", "bound"), ("exact", "exact")])
def test_imported_posteriors_wait_for_the_analysis(
    workspace: EnsembleStore, tmp_path: Path, ask: str, estimator: str
) -> None:
    record = workspace.add(Posteriors(np.zeros((2, 5, 3)), np.zeros((2, 5, 3))), "mine")
    tab = Tab(app_of(workspace, tmp_path / "cache"), f"/ensemble/{record.id}")
    assert "The posteriors are here. Their channels have not been compared yet." in tab.words
    pressed = {"ask": ask, "ensemble": record.id}
    tab.fire("tick.n_intervals", (pressed, "n_clicks"), **{f"{Tab.name_of(pressed)}.n_clicks": 1})
    job = JobStore(workspace.workspace).open_job(record.id, "analyze")
    assert job is not None
    assert parse(AnalysisConfig, dict(job.submission.request)).hotspots.estimator == estimator


def test_the_other_estimator_is_a_press_away(workspace: EnsembleStore, tmp_path: Path) -> None:
    mean = np.random.default_rng(0).normal(size=(3, 40, 2))
    record = workspace.add(Posteriors(mean, np.full_like(mean, -2.0)), "mine")
    pipeline.analyze(record.id, workspace, AnalysisConfig(map=MapConfig(seed=3)))
    tab = Tab(app_of(workspace, tmp_path / "cache"), f"/ensemble/{record.id}")
    assert "information by the published bound" in tab.words
    pressed = {"ask": "exact", "ensemble": record.id}
    tab.fire("tick.n_intervals", (pressed, "n_clicks"), **{f"{Tab.name_of(pressed)}.n_clicks": 1})
    job = JobStore(workspace.workspace).open_job(record.id, "analyze")
    assert job is not None
    config = parse(AnalysisConfig, dict(job.submission.request))
    assert (config.hotspots.estimator, config.map.seed) == ("exact", 3)
    pipeline.analyze(record.id, workspace, config)
    tab = Tab(app_of(workspace, tmp_path / "cache"), f"/ensemble/{record.id}")
    assert "information by exact integrals" in tab.words
    assert "show it by the published bound" in tab.words


def test_a_collapsed_ensemble_says_so(workspace: EnsembleStore, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).normal(size=(3, 40, 4)) * 1e-3
    record = workspace.add(Posteriors(noise, np.zeros_like(noise)), "noise")
    pipeline.analyze(record.id, workspace)
    app = app_of(workspace, tmp_path / "cache")
    tab = Tab(app, f"/ensemble/{record.id}")
    assert "nothing to explore. Train more members, with more steps, or with a smaller β." in tab.words
    assert "No live channel to compare" in json.dumps(tab.holding("similarity")["figure"])
    assert "No live channel to lay out" in json.dumps(tab.holding("map")["figure"])
    clicked = tab.fire("map.figure", ("url", "search"), **{"url.search": "?channel=0.0"})
    assert "data" not in json.dumps(clicked["map"])  # there is no trace to mark anything in


def test_too_few_channels_for_a_map_are_not_called_none(workspace: EnsembleStore, tmp_path: Path) -> None:
    mean = np.random.default_rng(0).normal(size=(1, 40, 2)) * 3
    record = workspace.add(Posteriors(mean, np.full_like(mean, -2)), "two")
    pipeline.analyze(record.id, workspace)
    tab = Tab(app_of(workspace, tmp_path / "cache"), f"/ensemble/{record.id}")
    assert "Too few live channels for a map" in json.dumps(tab.holding("map")["figure"])
    assert "stress" not in tab.words


def test_an_analysis_without_models_shows_all_but_traversals(
    workspace: EnsembleStore, trained: Trained, tmp_path: Path
) -> None:
    shutil.copytree(trained.store.folder(trained.id), workspace.folder(trained.id))
    index: AnalysisIndex = workspace.analysis_index(trained.id)
    workspace.save_analysis_index(trained.id, index.model_copy(update={"traversals": None}))
    for search in ("?channel=0.0", "?pair=0.0,1.1", "?channels=0.0,1.1,2.2", "?measure=nmi&hotspot=0"):
        words = page_of(workspace, tmp_path / "cache", f"/ensemble/{trained.id}", search)
        assert "Nearest channels" in words or "NMI" in words
        assert "pair=" in search or "nothing to paint traversals with" in words


def explorer(site: Site, trained: Trained, search: str) -> ExplorerView:
    return ExplorerView(site, trained.id, search)


def test_the_explorer_counts_what_it_shows(site: Site, trained: Trained, analysis: OpenAnalysis) -> None:
    dead = int(analysis.hotspots["nmi"].dead.sum())
    words = text_of(explorer_page(explorer(site, trained, "?measure=nmi")).content)
    assert "beta-vae β=0.5" in words
    assert "36 channels" in words
    assert (f"{dead} of 36 channels are dead (< 0.01 bits) and set aside." in words) == (dead > 0)


def test_a_wrong_url_falls_back_and_says_so(site: Site, trained: Trained) -> None:
    words = text_of(explorer_page(explorer(site, trained, "?measure=x&channel=99.9")).content)
    assert "There is no channel “99.9”" in words
    assert "Showing nmi." in words
    assert "Look closer" in words


@pytest.mark.parametrize("measure", ["nmi", "vi"])
def test_the_matrix_is_named_in_the_order_of_its_measure(
    site: Site, trained: Trained, analysis: OpenAnalysis, measure: str
) -> None:
    view = explorer(site, trained, f"?measure={measure}&dead=1")
    assert view.order.tolist() == analysis.hotspots[measure].order.tolist()
    labels = view.matrix().data[-1]
    assert np.allclose(labels.z, analysis.matrix.corrected_label_nmi(view.order), atol=1e-6)


def test_a_channel_is_told_in_its_numbers(site: Site, trained: Trained, analysis: OpenAnalysis) -> None:
    channel = analysis.hotspots["nmi"].groups[0].medoid
    view = explorer(site, trained, f"?channel={analysis.names[channel]}")
    words = text_of(details_panel(view))
    assert f"Channel {analysis.names[channel]}" in words
    bits, error = analysis.matrix.information_bits[channel], analysis.matrix.information_error[channel]
    assert f"{bits:.2f} ± {error:.2f} of {np.log2(300):.2f} bits" in words
    assert f"digit {analysis.matrix.corrected_label_nmi([channel])[0, 0]:.2f} Corrected for chance." in words


def test_a_pair_is_told_in_its_numbers(site: Site, trained: Trained, analysis: OpenAnalysis) -> None:
    u, v = (int(c) for c in analysis.order("nmi", dead=False)[:2])
    view = explorer(site, trained, f"?pair={analysis.names[u]},{analysis.names[v]}")
    words = text_of(details_panel(view))
    assert f"{analysis.matrix.nmi[u, v]:.3f}" in words
    assert f"{analysis.matrix.vi_bits[u, v]:.2f} ± " in words


def test_nmi_above_one_is_explained(site: Site, trained: Trained, analysis: OpenAnalysis) -> None:
    nmi = np.array(analysis.matrix.nmi)
    nmi[0, 7] = nmi[7, 0] = 1.07
    nmi[0, 8] = nmi[8, 0] = np.nan
    object.__setattr__(analysis.matrix, "nmi", nmi)
    above, undefined = (text_of(details_panel(explorer(site, trained, f"?pair=0.0,{name}"))) for name in ("1.1", "1.2"))
    assert "NMI is above 1" in above
    assert "1.070" in above
    assert "undefined" in undefined
    assert "NMI is above 1" not in undefined


def test_traversals_of_a_hotspot_run_the_same_way(site: Site, trained: Trained, analysis: OpenAnalysis) -> None:
    hotspots = analysis.hotspots["nmi"]
    panel = json.dumps(details_panel(explorer(site, trained, "?measure=nmi&hotspot=0")), default=_plain)
    medoid = hotspots.groups[0].medoid
    shown = [c for c in hotspots.groups[0].channels if f"/{analysis.names[c]}.png" in panel]
    assert medoid in shown
    for channel in shown:
        flip = int(hotspots.sign[channel] != hotspots.sign[medoid])
        assert f"/{analysis.names[channel]}.png?flip={flip}&" in panel


def _plain(part: Any) -> Any:
    return part.to_plotly_json()


CLICK = {"xvals": [4.2], "yvals": [1.9], "xaxes_id": "x", "yaxes_id": "y", "points": []}


@pytest.mark.parametrize(
    ("click", "places"),
    [
        (CLICK, [2, 4]),
        (CLICK | {"yvals": [3.6]}, [4]),
        (CLICK | {"yaxes_id": "y2", "yvals": [0.3]}, [4]),
        (CLICK | {"xaxes_id": "x3", "xvals": ["digit"]}, [2]),
        ({"points": [{"x": "digit", "y": 3}], "xaxes_id": "x3", "xvals": [0.1], "yvals": [3.1], "yaxes_id": "y"}, [3]),
        (CLICK | {"xvals": [-3]}, [2]),
    ],
)
def test_a_click_selects_what_it_hit(
    site: Site, trained: Trained, analysis: OpenAnalysis, click: dict, places: list[int]
) -> None:
    view = explorer(site, trained, "")
    names = [analysis.names[view.order[place]] for place in places]
    assert view.clicked_cell(click).channels == tuple(names)


def test_a_click_beside_everything_changes_nothing(site: Site, trained: Trained) -> None:
    view = explorer(site, trained, "?channel=0.1")
    assert view.clicked_cell({"points": []}) == view.selection
    assert view.clicked_cell(CLICK | {"xvals": [999], "yvals": [999]}) == view.selection
    assert view.clicked_point({"points": []}) == view.selection


def test_a_selection_marks_its_places_in_both_figures(site: Site, trained: Trained, analysis: OpenAnalysis) -> None:
    view = explorer(site, trained, "?measure=nmi&hotspot=0")
    channels = analysis.hotspots["nmi"].groups[0].channels
    assert [int(view.order[place]) for place in view.marked(view.order)] == list(channels)
    on_map = view.on_map()
    assert sorted(int(on_map[place]) for place in view.map().data[0].selectedpoints) == sorted(channels)


SELECT = {"similarity.clickData": None, "map.clickData": None, "map.selectedData": None}


def test_clicks_become_urls(post: Post, trained: Trained, analysis: OpenAnalysis) -> None:
    state = {"url.pathname": f"/ensemble/{trained.id}", "url.search": "?measure=vi&map=umap"}
    order = analysis.order("vi", dead=False)
    cell = post("url.search", SELECT | {"similarity.clickData": CLICK}, state, "similarity.clickData")
    pair = f"{analysis.names[order[2]]},{analysis.names[order[4]]}"
    assert cell["url"]["search"] == f"?measure=vi&map=umap&pair={pair}"
    point = {"points": [{"customdata": ["0.1", "", 1]}]}
    clicked = post("url.search", SELECT | {"map.clickData": point}, state, "map.clickData")
    assert clicked["url"]["search"] == "?measure=vi&map=umap&channel=0.1"
    drawn = {"points": [{"customdata": [name]} for name in ("0.1", "1.1", "2.1")]}
    picked = post("url.search", SELECT | {"map.selectedData": drawn}, state, "map.selectedData")
    assert picked["url"]["search"] == "?measure=vi&map=umap&channels=0.1,1.1,2.1"


def test_selections_that_plotly_takes_back_by_itself_change_nothing(post: Post, trained: Trained) -> None:
    state = {"url.pathname": f"/ensemble/{trained.id}", "url.search": "?channel=0.1"}
    for nothing in (None, {"points": []}):
        assert post("url.search", SELECT | {"map.selectedData": nothing}, state, "map.selectedData") == {}
    state["url.search"] = "?channels=0.1,0.2,0.3"
    assert post("url.search", SELECT | {"map.selectedData": {"points": []}}, state, "map.selectedData") == {}
    cleared = post("url.search", SELECT, state, "map.selectedData")
    assert cleared["url"]["search"] == "?measure=nmi&map=mds"


def test_a_click_counts_though_a_drawing_went_away_with_it(app: Dash, trained: Trained) -> None:
    tab = Tab(app, f"/ensemble/{trained.id}", "?channels=0.1,0.2,0.3")
    point = {"points": [{"customdata": ["0.1", "", 1]}]}
    both = (("map", "selectedData"), ("map", "clickData"))
    clicked = tab.fire("url.search", *both, **{"map.clickData": point, "map.selectedData": None})
    assert clicked["url"]["search"] == "?measure=nmi&map=mds&channel=0.1"
    assert tab.fire("url.search", ("similarity", "clickData"), *both) == {}  # the page has just been analysis


def test_only_marks_are_sent_when_only_the_selection_changed(post: Post, site: Site, trained: Trained) -> None:
    path = {"url.pathname": f"/ensemble/{trained.id}"}
    shown = {"shown.data": explorer(site, trained, "?measure=nmi").state()}
    marks = post("similarity.figure", {"url.search": "?measure=nmi&channel=0.1"}, path | shown)
    assert marks["similarity"]["figure"]["__dash_patch_update"] == "__dash_patch_update"
    assert marks["map"]["figure"]["__dash_patch_update"] == "__dash_patch_update"
    assert "Channel 0.1" in text_of(marks["details"]["children"])
    other = post("similarity.figure", {"url.search": "?measure=nmi&map=umap"}, path | shown)
    assert "__dash_patch_update" in other["similarity"]["figure"]
    assert "data" in other["map"]["figure"]
    new = post("similarity.figure", {"url.search": "?measure=vi"}, path | shown)
    assert "/vi/tile.png" in new["similarity"]["figure"]["layout"]["images"][0]["source"]
    assert new["shown"]["data"] != shown["shown.data"]


def test_an_ensemble_that_vanishes_is_said_on_the_page(post: Post) -> None:
    gone = post("similarity.figure", {"url.search": ""}, {"url.pathname": "/ensemble/gone", "shown.data": {}})
    assert "There is no ensemble 'gone'" in text_of(gone["alarm"]["children"])
