"""The page of a fused space: by its URL, with what there is to see and to know."""

import numpy as np
import pytest
from dash import Dash

from support import sixty_digits
from vaefrag.figures.fusion import optimization_figure, space_figure
from vaefrag.jobs.job_store import JobStore
from vaefrag_core.config import FusionConfig
from vaefrag_core.ensemble_store import EnsembleStore
from vaefrag_core.fusion_pipeline import fuse_ensemble
from vaefrag_core.fusion_store import FusionStore
from webpages import Tab, app_of, post_to


@pytest.fixture(scope="module")
def fused(tmp_path_factory: pytest.TempPathFactory) -> tuple[Dash, EnsembleStore, str]:
    store = EnsembleStore(tmp_path_factory.mktemp("fused"))
    config = FusionConfig(name="Five together", steps=25, restarts=2)
    fusion_id, _ = fuse_ensemble(store.add(sixty_digits(), "Sixty digits").id, store, config)
    return app_of(store, tmp_path_factory.mktemp("cache")), store, fusion_id


def test_a_fused_space_opens_by_its_url(fused: tuple[Dash, EnsembleStore, str]) -> None:
    app, _, fusion_id = fused
    tab = Tab(app, f"/fusion/{fusion_id}")
    for words in (
        "Five together",
        "5 learners fused",
        "member 4",
        "fused gains",
        "best single learner",
        "25, all that",
    ):
        assert words in tab.words
    drawn = tab.holding("fused-space")["figure"]["data"]
    points = [trace for trace in drawn if trace["mode"] == "markers"]
    assert [trace["name"] for trace in points] == [str(digit) for digit in range(10)]
    assert sum(len(trace["customdata"]) for trace in points) == 60
    assert Tab(app, f"/fusion/{fusion_id}", "?learner=3").words.count("Learner: member 3") == 1
    assert "No such fusion" in Tab(app, "/fusion/0123456789ab").words


def test_the_image_under_the_pointer_is_shown(fused: tuple[Dash, EnsembleStore, str]) -> None:
    app, _, fusion_id = fused
    hover = {"points": [{"customdata": 7}]}
    answer = post_to(app, "fused-image.src", {"fused-space.hoverData": hover, "url.pathname": f"/fusion/{fusion_id}"})
    assert answer["fused-image"] == {"src": f"/data/fusion/{fusion_id}/7.png", "hidden": False}
    client = app.server.test_client()
    picture = client.get(answer["fused-image"]["src"])
    assert picture.data.startswith(b"\x89PNG")
    assert client.get(f"/data/fusion/{fusion_id}/60.png").status_code == 404
    assert client.get("/data/fusion/0123456789ab/0.png").status_code == 404


def test_another_learner_redraws_the_page(fused: tuple[Dash, EnsembleStore, str]) -> None:
    app, _, fusion_id = fused
    path = f"/fusion/{fusion_id}"
    answer = post_to(app, "fusion-body.children", {"url.search": "?learner=2"}, {"url.pathname": path})
    assert "Learner: member 2" in str(answer)


@pytest.mark.parametrize(("channels", "kind"), [(1, "scatter"), (2, "scatter"), (3, "scatter3d"), (5, "scatter3d")])
def test_spaces_of_any_dimension_are_drawn(channels: int, kind: str) -> None:
    mean = np.random.default_rng(0).normal(size=(30, channels))
    figure = space_figure(mean, np.zeros_like(mean), "angle", [f"{9 + 18 * (i % 20)}°" for i in range(30)])
    points = [trace for trace in figure.data if trace.mode == "markers"]
    assert {trace.type for trace in points} == {kind}
    np.testing.assert_allclose(points[0].x, mean[:, 0])
    ellipses = [trace for trace in figure.data if trace.mode == "lines"]
    assert bool(ellipses) == (channels == 2)
    if ellipses:  # one standard deviation, here 1, around each mean
        corners = np.concatenate([np.stack([e.x, e.y], axis=1).reshape(-1, 18, 2)[:, :17] for e in ellipses])
        radius = np.linalg.norm(corners - corners[:, :16].mean(axis=1, keepdims=True), axis=2)
        np.testing.assert_allclose(radius, 1)


def test_axes_reach_around_ellipses_but_for_the_few_that_reach_out_furthest() -> None:
    mean = np.random.default_rng(0).uniform(-1, 1, size=(300, 2))
    spread = np.where(np.arange(300) % 5 == 0, 1.0, 0.1)  # a fifth are wide
    spread[7] = 90.0  # and one has no place in this space
    layout = space_figure(mean, np.tile(2 * np.log(spread), (2, 1)).T).layout
    for c, axis in enumerate((layout.xaxis, layout.yaxis)):
        low, high = axis.range
        inside = (low <= mean[:, c] - spread) & (mean[:, c] + spread <= high)
        assert inside.mean() > 0.97
        assert low <= mean[:, c].min()
        assert mean[:, c].max() <= high
        assert high - low < 5  # not the 180 of that one


def test_the_start_that_was_kept_is_in_front() -> None:
    figure = optimization_figure(np.array([[0.1, 0.2], [0.5, 0.3]]), best=0, title="bits", ceiling=4.0)
    np.testing.assert_allclose(figure.data[-1].y, [0.1, 0.5])
    assert figure.layout.shapes[0].y0 == 4


def test_a_job_that_has_fused_leads_to_what_it_made(fused: tuple[Dash, EnsembleStore, str]) -> None:
    app, store, fusion_id = fused
    job_store, config = JobStore(store.workspace), FusionStore(store).fused(store.ids()[0], fusion_id).config
    job = job_store.submit_fusion(store.ids()[0], config)
    tab = Tab(app, f"/jobs/{job}")
    assert "Fusion" in tab.words
    assert "Open the fused space" in tab.words
    other = job_store.submit_fusion(store.ids()[0], config.model_copy(update={"seed": 9}))
    assert "Open the fused space" not in Tab(app, f"/jobs/{other}").words
