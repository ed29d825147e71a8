"""Numbers of a sweep against its coefficient, side by side."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from app.figures.theme import HOTSPOT_COLOURS, plain

WIDE = 8.0  # times the smallest value: from here on the axis is logarithmic


@dataclass(frozen=True)
class Curve:
    """One number at every value.

    Args:
        title: what it is, unit included.
        values: of it, by value of the coefficient; NaN leaves a gap.
        spreads: standard deviations; None when there is none.
    """

    title: str
    values: Sequence[float]
    spreads: Sequence[float] | None = None


def _bars(values: Sequence[float], spreads: Sequence[float]) -> dict[str, Any]:
    """Draw spreads, but not below 0, where none of these numbers can be."""
    below = [min(value, spread) for value, spread in zip(values, spreads, strict=True)]
    return {"array": list(spreads), "arrayminus": below, "symmetric": False, "thickness": 1, "width": 3}


def curves_figure(
    symbol: str, at: Sequence[float], curves: Sequence[Curve], targets: Sequence[tuple[str, str]]
) -> go.Figure:
    """Draw each curve in a panel of its own over the same axis.

    Args:
        symbol: of the coefficient.
        at: its values, ascending.
        curves: one a panel.
        targets: path and query of the page that a click on a value opens.
    """
    figure = make_subplots(
        rows=1, cols=len(curves), horizontal_spacing=0.24 / len(curves), subplot_titles=[c.title for c in curves]
    )
    wide = at[0] > 0 and at[-1] / at[0] >= WIDE
    for column, curve in enumerate(curves, start=1):
        error = None if curve.spreads is None else _bars(curve.values, curve.spreads)
        number = "%{y:.2f}" if curve.spreads is None else "%{y:.2f} ± %{error_y.array:.2f}"
        trace = go.Scatter(
            x=list(at),
            y=list(curve.values),
            error_y=error,
            mode="lines+markers",
            line={"color": HOTSPOT_COLOURS[0], "width": 1.5},
            marker={"size": 9},
            customdata=[list(target) for target in targets],
            cliponaxis=False,
            hovertemplate=f"{symbol} = %{{x:g}}: {number}<extra></extra>",
        )
        figure.add_trace(trace, row=1, col=column)
    plain(figure, margin={"l": 34, "r": 10, "t": 26, "b": 36}, hovermode="closest", dragmode=False)
    figure.update_annotations(font={"size": 12}, yshift=2)
    figure.update_xaxes(
        type="log" if wide else "linear",
        tickvals=list(at),
        ticktext=[f"{value:g}" for value in at],
        title={"text": symbol, "standoff": 4},
        ticklabelstandoff=5,
        tickfont={"size": 10},
        zeroline=False,
        showline=False,
        ticks="",
        fixedrange=True,
    )
    return figure.update_yaxes(
        rangemode="tozero", tickfont={"size": 10}, zeroline=False, showline=False, ticks="", nticks=5, fixedrange=True
    )
