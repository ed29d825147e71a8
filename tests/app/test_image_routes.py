"""Every data route: the right numbers, and a sentence for what is wrong."""

import json
from typing import Any
from urllib.parse import urlencode

import numpy as np
import pytest
from dash import Dash

from support import Trained
from vaefrag.figures.rasters import quantize
from vaefrag.queries import Queries
from webpages import decode_png


@pytest.fixture
def get(app: Dash, trained: Trained) -> Any:
    client = app.server.test_client()
    return lambda path, **query: client.get(f"/data/{path.replace('ID', trained.id)}?{urlencode(query)}")


@pytest.mark.parametrize("measure", ["nmi", "vi"])
@pytest.mark.parametrize("dead", [0, 1])
def test_a_tile_is_the_matrix_in_optics_order(
    get: Any, queries: Queries, trained: Trained, measure: str, dead: int
) -> None:
    analysis = queries.open(trained.id)
    order = analysis.order(measure, bool(dead))
    part = order[3:11], order[2:7]
    picture, _ = decode_png(get(f"matrix/ID/{measure}/tile.png", dead=dead, r0=3, r1=11, c0=2, c1=7, px=100).data)
    expected = quantize(analysis.matrix.similarity(measure)[np.ix_(*part)], 0, analysis.colour_maximum(measure))
    assert np.array_equal(picture[..., 0], expected)


def test_the_scale_of_vi_holds_every_live_pair(queries: Queries, trained: Trained) -> None:
    analysis = queries.open(trained.id)
    live = analysis.order("vi", dead=False)
    largest = analysis.matrix.vi_bits[np.ix_(live, live)].max()
    assert largest <= analysis.colour_maximum("vi") <= largest + 0.5


def test_a_cell_is_read_exactly(get: Any, queries: Queries, trained: Trained) -> None:
    analysis = queries.open(trained.id)
    order = analysis.order("nmi", dead=False)
    u, v = int(order[1]), int(order[4])
    answer = json.loads(get("matrix/ID/nmi/pair.json", i=1, j=4).data)
    assert (answer["row"], answer["column"]) == (analysis.names[u], analysis.names[v])
    assert answer["nmi"] == pytest.approx(float(analysis.matrix.nmi[u, v]))
    assert answer["vi_bits"] == pytest.approx(float(analysis.matrix.vi_bits[u, v]))
    assert f"NMI {analysis.matrix.nmi[u, v]:.3f}" in answer["text"]


def test_the_diagonal_is_read_as_one_channel(get: Any, queries: Queries, trained: Trained) -> None:
    name = queries.open(trained.id).names[queries.open(trained.id).order("nmi", dead=False)[2]]
    text = json.loads(get("matrix/ID/nmi/pair.json", i=2, j=2).data)["text"]
    assert text.startswith(f"{name} · ")
    assert "×" not in text


def test_a_traversal_paints_the_images_of_its_channel(get: Any, trained: Trained) -> None:
    images = trained.store.analysis(trained.id).traversals.images  # (36, 4, 9, 8, 8)
    picture, _ = decode_png(get("traversals/ID/1.2.png", cell=8).data)
    row, column = 10, 30  # the second base image, the fourth value
    assert np.array_equal(picture[row : row + 8, column : column + 8, 0], images[8, 1, 3])


def test_a_flipped_traversal_runs_backwards(get: Any) -> None:
    forward, _ = decode_png(get("traversals/ID/1.2.png", cell=8, base=2).data)
    backward, _ = decode_png(get("traversals/ID/1.2.png", cell=8, base=2, flip=1).data)
    assert np.array_equal(forward[:, :8], backward[:, -8:])
    assert not np.array_equal(forward, backward)


def test_the_base_images_are_those_of_the_sample(get: Any, trained: Trained) -> None:
    base = trained.store.analysis(trained.id).traversals.base
    images = trained.store.posteriors(trained.id).images
    picture, _ = decode_png(get("traversals/ID/base.png", cell=8).data)
    assert np.array_equal(picture[10:18, :, 0], images[base[1]])
    assert np.array_equal(decode_png(get("traversals/ID/base.png", cell=8, base=3).data)[0][..., 0], images[base[3]])


def test_pictures_are_kept_by_the_browser_only_under_their_version(
    get: Any, queries: Queries, trained: Trained
) -> None:
    version = queries.open(trained.id).version
    assert "immutable" in get("traversals/ID/0.0.png", v=version).headers["Cache-Control"]
    assert get("traversals/ID/0.0.png", v="older").headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    ("path", "query", "status", "sentence"),
    [
        ("matrix/nowhere/nmi/tile.png", {}, 404, "There is no ensemble 'nowhere'"),
        ("matrix/..%2f..%2fetc/nmi/tile.png", {}, 404, "There are no data at"),
        ("matrix/ID/cosine/tile.png", {}, 400, "Expected the measure nmi or vi, got 'cosine'."),
        ("matrix/ID/nmi/tile.png", {"r0": "x"}, 400, "Expected r0 as a whole number from 0 to"),
        ("matrix/ID/nmi/tile.png", {"r0": 5, "r1": 5}, 400, "Expected r1 as a whole number from 6 to"),
        ("matrix/ID/nmi/tile.png", {"c1": 999}, 400, "got '999'"),
        ("matrix/ID/nmi/tile.png", {"px": 10**9}, 400, "Expected px as a whole number from 16 to 2000"),
        ("matrix/ID/nmi/tile.png", {"dead": "maybe"}, 400, "Expected dead as a whole number from 0 to 1"),
        ("matrix/ID/nmi/pair.json", {"i": 0}, 400, "Expected j as a whole number from 0 to"),
        ("matrix/ID/nmi/pair.json", {"i": -1, "j": 0}, 400, "got '-1'"),
        ("matrix/ID/cosine/pair.json", {"i": 0, "j": 0}, 400, "Expected the measure"),
        ("traversals/ID/9.9.png", {}, 400, "There is no channel '9.9'"),
        ("traversals/ID/0.0.png", {"base": 4}, 400, "Expected base as a whole number from 0 to 3, got '4'."),
        ("traversals/ID/0.0.png", {"cell": 9999}, 400, "Expected cell as a whole number from 8 to 256"),
        ("traversals/ID/0.0.png", {"flip": 2}, 400, "Expected flip as a whole number from 0 to 1"),
        ("traversals/ID/base.png", {"base": "a"}, 400, "Expected base as a whole number from 0 to 3"),
    ],
)
def test_what_is_wrong_is_said(get: Any, path: str, query: dict[str, Any], status: int, sentence: str) -> None:
    answer = get(path, **query)
    assert answer.status_code == status
    assert sentence in answer.get_json()["error"]
