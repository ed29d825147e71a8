"""Asking for a fusion on the pages, and looking at one on its way."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from dash import Dash

from support import Trained, sixty_digits
from vaefrag.jobs.job_store import JobStore
from vaefrag.pages.set_selection import SetSelection
from vaefrag_core.config import FusionConfig
from vaefrag_core.ensemble_store import EnsembleStore
from vaefrag_core.fusion_pipeline import fuse_ensemble
from vaefrag_core.fusion_store import FusionStore
from vaefrag_core.synthesis.channel_pool import ChannelName
from webpages import Tab, app_of

OTHER = "imported-other"


@pytest.fixture(scope="module")
def place(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> tuple[Dash, EnsembleStore]:
    """A workspace with the trained ensemble, twice."""
    store = EnsembleStore(tmp_path_factory.mktemp("fuse"))
    for name in (trained.id, OTHER):
        shutil.copytree(trained.store.folder(trained.id), store.folder(name))
    return app_of(store, tmp_path_factory.mktemp("cache")), store


def ask(tab: Tab, **values: object) -> dict:
    given = {f"{Tab.name_of({'fuse': name})}.value": value for name, value in values.items()}
    return tab.fire("fuse-problem", ("fuse", "n_clicks"), **{"fuse.n_clicks": 1}, **given)


def test_the_members_of_an_ensemble_are_fused_once(place: tuple[Dash, EnsembleStore], trained: Trained) -> None:
    app, store = place
    job_store, tab = JobStore(store.workspace), Tab(app, f"/fuse/{trained.id}")
    assert "Fuse its members" in tab.words
    for values, problem in (({"dimension": 0}, "greater than or equal to 1"), ({"dimension": 301}, "at most 300")):
        refused = ask(tab, **values)
        assert problem in refused[Tab.name_of({"fuse": "dimension"})]["error"]
        assert "url" not in refused
    assert job_store.job_ids() == []
    answers = [ask(tab, steps=70, name="All of them") for _ in range(2)]
    (job,) = job_store.job_ids()
    assert [answer["url"]["pathname"] for answer in answers] == [f"/jobs/{job}"] * 2
    assert "All of them" in Tab(app, f"/jobs/{job}").words
    assert parsed(job_store, job) == FusionConfig(steps=70, name="All of them")
    assert f"/fuse/{trained.id}" in json.dumps(Tab(app, f"/ensemble/{trained.id}").page)
    assert "There is no ensemble" in Tab(app, "/fuse/nothing").words


def test_a_set_of_several_ensembles_is_fused(place: tuple[Dash, EnsembleStore], trained: Trained) -> None:
    app, store = place
    bits = trained.store.analysis(trained.id).matrix
    (a, b), (c, d) = bits.channel_names[np.argsort(-bits.information_bits)[:2]].tolist()
    chosen = SetSelection((ChannelName(trained.id, a, b), ChannelName(OTHER, c, d)))
    answer = ask(Tab(app, "/combine", chosen.search()), dimension=1)
    job = JobStore(store.workspace).job_ids()[-1]
    assert answer["url"] == {"pathname": f"/jobs/{job}", "search": ""}
    assert JobStore(store.workspace).job(job).submission.ensemble_id == trained.id
    assert parsed(JobStore(store.workspace), job).channels == ((a, b), (OTHER, c, d))
    alone = ask(Tab(app, "/combine", SetSelection(chosen.channels[:1]).search()))
    assert "at least two channels to fuse, got one" in json.dumps(alone["fuse-problem"])


def parsed(job_store: JobStore, job: str) -> FusionConfig:
    return FusionConfig.model_validate(job_store.job(job).submission.request)


def test_a_fusion_on_its_way_is_seen(tmp_path: Path) -> None:
    store, config = EnsembleStore(tmp_path / "workspace"), FusionConfig(steps=500, restarts=2)
    ensemble_id = store.add(sixty_digits(), "Sixty digits").id
    app, job = app_of(store, tmp_path / "cache"), JobStore(store.workspace).submit_fusion(ensemble_id, config)
    tab, place = Tab(app, f"/jobs/{job}"), {"plot": "fusing-space", "job": job}
    assert "after the first steps" in json.dumps(tab.holding(place)["figure"])
    fuse_ensemble(ensemble_id, store, config, should_stop=iter([False] * 29 + [True]).__next__)
    state = FusionStore(store).state(ensemble_id, FusionStore(store).id_of(ensemble_id, config))
    assert state is not None
    seen = {"all": "", "jobs": {job: [0, ""]}, "plotted": {}}
    answer = tab.fire(
        "jobs-seen.data", ("jobs-tick", "n_intervals"), **{"jobs-tick.n_intervals": 4, "jobs-seen.data": seen}
    )
    points = [t for t in answer[Tab.name_of(place)]["figure"]["data"] if t["mode"] == "markers"]
    assert sorted(row for trace in points for row in trace["customdata"]) == list(range(60))
    for name in ("fusing-objective", "fusing-bits"):
        drawn = answer[Tab.name_of(place | {"plot": name})]["figure"]["data"]
        assert len(drawn) == 2  # one line for each start
    assert "Open the best so far" in json.dumps(answer[Tab.name_of({"part": "made", "job": job})])
