"""Members compared whole: their own channels in another order or sign are the same space."""

import math
from pathlib import Path

import numpy as np
import pytest

from vaefrag_core.artifacts import Posteriors, SpaceMatrix
from vaefrag_core.config import SpaceConfig
from vaefrag_core.structure.matrices import compare_channels
from vaefrag_core.structure.space_comparison import compare_spaces


@pytest.fixture(scope="module")
def posteriors() -> Posteriors:
    """Give a space, the same turned over, one that shares half of it, and one that shares nothing."""
    rng = np.random.default_rng(0)
    mean, other = rng.normal(size=(2, 40, 2))
    spaces = [mean, -mean[:, ::-1], np.stack([mean[:, 0], other[:, 0]], axis=1), other]
    return Posteriors(spaces, [np.full((40, 2), -3.0)] * 4, member_ids=np.array([3, 5, 8, 9]))


def test_the_same_space_turned_over_is_the_same(posteriors: Posteriors) -> None:
    found = compare_spaces(posteriors, SpaceConfig(draws=4000))
    assert found.nmi[0, 1] == pytest.approx(1, abs=4 * found.nmi_error[0, 1])
    assert found.nmi[0, 1] > found.nmi[0, 2] + 4 * found.nmi_error[0, 2]
    assert found.nmi[0, 2] > found.nmi[0, 3] + 4 * found.nmi_error[0, 3]
    assert found.vi_bits[0, 1] == pytest.approx(0, abs=4 * found.vi_error[0, 1])
    np.testing.assert_array_equal(found.member_ids, [3, 5, 8, 9])


def test_the_bound_of_a_channel_lies_below_its_estimate(posteriors: Posteriors) -> None:
    single = Posteriors([m[:, :1] for m in posteriors.mean], [v[:, :1] for v in posteriors.logvar])
    estimate = compare_spaces(single, SpaceConfig(draws=4000))
    bound = compare_channels(single).information_bits
    assert (bound < estimate.information_bits + 3 * estimate.information_error).all()
    assert (bound > estimate.information_bits - 0.5).all()
    assert estimate.information_bits.max() <= estimate.input_bits == math.log2(40)


def test_what_is_saved_comes_back(posteriors: Posteriors, tmp_path: Path) -> None:
    found = compare_spaces(posteriors, SpaceConfig(draws=100))
    found.save(tmp_path)
    back = SpaceMatrix.load(tmp_path)
    for name, value in vars(found).items():
        np.testing.assert_array_equal(getattr(back, name), value, err_msg=name)


def test_spaces_that_tell_all_images_apart_are_named() -> None:
    # Two unrelated deterministic spaces, and one under noise.
    mean, other = np.random.default_rng(0).normal(size=(2, 60, 2))
    logvar = [np.full((60, 2), level) for level in (-60.0, -60.0, -1.0)]
    matrix = compare_spaces(Posteriors([mean, other, mean], logvar), SpaceConfig(draws=200))
    assert matrix.saturated.tolist() == [True, True, False]
    message, correction = matrix.messages
    assert correction.startswith(
        "Of 3 of 3 pairs corrected VI or NMI is undefined: by chance they share nearly as much"
    )
    assert message.startswith("2 of 3 members tell every one of the 60 images from every other")
    assert "near 1 whatever they are" in message


def test_independent_spaces_show_nothing_above_chance() -> None:
    # Two and three channels of two bits: plain NMI is far from 0, and so is what chance shows.
    found = []
    for seed in range(3):
        rng = np.random.default_rng(seed)
        spaces = [rng.normal(size=(200, k)) for k in (2, 2, 3)]
        found.append(
            compare_spaces(Posteriors(spaces, [np.full(s.shape, -3.2) for s in spaces]), SpaceConfig(draws=800))
        )
    upper = np.triu_indices(3, 1)
    assert min(matrix.nmi[upper].min() for matrix in found) > 0.1
    assert np.mean([matrix.nmi_corrected[upper] for matrix in found]) == pytest.approx(0, abs=0.05)
    assert np.mean([matrix.vi_corrected[upper] for matrix in found]) == pytest.approx(0, abs=0.05)
    above = {s.name: np.mean([m.summaries[k].above for m in found]) for k, s in enumerate(found[0].summaries)}
    assert max(above.values()) < 0.4  # 5 % of 9 pairs


