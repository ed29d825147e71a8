"""Numbers of things in sentences."""

from collections.abc import Sequence


def counted(number: int, noun: str) -> str:
    """Return a number with its noun.

    Example:
        >>> counted(1, "channel"), counted(0, "channel"), counted(2, "live channel")
        ('1 channel', '0 channels', '2 live channels')
    """
    return f"{number} {noun}{'' if number == 1 else 's'}"


def first_few(texts: Sequence[str], most: int = 3) -> list[str]:
    """Return the first of many texts, and a line that counts the others.

    Example:
        >>> first_few(["a", "b", "c", "d"], most=2)
        ['a', 'b', '… and 2 more.']
    """
    return [*texts[:most], *([f"… and {len(texts) - most} more."] if len(texts) > most else [])]


def about(value: float) -> str:
    """Return "about" a small number to three digits, or that it is less than they show.

    Example:
        >>> about(0.0171), about(0.0002)
        ('about 0.017', 'less than 0.001')
    """
    return f"about {value:.3f}" if value >= 0.0005 else "less than 0.001"
