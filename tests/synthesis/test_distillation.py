"""An encoder learns a fused space, and tells on held-out images how well."""

import math
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open

from vaefrag_core.config import ModelConfig
from vaefrag_core.errors import BrokenFileError, InvalidInputError, MissingDataError
from vaefrag_core.synthesis.distillation import DistilledEncoder, distill_encoder
from vaefrag_core.synthesis.fusion import fuse


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    """Return 120 points of a circle, as images of one row."""
    angle = np.random.default_rng(0).permutation(120) / 120 * 2 * math.pi
    return np.stack([np.cos(angle), np.sin(angle)], axis=1).astype(np.float32)[:, None, None]


@pytest.fixture(scope="module")
def encoder(images: np.ndarray) -> DistilledEncoder:
    cos, sin = images[:, 0, 0].T[:, :, None]
    logvar = np.full((120, 1), -1.0)
    fused = fuse([(3 * cos, logvar), (3 * sin, logvar), (2 * cos + 2 * sin, logvar)], steps=60, restarts=1)
    return distill_encoder(fused, images, ModelConfig(widths=(32,)), steps=800)


def test_what_was_held_out_is_placed_where_it_belongs(encoder: DistilledEncoder) -> None:
    assert encoder.held_out == 24
    assert encoder.explained_variance > 0.9
    assert encoder.error_bits < 0.6


def test_neighbours_on_the_circle_become_neighbours(encoder: DistilledEncoder, images: np.ndarray) -> None:
    between = np.array([[[[math.cos(0.5), math.sin(0.5)]]], [[[math.cos(0.52), math.sin(0.52)]]]], dtype=np.float32)
    mean, logvar = encoder.encode(between)
    assert mean.shape == logvar.shape == (2, 2)
    assert np.linalg.norm(mean[0] - mean[1]) < 0.1 * np.linalg.norm(np.ptp(encoder.encode(images)[0], axis=0))
    with pytest.raises(InvalidInputError, match=r"Expected images of shape \(images, 1, 1, 2\)"):
        encoder.encode(between[:, :, :, :1])


def test_what_is_saved_encodes_the_same(encoder: DistilledEncoder, images: np.ndarray, tmp_path: Path) -> None:
    encoder.save(tmp_path / "encoder.safetensors")
    back = DistilledEncoder.load(tmp_path / "encoder.safetensors")
    np.testing.assert_array_equal(back.encode(images), encoder.encode(images))
    assert back.facts() == encoder.facts()
    with pytest.raises(MissingDataError):
        DistilledEncoder.load(tmp_path / "none")
    (tmp_path / "other").write_bytes(b"other")
    with pytest.raises(BrokenFileError, match="is not an encoder that can be read"):
        DistilledEncoder.load(tmp_path / "other")


def test_images_of_something_else_are_refused(images: np.ndarray) -> None:
    fused = fuse([(images[:, 0, 0, :1].astype(float) * 3, np.zeros((120, 1)))] * 2, steps=1, restarts=1)
    with pytest.raises(InvalidInputError, match="Expected the 120 images of the fused space"):
        distill_encoder(fused, images[:50], ModelConfig())


def test_figures_keep_the_names_that_older_versions_gave_them_in_files(
    encoder: DistilledEncoder, tmp_path: Path
) -> None:
    encoder.save(tmp_path / "encoder.safetensors")
    with safe_open(tmp_path / "encoder.safetensors", framework="np") as file:
        facts = file.metadata()
    assert set(facts) == {"error_bits", "taught_error_bits", "explained", "held_out", "image_shape", "config"}
    assert float(facts["explained"]) == encoder.explained_variance
    assert float(facts["taught_error_bits"]) == encoder.training_error_bits
    names = ["architecture", "error_bits", "taught_error_bits", "explained", "held_out"]
    assert list(encoder.facts()) == names
    assert encoder.facts()["explained"] == encoder.explained_variance
