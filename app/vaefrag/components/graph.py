"""The one place where plots enter a page."""

from typing import Any

import plotly.graph_objects as go
from dash import dcc, html

from vaefrag.components.markup import aria

# plotly offers to upload every plot to a cloud unless told not to. Nothing may leave the machine.
CONFIG: dict[str, Any] = {
    "showSendToCloud": False,
    "showEditInChartStudio": False,
    "displaylogo": False,
    "responsive": True,
    "doubleClick": "reset+autosize",
    "toImageButtonOptions": {"format": "svg"},
}


def graph(
    graph_id: str | dict[str, str], figure: go.Figure, label: str, *, buttons: list[str], **config: Any
) -> html.Div:
    """Put a figure on a page.

    Args:
        graph_id: id of the graph: a word, or fields of which "plot" is the word.
        figure: what is drawn.
        label: what it shows, for those who cannot see it.
        buttons: buttons of plotly's tool bar, besides the one that saves a picture.
        config: more of plotly's configuration.
    """
    options: Any = CONFIG | {"modeBarButtons": [[*buttons, "toImage"]]} | config
    # `responsive` makes Dash overrule the size of the figure itself: the plot follows its frame.
    plot = dcc.Graph(id=graph_id, figure=figure, config=options, className="plot", responsive=True)
    word = graph_id if isinstance(graph_id, str) else graph_id["plot"]
    # The frame has its height from the style sheet, so that nothing jumps when the plot is drawn in it.
    return html.Div(plot, className=f"plot-frame {word}-frame", role="group", **aria(label=label))
