"""Small parts that show numbers with their names."""

from dash import html

from vaefrag.components.glossary import help_mark
from vaefrag.components.markup import Child, Children, aria
from vaefrag_core.artifacts import Stability


def fact(name: str, value: Children, term: str | None = None) -> html.Div:
    """Show one number under its name.

    Args:
        name: what the number is.
        value: the number, unit included.
        term: entry of the glossary, explained beside the name.
    """
    head = html.Dt([name, help_mark(term)] if term else name)
    return html.Div([head, html.Dd(value)], className="fact")


def section(title: str, term: str | None, content: Child, note: str = "", switch: Child = None) -> html.Section:
    """Show a part of a panel under its heading.

    Args:
        title: the heading.
        term: entry of the glossary, explained beside the heading.
        content: what the part shows.
        note: a sentence below.
        switch: shown at the right of the heading.
    """
    heading = html.Div([html.H3([title, help_mark(term)] if term else title), switch], className="section-head")
    foot = [html.P(note, className="note")] if note else []
    return html.Section([heading, content, *foot], className="section")


def return_shares(stability: Stability, hotspot: int) -> str:
    """Write in which share of the resamples a hotspot came back: of members / of images."""
    shares = [stability.returned(over)[hotspot] for over in ("members", "images")]
    return " / ".join("–" if share != share else f"{share:.0%}" for share in shares)  # NaN: nothing was resampled


def with_error(value: float, error: float, unit: str = "", digits: int = 2) -> str:
    """Write a number with its standard error, to so many digits; the number alone where the error is unknown.

    Example:
        >>> with_error(0.6213, 0.0312), with_error(-0.001, float("nan"), " bits")
        ('0.62 ± 0.03', '0.00 bits')
    """
    number = f"{round(value, digits) + 0.0:.{digits}f}".replace("-", "−")  # zero without a sign
    if error != error:
        return number + unit
    # 0.00 would promise more than is known
    size = f"{error:.{digits}f}" if error >= 0.5 * 10**-digits else f"{10**-digits:.{digits}f}"
    return f"{number} ± {size}{unit}"


def swatch(colour: str) -> html.Span:
    """Show a dot of colour; decoration, since a number stands beside it."""
    return html.Span(className="chip", style={"background": colour}, **aria(hidden="true"))
