"""Which channels are live is one question: what Combine and the command offer, they take."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from vaefrag.cli import cli
from vaefrag_core import pipeline
from vaefrag_core.artifacts import Posteriors
from vaefrag_core.config import AnalysisConfig, HotspotConfig
from vaefrag_core.ensemble_store import EnsembleStore
from webpages import Tab, app_of, post_to

SPREAD = [0.1, 0.3, 1.0, 4.0]  # of the means of the four channels of a member: about 0.005, 0.05, 0.4 and 1.8 bits


def analysed(store: EnsembleStore, min_bits: float, seed: int = 0) -> str:
    rng = np.random.default_rng(seed)
    images = rng.normal(size=(80, 4))  # the members agree, so that weak channels form hotspots as well
    mean = np.stack([images + 0.05 * rng.normal(size=(80, 4)) for _ in range(3)]) * SPREAD
    posteriors = Posteriors(mean, np.zeros_like(mean), sample_id="s", labels=images[:, 3] > 0, label_names=["side"])
    record = store.add(posteriors, f"From {min_bits} bits")
    pipeline.analyze(record.id, store, AnalysisConfig(hotspots=HotspotConfig(min_bits=min_bits)))
    return record.id


def live_names(store: EnsembleStore, ensemble_id: str) -> set[str]:
    analysis = store.analysis(ensemble_id)
    live = np.flatnonzero(~analysis.hotspots["nmi"].dead)
    return {"{}.{}".format(*analysis.matrix.channel_names[c]) for c in live}


def offered(answer: object) -> list[str]:
    return re.findall(r"Add (\d+\.\d+) to the set", json.dumps(answer))


@pytest.mark.parametrize(("min_bits", "channels_of_member"), [(0.002, 4), (0.01, 3), (0.2, 2)])
def test_what_the_page_offers_it_takes(
    min_bits: float, channels_of_member: int, workspace: EnsembleStore, tmp_path: Path
) -> None:
    ensemble_id = analysed(workspace, min_bits)
    live = live_names(workspace, ensemble_id)
    assert len(live) == 3 * channels_of_member
    app = app_of(workspace, tmp_path / "cache")
    search = f"?at={ensemble_id}"
    for by in ("", "&by=side"):
        answer = post_to(app, "combine-next.children", {"combine-asked.data": search + by})
        assert f"Of {len(live)} live channels" in json.dumps(answer)
        assert set(offered(answer)) <= live
    growth = json.dumps(post_to(app, "combine-curve.children", {"combine-asked.data": search}))
    sets = [set(part.split(",")) for part in re.findall(rf"channels={ensemble_id}:([0-9.,]+)", growth)]
    assert sets
    assert max(sets, key=len) <= live
    for name in sorted(live):
        words = Tab(app, "/combine", f"?channels={ensemble_id}:{name}").words
        assert "The set: 1 channel " in words
        assert "is dead" not in words


def test_every_ensemble_of_a_set_has_its_own_threshold(workspace: EnsembleStore, tmp_path: Path) -> None:
    low, high = analysed(workspace, 0.002), analysed(workspace, 0.2, seed=1)
    app = app_of(workspace, tmp_path / "cache")
    live = len(live_names(workspace, low)) + len(live_names(workspace, high))
    assert live == 12 + 6
    answer = post_to(app, "combine-next.children", {"combine-asked.data": f"?channels={low}:0.0&at={high}"})
    assert f"Of {live - 1} live channels" in json.dumps(answer)


@pytest.mark.parametrize("min_bits", [0.002, 0.2])
def test_the_command_takes_what_is_live_in_the_analysis(min_bits: float, workspace: EnsembleStore) -> None:
    ensemble_id = analysed(workspace, min_bits)
    place = ["--workspace", str(workspace.workspace), "--json"]
    told = CliRunner().invoke(cli, ["combine", ensemble_id, "--medoids", "--rank", "bits", *place])
    assert told.exit_code == 0, told.exception
    combination = json.loads(told.stdout)
    medoids = {group.medoid for group in workspace.analysis(ensemble_id).hotspots["nmi"].groups}
    assert len(combination["channels"]) == len(medoids)
    names = {f"{c['member']}.{c['channel']}" for part in ("channels", "additions") for c in combination[part]}
    assert names == live_names(workspace, ensemble_id)
    whole = CliRunner().invoke(cli, ["combine", ensemble_id, "--greedy", "12", *place])
    assert whole.exit_code == 0, whole.exception
    grown = {f"{c['member']}.{c['channel']}" for c in json.loads(whole.stdout)["channels"]}
    assert grown == live_names(workspace, ensemble_id)
