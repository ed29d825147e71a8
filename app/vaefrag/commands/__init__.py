"""The commands of `vaefrag`: what each takes, does and shows on a terminal. `app/cli.py` gathers them."""
