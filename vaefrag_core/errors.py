"""Errors that a user can mend. Every message says what was expected, what came and what to do."""

from collections.abc import Mapping


class VaefragError(Exception):
    """A problem that the user can mend; its text is one clear sentence or two.

    Args:
        message: the text.
        fields: the settings at fault, by dotted names, each with a sentence of its own.
    """

    def __init__(self, message: str = "", fields: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.fields = dict(fields or {})


class InvalidInputError(VaefragError, ValueError):
    """A value, array or file that does not have the expected form."""


class MissingDataError(VaefragError, FileNotFoundError):
    """A data set, ensemble or result that is not where it should be."""

    def __str__(self) -> str:
        """Return the sentence alone; OSError would print its arguments."""
        return str(self.args[0]) if self.args else ""


class BrokenFileError(VaefragError):
    """A file that is there but cannot be read as what its name promises."""


class BusyError(VaefragError):
    """Another process is already working on the same ensemble."""
