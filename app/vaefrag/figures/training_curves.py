"""How training went: loss of every member, KL of every channel of one, and what became of one channel."""

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from vaefrag.figures.theme import ACCENT_COLOUR, HOTSPOT_COLOURS, NOISE_COLOUR, nothing, plain

MOST_ROWS = 200  # of a curve; more cannot be told apart at its width
MOST_TICKS = 8  # steps named below a channel's curve
USUAL = 0.97  # share of all values that the loss's axis shows at first: the first steps would flatten the rest

Series = tuple[NDArray[np.int64], NDArray[np.float64]]  # steps (T,) and values (T,) or (T, D)


def loss_figure(series: Sequence[Series], selected: Series) -> go.Figure:
    """Draw the loss of members over steps.

    Args:
        series: steps and losses (nats per image) of each member, in the background.
        selected: the same of the member in front.
    """
    figure = go.Figure()
    if series:
        # One trace with gaps for all members: plotly draws it many times faster than a trace for each.
        steps, losses = (np.concatenate(parts) for parts in zip(*map(_with_gap, map(thinned, series)), strict=True))
        figure.add_scatter(
            x=steps, y=losses, mode="lines", hoverinfo="skip", line={"color": NOISE_COLOUR, "width": 1}, opacity=0.5
        )
    step, loss = thinned(selected)
    hover = "step %{x:,}: %{y:.2f} nats<extra></extra>"
    figure.add_scatter(x=step, y=loss, mode="lines", hovertemplate=hover, line={"color": ACCENT_COLOUR, "width": 2})
    values = np.concatenate([loss, *(losses for _, losses in series)])
    values = values[np.isfinite(values)]
    limits = {}
    if len(values) > 20:
        low, high = float(values.min()), float(np.quantile(values, USUAL))
        pad = 0.05 * (high - low) or 1.0  # all values alike still need an axis
        limits = {"range": [low - pad, high + pad]}
    return _over_steps(figure, "loss, nats per image", **limits)


def kl_figure(series: Series) -> go.Figure:
    """Draw the KL divergence of each channel of a member over steps.

    Args:
        series: steps (T,) and KL (T, D), nats per image.
    """
    step, kl_nats = thinned(series)
    figure = go.Figure()
    for channel in range(kl_nats.shape[1]):
        figure.add_scatter(
            x=step,
            y=kl_nats[:, channel],
            mode="lines",
            hovertemplate=f"channel {channel}, step %{{x:,}}: %{{y:.2f}} nats<extra></extra>",
            line={"color": HOTSPOT_COLOURS[channel % len(HOTSPOT_COLOURS)], "width": 1.5},
        )
    return _over_steps(figure, "KL of each channel, nats", rangemode="tozero")


def channel_figure(
    steps: NDArray[np.int64], information_bits: NDArray[np.float64], nmi_with_end: NDArray[np.float64]
) -> go.Figure:
    """Draw how much a channel told at each snapshot of training, and how similar it was to what it became.

    Args:
        steps: (S,) of the snapshots, ascending; drawn on a log axis.
        information_bits: (S,) bits.
        nmi_with_end: (S,) NMI with itself at the end; NaN where it is undefined.
    """
    figure = go.Figure()
    lines = (
        ("information, bits", "y", information_bits, "%{y:.2f} bits", "solid"),
        ("NMI with itself at the end", "y2", nmi_with_end, "NMI %{y:.2f}", "dot"),
    )
    for colour, (name, axis, values, hover, dash) in zip(HOTSPOT_COLOURS[:2], lines, strict=True):
        figure.add_scatter(
            x=steps,
            y=values,
            yaxis=axis,
            name=name,
            mode="lines+markers",
            hovertemplate=f"step %{{x:,}}: {hover}<extra></extra>",
            line={"color": colour, "width": 2, "dash": dash},
            marker={"size": 6},
        )
    _over_steps(figure, "bits", rangemode="tozero")
    named = steps[np.unique(np.linspace(0, len(steps) - 1, MOST_TICKS).round().astype(int))]
    ends = np.log10(steps[[0, -1]]) + np.array([-0.06, 0.06])
    top = max(1.05, float(np.max(nmi_with_end, initial=0.0, where=np.isfinite(nmi_with_end))) * 1.05)
    right = {"side": "right", "overlaying": "y", "range": [0, top], "tickvals": [0, 0.5, 1], "showgrid": False}
    return figure.update_layout(
        showlegend=True,
        legend={"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom", "font": {"size": 11}},
        margin={"r": 48, "t": 30},
        xaxis={"type": "log", "range": ends, "tickvals": named, "ticktext": [f"{step:,}" for step in named]},
        yaxis2={**figure.layout.yaxis.to_plotly_json(), **right, "title": {"text": "NMI", "standoff": 6}},
    )


def thinned(series: Series) -> Series:
    """Return so many rows of a series, evenly, that its curve looks the same; the last is among them."""
    steps, values = series
    if len(steps) <= MOST_ROWS:
        return series
    rows = np.linspace(0, len(steps) - 1, MOST_ROWS).round().astype(int)
    return steps[rows], values[rows]


def _with_gap(series: Series) -> Series:
    """Add a NaN, which lifts the pen before the next series."""
    return np.append(series[0], series[0][-1:]), np.append(series[1], np.nan)


def _over_steps(figure: go.Figure, title: str, **y_axis: object) -> go.Figure:
    if not any(len(trace.x) for trace in figure.data):
        return nothing("Curves begin with the first checkpoint")
    axis = {"zeroline": False, "ticks": "", "tickfont": {"size": 10}, "showline": False}
    return plain(
        figure,
        margin={"l": 52, "r": 10, "t": 8, "b": 38},
        hovermode="closest",
        dragmode="zoom",
        uirevision="kept",  # constant: zoom and pan outlast every poll
        xaxis=axis | {"title": {"text": "step", "standoff": 6}, "rangemode": "tozero"},
        yaxis=axis | {"title": {"text": title, "standoff": 6}} | y_axis,
    )
