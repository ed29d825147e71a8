"""What a set of channels tells: as a whole, channel by channel, and as it grows."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from vaefrag.figures.theme import ACCENT_COLOUR, HOTSPOT_COLOURS, NOISE_COLOUR, bare, plain

JOINT_COLOUR, SUM_COLOUR = HOTSPOT_COLOURS[0], "rgba(154,160,166,0.55)"
SHARE_COLOURS = ("rgba(154,160,166,0.8)", HOTSPOT_COLOURS[1], HOTSPOT_COLOURS[0])  # alone, marginal, Shapley
_AXIS = {"zeroline": False, "ticks": "", "tickfont": {"size": 11}, "showline": False}


def whole_figure(joint: float, total: float, ceiling: tuple[str, float]) -> go.Figure:
    """Draw joint information and the sum of singles against the ceiling.

    Args:
        joint: bits.
        total: the sum of what each tells, bits.
        ceiling: name and bits of the most that there is.
    """
    name, most = ceiling
    bars = go.Bar(
        x=[total, joint],
        y=["in sum", "together"],
        orientation="h",
        width=0.62,
        marker={"color": [SUM_COLOUR, JOINT_COLOUR]},
        text=[f"{total:.2f}", f"{joint:.2f}"],
        textposition="auto",
        hovertemplate="%{y}: %{x:.3f} bits<extra></extra>",
    )
    label = {"x": most, "xref": "x", "y": 1, "yref": "paper", "yanchor": "bottom", "xanchor": "right"}
    across = {"title": {"text": "bits", "standoff": 4, "font": {"size": 12}}, "range": [0, 1.04 * max(most, total)]}
    layout = bare(
        margin={"l": 66, "r": 12, "t": 20, "b": 34},
        dragmode=False,
        shapes=[_line("x", most)],
        annotations=[label | {"text": f"{name} = {most:.2f}", "showarrow": False, "font": {"size": 11}}],
        xaxis=_AXIS | across,
        yaxis=_AXIS | {"showgrid": False, "fixedrange": True},
    )
    return go.Figure(bars, layout)


def share_figure(
    names: Sequence[str],
    single: NDArray[np.float64],
    marginal: NDArray[np.float64],
    shapley: NDArray[np.float64] | None,
) -> go.Figure:
    """Draw what each channel tells alone, what the set would lose without it, and its Shapley share.

    Args:
        names: of k channels.
        single: (k,) bits.
        marginal: (k,) bits.
        shapley: (k,) bits; None when there are too many channels.
    """
    parts = [("alone", single), ("marginal", marginal), *([] if shapley is None else [("Shapley", shapley)])]
    bars = [
        go.Bar(
            x=list(names),
            y=values,
            name=name,
            marker={"color": colour},
            hovertemplate=f"%{{x}} {name}: %{{y:.3f}} bits<extra></extra>",
        )
        for (name, values), colour in zip(parts, SHARE_COLOURS, strict=False)
    ]
    layout = bare(
        margin={"l": 44, "r": 8, "t": 26, "b": 34},
        barmode="group",
        bargap=0.28,
        dragmode=False,
        showlegend=True,
        xaxis=_AXIS | {"type": "category", "showgrid": False, "fixedrange": True},
        yaxis=_AXIS | {"title": {"text": "bits", "standoff": 6, "font": {"size": 12}}},
        legend={"orientation": "h", "x": 1, "xanchor": "right", "y": 1.02, "yanchor": "bottom", "font": {"size": 11}},
    )
    return go.Figure(bars, layout)


def growth_figure(
    greedy: NDArray[np.float64],
    random: NDArray[np.float64],
    members: tuple[Sequence[int], NDArray[np.float64]],
    current: tuple[int, float] | None,
    limit: tuple[str, float],
    unit: str,
) -> go.Figure:
    """Draw greedy sets over their size, beside random sets and whole members.

    Args:
        greedy: (k,) bits of sets of 1 … k channels.
        random: (draws, k) of random sets.
        members: channels and bits of each member.
        current: size and bits of the set on the page; None when it is empty.
        limit: name and bits of what no set can pass.
        unit: what the axis shows.
    """
    sizes = np.arange(1, len(greedy) + 1)
    figure = go.Figure()
    if random.size:
        x = sizes[: random.shape[1]]
        low, high = random.min(axis=0), random.max(axis=0)
        band = {"mode": "lines", "line": {"width": 0}, "hoverinfo": "skip", "showlegend": False}
        figure.add_scatter(x=x, y=low, **band)
        figure.add_scatter(x=x, y=high, fill="tonexty", fillcolor="rgba(154,160,166,0.25)", **band)
        mean = random.mean(axis=0)
        figure.add_scatter(x=x, y=mean, name="random", mode="lines", line={"color": NOISE_COLOUR, "width": 2})
    figure.add_scatter(
        x=sizes, y=greedy, name="greedy", mode="lines+markers", line={"color": HOTSPOT_COLOURS[0], "width": 2}
    )
    look = {"symbol": "diamond", "size": 6, "color": HOTSPOT_COLOURS[1], "opacity": 0.55}
    figure.add_scatter(x=list(members[0]), y=members[1], name="whole members", mode="markers", marker=look)
    if current is not None:
        mark = {"symbol": "star", "size": 13, "color": ACCENT_COLOUR}
        figure.add_scatter(x=[current[0]], y=[current[1]], name="this set", mode="markers", marker=mark)
    figure.update_traces(hovertemplate="%{x} channels: %{y:.2f} bits", selector={"hoverinfo": None})
    figure.add_shape(_line("y", limit[1]))
    label = {"y": limit[1], "yref": "y", "x": 0, "xref": "paper", "xanchor": "left", "yanchor": "bottom"}
    figure.add_annotation(text=f"{limit[0]} = {limit[1]:.2f}", showarrow=False, font={"size": 11}, **label)
    return plain(
        figure,
        margin={"l": 44, "r": 10, "t": 44, "b": 38},
        showlegend=True,
        hovermode="closest",
        dragmode="zoom",
        xaxis=_AXIS
        | {"title": {"text": "channels", "standoff": 6, "font": {"size": 12}}, "rangemode": "tozero", "dtick": 2},
        yaxis=_AXIS | {"title": {"text": unit, "standoff": 6, "font": {"size": 12}}, "range": [0, 1.1 * limit[1]]},
        legend={"orientation": "h", "x": 1, "xanchor": "right", "y": 1.04, "yanchor": "bottom", "font": {"size": 11}},
    )


def _line(axis: str, at: float) -> dict[str, Any]:
    """Describe the line across the plot that nothing can pass."""
    other = "y" if axis == "x" else "x"
    ends = {f"{axis}0": at, f"{axis}1": at, f"{axis}ref": axis, f"{other}0": 0, f"{other}1": 1, f"{other}ref": "paper"}
    return {"type": "line", "line": {"color": ACCENT_COLOUR, "width": 1.5, "dash": "dash"}, **ends}
