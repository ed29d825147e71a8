"""Numbers of things as people say them."""

from collections.abc import Sequence


def counted(number: int, noun: str) -> str:
    """Give a number with its noun.

    Example:
        >>> counted(1, "channel"), counted(0, "channel"), counted(2, "live channel")
        ('1 channel', '0 channels', '2 live channels')
    """
    return f"{number} {noun}{'' if number == 1 else 's'}"


def first_few(texts: Sequence[str], most: int = 3) -> list[str]:
    """Keep the first of many texts, and count the others."""
    return [*texts[:most], *([f"… and {len(texts) - most} more."] if len(texts) > most else [])]
