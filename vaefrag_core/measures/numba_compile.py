"""Loops compiled for the processor at hand. Imported where they are used only: numba takes a second to load."""

from collections.abc import Callable
from typing import Any

from numba import njit


def compiled(function: Callable[..., Any], fastmath: Any = False) -> Any:
    """Compile without Python's lock; the machine code is kept where a folder for it can be written.

    Args:
        function: of numbers and numpy arrays.
        fastmath: numba's: freedoms that the compiler may take with the order of operations.

    Returns:
        The function, compiled when it is first called.
    """
    try:
        return njit(function, nogil=True, fastmath=fastmath, error_model="numpy", cache=True)
    except RuntimeError:  # neither beside its file nor in the home folder
        return njit(function, nogil=True, fastmath=fastmath, error_model="numpy")
