"""A small real sweep that kept snapshots: its atlas at every step, on disk, on the page and in the terminal."""

import base64
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from support import Trained, sweep_with, take_over
from test_cli import vaefrag
from vaefrag_core import pipeline
from vaefrag_core.artifacts import Atlas, Hotspot, OverTraining, Posteriors, Snapshots, SweepPoint
from vaefrag_core.ensemble_store import EnsembleStore
from vaefrag_core.errors import MissingDataError
from vaefrag_core.structure.atlas_over_training import with_lineages_of
from vaefrag_core.structure.matrices import compare_channels
from vaefrag_core.sweeps import Sweep, SweepStore
from webpages import Tab, app_of, text_of

STEPS = (10, 32, 100)


@pytest.fixture
def sweep(kept: EnsembleStore) -> Sweep:
    return SweepStore(kept).sweeps()[0]


def found_in(store: EnsembleStore, ensemble_id: str) -> OverTraining:
    over_training = store.analysis(ensemble_id).over_training
    assert over_training is not None
    return over_training


def numbers(part: Any) -> list[float]:
    """Read an array of a figure as it is sent."""
    found = np.frombuffer(base64.b64decode(part["bdata"]), part["dtype"]) if isinstance(part, dict) else part
    return [float("nan") if value is None else float(value) for value in found]


@pytest.mark.parametrize("s", range(len(STEPS)))
def test_an_atlas_at_a_step_has_the_numbers_of_its_ensembles_then(kept: EnsembleStore, sweep: Sweep, s: int) -> None:
    atlas = SweepStore(kept).atlas(sweep.id, STEPS[s])
    for point, ensemble_id in zip(atlas.points, sweep.ensembles, strict=True):
        found = found_in(kept, ensemble_id)
        assert found.steps.tolist() == list(STEPS)
        assert point.live_channels == tuple(found.live_of_members[s])
        assert point.bits == tuple(found.information_bits[s][found.live[s]])
        told = np.where(found.live[s], found.information_bits[s], 0).reshape(3, 3).sum(axis=1)
        assert point.summed_bits == pytest.approx(told.tolist())
        assert len(point.hotspots) == found.hotspots[s]
        assert [group.channels for group in point.hotspots] == [group.channels for group in found.groups[s]]
        tightness = np.mean([group.mean_nmi for group in found.groups[s]]) if found.hotspots[s] else np.nan
        assert point.tightness == pytest.approx(tightness, nan_ok=True)


def test_what_hotspots_share_at_a_step_is_what_their_channels_shared_then(kept: EnsembleStore, sweep: Sweep) -> None:
    atlas = SweepStore(kept).atlas(sweep.id, 32)
    first, second = atlas.points
    assert first.hotspots
    assert second.hotspots
    parts = []
    for ensemble_id in sweep.ensembles:
        (folder,) = (kept.folder(ensemble_id) / "analysis").glob("snapshots-*")
        parts.append(Snapshots.load(folder))
    both = [np.concatenate([getattr(part, name)[1] for part in parts]) for name in ("mean", "logvar")]
    nmi = compare_channels(Posteriors(*both)).nmi
    for s, group in enumerate(first.hotspots):
        for t, other in enumerate(second.hotspots):
            pairs = nmi[np.ix_(group.channels, np.array(other.channels) + 9)]
            assert atlas.cross[0][s, t] == pytest.approx(float(np.mean(pairs)), abs=1e-5)


def test_the_last_step_is_the_atlas_at_the_end(kept: EnsembleStore, sweep: Sweep) -> None:
    sweeps = SweepStore(kept)
    end = sweeps.atlas(sweep.id)
    assert end.steps == STEPS
    assert sweeps.atlas(sweep.id, 100).points == end.points
    for point, ensemble_id in zip(end.points, sweep.ensembles, strict=True):
        assert point.hotspots == kept.analysis(ensemble_id).hotspots["nmi"].groups
    assert sweeps.atlas(sweep.id, 10).points != end.points
    with pytest.raises(MissingDataError, match=r"no atlas at step 11 of training. There are 10, 32, 100\."):
        sweeps.atlas(sweep.id, 11)


def test_steps_are_there_only_when_all_ensembles_have_kept_what_is_needed(
    kept: EnsembleStore, sweep: Sweep, tmp_path: Path
) -> None:
    store = EnsembleStore(tmp_path)
    shutil.copytree(kept.workspace, tmp_path, dirs_exist_ok=True)
    index = store.analysis_index(sweep.ensembles[0])
    store.save_analysis_index(sweep.ensembles[0], index.model_copy(update={"over_training": None}))
    assert pipeline.follow_hotspots(sweep.id, store).steps == ()
    with pytest.raises(MissingDataError, match="have kept no snapshots"):
        SweepStore(store).atlas(sweep.id, 10)
    words = Tab(app_of(store, tmp_path / "cache"), f"/atlas/{sweep.id}").words
    assert "`vaefrag analyze ID`" in words
    facts = next((store.folder(sweep.ensembles[1]) / "analysis").glob("over-training-*")) / "facts.json"
    facts.write_text('{"n_members": 3}')  # as earlier versions wrote it
    (facts.parent / "checksums.json").unlink()
    older = found_in(store, sweep.ensembles[1])
    assert older.groups == ()
    assert older.hotspots.tolist() == found_in(kept, sweep.ensembles[1]).hotspots.tolist()


def hotspot(number: int, *channels: int) -> Hotspot:
    return Hotspot(number, channels, 3, 0.5, 1.0, 1.0, channels[0], ())


