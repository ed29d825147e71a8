import numpy as np
import pytest

from vaefrag_core.datasets.labels import factors_of
from vaefrag_core.errors import InvalidInputError


def test_numbers_and_text_keep_their_values_in_order() -> None:
    (numbers,) = factors_of(np.array([10, 2, 10]), None, 3)
    assert numbers.levels == ("2", "10")
    assert numbers.codes.tolist() == [1, 0, 1]
    (fractions,) = factors_of(np.array([0.25, 0.1, 0.25]), ["scale"], 3)
    assert (fractions.name, fractions.levels) == ("scale", ("0.1", "0.25"))
    (words,) = factors_of(np.array([b"b", b"a", b"b"]), None, 3)
    assert words.levels == ("a", "b")


def test_many_fractions_are_cut_into_bins_of_equal_population() -> None:
    values = np.random.default_rng(0).normal(size=1000)
    (factor,) = factors_of(values, None, 1000)
    assert np.bincount(factor.codes).tolist() == [50] * 20
    assert (np.diff(factor.codes[np.argsort(values)]) >= 0).all()
    assert factor.levels[0].startswith(f"{values.min():.6g}…")
    assert factor.levels[-1].endswith(f"…{values.max():.6g}")


def test_many_equal_fractions_share_a_bin() -> None:
    values = np.where(np.arange(1000) < 900, 0.5, np.arange(1000) / 7)
    (factor,) = factors_of(values, None, 1000)
    assert len(set(factor.codes[:900].tolist())) == 1
    assert np.unique(factor.codes).tolist() == list(range(len(factor.levels)))


def test_names_of_labels_have_to_differ() -> None:
    with pytest.raises(InvalidInputError, match="Expected label names that differ, got 'scale' more than once"):
        factors_of(np.zeros((40, 2)), ["scale", "scale"], 40)


def test_whole_numbers_of_many_values_keep_them_also_as_floats() -> None:
    (factor,) = factors_of(np.arange(40.0), None, 40)
    assert factor.levels[-1] == "39"
    assert len(factor.levels) == 40


@pytest.mark.parametrize(
    "values",
    [
        np.array([1_700_000_001.0, 1_700_000_002.0, 1_700_000_003.5]),
        np.array([0.123_456_71, 0.123_456_72, 0.123_456_73]),
        1e6 + np.arange(1000) / 1e4,  # cut into bins
        np.array([b"\xff", b"\xfe", b"a"]),
    ],
)
def test_different_values_never_share_a_name(values: np.ndarray) -> None:
    (factor,) = factors_of(values, None, len(values))
    assert len(set(factor.levels)) == len(factor.levels) == min(len(values), 20)


def test_names_of_labels_as_bytes_are_text() -> None:
    (factor,) = factors_of(np.array([1, 2]), np.array([b"size"]), 2)
    assert factor.name == "size"
