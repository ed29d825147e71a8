"""Icons drawn by the style sheet from files of our own: no icon service is called."""

from dash import html

from vaefrag.components.markup import aria


def icon(name: str) -> html.Span:
    """Show an icon of `assets/icons` in the colour of the text around it; decoration, so without a name."""
    return html.Span(className=f"icon icon-{name}", **aria(hidden="true"))
