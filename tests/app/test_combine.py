"""The page that combines channels: what it says, what a click makes of the URL, and how sets are saved."""

import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from dash import Dash

from support import Trained
from vaefrag.pages.set_selection import MOST_CHANNELS, SetSelection, parse_set_selection
from vaefrag.pages.site import Site
from vaefrag.queries import OpenAnalysis, Queries
from vaefrag_core import pipeline
from vaefrag_core.artifacts import Posteriors
from vaefrag_core.channel_sets import SetStore
from vaefrag_core.ensemble_store import EnsembleStore
from vaefrag_core.synthesis.channel_pool import ChannelName
from vaefrag_core.synthesis.combination import combine, joint_information, rank_additions
from vaefrag_core.synthesis.held_out_growth import grow_on_halves
from webpages import Tab, app_of, post_to, text_of

OTHER = "imported-other"


@pytest.fixture(scope="module")
def place(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> EnsembleStore:
    """A workspace with the trained ensemble, and with the same again as if on another sample."""
    store = EnsembleStore(tmp_path_factory.mktemp("combine"))
    for name in (trained.id, OTHER):
        shutil.copytree(trained.store.folder(trained.id), store.folder(name))
    posteriors = store.posteriors(trained.id)
    object.__setattr__(posteriors, "sample_id", "another sample")
    store.save_posteriors(OTHER, posteriors)
    index = store.analysis_index(OTHER)
    store.save_analysis_index(OTHER, index.model_copy(update={"posteriors_key": posteriors.key}))
    return store


@pytest.fixture(scope="module")
def app(place: EnsembleStore, tmp_path_factory: pytest.TempPathFactory) -> Dash:
    return app_of(place, tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def analysis(place: EnsembleStore, trained: Trained) -> OpenAnalysis:
    class NoCache:
        def get(self, key: str) -> None:
            return None

        def set(self, key: str, value: object) -> None:
            return None

    return Queries(place, NoCache()).open(trained.id)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def names(analysis: OpenAnalysis) -> list[str]:
    """Names of the four channels that tell most."""
    return [analysis.names[c] for c in np.argsort(-analysis.matrix.information_bits)[:4]]


def search_of(trained: Trained, *names: str, **more: str) -> str:
    return SetSelection(channels(trained, *names), ensemble_id=trained.id, **more).search()  # type: ignore[arg-type]


def channels(trained: Trained, *names: str) -> tuple[ChannelName, ...]:
    return tuple(ChannelName(trained.id, *map(int, name.split("."))) for name in names)


def test_a_url_says_which_channels(tmp_path: Path) -> None:
    chosen = SetSelection(
        (ChannelName("a", 3, 1), ChannelName("b-1.5", 0, 2), ChannelName("a", 4, 4)), None, "a", "matrix"
    )
    assert chosen.search() == "?channels=a:3.1;b-1.5:0.2;a:4.4&at=a&view=matrix"
    assert parse_set_selection(chosen.search(), SetStore(tmp_path)) == (chosen, [])
    assert chosen.toggle(chosen.channels[:1]).channels == chosen.channels[1:]
    many, problems = parse_set_selection("?channels=a:" + ",".join(f"{m}.0" for m in range(99)), SetStore(tmp_path))
    assert len(many.channels) == MOST_CHANNELS
    assert "at most 64 channels" in problems[0]
    short, problems = parse_set_selection("?channels=3.1;b:0.2&at=a", SetStore(tmp_path))
    assert (short.channels, problems) == ((ChannelName("a", 3, 1), ChannelName("b", 0, 2)), [])
    nowhere, problems = parse_set_selection("?channels=3.1,4.1", SetStore(tmp_path))
    assert nowhere.channels == ()
    assert problems == ["The address names channels “3.1,4.1” of no ensemble; expected ID:0.3,1.2."]


def test_a_set_is_told_in_numbers(
    app: Dash, analysis: OpenAnalysis, place: EnsembleStore, trained: Trained, names: list
) -> None:
    tab = Tab(app, "/combine", search_of(trained, *names[:3]))
    posteriors, flat = place.posteriors(trained.id), [analysis.index[name] for name in names[:3]]
    joint, total = joint_information(posteriors, flat), analysis.matrix.information_bits[flat].sum()
    assert f"{joint:.2f} of {np.log2(300):.2f} bits" in tab.words
    assert f"{total:.2f} bits" in tab.words
    assert f"redundancy ? {combine(posteriors, flat).redundancy_above_chance_bits:z.2f} bits" in tab.words
    shares = tab.holding("set-shares")["figure"]["data"]
    assert [trace["name"] for trace in shares] == ["alone", "marginal", "Shapley"]
    marked = tab.holding("pick")["figure"]["data"][0]["selectedpoints"]
    assert len(marked) == 3
    ranked = post_to(app, "combine-next.children", {"combine-asked.data": tab.search})
    best = rank_additions(posteriors, flat).channels[0]
    assert f"Add {analysis.names[best]} to the set" in json.dumps(ranked)
    part = post_to(app, "combine-members.children", {"combine-next.children": []}, {"combine-asked.data": tab.search})
    assert "of what a member tells" in text_of(part["combine-members"]["children"])
    grown = post_to(app, "combine-curve.children", {"combine-asked.data": search_of(trained, ranked_by="digit")})
    assert "entropy of digit" in json.dumps(grown)
    asked = {"combine-asked.data": tab.search}
    halves = post_to(app, "combine-halves.children", {"combine-curve.children": []}, asked)["combine-halves"]
    words = " ".join(text_of(halves["children"]).split())
    on_halves = grow_on_halves(posteriors, 10, min_bits=0.01, draws=10)
    assert f"best 5 {on_halves.own_bits[:, 4].mean():.2f} {on_halves.other_bits[:, 4].mean():.2f}" in words
    assert f"{on_halves.other_gain[:, 4].mean():z.2f} {on_halves.other_gain_interval(5)[0]:z.2f} to" in words


def test_what_cannot_be_combined_is_said_and_left_out(
    app: Dash, analysis: OpenAnalysis, trained: Trained, names: list
) -> None:
    dead = [analysis.names[c] for c in np.flatnonzero(analysis.hotspots["nmi"].dead)[:1]]
    wrong = (
        f"?channels={trained.id}:{','.join([names[0], names[0], '9.9', 'x', *dead])};{OTHER}:{names[1]};no:0.1&view=y"
    )
    words = Tab(app, "/combine", wrong).words
    assert "The set: 1 channel " in words
    for sentence in ("more than once", "There is no channel 9.9", "different samples", "no ensemble 'no'", "view “y”"):
        assert sentence in words
    assert ("is dead: it tells" in words) == bool(dead)
    assert "Expected a channel as member.channel" in words
    assert "There is no set 'gone'" in Tab(app, "/combine", "?set=gone").words


def test_an_empty_workspace_says_what_is_needed(workspace: EnsembleStore, tmp_path: Path) -> None:
    assert "Nothing to combine yet" in Tab(app_of(workspace, tmp_path / "cache"), "/combine").words


def test_clicks_add_channels_and_take_them_out(
    app: Dash, analysis: OpenAnalysis, trained: Trained, names: list
) -> None:
    def after(search: str, changed: str, value: object) -> str:
        inputs = {"pick.clickData": None, "pick.selectedData": None, "combine-at.value": trained.id} | {changed: value}
        return post_to(app, "url.search@", inputs, {"url.search": search}, changed)["url"]["search"]

    def point(name: str) -> dict:
        return {"points": [{"customdata": [name, "", 1]}]}

    one = search_of(trained, names[0])
    assert after(one, "pick.clickData", point(names[1])) == search_of(trained, *names[:2])
    assert after(search_of(trained, *names[:2]), "pick.clickData", point(names[0])) == search_of(trained, names[1])
    drawn = {"points": [point(name)["points"][0] for name in names[:3]]}
    assert after(one, "pick.selectedData", drawn) == search_of(trained, *names[:3])
    order = analysis.order("nmi", dead=False)
    cell = {"xvals": [4.2], "yvals": [1.9], "points": []}
    pair = [analysis.names[order[place]] for place in (2, 4)]
    assert after(search_of(trained, view="matrix"), "pick.clickData", cell) == search_of(trained, *pair, view="matrix")


def test_buttons_change_the_set_as_it_is_now(app: Dash, trained: Trained, names: list) -> None:
    tab = Tab(app, "/combine", search_of(trained, *names[:2]))
    callback = next(n for n, c in app.callback_map.items() if any('"of"' in item["id"] for item in c["inputs"]))

    def after(search: str, name: str, of: str) -> str:
        button = {"channel": f"{trained.id}:{name}", "of": of}
        pressed = {"url.search": search, f"{Tab.name_of(button)}.n_clicks": 1}
        return tab.fire(callback, (button, "n_clicks"), **pressed)["url"]["search"]

    now = search_of(trained, names[1])  # the page still shows both
    assert after(now, names[0], "set") == search_of(trained, names[1], names[0])
    assert after(now, names[1], "set") == search_of(trained)


def test_there_is_something_to_fuse_from_two_channels_on(app: Dash, trained: Trained, names: list) -> None:
    shown = Tab(app, "/combine", search_of(trained)).holding("combine-shown")["data"]
    for count in (0, 1, 2):
        search = search_of(trained, *names[:count])
        assert Tab(app, "/combine", search).holding("combine-fuse")["hidden"] == (count < 2)
        state = {"combine-shown.data": shown, "url.pathname": "/combine"}
        changed = post_to(app, "combine-fuse.hidden", {"url.search": search}, state)
        assert changed["combine-fuse"]["hidden"] == (count < 2)


def test_only_marks_are_sent_when_only_the_set_changed(app: Dash, trained: Trained, names: list) -> None:
    shown = Tab(app, "/combine", search_of(trained)).holding("combine-shown")["data"]
    state = {"combine-shown.data": shown, "url.pathname": "/combine"}
    found = post_to(app, "pick.figure", {"url.search": search_of(trained, names[0])}, state)
    assert "__dash_patch_update" in found["pick"]["figure"]
    matrix = {"url.search": search_of(trained, names[0], view="matrix")}
    assert "images" in json.dumps(post_to(app, "pick.figure", matrix, state)["pick"]["figure"])
    leaving = state | {"url.pathname": "/jobs"}
    assert post_to(app, "pick.figure", {"url.search": ""}, leaving) == 204  # the figure may be gone by then


def test_a_set_is_saved_opened_exported_and_deleted(
    app: Dash, place: EnsembleStore, trained: Trained, names: list
) -> None:
    tab = Tab(app, "/combine", search_of(trained, *names[:2]))
    refused = tab.fire("save-problem", ("save-set", "n_clicks"), **{"save-set.n_clicks": 1, "set-name.value": " "})
    assert "name of 1 to 80 characters" in text_of(refused["save-problem"]["children"])
    saved = tab.fire("save-problem", ("save-set", "n_clicks"), **{"save-set.n_clicks": 1, "set-name.value": "Two"})
    kept = SetStore(place.workspace).all()[0]
    assert saved["url"]["search"] == f"?set={kept.id}&at={trained.id}"
    tab = Tab(app, "/combine", saved["url"]["search"])
    assert "The set: 2 channels" in tab.words
    exported = app.server.test_client().get(f"/data/sets/{kept.id}.npz")
    assert np.load(io.BytesIO(exported.data))["mean"].shape == (1, 300, 2)
    assert f"{kept.id}.npz" in exported.headers["Content-Disposition"]
    button = {"delete-set": kept.id}
    gone = tab.fire("combine-saved.children@", (button, "n_clicks"), **{f"{Tab.name_of(button)}.n_clicks": 1})
    assert gone["url"]["search"] == search_of(trained, *names[:2])
    assert SetStore(place.workspace).all() == []
    assert app.server.test_client().get(f"/data/sets/{kept.id}.npz").status_code == 404


def test_the_explorer_leads_here_with_its_selection(
    app: Dash, analysis: OpenAnalysis, trained: Trained, names: list
) -> None:
    site = Site(None, "/", None)  # type: ignore[arg-type]
    for search, chosen in [
        (f"?channel={names[0]}", names[:1]),
        (f"?pair={names[0]},{names[1]}", names[:2]),
        (f"?channels={','.join(names[:3])}", names[:3]),
        ("?hotspot=0", [analysis.names[c] for c in analysis.hotspots[analysis.measure].groups[0].channels]),
    ]:
        page = json.dumps(Tab(app, f"/ensemble/{trained.id}", search).page)
        assert json.dumps(site.combine(trained.id, chosen)) in page


def test_an_exported_set_is_posteriors_again(tmp_path: Path) -> None:
    posteriors = Posteriors(np.random.default_rng(0).normal(size=(1, 9, 2)), np.zeros((1, 9, 2)))
    content = io.BytesIO()
    posteriors.write(content)
    (tmp_path / "x.npz").write_bytes(content.getvalue())
    assert Posteriors.load(tmp_path / "x.npz").key == posteriors.key


def test_the_page_opens_on_the_newest_ensemble_that_has_something_to_pick(
    trained: Trained, workspace: EnsembleStore, tmp_path: Path
) -> None:
    shutil.copytree(trained.store.folder(trained.id), workspace.folder(trained.id))
    noise = np.random.default_rng(0).normal(size=(3, 40, 4)) * 1e-3
    dead = workspace.add(Posteriors(noise, np.zeros_like(noise)), trained.spec.name)  # newer, and called the same
    pipeline.analyze(dead.id, workspace)
    assert workspace.records()[0].id == dead.id
    picker = Tab(app_of(workspace, tmp_path / "cache"), "/combine").holding("combine-at")
    assert picker["value"] == trained.id
    assert {option["value"]: option["label"] for option in picker["data"]} == {
        ensemble_id: f"{trained.spec.name} · {ensemble_id[-8:]}" for ensemble_id in (dead.id, trained.id)
    }


def test_a_click_counts_though_a_drawing_went_away_with_it(app: Dash, trained: Trained, names: list) -> None:
    tab = Tab(app, "/combine", search_of(trained, names[0]))
    click = {"points": [{"customdata": [names[1], "", 1]}]}
    both = (("pick", "selectedData"), ("pick", "clickData"))
    answer = tab.fire("url.search@", *both, **{"pick.clickData": click, "pick.selectedData": None})
    assert answer["url"]["search"] == search_of(trained, *names[:2])


def test_labels_read_the_same_on_combine_as_in_the_explorer(workspace: EnsembleStore, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    x = rng.normal(size=200)
    mean = np.stack([np.stack([x + 0.2 * rng.normal(size=200), rng.normal(size=200)], axis=1) for _ in range(3)])
    labels = np.stack(
        [x, np.where(np.arange(200) % 4 == 0, np.nan, x > 0), np.where(np.arange(200) == 7, 1, np.nan)], 1
    )
    posteriors = Posteriors(mean, np.full_like(mean, -3.0), labels=labels, label_names=["x", "gaps", "once"])
    record = workspace.add(posteriors, "With labels")
    pipeline.analyze(record.id, workspace)
    app, search = app_of(workspace, tmp_path / "cache"), f"?channels={record.id}:1.0"
    matrix = workspace.analysis(record.id).matrix
    explorer = Tab(app, f"/ensemble/{record.id}", "?channel=1.0").words
    combined = Tab(app, "/combine", search).words
    own = combine(posteriors, [2])
    for f, name in enumerate(("x", "gaps")):
        corrected, vi = matrix.corrected_label_nmi([2])[0, f], matrix.label_vi_bits[2, f]
        assert f"{name} {corrected:.2f}" in explorer
        assert own.label_corrected_nmi[f] == pytest.approx(corrected, abs=0.06)  # the explorer fits the level of chance
        assert f"{name} {own.label_corrected_nmi[f]:.2f} {vi:.2f}" in combined
    assert "once –" not in combined
    ranked = json.dumps(post_to(app, "combine-next.children", {"combine-asked.data": search}))
    assert '"children": "gaps"' in ranked
    assert '"children": "once"' not in ranked  # known of one image, it ranks nothing
    asked = Tab(app, "/combine", f"{search}&by=once")
    assert "There is no label “once” to rank by" in asked.words
    grown = post_to(app, "combine-curve.children", {"combine-asked.data": f"{search}&by=gaps"})
    assert "entropy of gaps" in json.dumps(grown)
