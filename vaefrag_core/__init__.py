"""Ensembles of variational autoencoders, and the fragments of information that recur among their channels.

Start reading at `vaefrag_core.pipeline`. This package computes and knows no web; importing it is fast, the
heavy libraries are imported where they are used.
"""

import os

# Intel's MKL rounds differently for arrays that start at different addresses, unless told before its first use not
# to. A member's numbers must not depend on where in memory it lies; the cost is not measurable.
os.environ.setdefault("MKL_CBWR", "AUTO,STRICT")

__version__ = "0.1.0"
