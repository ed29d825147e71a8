"""What sets tell of labels of every kind: against plain numpy, and against the matrix that the explorer shows.

The oracle bins labels and multiplies coefficients by itself; it shares nothing with the core but the posteriors.
"""

import numpy as np
import pytest

from vaefrag_core.artifacts import Posteriors
from vaefrag_core.errors import InvalidInputError
from vaefrag_core.structure.matrices import compare_channels
from vaefrag_core.synthesis.combination import combine, member_information, rank_additions, select_greedily

IMAGES = 200
NAMES = ("x", "gaps", "text", "class")


def with_labels() -> Posteriors:
    """Members whose channels tell x, its sign or nothing; one label is x, another lacks a quarter of its values."""
    rng = np.random.default_rng(5)
    x = rng.normal(size=IMAGES)
    mean = rng.normal(size=(2, IMAGES, 3))
    mean[0, :, 0], mean[0, :, 1], mean[1, :, 0] = x, 3 * (x > 0), x + 0.5 * rng.normal(size=IMAGES)
    gaps = np.where(np.arange(IMAGES) % 4 == 0, np.nan, (x > 0) + (x > 1.0))
    text = np.where(np.arange(IMAGES) % 5 == 1, "", np.round(10 * x, 3).astype(str))
    kinds = rng.integers(0, 3, IMAGES)
    labels = np.stack([x.astype(str), gaps.astype(str), text, kinds.astype(str)], axis=1)
    return Posteriors(mean, np.full_like(mean, -2.0), labels=labels, label_names=NAMES)


def coefficients(posteriors: Posteriors, channels: list[int], known: np.ndarray) -> np.ndarray:
    """Multiply b_ij = √(2 σᵢ σⱼ / (σᵢ² + σⱼ²)) exp(−(μᵢ−μⱼ)² / 4(σᵢ² + σⱼ²)) over channels."""
    product = np.ones((known.sum(), known.sum()))
    for channel in channels:
        mean = posteriors.mean[channel // 3][known, channel % 3]
        variance = np.exp(posteriors.logvar[channel // 3][known, channel % 3])
        both = variance[:, None] + variance
        product *= np.sqrt(2 * np.sqrt(variance[:, None] * variance) / both)
        product *= np.exp(-((mean[:, None] - mean) ** 2) / (4 * both))
    return product


def told(b: np.ndarray) -> float:
    return float(-np.log2(b.mean(axis=1)).mean())


def classes_of(posteriors: Posteriors, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Images of which a label is known, and which of them are of one class: of one value, or one of 20 equal bins."""
    column = posteriors.labels[:, NAMES.index(name)]
    known = np.array([text not in ("", "nan") for text in column])
    values = np.array([float(text) for text in column[known]])
    if name in ("x", "text"):  # fractions, all different
        place = np.empty(len(values))
        place[values.argsort()] = np.arange(len(values))
        values = np.floor((place + 0.5) * 20 / len(values))
    return known, (values[:, None] == values).astype(np.float64)


def expected(posteriors: Posteriors, channels: list[int], name: str) -> tuple[float, float, float, float]:
    """H(L), I(U;L), NMI and VI from the formulas, on the images of which the label is known."""
    known, same = classes_of(posteriors, name)
    b = coefficients(posteriors, channels, known)
    shared = told(b) + told(same) - told(b * same)
    own = 2 * told(b) - told(b * b)
    vi = 2 * told(b * same) - told(b * b) - told(same)
    return told(same), shared, shared / np.sqrt(own * told(same)), vi


@pytest.mark.parametrize("channels", [[0], [1, 3], [0, 1, 3, 5]])
def test_a_set_is_compared_with_labels_by_their_classes_where_they_are_known(channels: list[int]) -> None:
    posteriors = with_labels()
    combination = combine(posteriors, channels)
    numbers = (
        combination.label_bits,
        combination.label_shared_bits,
        combination.label_nmi,
        combination.label_vi_bits,
    )
    for f, name in enumerate(NAMES):
        assert [values[f] for values in numbers] == pytest.approx(expected(posteriors, channels, name), abs=2e-5), name


def test_a_set_of_one_channel_shows_the_numbers_of_the_matrix() -> None:
    posteriors = with_labels()
    matrix = compare_channels(posteriors)
    for channel in range(6):
        combination = combine(posteriors, [channel])
        assert combination.label_nmi == pytest.approx(matrix.label_nmi[channel], abs=2e-5)
        assert combination.label_vi_bits == pytest.approx(matrix.label_vi_bits[channel], abs=2e-5)
        assert combination.label_bits == pytest.approx(matrix.label_bits, abs=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_additions_sets_and_members_are_worth_what_they_tell_of_the_label(name: str) -> None:
    posteriors, everywhere = with_labels(), np.ones(IMAGES, dtype=bool)
    additions = rank_additions(posteriors, [1], label=name)
    start = expected(posteriors, [1], name)[1]
    for channel, gain, joint, of_label in zip(
        additions.channels.tolist(), additions.gain_bits, additions.joint_bits, additions.label_bits, strict=True
    ):
        shared = expected(posteriors, [1, channel], name)[1]
        assert (gain, of_label) == pytest.approx((shared - start, shared), abs=2e-5)
        assert joint == pytest.approx(told(coefficients(posteriors, [1, channel], everywhere)), abs=2e-5)
    growth = select_greedily(posteriors, 3, label=name, draws=1)
    prefixes = [list(growth.channels[: k + 1]) for k in range(3)]
    assert growth.bits == pytest.approx([expected(posteriors, prefix, name)[1] for prefix in prefixes], abs=2e-5)
    members = [expected(posteriors, [3 * m, 3 * m + 1, 3 * m + 2], name)[1] for m in range(2)]
    assert member_information(posteriors, label=name).bits == pytest.approx(members, abs=2e-5)


@pytest.mark.parametrize("known_of", [0, 1])
def test_a_label_of_no_two_images_says_nothing_and_ranks_nothing(known_of: int) -> None:
    mean = np.random.default_rng(0).normal(size=(1, 30, 2))
    column = np.where(np.arange(30) < known_of, 1.0, np.nan)
    posteriors = Posteriors(mean, np.full_like(mean, -2.0), labels=column, label_names=["rare"])
    combination = combine(posteriors, [0, 1])
    for values in (combination.label_bits, combination.label_shared_bits, combination.label_nmi):
        assert np.isnan(values).all()
    assert np.isfinite(combination.joint_bits)
    for ask in (rank_additions, lambda *args, label: select_greedily(args[0], 1, label=label)):
        with pytest.raises(InvalidInputError, match=f"Label rare is known of {known_of} of 30 images: it takes two"):
            ask(posteriors, [0], label="rare")


def test_a_label_of_one_value_tells_nothing_and_has_no_nmi() -> None:
    mean = np.random.default_rng(0).normal(size=(1, 49, 2))
    combination = combine(Posteriors(mean, np.full_like(mean, -2.0), labels=np.full(49, 7.0)), [0, 1])
    assert combination.label_bits[0] == 0
    assert combination.label_shared_bits[0] == pytest.approx(0, abs=1e-6)
    assert np.isnan(combination.label_nmi[0])
