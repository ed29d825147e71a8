"""Numbers of things as people say them."""


def counted(number: int, noun: str) -> str:
    """Give a number with its noun.

    Example:
        >>> counted(1, "channel"), counted(0, "channel"), counted(2, "live channel")
        ('1 channel', '0 channels', '2 live channels')
    """
    return f"{number} {noun}{'' if number == 1 else 's'}"
