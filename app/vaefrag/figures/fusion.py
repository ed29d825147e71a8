"""A fused space: one point, with the ellipse of its posterior, for each image; and how the fit went."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from vaefrag.figures.channel_pair import MOST_GROUPS, NOT_KNOWN, groups_in, numbers_in
from vaefrag.figures.theme import HOTSPOT_COLOURS, LABEL_SCALE, NOISE_COLOUR, colour_bar, colour_table, plain

OUTLYING = 0.01  # of ellipses, which may reach beyond the axes: one image without a place would shrink all others
CORNERS = 17  # of an ellipse, the first again at the end
MOST_STEPS = 1_000  # of a curve; more cannot be told apart at its width
MOST_ELLIPSES = 1_000  # more would hide each other
CAMERA = {"eye": {"x": 1.6, "y": 1.6, "z": 1.1}, "center": {"x": 0, "y": 0, "z": -0.15}}  # far enough for all titles


def space_figure(
    mean: NDArray[np.floating],
    logvar: NDArray[np.floating],
    label: str | None = None,
    values: Sequence[str | None] | None = None,
    *,
    revision: str = "",
) -> go.Figure:
    """Draw a space of one, two or three channels; the first three of more.

    Of one channel the images are spread over the height by their number; of two, each has the ellipse of one standard
    deviation of its posterior.

    Args:
        mean: (N, d) posterior means.
        logvar: (N, d) ln σ².
        label: that colours are of.
        values: (N,) its values as text; None where it is not known.
        revision: changes when zoom and pan should be forgotten.
    """
    mean, spread = np.asarray(mean, dtype=np.float64), np.exp(np.asarray(logvar, dtype=np.float64) / 2)
    traces: list[Any] = []
    for name, colour, rows, bar in _groups(label, values, len(mean)):
        marker = {"size": 5, "opacity": 0.85, "color": colour, "colorscale": LABEL_SCALE}
        look = {
            "mode": "markers",
            "name": name,
            "marker": marker | ({"colorbar": bar} if bar else {}),
            "customdata": rows.tolist(),
            "hovertemplate": f"image %{{customdata}}{f' · {label} {name}' if name else ''}<extra></extra>",
        }
        if mean.shape[1] >= 3:
            x, y, z = mean[rows, :3].T
            traces.append(go.Scatter3d(x=x, y=y, z=z, **look | {"marker": look["marker"] | {"size": 3}}))
        elif mean.shape[1] == 2:
            if len(mean) <= MOST_ELLIPSES:
                traces += _ellipses(mean[rows], spread[rows], colour)
            traces.append(go.Scatter(x=mean[rows, 0], y=mean[rows, 1], **look))
        else:
            bars = {"type": "data", "array": spread[rows, 0], "thickness": 0.6, "width": 0}
            traces.append(go.Scatter(x=mean[rows, 0], y=rows, error_x=bars, **look))
    axis = {"zeroline": False, "ticks": "", "tickfont": {"size": 10}, "showline": False}
    ranges = [_axis_range(mean[:, c], spread[:, c]) for c in range(min(mean.shape[1], 2))]
    second = {"title": {"text": "channel 1" if mean.shape[1] > 1 else "image", "standoff": 4}}
    figure = plain(
        go.Figure(traces),
        margin={"l": 48, "r": 8, "t": 30, "b": 40},  # above: room for the tool bar
        hovermode="closest",
        dragmode="pan" if mean.shape[1] < 3 else "orbit",
        uirevision=revision,
        showlegend=sum(bool(trace.name) for trace in traces) > 1,
        xaxis=axis | {"title": {"text": "channel 0", "standoff": 6}, "range": ranges[0]},
        yaxis=axis | second | ({"scaleanchor": "x", "range": ranges[1]} if mean.shape[1] == 2 else {}),
        legend={"title": {"text": label}, "font": {"size": 11}, "itemsizing": "constant"},
    )
    if mean.shape[1] >= 3:
        # no style sheet reaches into WebGL: a grey that is read on white and on near-black
        grey = {"color": NOISE_COLOUR, "gridcolor": NOISE_COLOUR, "zeroline": False, "showbackground": False}
        names = {f"{letter}axis": grey | {"title": {"text": f"channel {c}"}} for c, letter in enumerate("xyz")}
        figure.update_layout(scene=names | {"aspectmode": "data", "camera": CAMERA})
    return figure


def optimization_figure(series: NDArray[np.floating], best: int, title: str, ceiling: float | None = None) -> go.Figure:
    """Draw how a value of each start went over the steps, the best one in front.

    Args:
        series: (T, R) of T steps and R starts.
        best: the start that was kept.
        title: of the value, unit included.
        ceiling: drawn as a line, when given.
    """
    shown = np.unique(np.linspace(0, len(series) - 1, MOST_STEPS).astype(int)) if len(series) else slice(0)
    steps, series = np.arange(1, len(series) + 1)[shown], series[shown]
    order = [r for r in range(series.shape[1]) if r != best] + [best]
    traces = [
        go.Scatter(
            x=steps,
            y=series[:, r],
            mode="lines",
            line={"width": 2 if r == best else 1, "color": HOTSPOT_COLOURS[0] if r == best else NOISE_COLOUR},
            hovertemplate=f"start {r + 1}, step %{{x:,}}: %{{y:.3f}}<extra></extra>",
        )
        for r in order
    ]
    axis = {"zeroline": False, "ticks": "", "tickfont": {"size": 10}, "showline": False}
    figure = plain(
        go.Figure(traces),
        margin={"l": 52, "r": 8, "t": 8, "b": 36},
        hovermode="closest",
        xaxis=axis | {"title": {"text": "step", "standoff": 4}},
        yaxis=axis | {"title": {"text": title, "standoff": 6}},
    )
    if ceiling is not None:
        figure.add_hline(y=ceiling, line={"dash": "dash", "width": 1, "color": NOISE_COLOUR})
    return figure


def _axis_range(mean: NDArray[np.floating], spread: NDArray[np.floating]) -> list[float]:
    """Return the range of an axis: all means, and their ellipses but for the few that reach out furthest."""
    room = 0.02 * float(np.ptp(mean))
    low = min(float(mean.min()), float(np.quantile(mean - spread, OUTLYING / 2)))
    high = max(float(mean.max()), float(np.quantile(mean + spread, 1 - OUTLYING / 2)))
    return [low - room, high + room]


def _groups(label: str | None, values: Sequence[str | None] | None, count: int) -> list[tuple[Any, ...]]:
    """Cut images by colour: name, colour or values of a scale, rows, colour bar."""
    everything = np.arange(count)
    if values is None or label is None:
        return [("", HOTSPOT_COLOURS[0], everything, None)]
    table, groups = np.asarray(values, dtype=object), groups_in(values)
    unknown = np.array([value is None for value in values])
    rest = np.flatnonzero(unknown)
    numbers = numbers_in([value and value.removesuffix("°") for value in values])  # angles are numbers too
    if numbers is not None and len(groups) > MOST_GROUPS:
        upright = {"orientation": "v", "len": 0.9, "x": 1.02, "y": 1, "ypad": 0}
        scale = ("", np.asarray(numbers)[~unknown], everything[~unknown], colour_bar(label, **upright))
        return [scale, ("", NOISE_COLOUR, rest, None)] if len(rest) else [scale]
    colours = [HOTSPOT_COLOURS[i % len(HOTSPOT_COLOURS)] for i in range(len(groups))]
    parts: list[tuple[Any, ...]] = [
        (group, colours[i], np.flatnonzero(table == group), None) for i, group in enumerate(groups)
    ]
    return [*parts, (NOT_KNOWN, NOISE_COLOUR, rest, None)] if len(rest) else parts


def _ellipses(mean: NDArray[np.float64], spread: NDArray[np.float64], colour: object) -> list[go.Scatter]:
    """Outline posteriors at one standard deviation: one trace for each colour."""
    angle = np.linspace(0, 2 * np.pi, CORNERS)
    ring = np.stack([np.cos(angle), np.sin(angle)], axis=1)  # (T, 2)
    corners = mean[:, None] + spread[:, None] * ring
    gap = np.full((len(mean), 1, 2), np.nan)  # lifts the pen between two ellipses
    paths = np.concatenate([corners, gap], axis=1)
    if isinstance(colour, str):
        parts = [(colour, paths)]
    else:
        shown = np.asarray(colour, dtype=np.float64)
        share = (shown - shown.min()) / max(np.ptp(shown), 1e-12)
        levels, scale = (share * 9).round().astype(int), colour_table(LABEL_SCALE)
        parts = [
            (f"rgb({','.join(map(str, scale[round(level * 254 / 9)]))})", paths[levels == level])
            for level in np.unique(levels)
        ]
    look = {"mode": "lines", "hoverinfo": "skip", "showlegend": False, "opacity": 0.3}
    return [
        go.Scatter(x=path[..., 0].ravel(), y=path[..., 1].ravel(), line={"width": 1, "color": tint}, **look)
        for tint, path in parts
    ]
