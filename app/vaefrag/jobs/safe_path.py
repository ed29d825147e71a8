"""The safe import path of engines and workers: they import nothing from the folder that they were started in."""

import os
import sys


def use_safe_path() -> None:
    """Take the current folder off the import path, of this process and of all that it starts from now on.

    A user's file queue.py or torch.py would otherwise be run in place of the module of that name. `PYTHONPATH` stays:
    it is set on purpose.
    """
    # Nannies start their processes by a command line of Python's, which looks at this before any line of ours runs.
    os.environ["PYTHONSAFEPATH"] = "1"
    if sys.flags.safe_path or not sys.path:
        return
    # `python -m` puts the current folder first. Only where vaefrag itself lies there, uninstalled, it has to stay.
    first = os.path.abspath(sys.path[0])
    own = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    if first == os.getcwd() and first != own:
        del sys.path[0]
