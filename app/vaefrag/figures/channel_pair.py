"""Two channels against each other, image by image."""

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from vaefrag.figures.theme import HOTSPOT_COLOURS, LABEL_SCALE, NOISE_COLOUR, colour_bar, plain

MOST_GROUPS = 10  # label values that get a colour each; more, when they are numbers, get a scale
MOST_SVG_POINTS = 2_000
NOT_KNOWN = "not known"  # in a legend: images of which a label is not known


def pair_figure(
    means: tuple[NDArray[np.floating], NDArray[np.floating]],
    names: tuple[str, str],
    label: str | None = None,
    values: Sequence[str | None] | None = None,
) -> go.Figure:
    """Draw the posterior means of two channels, one point for each image, coloured by a label.

    Args:
        means: of both channels, (N,) each.
        names: of both.
        label: the label's name.
        values: (N,) its values as text; None where it is not known.
    """
    figure = go.Figure(_points(means, label, values))
    axis = {"zeroline": False, "ticks": "", "tickfont": {"size": 10}, "showline": False}
    return plain(
        figure,
        margin={"l": 48, "r": 8, "t": 8, "b": 40},
        hovermode="closest",
        dragmode="zoom",
        showlegend=sum(bool(trace.name) for trace in figure.data) > 1,
        xaxis=axis | {"title": {"text": f"mean of {names[0]}", "standoff": 6}},
        yaxis=axis | {"title": {"text": f"mean of {names[1]}", "standoff": 6}},
        legend={"title": {"text": label}, "font": {"size": 11}, "itemsizing": "constant"},
    )


def _points(
    means: tuple[NDArray[np.floating], NDArray[np.floating]], label: str | None, values: Sequence[str | None] | None
) -> list[go.Scatter]:
    kind = go.Scattergl if len(means[0]) > MOST_SVG_POINTS else go.Scatter
    u, v = (np.asarray(mean, dtype=np.float32) for mean in means)
    look = {"mode": "markers", "hoverinfo": "x+y"}
    if values is None:
        return [kind(x=u, y=v, marker={"size": 5, "opacity": 0.6, "color": HOTSPOT_COLOURS[0]}, **look)]
    numbers, groups = numbers_in(values), groups_in(values)
    table = np.asarray(values, dtype=object)
    unknown = np.array([value is None for value in values])
    grey = {"size": 5, "opacity": 0.75, "color": NOISE_COLOUR}
    rest = {"x": u[unknown], "y": v[unknown], "marker": grey}
    if numbers is not None and len(groups) > MOST_GROUPS:
        upright = {"orientation": "v", "len": 0.9, "x": 1.02, "y": 1, "ypad": 0}
        bar = colour_bar(label or "", **upright)
        colours = np.asarray(numbers)[~unknown]
        marker = {"size": 5, "opacity": 0.75, "color": colours, "colorscale": LABEL_SCALE, "colorbar": bar}
        scale = kind(x=u[~unknown], y=v[~unknown], marker=marker, **look)
        return [scale, kind(**rest, **look)] if unknown.any() else [scale]
    traces = [
        kind(
            x=u[table == group],
            y=v[table == group],
            name=str(group),
            marker={"size": 5, "opacity": 0.75, "color": HOTSPOT_COLOURS[i % len(HOTSPOT_COLOURS)]},
            **look,
        )
        for i, group in enumerate(groups)
    ]
    return [*traces, kind(name=NOT_KNOWN, **rest, **look)] if unknown.any() else traces


def groups_in(values: Sequence[str | None]) -> list[str]:
    """List the different values that are known, numbers in their order and before words."""
    known = list(dict.fromkeys(value for value in values if value is not None))
    return sorted(known, key=lambda value: (numbers_in([value]) or [np.inf], value))


def numbers_in(values: Sequence[str | None]) -> list[float] | None:
    """Read texts as numbers, NaN for those not known; None when one of them is no number."""
    try:
        return [np.nan if value is None else float(value) for value in values]
    except ValueError:
        return None