def atlas_of(*columns: list[tuple[int, ...]], lineages: tuple[tuple[int, ...], ...]) -> Atlas:
    points = [
        SweepPoint(float(v), str(v), (3,), (), (), tuple(hotspot(k, *group) for k, group in enumerate(column)))
        for v, column in enumerate(columns)
    ]
    return Atlas(tuple(points), (), lineages, 0.4, 100)


def test_a_fragment_keeps_its_colour_over_training() -> None:
    end = atlas_of([(0, 1, 2), (3, 4, 5)], [(0, 1), (2, 3, 4)], lineages=((0, 1), (1, 0)))
    then = atlas_of([(3, 4), (0, 1), (6, 7)], [(5, 6), (0, 1)], lineages=((0, 1, 2), (3, 0)))
    assert with_lineages_of(then, end).lineages == ((1, 0, 2), (3, 1))  # 2 and 3: nothing of them is left at the end
    assert with_lineages_of(end, end).lineages == end.lineages
    torn = atlas_of([(2,), (0, 1)], [], lineages=((0, 1), ()))
    assert with_lineages_of(torn, end).lineages == ((2, 0), ())  # of two pieces the larger one keeps the colour


def test_the_slider_shows_what_was_found_at_its_step(kept: EnsembleStore, sweep: Sweep, tmp_path: Path) -> None:
    app = app_of(kept, tmp_path / "cache")
    tab, then = Tab(app, f"/atlas/{sweep.id}"), Tab(app, f"/atlas/{sweep.id}", "?step=32")
    assert (tab.holding("atlas-slider")["value"], then.holding("atlas-slider")["value"]) == (2, 1)
    assert [mark["label"] for mark in tab.holding("atlas-slider")["marks"]] == ["10", "32", "100"]
    assert "Step 100, the end" in tab.words
    assert "Step 32 of 100" in then.words
    found = [found_in(kept, ensemble_id) for ensemble_id in sweep.ensembles]
    for page, s in ((tab, 2), (then, 1)):
        live, bits, summed, hotspots, _ = page.holding("sweep-curves")["figure"]["data"]
        assert numbers(live["y"]) == [of.live_of_members[s].mean() for of in found]
        assert numbers(bits["y"]) == pytest.approx([of.mean_live_bits[s] for of in found])
        assert numbers(summed["y"]) == pytest.approx([of.information_bits[s][of.live[s]].sum() / 3 for of in found])
        assert numbers(hotspots["y"]) == [of.hotspots[s] for of in found]
    layouts = [page.holding("sweep-curves")["figure"]["layout"] for page in (tab, then)]
    assert [layouts[0][f"yaxis{k}"]["range"] for k in "2345"] == [layouts[1][f"yaxis{k}"]["range"] for k in "2345"]
    flows = [page.holding("flow")["figure"]["layout"]["yaxis"]["range"] for page in (tab, then)]
    assert flows[0] == flows[1]
    moved = tab.fire("atlas-drawn", ("atlas-step", "data"), **{"atlas-step.data": 32})
    assert moved["atlas-when"]["children"] == "Step 32 of 100"
    assert text_of(moved["atlas-drawn"]["children"]) == text_of(then.holding("atlas-drawn")["children"])
    back = then.fire("atlas-drawn", ("atlas-step", "data"), **{"atlas-step.data": None})
    assert text_of(back["atlas-drawn"]["children"]) == text_of(tab.holding("atlas-drawn")["children"])


def test_before_the_end_nothing_leads_to_hotspots_of_the_end(kept: EnsembleStore, sweep: Sweep, tmp_path: Path) -> None:
    app = app_of(kept, tmp_path / "cache")
    leads = {}
    for step in (100, 32):
        bars = Tab(app, f"/atlas/{sweep.id}", f"?step={step}").holding("flow")["figure"]["data"][1]
        leads[step] = {search for _, search in bars["customdata"]}
    assert leads[32] == {"?measure=nmi&map=mds"}
    assert "?measure=nmi&map=mds&hotspot=0" in leads[100]


def test_a_step_that_is_not_there_is_named(kept: EnsembleStore, sweep: Sweep, tmp_path: Path) -> None:
    tab = Tab(app_of(kept, tmp_path / "cache"), f"/atlas/{sweep.id}", "?step=33")
    assert "step “33” of training; there are 10, 32, 100. Showing the end." in tab.words
    assert "Step 100, the end" in tab.words


def test_without_snapshots_there_is_no_slider_and_a_word_on_how_to_get_one(
    trained: Trained, workspace: EnsembleStore, tmp_path: Path
) -> None:
    sweep = sweep_with(trained, workspace)
    take_over(trained, workspace, sweep.ensembles[0])
    assert pipeline.follow_hotspots(sweep.id, workspace).steps == ()
    tab = Tab(app_of(workspace, tmp_path / "cache"), f"/atlas/{sweep.id}")
    assert "--snapshots 8" in tab.words
    assert "Over training" not in tab.words
    with pytest.raises(StopIteration):
        tab.holding("atlas-slider")


def test_the_command_shows_a_step(kept: EnsembleStore, sweep: Sweep) -> None:
    done = vaefrag("atlas", sweep.id, "--step", "32", "--workspace", str(kept.workspace), "--json")
    result = json.loads(done.stdout)
    assert (result["step"], result["steps"]) == (32, list(STEPS))
    found = [found_in(kept, ensemble_id) for ensemble_id in sweep.ensembles]
    assert [point["live_channels"] for point in result["points"]] == [of.live_of_members[1].tolist() for of in found]
    assert [len(point["hotspots"]) for point in result["points"]] == [of.hotspots[1] for of in found]
    assert "At step 32 of 100" in done.stderr
