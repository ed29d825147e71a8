"""Copies of an image cannot be told apart: with them the most that can be measured is less than log2 N."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from vaefrag_core.artifacts import ChannelMatrix, Posteriors, SpaceMatrix
from vaefrag_core.config import FingerprintConfig, ModelConfig, SpaceConfig
from vaefrag_core.datasets.base import ImageDataset
from vaefrag_core.datasets.fingerprint import draw_fingerprint
from vaefrag_core.encoding import encode_members
from vaefrag_core.errors import InvalidInputError
from vaefrag_core.models.vae import build_member
from vaefrag_core.structure.hotspots import find_hotspots
from vaefrag_core.structure.matrices import compare_channels
from vaefrag_core.structure.space_comparison import compare_spaces
from vaefrag_core.synthesis.combination import combine
from vaefrag_core.synthesis.fusion import fuse

# 100 images: 20 in three copies each, 40 alone.
SHOWN = np.concatenate([np.repeat(np.arange(20), 3), np.arange(20, 60)])
FIRST = np.concatenate([np.repeat(np.arange(0, 60, 3), 3), np.arange(60, 100)])  # image that each one equals
# 20 of the 60 distinct images are drawn with probability 3/100 and 40 with 1/100.
ENTROPY_BITS = -(20 * 0.03 * np.log2(0.03) + 40 * 0.01 * np.log2(0.01))
SENTENCE = (
    "40 of 100 images are identical, pixel for pixel, to an earlier one of the fingerprint sample. No channel can tell"
    " them apart: the most that can be measured is 5.69 bits, not log2 100 = 6.64."
)


def saturated(members: int = 3, channels: int = 2, *, seed: int = 0) -> NDArray[np.float64]:
    """Means so far apart that every channel tells all distinct images apart, (M, N, D)."""
    rng = np.random.default_rng(seed)
    places = np.stack([rng.permutation(60) for _ in range(members * channels)]).reshape(members, channels, 60)
    return 1000.0 * places[:, :, SHOWN].transpose(0, 2, 1)


def pictures() -> NDArray[np.uint8]:
    return np.random.default_rng(1).integers(0, 256, (60, 4, 4), dtype=np.uint8)[SHOWN]


def with_copies(**fields: object) -> Posteriors:
    mean = saturated()
    return replace(Posteriors(mean, np.zeros_like(mean)), **fields)


@pytest.mark.parametrize("fields", [{}, {"images": pictures()}, {"copy_of": FIRST}])
def test_a_saturated_channel_shows_exactly_the_entropy_of_the_distinct_images(fields: dict[str, object]) -> None:
    matrix = compare_channels(with_copies(**fields))
    np.testing.assert_allclose(matrix.information_bits, ENTROPY_BITS, atol=1e-6)
    assert matrix.ceiling_bits == pytest.approx(ENTROPY_BITS, abs=1e-12)
    assert matrix.near_ceiling.all()


def test_the_copies_are_told_with_the_hotspots() -> None:
    matrix = compare_channels(with_copies(images=pictures()))
    assert matrix.messages[0] == SENTENCE
    assert "tell every one of the 100 images from every other" in matrix.messages[1]
    messages = find_hotspots(matrix).messages
    assert SENTENCE in messages
    (near,) = [message for message in messages if "live channels are within a tenth" in message]
    assert near.startswith(f"6 of 6 live channels are within a tenth of H(X) = {ENTROPY_BITS:.1f} bits")


def test_without_images_the_copies_are_told_by_their_posteriors() -> None:
    message, _ = compare_channels(with_copies()).messages
    assert message.startswith("40 of 100 images have in every channel the posteriors of an earlier one")


def test_copies_that_a_file_declares_are_told_as_such() -> None:
    message, _ = compare_channels(with_copies(copy_of=FIRST)).messages
    assert message.startswith("40 of 100 images are, as their file says, the same as an earlier one. No channel")


def test_copies_and_their_number_do_not_depend_on_the_order_of_the_images() -> None:
    order = np.random.default_rng(2).permutation(100)
    mean = saturated()[:, order]
    matrix = compare_channels(Posteriors(mean, np.zeros_like(mean), images=pictures()[order]))
    assert matrix.ceiling_bits == pytest.approx(ENTROPY_BITS, abs=1e-12)
    assert matrix.messages[0] == SENTENCE
    assert "tell every one of the 100 images from every other" in matrix.messages[1]


def test_the_same_picture_told_apart_is_no_copy() -> None:
    mean = np.random.default_rng(3).normal(size=(2, 100, 3))
    matrix = compare_channels(Posteriors(mean, np.full_like(mean, -6.0), images=np.zeros((100, 2, 2), np.uint8)))
    assert (matrix.ceiling_bits, matrix.messages) == (np.log2(100), ())


def test_copies_encoded_in_other_batches_are_copies_though_rounding_differs() -> None:
    rounded = saturated() * (1 + np.random.default_rng(4).normal(size=(3, 100, 2)) * 1e-7)
    matrix = compare_channels(Posteriors(rounded, np.zeros_like(rounded), images=pictures()))
    assert matrix.ceiling_bits == pytest.approx(ENTROPY_BITS, abs=1e-12)


def test_hard_groups_without_images_are_no_copies() -> None:
    mean = np.tile([0.0, 99.0], 32)[None, :, None]
    matrix = compare_channels(Posteriors(mean, np.zeros_like(mean)))
    assert (matrix.ceiling_bits, matrix.messages) == (6.0, ())
    assert not matrix.near_ceiling.any()


def test_trained_members_carry_the_copies_of_their_sample(tmp_path: Path) -> None:
    dataset = ImageDataset("copies", np.repeat(pictures()[::3][:10], 2, axis=0), (), "made here")
    sample = draw_fingerprint(dataset, FingerprintConfig(size=20))
    vae = build_member((1, 4, 4), ModelConfig(channels=2), seed=0).eval()
    posteriors = encode_members(dataset, sample, {0: vae, 1: vae})
    assert posteriors.input_entropy_bits == sample.ceiling_bits < np.log2(20)
    posteriors.save(tmp_path / "saved.npz")
    again = Posteriors.load(tmp_path / "saved.npz")
    np.testing.assert_array_equal(again.copy_of, sample.copy_of)
    assert compare_channels(again).messages[0] == sample.message


def test_every_ceiling_is_the_entropy(tmp_path: Path) -> None:
    posteriors = with_copies(images=pictures())
    combination = combine(posteriors, [0, 1])
    assert combination.joint_bits == pytest.approx(ENTROPY_BITS, abs=1e-6)
    assert combination.ceiling_bits == pytest.approx(ENTROPY_BITS, abs=1e-12)
    assert combination.near_ceiling
    spaces = compare_spaces(posteriors, SpaceConfig(draws=500))
    assert spaces.input_bits == pytest.approx(ENTROPY_BITS, abs=1e-12)
    spaces.save(tmp_path)
    assert SpaceMatrix.load(tmp_path).input_bits == spaces.input_bits
    fused = fuse(posteriors, steps=2, restarts=1)
    assert fused.ceiling_bits == pytest.approx(ENTROPY_BITS, abs=1e-12)
    fused.save(tmp_path / "fused.npz")
    assert type(fused).load(tmp_path / "fused.npz").ceiling_bits == fused.ceiling_bits
    assert fused.posteriors(posteriors).input_entropy_bits == posteriors.input_entropy_bits


def test_a_stored_analysis_keeps_the_entropy_and_an_older_one_means_log2_n(tmp_path: Path) -> None:
    matrix = compare_channels(with_copies())
    matrix.save(tmp_path)
    assert ChannelMatrix.load(tmp_path).ceiling_bits == matrix.ceiling_bits
    facts = tmp_path / "facts.json"
    facts.write_text(facts.read_text().replace('"input_entropy_bits"', '"unknown_to_older_versions"'))
    assert ChannelMatrix.load(tmp_path).ceiling_bits == np.log2(100)


@pytest.mark.parametrize(
    ("copy_of", "words"),
    [
        (np.zeros(99, np.int64), "got shape \\(99,\\) of type int64"),
        (np.zeros(100), "got shape \\(100,\\) of type float64"),
        (np.arange(100)[::-1], "positions that are none"),  # later images
        (np.maximum(np.arange(100) - 1, 0), "positions that are none"),  # a copy of a copy
        (-np.ones(100, np.int64), "positions that are none"),
    ],
)
def test_copies_that_cannot_be_are_refused(copy_of: NDArray[np.generic], words: str) -> None:
    with pytest.raises(InvalidInputError, match=words):
        with_copies(copy_of=copy_of)


def test_zero_of_either_sign_is_one_value() -> None:
    mean = np.tile(np.arange(6.0)[:, None], (2, 1, 3))
    mean[:, 1] = -0.0
    mean[:, 5] = 4.0
    copies = Posteriors(mean, np.zeros_like(mean)).image_copies
    assert copies.tolist() == [0, 0, 2, 3, 4, 4]
