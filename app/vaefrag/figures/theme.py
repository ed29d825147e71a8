"""What all figures share: colours that mean something, and a bare layout that takes the page's colours.

Text, grid lines and backgrounds are left to the style sheet, so that light and dark need no second figure. Only
colours that carry data are set here; they are the same in both.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.colors import get_colorscale, sample_colorscale

# Told apart by people with any of the common colour deficiencies, on white and on near-black: after Paul Tol's
# "bright" and the set of Okabe and Ito. The number beside a colour tells hotspots apart once colours repeat.
HOTSPOT_COLOURS = (
    "#4477AA",
    "#EE7733",
    "#228833",
    "#AA3377",
    "#33BBEE",
    "#CCBB44",
    "#EE6677",
    "#009E73",
    "#9970AB",
    "#B5651D",
)
NOISE_COLOUR = "#9AA0A6"
ACCENT_COLOUR = "#F0338B"  # of what is selected: in no palette and in no colour scale
UNDEFINED_COLOUR = "#8A8F98"
SCALE = "Viridis"  # perceptually uniform, monotone in lightness
LABEL_SCALE = "Cividis"
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"


def hotspot_colour(label: int) -> str:
    """Return the colour of a hotspot; grey for noise (−1)."""
    return HOTSPOT_COLOURS[label % len(HOTSPOT_COLOURS)] if label >= 0 else NOISE_COLOUR


def colour_table(scale: str = SCALE, *, reverse: bool = False) -> NDArray[np.uint8]:
    """Return a table of colours.

    Args:
        scale: name of one of plotly's colour scales.
        reverse: whether it begins at its end.

    Returns:
        (256, 3) RGB: rows 0…254 along the scale, row 255 for what is undefined.
    """
    texts = sample_colorscale(get_colorscale(scale), np.linspace(1, 0, 255) if reverse else np.linspace(0, 1, 255))
    colours = [[round(float(part)) for part in text[4:-1].split(",")] for text in texts]
    undefined = [int(UNDEFINED_COLOUR[start : start + 2], 16) for start in (1, 3, 5)]
    return np.array([*colours, undefined], dtype=np.uint8)


def bare(**layout: Any) -> dict[str, Any]:
    """Return a layout in which there is nothing but data, with what is given on top.

    A figure that is made with its layout is checked by plotly once; one that is updated is checked again each time.
    """
    return {
        "template": "none",  # plotly's own sets hundreds of attributes, which are all sent to the browser
        "font": {"family": FONT, "size": 12},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "showlegend": False,
        "hoverlabel": {"bgcolor": "#23272E", "bordercolor": "#23272E", "font": {"color": "#FFFFFF", "size": 12}},
        **layout,
    }


def plain(figure: go.Figure, **layout: Any) -> go.Figure:
    """Take everything from a figure that is not data."""
    return figure.update_layout(bare(**layout))


def nothing(text: str) -> go.Figure:
    """Return a figure that says why there is nothing to draw."""
    figure = go.Figure().add_annotation(text=text, showarrow=False, xref="paper", yref="paper", x=0.5, y=0.5)
    hidden = {"visible": False, "fixedrange": True}
    return plain(figure, xaxis=hidden, yaxis=hidden, margin={"l": 8, "r": 8, "t": 8, "b": 8})


def colour_bar(title: str, **place: Any) -> dict[str, Any]:
    """Describe a slim horizontal colour bar.

    Args:
        title: above the bar, unit included.
        place: where the bar stands, and whatever else of plotly's attributes is wanted otherwise.
    """
    return {
        "orientation": "h",
        "thickness": 9,
        "outlinewidth": 0,
        "xanchor": "left",
        "yanchor": "top",
        "ypad": 0,
        "xpad": 0,
        "title": {"text": title, "side": "top", "font": {"size": 11}},
        "tickfont": {"size": 10},
        **place,
    }


def runs(positions: Sequence[int]) -> list[tuple[int, int]]:
    """Join neighbouring positions: 3, 4, 5, 9 → (3, 5), (9, 9)."""
    stretches: list[tuple[int, int]] = []
    for position in sorted(set(positions)):
        if stretches and position == stretches[-1][1] + 1:
            stretches[-1] = (stretches[-1][0], position)
        else:
            stretches.append((position, position))
    return stretches
