"""Compilation of loops for the processor at hand. Imported late, by what uses it: numba takes a second to load."""

import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from numba import njit
from numba.core.dispatcher import Dispatcher


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


def keep_compiled(*packages: str) -> None:
    """Have numba keep the machine code of other packages' functions, which they leave to be compiled in every process.

    Args:
        packages: names of packages that are imported already, such as `umap`, whose first layout takes half a minute to
            compile and a quarter of a second to load.
    """
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] in packages:
            for function in vars(module).values():
                # what was compiled as it was imported, or is kept already, stays as it is
                if isinstance(function, Dispatcher) and function.__module__ == name and not function.signatures:
                    with suppress(RuntimeError):  # no folder can be written: it is compiled anew
                        function.enable_caching()
