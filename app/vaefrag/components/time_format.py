"""Times as people say them."""

from datetime import datetime

from dash import html


def duration(seconds: float) -> str:
    """Give a length of time in its two largest units: 42 s, 3 min 20 s, 2 h 5 min, 3 d 4 h.

    Example:
        >>> duration(200)
        '3 min 20 s'
    """
    left = round(seconds)
    parts = []
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1)):
        number, left = divmod(left, size)
        if number or parts:
            parts.append(f"{number} {unit}" if number else "")
    return " ".join(filter(None, parts[:2])) or "0 s"


def clock(seconds: float) -> html.Time:
    """Show when something was, by this machine's clock; the full date on pointing at it."""
    at, today = datetime.fromtimestamp(seconds).astimezone(), datetime.now().astimezone()
    text = f"{at:%H:%M:%S}" if at.date() == today.date() else f"{at:%-d %b %H:%M}"
    return html.Time(text, dateTime=at.isoformat(timespec="seconds"), title=f"{at:%-d %B %Y, %H:%M:%S %Z}")
