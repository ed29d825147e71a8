"""The similarity of all channels in OPTICS order, under the reachability that made the order.

The matrix itself is a picture that the server cuts to the view (`rasters`); plotly draws the axes, the hotspots'
bands, the labels' columns and what is selected.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from vaefrag.figures.theme import (
    ACCENT_COLOUR,
    LABEL_SCALE,
    NOISE_COLOUR,
    SCALE,
    colour_bar,
    hotspot_colour,
    plain,
    runs,
)

MATRIX_TOP = 0.83  # of the plot's height; above it the reachability
REACHABILITY_BOTTOM = 0.872
BAND_PIXELS = 9
MOST_MARKED_ROWS = 12  # of which whole rows and columns are outlined; more are marked at the edge alone
MOST_LABEL_COLUMNS = 12


@dataclass(frozen=True, eq=False)
class MatrixView:
    """What the matrix figure shows, all in the order shown.

    Args:
        source: URL of the picture of the whole matrix.
        tiles: URL of the same cut to a view: rows, columns and pixels are added to it.
        values: URL of the exact values of one pair.
        names: (n,) of the channels.
        hotspot: (n,) of each channel, −1 for noise.
        reachability: (n,), ∞ where a channel was not reached.
        distance_title: of the reachability axis, unit included.
        measure_title: of the colour bar, unit included.
        high: the value at the end of the colour scale, which begins at 0.
        reverse: True where small values mean similar, so that similar is always bright.
        label_names: F names.
        label_nmi: (n, F).
    """

    source: str
    tiles: str
    values: str
    names: Sequence[str]
    hotspot: NDArray[np.int64]
    reachability: NDArray[np.float64]
    distance_title: str
    measure_title: str
    high: float
    reverse: bool
    label_names: Sequence[str]
    label_nmi: NDArray[np.float64]

    @property
    def n(self) -> int:
        """Channels shown."""
        return len(self.hotspot)


def matrix_figure(view: MatrixView, marked: Sequence[int] = ()) -> go.Figure:
    """Draw the matrix, its reachability, its hotspots and the NMI with each label.

    Args:
        view: what to show.
        marked: positions, in the order shown, of the channels selected.
    """
    labels = view.label_names[:MOST_LABEL_COLUMNS]
    right = 1 - (0.03 + 0.032 * len(labels) if labels else 0)
    edge = view.n - 0.5
    figure = go.Figure([_similarity_bar(view, right), *_reachability(view)])
    plain(
        figure,
        margin={"l": 46, "r": 12, "t": 22, "b": 58},
        uirevision=view.source,
        # The matrix is a picture and no trace, so plotly reports clicks on it only when it reports them anywhere.
        clickanywhere=True,
        hoveranywhere=True,
        hoverdistance=1,
        dragmode="zoom",
        # Read by `assets/matrix.js`, which fetches sharper tiles after a zoom and the values under the pointer.
        meta={"tiles": view.tiles, "values": view.values, "channels": view.n},
        xaxis={"domain": [0, right], "range": [-0.5, edge], "anchor": "y", **_bare_axis(view.n)},
        yaxis={"domain": [0, MATRIX_TOP], "range": [edge, -0.5], "anchor": "x", **_bare_axis(view.n)},
        yaxis2=_reachability_axis(view),
        shapes=matrix_shapes(view, marked),
        annotations=_annotations(view),
    )
    figure.add_layout_image(
        source=view.source,
        xref="x",
        yref="y",
        x=-0.5,
        y=-0.5,
        sizex=view.n,
        sizey=view.n,
        xanchor="left",
        yanchor="top",
        sizing="stretch",
        layer="below",
    )
    if labels:
        _add_labels(figure, view, labels, right)
    return figure


def matrix_shapes(view: MatrixView, marked: Sequence[int] = ()) -> list[dict[str, Any]]:
    """Describe the hotspots' bands along both axes, and the marks of what is selected.

    Args:
        view: what the matrix shows.
        marked: positions, in the order shown, of the channels selected.
    """
    shapes: list[dict[str, Any]] = []
    for label, first, last in hotspot_runs(view.hotspot):
        shapes += _edge_marks(first, last, 3, hotspot_colour(label))
    for first, last in runs(marked):
        shapes += _edge_marks(first, last, BAND_PIXELS + 5, ACCENT_COLOUR, thickness=4)
    if len(marked) <= MOST_MARKED_ROWS:
        line = {"color": ACCENT_COLOUR, "width": 1}
        for first, last in runs(marked):
            ends = {"x0": first - 0.5, "x1": last + 0.5}
            shapes.append(
                {"type": "rect", "xref": "x", "yref": "y", **ends, "y0": -0.5, "y1": view.n - 0.5, "line": line}
            )
            ends = {"y0": first - 0.5, "y1": last + 0.5}
            shapes.append(
                {"type": "rect", "xref": "x", "yref": "y", **ends, "x0": -0.5, "x1": view.n - 0.5, "line": line}
            )
    else:
        line = {"color": ACCENT_COLOUR, "width": 2}
        for first, last in runs(marked):
            ends = {"x0": first - 0.5, "x1": last + 0.5, "y0": first - 0.5, "y1": last + 0.5}
            shapes.append({"type": "rect", "xref": "x", "yref": "y", **ends, "line": line})
    return shapes


def hotspot_runs(hotspot: NDArray[np.int64]) -> list[tuple[int, int, int]]:
    """Return (hotspot, first position, last position) of each unbroken stretch of a hotspot along the order."""
    stretches = []
    for index in range(int(hotspot.max(initial=-1)) + 1):
        stretches += [(index, first, last) for first, last in runs(np.flatnonzero(hotspot == index).tolist())]
    return stretches


def _edge_marks(first: int, last: int, offset: int, colour: str, thickness: int = BAND_PIXELS) -> list[dict[str, Any]]:
    """Bars beside the matrix and above it, `offset` pixels away, that zoom with it along their length only."""
    look = {"type": "rect", "fillcolor": colour, "line": {"width": 0}}
    beside = {
        "xref": "paper",
        "xsizemode": "pixel",
        "xanchor": 0,
        "x0": -offset - thickness,
        "x1": -offset,
        "yref": "y",
        "y0": first - 0.5,
        "y1": last + 0.5,
    }
    above = {
        "yref": "paper",
        "ysizemode": "pixel",
        "yanchor": MATRIX_TOP,
        "y0": offset,
        "y1": offset + thickness,
        "xref": "x",
        "x0": first - 0.5,
        "x1": last + 0.5,
    }
    return [look | beside, look | above]


def _annotations(view: MatrixView) -> list[dict[str, Any]]:
    """Name the reachability, and number the bands but for those too narrow for their number."""
    wide = [(label, a, b) for label, a, b in hotspot_runs(view.hotspot) if b - a + 1 >= view.n * 0.03]
    numbers = [
        {
            "text": str(label),
            "xref": "paper",
            "x": 0,
            "xshift": -22,
            "xanchor": "right",
            "yref": "y",
            "y": (first + last) / 2,
            "showarrow": False,
            "font": {"size": 11},
        }
        for label, first, last in wide
    ]
    title = {"text": f"reachability, {view.distance_title}", "xref": "paper", "x": 0, "xanchor": "left"}
    title |= {"yref": "paper", "y": 1, "yanchor": "bottom", "showarrow": False, "font": {"size": 11}}
    return [*numbers, title]


def _similarity_bar(view: MatrixView, right: float) -> go.Scatter:
    """An empty trace that carries the colour bar of the picture."""
    bar = colour_bar(view.measure_title, x=0, y=-0.035, len=right * 0.5, lenmode="fraction")
    scale = f"{SCALE}_r" if view.reverse else SCALE
    marker = {"color": [0], "cmin": 0, "cmax": view.high, "colorscale": scale, "showscale": True, "colorbar": bar}
    return go.Scatter(x=[None], y=[None], mode="markers", marker=marker, hoverinfo="skip")


def _reachability(view: MatrixView) -> list[go.Scatter]:
    """The profile as steps, each hotspot's valley in its colour; channels not reached are gaps at the top."""
    top = _reachability_top(view)
    heights = np.where(np.isfinite(view.reachability), view.reachability, top)
    stretches = [(-1, 0, view.n - 1), *hotspot_runs(view.hotspot)]
    traces = []
    for label, first, last in stretches:
        x = np.arange(first - 1, last + 1) + 0.5
        y = np.concatenate([heights[first : first + 1], heights[first : last + 1]])
        traces.append(
            go.Scatter(
                x=x.astype(np.float32),
                y=y.astype(np.float32),
                yaxis="y2",
                mode="lines",
                line={"shape": "vh", "width": 1, "color": hotspot_colour(label) if label >= 0 else NOISE_COLOUR},
                fill="tozeroy",
                fillcolor=hotspot_colour(label) if label >= 0 else "rgba(154,160,166,0.35)",
                hoverinfo="skip",
            )
        )
    return traces


