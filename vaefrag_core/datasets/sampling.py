"""Seeded draws that are the same on every machine and under every version of numpy."""

import numpy as np

from vaefrag_core.array_types import IntArray


def draw_without_replacement(population: int, count: int, seed: int) -> IntArray:
    """Draw different whole numbers, each set equally likely, in the order of the draw.

    Every number gets 64 random bits; the `count` smallest win. numpy promises the raw bits of PCG64 for good,
    but lets `Generator.choice` change from version to version (NEP 19), and a sample must not change under a
    study that is a year old.

    Args:
        population: the numbers are 0 … population − 1.
        count: how many are drawn, at most `population`.
        seed: which draw; 0 or more.

    Returns:
        (count,) numbers. A smaller count with the same seed gives the beginning of the same draw.

    Reference:
        Kern, "NEP 19: Random number generator policy", 2018, https://numpy.org/neps/nep-0019-rng-policy.html

    Example:
        >>> draw_without_replacement(10, 3, seed=0).tolist()
        [3, 2, 1]
    """
    bits = np.random.PCG64(seed).random_raw(population)
    return np.argsort(bits, kind="stable")[:count].astype(np.int64, copy=False)
