"""Hotspots of a sweep as a flow: a column for each value, a bar for each hotspot, bands to what it goes on as."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go

from vaefrag.figures.theme import bare, hotspot_colour, nothing

BAR_WIDTH = 0.026  # of the whole drawing
WIDEST = 0.2  # a bar, of the distance between columns
GAP = 0.035  # between bars, of the channels in the fullest column
LEAST_HEIGHT = 0.02  # of a bar, of the channels in the fullest column, so that it can be clicked
LEAST_NUMBERED = 0.035  # of a bar that shows its number, of the height of the tallest column
MARGIN = 0.53  # from the middle to the edge, of the height of the tallest column
PASSES = 3  # over the columns, to put bars where their bands are straight


@dataclass(frozen=True)
class Bar:
    """A hotspot.

    Args:
        size: how many channels it has.
        lineage: the lineage that it belongs to, which gives the colour.
        number: its number, shown on it.
        about: what is shown at the pointer, lines of text.
        target: path and query of the page that a click opens.
    """

    size: int
    lineage: int
    number: int
    about: str
    target: tuple[str, str]


@dataclass(frozen=True)
class Band:
    """What two hotspots share.

    Args:
        left: column of the first, and its index in the column.
        right: the same of the second, in a later column.
        nmi: mean NMI of their channels.
    """

    left: tuple[int, int]
    right: tuple[int, int]
    nmi: float


@dataclass(frozen=True)
class FlowView:
    """What is drawn.

    Args:
        heads: of each column, lines of text.
        bars: of each column, in any order.
        bands: between bars.
        notes: of each column, why it has no bars.
        others: sizes of the hotspots in columns of other drawings that share the scale.
    """

    heads: Sequence[str]
    bars: Sequence[Sequence[Bar]]
    bands: Sequence[Band]
    notes: Sequence[str]
    others: Sequence[Sequence[int]] = ()


Span = tuple[float, float]  # lower and upper end of a bar, or of a band at a bar


def flow_figure(view: FlowView) -> go.Figure:
    """Draw the flow. Bars are as high as they have channels, bands as wide as what is shared."""
    if not any(view.bars):
        return nothing("No hotspot at any value")
    spans = _bar_spans(view)
    shapes = [_shape(view, band, ends) for band, ends in zip(view.bands, _ends(view, spans), strict=True)]
    notes = [
        {"x": column, "y": 0, "text": note, "showarrow": False, "font": {"size": 12}}
        for column, note in enumerate(view.notes)
        if not view.bars[column]
    ]
    edge = _width(view) / 2 + 0.3
    layout = bare(
        margin={"l": 8, "r": 8, "t": 6, "b": 44},
        barmode="overlay",
        hovermode="closest",
        dragmode=False,
        shapes=shapes,
        annotations=notes,
        xaxis={
            "range": [-edge, len(view.heads) - 1 + edge],
            "tickvals": list(range(len(view.heads))),
            "ticktext": list(view.heads),
            "showgrid": False,
            "zeroline": False,
            "ticks": "",
            "tickfont": {"size": 11},
            "fixedrange": True,
        },
        yaxis={"visible": False, "fixedrange": True, "range": [-MARGIN * _height(view), MARGIN * _height(view)]},
    )
    return go.Figure([_band_points(view, spans), _bars(view, spans)], layout)


def _width(view: FlowView) -> float:
    """Return the width of a bar, in distances between columns."""
    return min(WIDEST, BAR_WIDTH * len(view.heads))


def _columns(view: FlowView) -> list[Sequence[int]]:
    """Return the sizes of the hotspots of every column that has the same scale."""
    return [*([bar.size for bar in column] for column in view.bars), *view.others]


def _highest(view: FlowView) -> int:
    return max(sum(column) for column in _columns(view))


def _height(view: FlowView) -> float:
    """Return the height of the tallest column, gaps included; in channels."""
    highest = _highest(view)
    least, gap = LEAST_HEIGHT * highest, GAP * highest
    return max(sum(max(size, least) for size in column) + gap * (len(column) - 1) for column in _columns(view))


def _bar_spans(view: FlowView) -> list[list[Span]]:
    """Stack the bars of each column around its middle, in the order in which bands cross least."""
    orders = _orders(view)
    highest = _highest(view)
    gap, least = GAP * highest, LEAST_HEIGHT * highest
    spans = []
    for column, order in zip(view.bars, orders, strict=True):
        heights = [max(bar.size, least) for bar in column]
        top = (sum(heights) + gap * (len(heights) - 1)) / 2
        column_spans: list[Span] = [(0.0, 0.0)] * len(column)
        for k in order:
            column_spans[k] = (top - heights[k], top)
            top -= heights[k] + gap
        spans.append(column_spans)
    return spans


def _orders(view: FlowView) -> list[list[int]]:
    """Order each column by where its neighbours stand, forth and back a few times; the largest first at the start.

    Reference:
        Sugiyama, K., Tagawa, S., Toda, M. (1981). Methods for visual understanding of hierarchical system structures:
        the barycentre method, weighted by what is shared. https://doi.org/10.1109/TSMC.1981.4308636
    """
    orders = [sorted(range(len(column)), key=lambda k, c=column: -c[k].size) for column in view.bars]  # type: ignore[misc]
    for _ in range(PASSES):
        for columns, near, far in ((range(len(orders)), "right", "left"), (range(len(orders))[::-1], "left", "right")):
            for column in columns:
                orders[column] = _by_neighbours(view, orders, column, near, far)
    return orders


def _by_neighbours(view: FlowView, orders: list[list[int]], column: int, near: str, far: str) -> list[int]:
    """Put the bars of a column by the weighted mean of where their bands come from; others stay where they are."""
    # Shares of a column's height and not ranks: columns differ in how many bars they have.
    positions: dict[tuple[int, int], float] = {}
    for c, order in enumerate(orders):
        positions |= {(c, k): (rank + 0.5) / len(order) for rank, k in enumerate(order)}
    sums = dict.fromkeys(orders[column], (0.0, 0.0))  # of weights, and of weighted positions
    for band in view.bands:
        c, k = getattr(band, near)
        if c == column:
            weight, total = sums[k]
            sums[k] = weight + band.nmi, total + band.nmi * positions[getattr(band, far)]
    means = {k: total / weight if weight else positions[(column, k)] for k, (weight, total) in sums.items()}
    return sorted(orders[column], key=lambda k: means[k])


def _ends(view: FlowView, spans: list[list[Span]]) -> list[tuple[Span, Span]]:
    """Return the lower and upper end of each band at both its bars: side by side, as wide as what is shared."""
    sides: list[dict[int, Span]] = []
    for here, there in (("left", "right"), ("right", "left")):
        ends: dict[int, Span] = {}
        for bar in {getattr(band, here) for band in view.bands}:
            mine = [k for k, band in enumerate(view.bands) if getattr(band, here) == bar]
            mine.sort(key=lambda k: -_middle(spans, getattr(view.bands[k], there)))
            low, high = spans[bar[0]][bar[1]]
            total = sum(view.bands[k].nmi for k in mine)
            unit = (high - low) / max(1.0, total)  # NMI may sum to more than 1: bands must not leave their bar
            top = (low + high) / 2 + unit * total / 2
            for k in mine:
                ends[k] = (top - unit * view.bands[k].nmi, top)
                top -= unit * view.bands[k].nmi
        sides.append(ends)
    return [(sides[0][k], sides[1][k]) for k in range(len(view.bands))]


def _middle(spans: list[list[Span]], bar: tuple[int, int]) -> float:
    low, high = spans[bar[0]][bar[1]]
    return (low + high) / 2


def _shape(view: FlowView, band: Band, ends: tuple[Span, Span]) -> dict[str, Any]:
    """Draw a band in the colour of where it comes from: the stronger, the less it lets through."""
    (low, high), (low_there, high_there) = ends
    half = _width(view) / 2
    x, there = band.left[0] + half, band.right[0] - half
    middle = (x + there) / 2
    path = (
        f"M {x},{high} C {middle},{high} {middle},{high_there} {there},{high_there}"
        f" L {there},{low_there} C {middle},{low_there} {middle},{low} {x},{low} Z"
    )
    colour = hotspot_colour(view.bars[band.left[0]][band.left[1]].lineage)
    opacity = 0.12 + 0.5 * min(1.0, band.nmi) ** 2
    return {
        "type": "path",
        "path": path,
        "fillcolor": colour,
        "opacity": opacity,
        "line": {"width": 0},
        "layer": "below",  # bars stay above, to be clicked
    }


def _bars(view: FlowView, spans: list[list[Span]]) -> go.Bar:
    flat = [(column, k, bar) for column, bars in enumerate(view.bars) for k, bar in enumerate(bars)]
    flat_spans = [spans[column][k] for column, k, _ in flat]
    tall = _height(view)
    return go.Bar(
        x=[column for column, _, _ in flat],
        base=[low for low, _ in flat_spans],
        y=[high - low for low, high in flat_spans],
        width=_width(view),
        marker={"color": [hotspot_colour(bar.lineage) for _, _, bar in flat], "line": {"width": 0}},
        text=[
            str(bar.number) if high - low >= LEAST_NUMBERED * tall else ""
            for (_, _, bar), (low, high) in zip(flat, flat_spans, strict=True)
        ],
        textposition="inside",
        insidetextanchor="middle",
        textangle=0,
        constraintext="none",  # else plotly shrinks the number to the width of a narrow bar
        textfont={"size": 11},
        hovertext=[bar.about for _, _, bar in flat],
        hovertemplate="%{hovertext}<extra></extra>",
        customdata=[list(bar.target) for _, _, bar in flat],
    )


def _band_points(view: FlowView, spans: list[list[Span]]) -> go.Scatter:
    """Draw an invisible point in the middle of each band that says what is shared: shapes have no hover text."""
    middles = [[_middle(spans, end) for end in (band.left, band.right)] for band in view.bands]
    numbers = [
        [view.bars[column][k].number for column, k in (band.left, band.right)] + [band.nmi] for band in view.bands
    ]
    return go.Scatter(
        x=[(band.left[0] + band.right[0]) / 2 for band in view.bands],
        y=[sum(pair) / 2 for pair in middles],
        mode="markers",
        marker={"size": 16, "opacity": 0, "color": "#888888"},
        customdata=numbers,
        hovertemplate="hotspots %{customdata[0]} and %{customdata[1]} share an NMI of %{customdata[2]:.2f}"
        "<extra></extra>",
    )
