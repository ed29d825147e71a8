"""The `vaefrag` command, the engine of jobs, and the pages that show what the core computed."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vaefrag_core import __version__ as __version__
else:

    def __getattr__(name: str) -> str:
        # Imported only when asked for: under `python -m vaefrag`, this package is imported before its `__main__` has
        # taken the current folder, where another `vaefrag_core` may lie, from the path.
        if name == "__version__":
            from vaefrag_core import __version__

            return __version__
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
