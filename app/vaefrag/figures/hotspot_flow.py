"""Hotspots of a sweep as a flow: a column for each value, a bar for each hotspot, bands to what it goes on as."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go

from vaefrag.figures.theme import bare, hotspot_colour, nothing

BAR_WIDTH = 0.026  # of the whole drawing
WIDEST = 0.2  # a bar, of the distance between columns
GAP = 0.035  # between bars, of the highest column
LEAST_HEIGHT = 0.02  # of a bar, of the highest column, so that it can be hit
LEAST_NUMBERED = 0.035  # of a bar that shows its number
MARGIN = 0.53  # from the middle to the edge, of the height of the tallest column
PASSES = 3  # over the columns, to put bars where their bands are straight


@dataclass(frozen=True)
class Bar:
    """A hotspot.

    Args:
        size: its channels.
        thread: by which it is coloured.
        number: its number, shown on it.
        about: what is said of it, lines of text.
        target: path and query of the page that a click opens.
    """

    size: int
    thread: int
    number: int
    about: str
    target: tuple[str, str]


@dataclass(frozen=True)
class Band:
    """What two hotspots share.

    Args:
        left: column and place in it of the first.
        right: of the second, in a later column.
        nmi: mean of their channels.
    """

    left: tuple[int, int]
    right: tuple[int, int]
    nmi: float


@dataclass(frozen=True)
class FlowView:
    """What is drawn.

    Args:
        heads: of the columns: lines of text.
        bars: of each column, in any order.
        bands: between them.
        notes: of columns without bars: why.
        others: sizes of the hotspots in columns of other drawings that shall have the same scale.
    """

    heads: Sequence[str]
    bars: Sequence[Sequence[Bar]]
    bands: Sequence[Band]
    notes: Sequence[str]
    others: Sequence[Sequence[int]] = ()


Place = tuple[float, float]  # lower and upper end of a bar


def flow_figure(view: FlowView) -> go.Figure:
    """Draw the flow. Bars are as high as they have channels, bands as wide as what is shared."""
    if not any(view.bars):
        return nothing("No hotspot at any value")
    places = _places(view)
    shapes = [_shape(view, band, ends) for band, ends in zip(view.bands, _ends(view, places), strict=True)]
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
    return go.Figure([_band_points(view, places), _bars(view, places)], layout)


def _width(view: FlowView) -> float:
    """Give the width of a bar, of the distance between columns."""
    return min(WIDEST, BAR_WIDTH * len(view.heads))


def _columns(view: FlowView) -> list[Sequence[int]]:
    """Give the sizes of the hotspots of every column that has the same scale."""
    return [*([bar.size for bar in column] for column in view.bars), *view.others]


def _highest(view: FlowView) -> int:
    return max(sum(column) for column in _columns(view))


def _height(view: FlowView) -> float:
    """Give the height of the tallest column, gaps included."""
    highest = _highest(view)
    least, gap = LEAST_HEIGHT * highest, GAP * highest
    return max(sum(max(size, least) for size in column) + gap * (len(column) - 1) for column in _columns(view))


def _places(view: FlowView) -> list[list[Place]]:
    """Stack the bars of each column around its middle, in the order in which bands cross least."""
    orders = _orders(view)
    highest = _highest(view)
    gap, least = GAP * highest, LEAST_HEIGHT * highest
    places = []
    for column, order in zip(view.bars, orders, strict=True):
        heights = [max(bar.size, least) for bar in column]
        top = (sum(heights) + gap * (len(heights) - 1)) / 2
        found: list[Place] = [(0.0, 0.0)] * len(column)
        for place in order:
            found[place] = (top - heights[place], top)
            top -= heights[place] + gap
        places.append(found)
    return places


def _orders(view: FlowView) -> list[list[int]]:
    """Order each column by where its neighbours stand, forth and back a few times; the largest first at the start."""
    orders = [sorted(range(len(column)), key=lambda k, c=column: -c[k].size) for column in view.bars]  # type: ignore[misc]
    for _ in range(PASSES):
        for columns, near, far in ((range(len(orders)), "right", "left"), (range(len(orders))[::-1], "left", "right")):
            for column in columns:
                orders[column] = _by_neighbours(view, orders, column, near, far)
    return orders


def _by_neighbours(view: FlowView, orders: list[list[int]], column: int, near: str, far: str) -> list[int]:
    """Put the bars of a column by the weighted mean of where their bands come from; others stay where they are."""
    stand = {}
    for other, order in enumerate(orders):
        stand |= {(other, place): (rank + 0.5) / len(order) for rank, place in enumerate(order)}
    pulled = dict.fromkeys(orders[column], (0.0, 0.0))
    for band in view.bands:
        at, place = getattr(band, near)
        if at == column:
            weight, total = pulled[place]
            pulled[place] = weight + band.nmi, total + band.nmi * stand[getattr(band, far)]
    wanted = {k: total / weight if weight else stand[(column, k)] for k, (weight, total) in pulled.items()}
    return sorted(orders[column], key=lambda k: wanted[k])


def _ends(view: FlowView, places: list[list[Place]]) -> list[tuple[Place, Place]]:
    """Give the lower and upper end of each band at both its bars: side by side, as wide as what is shared."""
    sides: list[dict[int, Place]] = []
    for here, there in (("left", "right"), ("right", "left")):
        taken: dict[int, Place] = {}
        for bar in {getattr(band, here) for band in view.bands}:
            mine = [k for k, band in enumerate(view.bands) if getattr(band, here) == bar]
            mine.sort(key=lambda k: -_middle(places, getattr(view.bands[k], there)))
            low, high = places[bar[0]][bar[1]]
            total = sum(view.bands[k].nmi for k in mine)
            unit = (high - low) / max(1.0, total)
            top = (low + high) / 2 + unit * total / 2
            for k in mine:
                taken[k] = (top - unit * view.bands[k].nmi, top)
                top -= unit * view.bands[k].nmi
        sides.append(taken)
    return [(sides[0][k], sides[1][k]) for k in range(len(view.bands))]


def _middle(places: list[list[Place]], bar: tuple[int, int]) -> float:
    low, high = places[bar[0]][bar[1]]
    return (low + high) / 2


def _shape(view: FlowView, band: Band, ends: tuple[Place, Place]) -> dict[str, Any]:
    """Draw a band in the colour of where it comes from: the stronger, the less it lets through."""
    (low, high), (low_there, high_there) = ends
    half = _width(view) / 2
    x, there = band.left[0] + half, band.right[0] - half
    middle = (x + there) / 2
    path = (
        f"M {x},{high} C {middle},{high} {middle},{high_there} {there},{high_there}"
        f" L {there},{low_there} C {middle},{low_there} {middle},{low} {x},{low} Z"
    )
    colour = hotspot_colour(view.bars[band.left[0]][band.left[1]].thread)
    opacity = 0.12 + 0.5 * min(1.0, band.nmi) ** 2
    return {
        "type": "path",
        "path": path,
        "fillcolor": colour,
        "opacity": opacity,
        "line": {"width": 0},
        "layer": "below",
    }


def _bars(view: FlowView, places: list[list[Place]]) -> go.Bar:
    flat = [(column, k, bar) for column, bars in enumerate(view.bars) for k, bar in enumerate(bars)]
    spans = [places[column][k] for column, k, _ in flat]
    tall = _height(view)
    return go.Bar(
        x=[column for column, _, _ in flat],
        base=[low for low, _ in spans],
        y=[high - low for low, high in spans],
        width=_width(view),
        marker={"color": [hotspot_colour(bar.thread) for _, _, bar in flat], "line": {"width": 0}},
        text=[
            str(bar.number) if high - low >= LEAST_NUMBERED * tall else ""
            for (_, _, bar), (low, high) in zip(flat, spans, strict=True)
        ],
        textposition="inside",
        insidetextanchor="middle",
        textangle=0,
        constraintext="none",
        textfont={"size": 11},
        hovertext=[bar.about for _, _, bar in flat],
        hovertemplate="%{hovertext}<extra></extra>",
        customdata=[list(bar.target) for _, _, bar in flat],
    )


def _band_points(view: FlowView, places: list[list[Place]]) -> go.Scatter:
    """Give each band a point in its middle that says what is shared."""
    middles = [[_middle(places, end) for end in (band.left, band.right)] for band in view.bands]
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
