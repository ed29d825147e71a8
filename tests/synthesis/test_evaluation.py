"""Judges tell a whole ring from a torn one, and a space that carries a label from one that does not."""

import math

import numpy as np
import pytest

from vaefrag_core.errors import InvalidInputError
from vaefrag_core.synthesis.evaluation import ALL, BEST, FUSED, PAIRS, probe_label, ring_discontinuity

RING = np.arange(100) / 100 * 2 * math.pi


def test_a_torn_ring_is_as_long_as_its_tear() -> None:
    step = RING[1]
    torn = np.stack([RING, np.zeros(100)], axis=1)
    assert ring_discontinuity(torn) == pytest.approx((2 * math.pi - step) / step)
    assert ring_discontinuity(np.roll(torn, 30, axis=0)) == pytest.approx(
        ring_discontinuity(torn)
    )  # wherever the ring begins
    assert ring_discontinuity(5 * torn) == pytest.approx(ring_discontinuity(torn))  # in whatever unit
    assert ring_discontinuity(np.stack([np.cos(RING), np.sin(RING)], axis=1)) == pytest.approx(1)


def test_a_ring_on_one_spot_is_whole_and_one_that_leaves_it_is_not() -> None:
    spot = np.zeros((100, 2))
    assert ring_discontinuity(spot) == 1
    spot[3] = 1
    assert ring_discontinuity(spot) == math.inf
    with pytest.raises(InvalidInputError, match="a ring of three images"):
        ring_discontinuity(np.zeros((2, 1)))


@pytest.mark.parametrize("kind", ["neighbours", "linear"])
def test_the_label_is_read_where_it_is(kind: str) -> None:
    rng = np.random.default_rng(0)
    classes = np.repeat(["a", "b", "c"], 60)
    centre = np.repeat(np.eye(3)[:, :2] * 4, 60, axis=0)  # of each class, in the plane
    fused = centre + rng.normal(0, 0.3, (180, 2))
    learners = [centre[:, :1] + rng.normal(0, 0.3, (180, 1)), rng.normal(size=(180, 1)), rng.normal(size=(180, 1))]
    probe = probe_label(fused, learners, classes, kind=kind, repeats=8)  # type: ignore[arg-type]
    mean = {name: values.mean() for name, values in probe.accuracy.items()}
    assert mean[FUSED] > 0.97
    assert mean[BEST] == pytest.approx(2 / 3, abs=0.1)  # it cannot tell b from c
    assert mean[PAIRS] < mean[BEST]
    rows = {row["space"]: row for row in probe.summary()}
    assert rows[BEST]["gain_interval"][0] > 0.1
    assert rows[FUSED]["gain"] == 0
    assert rows[ALL]["interval"][0] <= rows[ALL]["accuracy"] <= rows[ALL]["interval"][1]


def test_chance_is_not_taken_for_reading() -> None:
    rng = np.random.default_rng(1)
    noise = [rng.normal(size=(300, 2)) for _ in range(4)]
    probe = probe_label(noise[0], noise[1:], rng.integers(3, size=300), repeats=6)
    assert all(values.mean() < 0.45 for values in probe.accuracy.values())  # a third, by chance


def test_a_label_of_one_class_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="'colour' has 1 classes on 20 images"):
        probe_label(np.zeros((20, 1)), [np.zeros((20, 1))] * 2, np.zeros(20), label="colour")
