"""Ensembles of variational autoencoders, and the fragments of information that recur among their channels.

Start reading at `vaefrag_core.pipeline`. This package computes and knows no web; importing it is fast, the
heavy libraries are imported where they are used.
"""

__version__ = "0.1.0"
