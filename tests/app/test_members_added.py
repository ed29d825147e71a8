"""Members were added to an ensemble, and their analysis is still to come: pages show the channels of the one before."""

import base64
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from dash import Dash

from support import Trained
from vaefrag_core import pipeline
from vaefrag_core.artifacts import Posteriors
from vaefrag_core.ensemble_store import EnsembleStore
from vaefrag_core.synthesis.combination import joint_information
from webpages import Tab, app_of, decode_png, post_to, text_of

EARLY = [0, 1, 5]  # the members that were trained first; flat channel 12 is 5.0 of them, and 2.0 of all six


def members_of(posteriors: Posteriors, members: list[int]) -> Posteriors:
    return replace(
        posteriors, mean=posteriors.mean[members], logvar=posteriors.logvar[members], member_ids=np.array(members)
    )


@pytest.fixture(scope="module")
def store(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> EnsembleStore:
    """Three members were analysed, and six are encoded."""
    store = EnsembleStore(tmp_path_factory.mktemp("added"))
    shutil.copytree(trained.store.folder(trained.id), store.folder(trained.id))
    everything = trained.store.posteriors(trained.id)
    store.save_posteriors(trained.id, members_of(everything, EARLY))
    pipeline.analyze(trained.id, store)
    store.save_posteriors(trained.id, everything)
    return store


@pytest.fixture
def app(store: EnsembleStore, tmp_path: Path) -> Dash:
    return app_of(store, tmp_path / "cache")


def live_channel(store: EnsembleStore, trained: Trained, member: int) -> int:
    """The channel of a member that tells most."""
    matrix = store.analysis(trained.id).matrix
    return int(matrix.information_bits[matrix.member == member].argmax())


def numbers(sent: list[float] | dict[str, str]) -> np.ndarray:
    if isinstance(sent, list):
        return np.array(sent)
    return np.frombuffer(base64.b64decode(sent["bdata"]), sent["dtype"])


def test_the_scatter_of_a_pair_is_of_the_channels_named(app: Dash, trained: Trained) -> None:
    posteriors = trained.store.posteriors(trained.id)
    traces = Tab(app, f"/ensemble/{trained.id}", "?pair=1.3,5.2").holding("pair-scatter")["figure"]["data"]
    for axis, (member, channel) in zip("xy", [(1, 3), (5, 2)], strict=True):
        drawn = np.sort(np.concatenate([numbers(trace[axis]) for trace in traces]))
        assert drawn == pytest.approx(np.sort(posteriors.mean[member][:, channel]), abs=1e-6)


def test_the_divergence_from_the_prior_is_that_of_the_channel_named(app: Dash, trained: Trained) -> None:
    posteriors = trained.store.posteriors(trained.id)
    mean, logvar = (array[5][:, 2].astype(np.float64) for array in (posteriors.mean, posteriors.logvar))
    expected = float(((mean**2 + np.exp(logvar) - 1 - logvar) / 2).mean())
    assert f"{expected:.2f} nats" in Tab(app, f"/ensemble/{trained.id}", "?channel=5.2").words


def test_traversals_start_from_the_images_that_are_shown_beside_them(
    app: Dash, store: EnsembleStore, trained: Trained
) -> None:
    traversals = store.analysis(trained.id).traversals
    assert traversals is not None
    picture = app.server.test_client().get(f"/data/traversals/{trained.id}/base.png?cell=8&base=2")
    shown, _ = decode_png(picture.data)
    image = trained.store.posteriors(trained.id).images[traversals.base[2]]
    assert (shown[..., 0] == image).all()


def test_a_set_is_combined_from_the_channels_of_the_analysis(app: Dash, store: EnsembleStore, trained: Trained) -> None:
    u, v = live_channel(store, trained, 1), live_channel(store, trained, 5)
    search = f"?channels={trained.id}:1.{u},5.{v}"
    joint = joint_information(trained.store.posteriors(trained.id), [6 + u, 30 + v])
    assert f"{joint:.2f} of {np.log2(300):.2f} bits" in Tab(app, "/combine", search).words
    ranked = json.dumps(post_to(app, "combine-next.children", {"combine-asked.data": search}))
    live = (store.analysis(trained.id).matrix.information_bits >= 0.01).sum()
    assert f"Of {live - 2} live channels" in ranked
    growth = text_of(
        post_to(app, "combine-curve.children", {"combine-asked.data": search})["combine-curve"]["children"]
    )
    assert "best 10" in growth


def test_posteriors_that_are_gone_are_said_to_be_and_taken_for_no_others(
    store: EnsembleStore, trained: Trained, tmp_path: Path
) -> None:
    everything = trained.store.posteriors(trained.id)
    retrained = replace(everything, mean=everything.mean + (np.arange(6) == 5)[:, None, None])
    store.save_posteriors(trained.id, retrained)
    try:
        app = app_of(store, tmp_path / "cache")
        for search in ("?pair=1.3,5.2", "?channel=5.2"):
            tab = Tab(app, f"/ensemble/{trained.id}", search)
            assert "encoded anew since this analysis" in tab.words
            assert "nats" not in tab.words
            assert "base.png" not in json.dumps(tab.page)
            assert "pair-scatter" not in json.dumps(tab.page)
        assert app.server.test_client().get(f"/data/traversals/{trained.id}/base.png").status_code == 404
        words = Tab(app, "/combine", f"?channels={trained.id}:5.{live_channel(store, trained, 5)}").words
        assert "encoded anew since" in words
        assert "The set: 0 channels" in words
    finally:
        store.save_posteriors(trained.id, everything)
