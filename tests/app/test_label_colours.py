"""Points coloured by a label: images of which it is not known are grey, and do not turn numbers into words."""

import base64
from pathlib import Path

import numpy as np
import plotly.graph_objects as go
import pytest

from vaefrag.figures.channel_pair import pair_figure
from vaefrag.figures.fusion import space_figure
from vaefrag.figures.theme import NOISE_COLOUR
from vaefrag_core import pipeline
from vaefrag_core.artifacts import Posteriors
from vaefrag_core.ensemble_store import EnsembleStore
from webpages import Tab, app_of

IMAGES = 40


def drawn(kind: str, values: list[str | None]) -> go.Figure:
    mean = np.random.default_rng(0).normal(size=(len(values), 2))
    if kind == "pair":
        return pair_figure((mean[:, 0], mean[:, 1]), ("0.0", "1.0"), "size", values)
    return space_figure(mean, np.zeros_like(mean), "size", values)


def numbers(sent: list[float] | dict[str, str]) -> list[float]:
    """Read numbers as plotly sends them, as a list or as bytes in base64."""
    if isinstance(sent, list):
        return sent
    return np.frombuffer(base64.b64decode(sent["bdata"]), sent["dtype"]).tolist()


def points(figure: go.Figure) -> list[go.Scatter]:
    return [trace for trace in figure.data if trace.mode == "markers"]


@pytest.mark.parametrize("kind", ["pair", "space"])
def test_fractions_with_gaps_keep_their_scale(kind: str) -> None:
    values = [None if k % 4 == 0 else f"{k / 7}" for k in range(IMAGES)]
    scale, unknown = points(drawn(kind, values))
    assert list(scale.marker.color) == pytest.approx([k / 7 for k in range(IMAGES) if k % 4])
    assert (len(unknown.x), unknown.marker.color) == (10, NOISE_COLOUR)
    assert not drawn(kind, values).layout.showlegend


@pytest.mark.parametrize("kind", ["pair", "space"])
def test_classes_with_gaps_come_first_and_what_is_not_known_last(kind: str) -> None:
    names = [trace.name for trace in points(drawn(kind, ["b", None, "a", "b", None]))]
    assert names == ["a", "b", "not known"]
    assert [len(trace.x) for trace in points(drawn(kind, ["b", None, "a", "b", None]))] == [1, 2, 2]


@pytest.mark.parametrize("as_text", [False, True])
def test_the_scatter_of_a_pair_knows_what_is_not_known(as_text: bool, workspace: EnsembleStore, tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    mean = rng.normal(size=(4, IMAGES, 2))
    labels = np.where(np.arange(IMAGES) % 4 == 0, np.nan, mean[0, :, 0])
    table: np.ndarray = labels
    if as_text:
        table = np.where(np.isnan(labels), "", labels.astype(str))
    posteriors = Posteriors(mean, np.full_like(mean, -3.0), labels=table, label_names=["size"])
    record = workspace.add(posteriors, "With gaps")
    pipeline.analyze(record.id, workspace)
    tab = Tab(app_of(workspace, tmp_path / "cache"), f"/ensemble/{record.id}", "?pair=0.0,1.0&label=size")
    traces = tab.holding("pair-scatter")["figure"]["data"]
    assert [len(numbers(trace["x"])) for trace in traces] == [30, 10]
    assert numbers(traces[0]["marker"]["color"]) == pytest.approx(labels[~np.isnan(labels)].tolist())
    assert traces[1]["marker"]["color"] == NOISE_COLOUR