def test_corrected_similarity_is_off_by_as_much_as_its_error_says() -> None:
    off = []
    for seed in range(0, 80, 10):  # the shuffles take the seeds that follow
        mean = list(np.random.default_rng(seed).normal(size=(2, 40, 2)))  # of spaces that share nothing
        found = compare_spaces(Posteriors(mean, [np.full((40, 2), -2.0)] * 2), SpaceConfig(draws=400, seed=seed))
        off.append(found.nmi_corrected[0, 1] / found.nmi_corrected_error[0, 1])
        off.append(found.vi_corrected[0, 1] / found.vi_corrected_error[0, 1])
    assert np.isfinite(off).sum() >= 10
    assert 0.5 < np.sqrt(np.nanmean(np.square(off))) < 2


def test_of_too_few_draws_no_correction_is_told_whatever_it_would_be() -> None:
    rng = np.random.default_rng(0)
    mean, other = rng.normal(size=(2, 200, 4))
    spaces = [mean, mean @ np.linalg.qr(rng.normal(size=(4, 4)))[0], other]
    matrix = compare_spaces(Posteriors(spaces, [np.full((200, 4), -2.7)] * 3), SpaceConfig(draws=400))
    assert (matrix.nmi_chance[np.triu_indices(3, 1)] > 0.9).all()
    assert np.isnan(matrix.nmi_corrected[np.triu_indices(3, 1)]).all()
    assert np.isnan(matrix.vi_corrected[np.triu_indices(3, 1)]).all()
    assert np.isfinite(matrix.nmi).all()
    assert np.isfinite(matrix.vi_bits).all()


def test_the_same_space_is_the_same_by_every_measure_after_correction(posteriors: Posteriors) -> None:
    found = compare_spaces(posteriors, SpaceConfig(draws=2000))
    assert found.nmi_corrected[0, 1] == pytest.approx(1, abs=0.1)
    assert found.vi_corrected[0, 1] == pytest.approx(1, abs=0.1)
    np.testing.assert_allclose(found.similarity[:, 0, 1], 1)
    assert (found.similarity[:, 0, 1] > found.similarity_highest[:, 0, 1]).all()


def test_faint_dead_and_unequal_spaces_beside_one_another() -> None:
    rng = np.random.default_rng(0)
    rare = (np.arange(250) < 5).astype(float)[:, None]  # 2 % of the images
    means = [rng.normal(size=(250, 3)), 0.5 * rare, np.zeros((250, 2)), 100 * rare]
    logvar = [np.full((250, 3), -2.0), *(np.zeros(m.shape) for m in means[1:])]
    matrix = compare_spaces(Posteriors(means, logvar, labels=np.arange(250) % 3), SpaceConfig(draws=1000))
    assert matrix.faint[:3].tolist() == [False, True, True]
    assert np.isnan(matrix.nmi[1]).all()
    assert np.isfinite(matrix.vi_bits).all()
    assert matrix.live_channels.tolist() == [3, 0, 0, 1]  # 0.5 on 2 % of the images costs less than 0.01 nats
    assert np.isnan(matrix.similarity[:, 2]).all()
    assert np.isfinite(matrix.similarity[:, 0, 3]).all()
    assert np.isnan(matrix.infomec[2]).all()
    assert any("(1, 2) tell so little" in message for message in matrix.messages)
    summary = {s.name: s for s in matrix.summaries}
    assert (summary["vi"].pairs, summary["nmi"].pairs, summary["cka"].pairs) == (6, 1, 1)


def test_one_member_has_no_pairs() -> None:
    mean = np.random.default_rng(0).normal(size=(60, 2))
    matrix = compare_spaces(Posteriors([mean], [np.full((60, 2), -2.0)]), SpaceConfig(draws=100))
    assert matrix.nmi.tolist() == [[1.0]]
    assert [summary.pairs for summary in matrix.summaries] == [0] * 7


def test_a_declared_identifier_is_no_factor() -> None:
    rng = np.random.default_rng(0)
    kind, row = rng.integers(2, size=60), np.arange(60) // 4
    mean = rng.normal(size=(2, 60, 2)) + kind[:, None]
    labels = {"labels": np.stack([kind, row], axis=1), "label_names": ["kind", "row"]}
    both = compare_spaces(Posteriors(mean, np.full_like(mean, -2.0), **labels), SpaceConfig(draws=100))
    one = compare_spaces(
        Posteriors(mean, np.full_like(mean, -2.0), **labels, identifiers=["row"]), SpaceConfig(draws=100)
    )
    assert np.isfinite(both.infomec[:, 0]).all()
    assert np.isnan(one.infomec[:, 0]).all()  # InfoM of a single factor is undefined
