"""Hotspots found among fewer members, against how many they are."""

from collections.abc import Sequence

import plotly.graph_objects as go

from vaefrag.figures.theme import HOTSPOT_COLOURS, NOISE_COLOUR, bare


def member_curve_figure(
    members: Sequence[int], hotspots: Sequence[float], ranges: Sequence[tuple[int, int]], refound: Sequence[float]
) -> go.Figure:
    """Draw the mean number of hotspots, its range, and how many of all members' hotspots are among them.

    Args:
        members: looked at, ascending.
        hotspots: hotspots found, mean over choices of as many members.
        ranges: fewest and most.
        refound: of the hotspots of all members, mean.
    """
    colour, other = HOTSPOT_COLOURS[0], HOTSPOT_COLOURS[1]
    bars = {
        "type": "data",
        "symmetric": False,
        "array": [most - mean for mean, (_, most) in zip(hotspots, ranges, strict=True)],
        "arrayminus": [mean - least for mean, (least, _) in zip(hotspots, ranges, strict=True)],
        "thickness": 1,
        "width": 3,
        "color": NOISE_COLOUR,
    }
    x = list(members)
    shared = {"type": "scatter", "x": x, "mode": "lines+markers", "cliponaxis": False}
    traces = [
        shared
        | {
            "y": list(hotspots),
            "name": "found",
            "error_y": bars,
            "line": {"color": colour, "width": 1.5},
            "marker": {"size": 7},
            "customdata": [list(ends) for ends in ranges],
            "hovertemplate": "%{x} members: %{y:.1f} found, %{customdata[0]} to %{customdata[1]}<extra></extra>",
        },
        shared
        | {
            "y": list(refound),
            "name": "of these, those of all members",
            "line": {"color": other, "width": 1.5, "dash": "dot"},
            "marker": {"size": 6, "symbol": "diamond"},
            "hovertemplate": "%{x} members: %{y:.1f} of all members’ hotspots<extra></extra>",
        },
    ]
    axis = {"tickfont": {"size": 10}, "zeroline": False, "showline": False, "ticks": "", "fixedrange": True}
    return go.Figure(
        traces,
        bare(
            xaxis=axis
            | {
                "title": {"text": "members", "standoff": 4, "font": {"size": 12}},
                "tickvals": x,
                "range": [x[0] - 0.3, x[-1] + 0.3],
            },
            yaxis=axis
            | {"title": {"text": "hotspots", "standoff": 6, "font": {"size": 12}}, "rangemode": "tozero", "nticks": 6},
            margin={"l": 44, "r": 12, "t": 34, "b": 38},
            hovermode="closest",
            dragmode=False,
            showlegend=True,
            legend={"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom", "font": {"size": 11}},
        ),
    )
