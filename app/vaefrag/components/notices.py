"""Pages without a result, and sentences above a page: what happened, what to do, and the command to type."""

from collections.abc import Sequence

import dash_mantine_components as dmc
from dash import html

from vaefrag.components.icons import icon
from vaefrag.components.markup import Child, aria


def notice(symbol: str, title: str, *content: Child, tone: str = "calm") -> html.Section:
    """Fill a page that has nothing else to show.

    Args:
        symbol: name of the icon.
        title: what happened, in a few words.
        content: what to do.
        tone: "calm", or "alarm" when something is broken.
    """
    head = html.Div([icon(symbol), html.H2(title)], className="notice-head")
    return html.Section([head, *content], className=f"notice notice-{tone}", **aria(live="polite"))


def command(text: str) -> html.Div:
    """Show a command line that can be copied."""
    copy = dmc.CopyButton(
        value=text, children="Copy", copiedChildren="Copied", size="compact-xs", variant="subtle", color="gray"
    )
    return html.Div([html.Code(text), copy], className="command")


def error_list(texts: Sequence[str]) -> html.Div:
    """List what went wrong; hidden when nothing did."""
    lines = html.Ul([html.Li(text) for text in texts])
    return html.Div([icon("alert"), lines], className="remarks remarks-alarm", hidden=not texts)


def remarks(texts: Sequence[str], tone: str = "calm") -> html.Div:
    """List sentences that a user should know; hidden when there are none.

    Args:
        texts: the sentences.
        tone: "calm", or "alarm" when something is wrong.
    """
    if not texts:
        return html.Div(hidden=True)
    lines = [html.Li(text) for text in texts]
    # A screen reader reads a status aloud when it appears, without taking the focus away.
    return html.Div([icon("info"), html.Ul(lines)], className=f"remarks remarks-{tone}", role="status")
