"""`python -m vaefrag`: the same as the `vaefrag` command."""

from vaefrag.cli import main

main()
