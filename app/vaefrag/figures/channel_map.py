"""The plane of channels: similar ones lie together."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from vaefrag.figures.theme import hotspot_colour, plain

SMALLEST_POINT, LARGEST_POINT = 5.0, 15.0  # pixels across, of no information and of the most there is
MOST_SVG_POINTS = 1_500  # beyond it WebGL draws faster than SVG


@dataclass(frozen=True, eq=False)
class MapView:
    """What the map shows, arrays of the n channels laid out.

    Args:
        revision: changes when zoom and pan should be forgotten.
        names: (n,).
        coordinates: (n, 2).
        hotspot: (n,), −1 for noise.
        bits: (n,) information.
        equal: whether distances mean something, so that both axes need the same scale.
    """

    revision: str
    names: Sequence[str]
    coordinates: NDArray[np.float64]
    hotspot: NDArray[np.int64]
    bits: NDArray[np.float64]
    equal: bool = True


def map_figure(view: MapView, marked: Sequence[int] = ()) -> go.Figure:
    """Draw the channels, sized by information and coloured by hotspot.

    Args:
        view: what to show.
        marked: positions in it of the channels selected.
    """
    points = go.Scattergl if len(view.names) > MOST_SVG_POINTS else go.Scatter
    share = np.sqrt(view.bits / max(float(view.bits.max(initial=0)), 1e-12)).clip(0, 1)
    homes = [f"hotspot {label}" if label >= 0 else "in no hotspot" for label in view.hotspot]
    figure = go.Figure(
        points(
            x=view.coordinates[:, 0].astype(np.float32),
            y=view.coordinates[:, 1].astype(np.float32),
            mode="markers",
            customdata=list(zip(view.names, homes, view.bits.round(3).tolist(), strict=True)),
            hovertemplate="<b>%{customdata[0]}</b> · %{customdata[1]}<br>%{customdata[2]:.2f} bits<extra></extra>",
            marker={
                "color": [hotspot_colour(label) for label in view.hotspot],
                "size": SMALLEST_POINT + (LARGEST_POINT - SMALLEST_POINT) * share,
                "opacity": np.where(view.hotspot >= 0, 0.9, 0.55),
                "line": {"width": 0.5, "color": "rgba(255,255,255,0.7)"},
            },
            selected={"marker": {"opacity": 1}},
            unselected={"marker": {"opacity": 0.15}},
            selectedpoints=selected_points(marked),
        )
    )
    bare = {"showgrid": False, "zeroline": False, "showticklabels": False, "ticks": "", "showline": False}
    return plain(
        figure,
        margin={"l": 14, "r": 14, "t": 22, "b": 14},
        uirevision=view.revision,
        # With a constant revision plotly would keep the user's last lasso, whatever the URL says is selected.
        selectionrevision=[view.revision, list(marked)],
        hovermode="closest",
        dragmode="lasso",
        clickmode="event",  # a click goes to the URL, which selects; plotly must not select by itself as well
        xaxis=bare,
        yaxis=bare | ({"scaleanchor": "x", "scaleratio": 1} if view.equal else {}),
        annotations=_numbers(view),
    )


def selected_points(marked: Sequence[int]) -> list[int] | None:
    """Return plotly's list of what is selected: None, unlike an empty list, which would dim every point."""
    return sorted(marked) or None


def _numbers(view: MapView) -> list[dict[str, Any]]:
    """Write each hotspot's number above its middle: colours repeat, numbers do not."""
    numbers = []
    for label in range(int(view.hotspot.max(initial=-1)) + 1):
        inside = view.coordinates[view.hotspot == label]
        if len(inside):
            x, y = np.median(inside, axis=0)
            place = {"x": float(x), "y": float(y), "showarrow": False, "yshift": 14}
            numbers.append(place | {"text": f"<b>{label}</b>", "font": {"size": 12}, "captureevents": False})
    return numbers
