"""`python -m vaefrag`: the same as the `vaefrag` command."""

import os
import sys

# For `-m`, Python looks for modules in the current folder before its own. A `queue.py` or `torch.py` that lies there
# would be run, which the `vaefrag` command never does.
if not sys.flags.safe_path and sys.path[:1] == [os.getcwd()]:
    del sys.path[0]

from vaefrag.cli import main

main()
