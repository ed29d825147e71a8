"""The one place where plots enter a page."""

from typing import Any

import plotly.graph_objects as go
from dash import dcc, html

# plotly offers to upload every plot to a cloud unless told not to. Nothing may leave the machine.
CONFIG: dict[str, Any] = {
    "showSendToCloud": False,
    "showEditInChartStudio": False,
    "displaylogo": False,
    "responsive": True,
    "doubleClick": "reset+autosize",
    "toImageButtonOptions": {"format": "svg"},
}


def graph(name: str | dict[str, str], figure: go.Figure, label: str, *, buttons: list[str], **config: Any) -> html.Div:
    """Put a figure on a page.

    Args:
        name: id of the graph: a word, or fields of which "plot" is the word.
        figure: what to draw.
        label: what it shows, for those who cannot see it.
        buttons: of plotly's tool bar that are kept.
        config: more of plotly's configuration.
    """
    bar = {"modeBarButtons": [[*buttons, "toImage"]]}
    plot = dcc.Graph(id=name, figure=figure, config=CONFIG | bar | config, className="plot", responsive=True)
    frame = name if isinstance(name, str) else name["plot"]
    return html.Div(plot, className=f"plot-frame {frame}-frame", role="group", **{"aria-label": label})
