"""Times as people say them."""

from datetime import datetime

from dash import html


def duration(seconds: float) -> str:
    """Write a length of time in its two largest units: 42 s, 3 min 20 s, 2 h 5 min, 3 d 4 h.

    Example:
        >>> duration(200)
        '3 min 20 s'
    """
    left = round(seconds)
    parts: list[str] = []
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1)):
        number, left = divmod(left, size)
        if number or parts:  # after the largest unit each smaller one has its place, so that 1 h 0 min 5 s is "1 h"
            parts.append(f"{number} {unit}" if number else "")
    return " ".join(filter(None, parts[:2])) or "0 s"


def clock(seconds: float) -> html.Time:
    """Show when something was, by this machine's clock; the full date on pointing at it."""
    moment, now = datetime.fromtimestamp(seconds).astimezone(), datetime.now().astimezone()
    text = f"{moment:%H:%M:%S}" if moment.date() == now.date() else f"{moment:%-d %b %H:%M}"
    return html.Time(text, dateTime=moment.isoformat(timespec="seconds"), title=f"{moment:%-d %B %Y, %H:%M:%S %Z}")
