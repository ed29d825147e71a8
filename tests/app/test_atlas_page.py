"""The atlas of a sweep as a page: what is shown when, and where its parts lead."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dash import Dash

from support import Trained, sweep_with, take_over
from vaefrag.figures.hotspot_flow import Band, Bar, FlowView, flow_figure
from vaefrag.figures.sweep_curves import SweepCurve, curves_figure
from vaefrag.jobs.engine_job_store import EngineJobStore
from vaefrag.jobs.job_store import JobStore
from vaefrag_core import pipeline
from vaefrag_core.ensemble_store import EnsembleStore
from vaefrag_core.sweeps import Sweep, SweepStore
from vaefrag_core.training.checkpoints import Checkpoint, History, save_checkpoint
from webpages import Tab, app_of, text_of


@pytest.fixture
def sweep(trained: Trained, workspace: EnsembleStore) -> Sweep:
    return sweep_with(trained, workspace)


@pytest.fixture
def app(workspace: EnsembleStore, tmp_path: Path) -> Dash:
    return app_of(workspace, tmp_path / "cache")


def drawn(trained: Trained, workspace: EnsembleStore, sweep: Sweep, *which: int) -> None:
    """Draw the atlas over some of its ensembles."""
    for k in which:
        take_over(trained, workspace, sweep.ensembles[k])
    pipeline.follow_hotspots(sweep.id, workspace)


def all_ended(workspace: EnsembleStore, ensemble_id: str, state: Any) -> None:
    for member in range(6):
        empty = History.empty(6)
        checkpoint = Checkpoint(step=400, state=state, weights={"w": np.zeros(1)}, optimizer={}, history=empty)
        save_checkpoint(workspace.members_folder(ensemble_id) / str(member), checkpoint)


def hrefs(page: Any) -> list[str]:
    found: list[str] = []

    def visit(part: Any) -> None:
        if isinstance(part, list):
            for item in part:
                visit(item)
        elif isinstance(part, dict):
            if "href" in part.get("props", {}):
                found.append(part["props"]["href"])
            visit(part.get("props", {}).get("children"))

    visit(page)
    return found


def test_an_unknown_sweep_says_so(app: Dash) -> None:
    assert "There is no sweep 'nothing'" in Tab(app, "/atlas/nothing").words
    assert "No such sweep" in Tab(app, "/atlas/..%2Fx").words


def test_a_sweep_that_nobody_trains_can_be_gone_on_with(app: Dash, workspace: EnsembleStore, sweep: Sweep) -> None:
    tab = Tab(app, f"/atlas/{sweep.id}")
    assert "No atlas yet" in tab.words
    assert "stopped, 0 of 6 members trained" in tab.words
    answer = tab.fire("atlas-tick.n_intervals", ({"go-on": sweep.id}, "n_clicks"), **_clicked(sweep))
    assert answer["atlas-tick"]["n_intervals"] == 1
    jobs = JobStore(workspace.workspace).jobs()
    assert {(job.submission.kind, job.submission.ensemble_id) for job in jobs} == {
        ("train", ensemble_id) for ensemble_id in sweep.ensembles
    }
    moved = text_of(tab.fire("atlas-body", ("atlas-tick", "n_intervals"))["atlas-body"]["children"])
    assert "In training" in moved
    assert "in training, 0 of 6 members trained" in moved


def test_the_atlas_grows_on_the_page(trained: Trained, app: Dash, workspace: EnsembleStore, sweep: Sweep) -> None:
    drawn(trained, workspace, sweep, 0)
    all_ended(workspace, sweep.ensembles[1], "done")
    tab = Tab(app, f"/atlas/{sweep.id}")
    assert "Missing or outdated in the atlas: β = 2." in tab.words
    assert "not analysed yet" in tab.words
    notes = [note["text"] for note in tab.holding("flow")["figure"]["layout"]["annotations"]]
    assert notes == ["not analysed yet"]
    assert tab.fire("atlas-body", ("atlas-tick", "n_intervals")) == 204
    tab.fire("atlas-tick.n_intervals", ({"go-on": sweep.id}, "n_clicks"), **_clicked(sweep))
    (job,) = JobStore(workspace.workspace).jobs()
    assert (job.submission.kind, job.submission.ensemble_id) == ("analyze", sweep.ensembles[1])
    drawn(trained, workspace, sweep, 1)
    JobStore(workspace.workspace).set_desired_state(job.id, "cancel")
    moved = tab.fire("atlas-body", ("atlas-tick", "n_intervals"))
    assert "being analysed" in text_of(moved["atlas-body"]["children"])
    assert "not analysed yet" not in text_of(moved["atlas-body"]["children"])


def test_every_hotspot_leads_to_itself_in_the_explorer(
    trained: Trained, app: Dash, workspace: EnsembleStore, sweep: Sweep
) -> None:
    drawn(trained, workspace, sweep, 0, 1)
    atlas = SweepStore(workspace).atlas(sweep.id)
    tab = Tab(app, f"/atlas/{sweep.id}")
    assert "outdated" not in tab.words
    expected = {
        f"/ensemble/{point.ensemble_id}?measure=nmi&map=mds&hotspot={group.number}"
        for point in atlas.points
        for group in point.hotspots
    }
    assert len(expected) >= 2
    assert expected <= set(hrefs(tab.page))
    path, search = sorted(expected)[-1].split("?")
    assert f"Hotspot {search[-1]}" in Tab(app, path, f"?{search}").words
    bars = tab.holding("flow")["figure"]["data"][1]
    assert {f"{path}{search}" for path, search in bars["customdata"]} == expected


def test_a_click_on_a_bar_or_a_point_opens_the_explorer(
    trained: Trained, app: Dash, workspace: EnsembleStore, sweep: Sweep
) -> None:
    drawn(trained, workspace, sweep, 0, 1)
    tab = Tab(app, f"/atlas/{sweep.id}")
    figures = {name: tab.holding(name)["figure"] for name in ("flow", "sweep-curves")}
    for name, trace in (("flow", 1), ("sweep-curves", 0)):
        target = figures[name]["data"][trace]["customdata"][0]
        click = {"points": [{"customdata": target}]}
        answer = tab.fire("url.pathname@", (name, "clickData"), **{f"{name}.clickData": click})
        assert (answer["url"]["pathname"], answer["url"]["search"]) == tuple(target)
    band = {"points": [{"customdata": figures["flow"]["data"][0]["customdata"][0]}]}
    assert tab.fire("url.pathname@", ("flow", "clickData"), **{"flow.clickData": band}) == 204


def test_a_sweep_that_failed_whole_says_so(app: Dash, workspace: EnsembleStore, sweep: Sweep) -> None:
    for ensemble_id in sweep.ensembles:
        all_ended(workspace, ensemble_id, "failed")
    words = Tab(app, f"/atlas/{sweep.id}").words
    assert "Training failed" in words
    assert "Try again" in words


def test_an_ensemble_that_cannot_be_read_is_left_alone(app: Dash, workspace: EnsembleStore, sweep: Sweep) -> None:
    (workspace.folder(sweep.ensembles[0]) / "spec.json").write_text("{")
    tab = Tab(app, f"/atlas/{sweep.id}")
    assert "cannot be read" in tab.words
    assert "6 members at each" in tab.words
    tab.fire("atlas-tick.n_intervals", ({"go-on": sweep.id}, "n_clicks"), **_clicked(sweep))
    (job,) = JobStore(workspace.workspace).jobs()
    assert job.submission.ensemble_id == sweep.ensembles[1]


def test_a_damaged_atlas_is_named(trained: Trained, app: Dash, workspace: EnsembleStore, sweep: Sweep) -> None:
    drawn(trained, workspace, sweep, 0)
    folder = SweepStore(workspace).folder(sweep.id) / SweepStore(workspace).atlas_index(sweep.id).folder
    (folder / "facts.json").write_text("{}")
    words = Tab(app, f"/atlas/{sweep.id}").words
    assert "The atlas cannot be read" in words
    assert f"vaefrag atlas {sweep.id}" in words


def test_the_list_of_ensembles_leads_to_the_sweeps(
    trained: Trained, app: Dash, workspace: EnsembleStore, sweep: Sweep
) -> None:
    assert "no atlas yet" in Tab(app, "/").words
    drawn(trained, workspace, sweep, 0)
    tab = Tab(app, "/")
    assert f"{sweep.name} β = 0.5, 2 1 of 2 values in the atlas" in tab.words
    assert f"/atlas/{sweep.id}" in hrefs(tab.page)


def _clicked(sweep: Sweep) -> dict[str, Any]:
    return {f"{Tab.name_of({'go-on': sweep.id})}.n_clicks": 1}


def flow_of(columns: list[list[int]], bands: list[Band]) -> Any:
    bars = [[Bar(size, k, k, "", ("/", "")) for k, size in enumerate(column)] for column in columns]
    heads = [str(k) for k in range(len(columns))]
    return flow_figure(FlowView(heads=heads, bars=bars, bands=bands, notes=[""] * len(columns)))


def ends_of(path: str) -> tuple[float, float, float, float]:
    """Give the heights of a band: at its left above, at its right above and below, at its left below."""
    heights = [float(part.split(",")[1]) for part in path.split() if "," in part]
    return heights[0], heights[3], heights[4], heights[7]


def test_bars_are_as_high_as_they_have_channels_and_bands_stay_on_them() -> None:
    bands = [Band((0, 0), (1, 0), 0.9), Band((0, 0), (1, 1), 0.6), Band((0, 1), (1, 1), 0.5)]
    figure = flow_of([[9, 4], [5, 6]], bands)
    bars = figure.data[1]
    assert list(bars.y) == [9, 4, 5, 6]
    spans = {(x, k): (base, base + y) for x, k, base, y in zip(bars.x, [0, 1, 0, 1], bars.base, bars.y, strict=True)}
    widths = []
    for band, shape in zip(bands, figure.layout.shapes, strict=True):
        high, high_there, low_there, low = ends_of(shape.path)
        for (bottom, top), (lower, upper) in (
            (spans[band.left], (low, high)),
            (spans[band.right], (low_there, high_there)),
        ):
            assert bottom - 1e-9 <= lower < upper <= top + 1e-9
        widths.append(high - low)
    assert widths == pytest.approx([9 * 0.9 / 1.5, 9 * 0.6 / 1.5, 4 * 0.5])


def test_columns_are_ordered_so_that_threads_run_straight() -> None:
    # Three threads whose hotspots are numbered differently at each value.
    places = [[0, 1, 2], [2, 0, 1], [1, 2, 0]]
    bands = [
        Band((step, places[step][thread]), (step + 1, places[step + 1][thread]), 0.8)
        for step in range(2)
        for thread in range(3)
    ]
    bars = flow_of([[3, 5, 4]] * 3, bands).data[1]
    base = {(x, k % 3): b for k, (x, b) in enumerate(zip(bars.x, bars.base, strict=True))}
    ranks = [np.argsort([base[(step, places[step][thread])] for thread in range(3)]).tolist() for step in range(3)]
    assert ranks[0] == ranks[1] == ranks[2]


def test_a_flow_without_hotspots_says_so() -> None:
    assert "No hotspot at any value" in json.dumps(flow_of([[], []], []).to_plotly_json(), default=str)


def test_curves_have_a_logarithmic_axis_when_values_span_decades() -> None:
    curve = SweepCurve("bits", [1.0, 0.5, float("nan")], [2.0, 0.1, 0.0])
    targets = [("/", "")] * 3
    wide, narrow, zero = (curves_figure("β", at, [curve], targets) for at in ([1, 4, 16], [1, 2, 4], [0, 4, 16]))
    assert [figure.layout.xaxis.type for figure in (wide, narrow, zero)] == ["log", "linear", "linear"]
    assert list(wide.layout.xaxis.ticktext) == ["1", "4", "16"]
    assert wide.data[0].error_y.arrayminus[0] == 1.0  # never below 0


def test_an_atlas_tells_of_members_that_are_missing_in_it(
    trained: Trained, app: Dash, workspace: EnsembleStore, sweep: Sweep
) -> None:
    drawn(trained, workspace, sweep, 0, 1)
    job = JobStore(workspace.workspace).submit_training(workspace.record(sweep.ensembles[0]).spec)
    assert "in training, 0 of 6 members trained" in Tab(app, f"/atlas/{sweep.id}").words
    engine_store = EngineJobStore(workspace.workspace)
    engine_store.sync()
    engine_store.open[job].update_member(5, state="failed", error="Member 5 stopped: its worker died 3 times.")
    engine_store.open[job].update(state="done", ended=1.0)
    engine_store.flush()
    words = Tab(app, f"/atlas/{sweep.id}").words
    assert "analysed, 1 of 6 members failed" in words
    assert "outdated" not in words
