"""Two channels against each other, image by image."""

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from vaefrag.figures.theme import HOTSPOT_COLOURS, LABEL_SCALE, colour_bar, plain

MOST_GROUPS = 10  # label values that get a colour each; more, when they are numbers, get a scale
MOST_SVG_POINTS = 2_000


def pair_figure(
    means: tuple[NDArray[np.floating], NDArray[np.floating]],
    names: tuple[str, str],
    label: str | None = None,
    values: Sequence[str] | None = None,
) -> go.Figure:
    """Draw the posterior means of two channels, one point for each image, coloured by a label.

    Args:
        means: of both channels, (N,) each.
        names: of both.
        label: the label's name.
        values: (N,) its values as text.
    """
    figure = go.Figure(_points(means, label, values))
    axis = {"zeroline": False, "ticks": "", "tickfont": {"size": 10}, "showline": False}
    return plain(
        figure,
        margin={"l": 48, "r": 8, "t": 8, "b": 40},
        hovermode="closest",
        dragmode="zoom",
        showlegend=len(figure.data) > 1,
        xaxis=axis | {"title": {"text": f"mean of {names[0]}", "standoff": 6}},
        yaxis=axis | {"title": {"text": f"mean of {names[1]}", "standoff": 6}},
        legend={"title": {"text": label}, "font": {"size": 11}, "itemsizing": "constant"},
    )


def _points(
    means: tuple[NDArray[np.floating], NDArray[np.floating]], label: str | None, values: Sequence[str] | None
) -> list[go.Scatter]:
    kind = go.Scattergl if len(means[0]) > MOST_SVG_POINTS else go.Scatter
    u, v = (np.asarray(mean, dtype=np.float32) for mean in means)
    look = {"mode": "markers", "hoverinfo": "x+y"}
    if values is None:
        return [kind(x=u, y=v, marker={"size": 5, "opacity": 0.6, "color": HOTSPOT_COLOURS[0]}, **look)]
    numbers = numbers_in(values)
    groups = list(dict.fromkeys(values))
    if numbers is not None and len(groups) > MOST_GROUPS:
        upright = {"orientation": "v", "len": 0.9, "x": 1.02, "y": 1, "ypad": 0}
        bar = colour_bar(label or "", **upright)
        marker = {"size": 5, "opacity": 0.75, "color": numbers, "colorscale": LABEL_SCALE, "colorbar": bar}
        return [kind(x=u, y=v, marker=marker, **look)]
    groups.sort(key=lambda value: (numbers_in([value]) or [np.inf], value))
    table = np.asarray(values)
    return [
        kind(
            x=u[table == group],
            y=v[table == group],
            name=str(group),
            marker={"size": 5, "opacity": 0.75, "color": HOTSPOT_COLOURS[i % len(HOTSPOT_COLOURS)]},
            **look,
        )
        for i, group in enumerate(groups)
    ]


def numbers_in(values: Sequence[str]) -> list[float] | None:
    """Read texts as numbers; None when one of them is none."""
    try:
        return [float(value) for value in values]
    except ValueError:
        return None
