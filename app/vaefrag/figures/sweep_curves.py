"""Numbers of a sweep against its coefficient, side by side."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go

from vaefrag.figures.theme import HOTSPOT_COLOURS, bare

WIDE = 8.0  # times the smallest value: from here on the axis is logarithmic
ABOVE = 1.06  # of the axis, over the highest value
GAP = 0.24  # between panels, of the width of one and its gap
AXIS = {"tickfont": {"size": 10}, "zeroline": False, "showline": False, "ticks": "", "fixedrange": True}


@dataclass(frozen=True)
class SweepCurve:
    """One number at every value of the coefficient.

    Args:
        title: what it is, unit included.
        values: the number at each value of the coefficient; NaN leaves a gap.
        spreads: standard deviations; None when there are none.
        top: the value that the axis reaches at least; None leaves it to the values.
    """

    title: str
    values: Sequence[float]
    spreads: Sequence[float] | None = None
    top: float | None = None


def _bars(values: Sequence[float], spreads: Sequence[float]) -> dict[str, Any]:
    """Draw spreads, but not below 0, where none of these numbers can be."""
    below = [min(value, spread) for value, spread in zip(values, spreads, strict=True)]
    return {"array": list(spreads), "arrayminus": below, "symmetric": False, "thickness": 1, "width": 3}


def curves_figure(
    symbol: str, at: Sequence[float], curves: Sequence[SweepCurve], targets: Sequence[tuple[str, str]]
) -> go.Figure:
    """Draw each curve in a panel of its own over the same axis.

    Args:
        symbol: symbol of the coefficient.
        at: values of the coefficient, ascending.
        curves: one for each panel.
        targets: path and query of the page that a click on a value opens.
    """
    # Written down at once: plotly's own way, a figure of subplots that is updated, takes ten times as long to make.
    width = 1 / (len(curves) + (len(curves) - 1) * GAP / (1 - GAP))
    left = [k * width / (1 - GAP) for k in range(len(curves))]
    layout: dict[str, Any] = {
        "annotations": [_title(curve.title, x + width / 2) for x, curve in zip(left, curves, strict=True)]
    }
    across = _across(symbol, at)
    for k, (x, curve) in enumerate(zip(left, curves, strict=True), start=1):
        upright = AXIS | {"rangemode": "tozero", "nticks": 5, "anchor": f"x{k}"}
        layout[f"xaxis{k}"] = across | {"domain": [x, min(x + width, 1)], "anchor": f"y{k}"}
        layout[f"yaxis{k}"] = upright | ({"range": [0, curve.top * ABOVE]} if curve.top else {})
    traces = [_trace(k, symbol, at, curve, targets) for k, curve in enumerate(curves, start=1)]
    margin = {"l": 34, "r": 10, "t": 26, "b": 36}
    return go.Figure(traces, bare(**layout, margin=margin, hovermode="closest", dragmode=False))


def _title(text: str, x: float) -> dict[str, Any]:
    place = {"x": x, "xref": "paper", "xanchor": "center", "y": 1, "yref": "paper", "yanchor": "bottom", "yshift": 2}
    return place | {"text": text, "font": {"size": 12}, "showarrow": False}


def _across(symbol: str, at: Sequence[float]) -> dict[str, Any]:
    """Describe the axis of the coefficient."""
    return AXIS | {
        "type": "log" if at[0] > 0 and at[-1] / at[0] >= WIDE else "linear",
        "tickvals": list(at),
        "ticktext": [f"{value:g}" for value in at],
        "title": {"text": symbol, "standoff": 4},
        "ticklabelstandoff": 5,
    }


def _trace(
    panel: int, symbol: str, at: Sequence[float], curve: SweepCurve, targets: Sequence[tuple[str, str]]
) -> dict[str, Any]:
    number = "%{y:.2f}" if curve.spreads is None else "%{y:.2f} ± %{error_y.array:.2f}"
    return {
        "type": "scatter",
        "x": list(at),
        "y": list(curve.values),
        "xaxis": f"x{panel}",
        "yaxis": f"y{panel}",
        **({} if curve.spreads is None else {"error_y": _bars(curve.values, curve.spreads)}),
        "mode": "lines+markers",
        "line": {"color": HOTSPOT_COLOURS[0], "width": 1.5},
        "marker": {"size": 9},
        "customdata": [list(target) for target in targets],
        "cliponaxis": False,
        "hovertemplate": f"{symbol} = %{{x:g}}: {number}<extra></extra>",
    }
