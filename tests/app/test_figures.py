"""Figures: what stands where."""

from dataclasses import replace

import numpy as np
import pytest

from vaefrag.figures.channel_map import MapView, map_figure
from vaefrag.figures.channel_pair import pair_figure
from vaefrag.figures.similarity_matrix import MatrixView, hotspot_runs, matrix_figure, matrix_shapes
from vaefrag.figures.theme import ACCENT_COLOUR, SCALE, hotspot_colour

VIEW = MatrixView(
    source="/whole.png",
    tiles="/tile.png?",
    values="/pair.json?",
    names=["0.0", "0.1", "1.0", "1.1", "2.0"],
    hotspot=np.array([0, 0, -1, 1, 1]),
    reachability=np.array([np.inf, 0.2, 0.9, 0.5, 0.1]),
    distance_title="−ln NMI",
    measure_title="NMI",
    high=1.0,
    reverse=False,
    label_names=["digit", "size"],
    label_nmi=np.arange(10).reshape(5, 2) / 10,
)


def test_the_picture_covers_the_matrix_cell_for_cell() -> None:
    figure = matrix_figure(VIEW)
    (image,) = figure.layout.images
    assert (image.x, image.y, image.sizex, image.sizey, image.source) == (-0.5, -0.5, 5, 5, "/whole.png")
    assert figure.layout.xaxis.range == (-0.5, 4.5)
    assert figure.layout.yaxis.range == (4.5, -0.5)


def test_bands_lie_along_the_hotspots_in_their_colours() -> None:
    shapes = matrix_shapes(VIEW)
    beside = [(s["y0"], s["y1"], s["fillcolor"]) for s in shapes if s["yref"] == "y"]
    above = [(s["x0"], s["x1"], s["fillcolor"]) for s in shapes if s["xref"] == "x"]
    assert beside == above == [(-0.5, 1.5, hotspot_colour(0)), (2.5, 4.5, hotspot_colour(1))]


def test_a_hotspot_in_two_stretches_is_not_drawn_as_one() -> None:
    assert hotspot_runs(np.array([0, -1, 0, 0])) == [(0, 0, 0), (0, 2, 3)]


def test_marked_channels_are_outlined_as_rows_and_columns() -> None:
    outlines = [s for s in matrix_shapes(VIEW, [1, 3]) if s["line"].get("color") == ACCENT_COLOUR]
    assert [(s["x0"], s["x1"], s["y0"], s["y1"]) for s in outlines] == [
        (0.5, 1.5, -0.5, 4.5),
        (-0.5, 4.5, 0.5, 1.5),
        (2.5, 3.5, -0.5, 4.5),
        (-0.5, 4.5, 2.5, 3.5),
    ]


def test_many_marked_channels_are_outlined_as_blocks() -> None:
    view = replace(VIEW, hotspot=np.full(40, -1), reachability=np.ones(40))
    outlines = [s for s in matrix_shapes(view, list(range(5, 25))) if s["line"].get("color") == ACCENT_COLOUR]
    assert [(s["x0"], s["x1"], s["y0"], s["y1"]) for s in outlines] == [(4.5, 24.5, 4.5, 24.5)]


def test_reachability_that_was_never_reached_stands_at_the_top() -> None:
    figure = matrix_figure(VIEW)
    profile = figure.data[1]
    top = figure.layout.yaxis2.range[1]
    assert top == pytest.approx(0.99)
    assert profile.y.tolist() == pytest.approx([top, top, 0.2, 0.9, 0.5, 0.1])


def test_labels_stand_beside_the_matrix_each_in_its_column() -> None:
    strip = matrix_figure(VIEW).data[-1]
    assert list(strip.x) == ["digit", "size"]
    assert np.allclose(strip.z, VIEW.label_nmi)
    assert (strip.zmin, strip.zmax) == (0, 1)


def test_without_labels_the_matrix_takes_their_room() -> None:
    figure = matrix_figure(replace(VIEW, label_names=[], label_nmi=np.zeros((5, 0))))
    assert figure.layout.xaxis.domain == (0, 1)
    assert len(figure.data) == 4


def test_the_bar_of_vi_runs_the_other_way() -> None:
    bar = matrix_figure(replace(VIEW, reverse=True, high=3.5)).data[0].marker
    forward = matrix_figure(VIEW).data[0].marker
    assert bar.colorscale[0][1] == forward.colorscale[-1][1]
    assert bar.cmax == 3.5
    assert SCALE == "Viridis"


def test_an_empty_matrix_is_still_a_figure() -> None:
    empty = np.zeros(0)
    view = replace(VIEW, names=[], hotspot=empty.astype(int), reachability=empty, label_nmi=np.zeros((0, 2)))
    assert matrix_figure(view).layout.yaxis2.range == (0, 1)


MAP = MapView(
    revision="a",
    names=["0.0", "0.1", "1.0"],
    coordinates=np.array([[0.0, 0], [1, 1], [2, 0]]),
    hotspot=np.array([0, -1, 0]),
    bits=np.array([4.0, 1.0, 0.0]),
)


def test_points_are_sized_by_information_and_coloured_by_hotspot() -> None:
    (points,) = map_figure(MAP).data
    assert list(points.marker.size) == [15, 10, 5]
    assert list(points.marker.color) == [hotspot_colour(0), hotspot_colour(-1), hotspot_colour(0)]
    assert points.selectedpoints is None


def test_what_is_marked_stands_out() -> None:
    assert list(map_figure(MAP, [2, 0]).data[0].selectedpoints) == [0, 2]


def test_only_a_map_with_distances_has_equal_axes() -> None:
    assert map_figure(MAP).layout.yaxis.scaleanchor == "x"
    assert map_figure(replace(MAP, equal=False)).layout.yaxis.scaleanchor is None


def test_large_maps_are_drawn_by_webgl() -> None:
    n = 2_000
    names = [str(i) for i in range(n)]
    large = replace(MAP, names=names, coordinates=np.zeros((n, 2)), hotspot=np.zeros(n, dtype=int), bits=np.ones(n))
    assert map_figure(large).data[0].type == "scattergl"


def test_few_label_values_get_a_colour_each_in_their_natural_order() -> None:
    means = (np.arange(4.0), np.arange(4.0) ** 2)
    figure = pair_figure(means, ("0.1", "2.3"), "digit", ["10", "9", "9", "2"])
    assert [trace.name for trace in figure.data] == ["2", "9", "10"]
    assert figure.data[1].x.tolist() == [1, 2]
    assert figure.layout.showlegend


def test_many_numbers_get_a_scale() -> None:
    means = (np.arange(30.0), np.arange(30.0))
    figure = pair_figure(means, ("0.1", "2.3"), "angle", [str(i / 7) for i in range(30)])
    assert len(figure.data) == 1
    assert figure.data[0].marker.colorbar.title.text == "angle"


def test_a_pair_without_labels_is_one_colour() -> None:
    figure = pair_figure((np.zeros(3), np.ones(3)), ("0.1", "2.3"))
    assert len(figure.data) == 1
    assert not figure.layout.showlegend