def _reachability_top(view: MatrixView) -> float:
    finite = view.reachability[np.isfinite(view.reachability)]
    return float(finite.max(initial=0.0)) * 1.1 or 1.0


def _reachability_axis(view: MatrixView) -> dict[str, Any]:
    return {
        "domain": [REACHABILITY_BOTTOM, 1],
        "anchor": "x",
        "range": [0, _reachability_top(view)],
        "fixedrange": True,
        "nticks": 4,
        "zeroline": False,
        "ticks": "",
        "tickfont": {"size": 10},
    }


def _add_labels(figure: go.Figure, view: MatrixView, labels: Sequence[str], right: float) -> None:
    """Add one thin column for each label beside the matrix, on a colour scale of its own."""
    shown = view.label_nmi[:, : len(labels)]
    bar = colour_bar("NMI with labels", x=right, y=-0.035, len=0.3, lenmode="fraction")
    figure.add_trace(
        go.Heatmap(
            z=shown.astype(np.float32),
            x=list(labels),
            xaxis="x3",
            zmin=0,
            zmax=1,
            colorscale=LABEL_SCALE,
            colorbar=bar | {"xanchor": "right", "x": 1, "tickvals": [0, 0.5, 1]},
            xgap=1,
            hoverinfo="none",
        )
    )
    figure.update_layout(
        xaxis3={
            "domain": [right + 0.03, 1],
            "anchor": "y",
            "side": "top",
            "tickangle": -90 if len(labels) > 1 or len(labels[0]) > 5 else 0,
            "tickfont": {"size": 11},
            "fixedrange": True,
            "showgrid": False,
            "ticks": "",
        }
    )


def _bare_axis(n: int) -> dict[str, Any]:
    """An axis without ticks that cannot be dragged far off the matrix."""
    return {
        "showgrid": False,
        "zeroline": False,
        "showticklabels": False,
        "ticks": "",
        "showline": False,
        "minallowed": -0.5,
        "maxallowed": n - 0.5,
    }
