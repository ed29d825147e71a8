"""Bits about labels: closed forms, and nothing of what is independent."""

import math

import numpy as np
import pytest

from vaefrag_core.measures.gaussian import bhattacharyya_distance
from vaefrag_core.synthesis.label_bits import label_bits, plain_label_bits

N = 240
EACH = np.arange(N)


def coefficient(mean: np.ndarray, logvar: float = -1.0) -> np.ndarray:
    return np.exp(-bhattacharyya_distance(mean[:, None], np.full((len(mean), 1), logvar)))


def test_hard_groups_tell_the_entropy_that_they_share_with_a_label() -> None:
    groups, label = EACH % 6, EACH % 3
    hard = (groups[:, None] == groups).astype(float)
    assert plain_label_bits(hard, label) == pytest.approx(math.log2(3))
    assert plain_label_bits((label[:, None] == label).astype(float), groups) == pytest.approx(math.log2(3))
    assert plain_label_bits(hard, (groups >= 3).astype(int)) == pytest.approx(1)
    assert plain_label_bits(np.ones((N, N)), label) == pytest.approx(0)
    found = label_bits(hard, {"label": label}, EACH)["label"]
    assert found.bits + found.chance_bits == pytest.approx(math.log2(3))
    assert found.entropy_bits == pytest.approx(math.log2(3))
    assert found.interval[0] <= found.bits <= found.interval[1]


def test_what_is_independent_tells_nothing_whatever_the_number_of_values() -> None:
    within, sum_of_bits = 0, 0.0
    seeds = range(40)
    for seed in seeds:
        rng = np.random.default_rng(seed)
        channel = coefficient(rng.normal(0, 3, N))
        found = label_bits(channel, {"label": rng.integers(12, size=N)}, EACH, seed)["label"]
        assert found.chance_bits > 0.1  # which would be shown of a label that nobody knows
        sum_of_bits += found.bits
        within += found.interval[0] <= 0 <= found.interval[1]
    assert abs(sum_of_bits / len(seeds)) < 0.02
    assert within >= 0.9 * len(seeds)
