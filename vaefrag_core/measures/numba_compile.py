"""Compilation of loops for the processor at hand. Imported late, by what uses it: numba takes a second to load."""

from collections.abc import Callable
from typing import Any

from numba import njit


def compiled(function: Callable[..., Any], fastmath: Any = False) -> Any:
    """Compile a function to run without Python's lock, and keep its machine code where a folder can be written.

    Args:
        function: a function of numbers and numpy arrays.
        fastmath: freedoms that the compiler may take with the order of operations, in numba's words.

    Returns:
        The function; it is compiled at its first call.
    """
    try:
        return njit(function, nogil=True, fastmath=fastmath, error_model="numpy", cache=True)
    except RuntimeError:  # neither beside its file nor in the home folder
        return njit(function, nogil=True, fastmath=fastmath, error_model="numpy")
