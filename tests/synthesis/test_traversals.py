"""What a channel paints, and over which range."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import norm

from vaefrag_core.artifacts import Posteriors
from vaefrag_core.config import ModelConfig, TraversalConfig
from vaefrag_core.errors import MissingDataError
from vaefrag_core.models.vae import VAE, build_member
from vaefrag_core.synthesis.traversals import aggregate_quantiles, base_images, traverse_members

CONFIG = ModelConfig(widths=(12,), channels=3)


@pytest.fixture(scope="module")
def members() -> dict[int, VAE]:
    return {m: build_member((1, 5, 4), CONFIG, seed=m).eval() for m in (1, 4)}


@pytest.fixture(scope="module")
def posteriors(members: dict[int, VAE]) -> Posteriors:
    images = np.random.default_rng(0).integers(0, 256, (30, 5, 4), dtype=np.uint8)
    with torch.inference_mode():
        encoded = [vae.encode(torch.from_numpy(images[:, None] / np.float32(255))) for vae in members.values()]
    mean, logvar = (np.stack([pair[k].numpy() for pair in encoded]) for k in (0, 1))
    return Posteriors(mean, logvar, images=images, labels=np.arange(30) % 3, member_ids=[1, 4])


def test_quantiles_of_one_gaussian_are_its_own() -> None:
    shares = np.array([0.025, 0.5, 0.9])
    quantiles = aggregate_quantiles(np.array([[2.0]]), np.array([[np.log(9.0)]]), shares)
    np.testing.assert_allclose(quantiles[0], norm(2, 3).ppf(shares), atol=1e-6)


def test_quantiles_of_a_mixture_leave_the_share_below() -> None:
    rng = np.random.default_rng(1)
    mean, logvar = rng.normal(0, 3, (4, 50)), rng.normal(-1, 1, (4, 50))
    shares = np.array([0.01, 0.3, 0.99])
    quantiles = aggregate_quantiles(mean, logvar, shares)
    below = norm.cdf((quantiles[:, :, None] - mean[:, None]) / np.exp(logvar / 2)[:, None]).mean(axis=2)
    np.testing.assert_allclose(below, np.broadcast_to(shares, (4, 3)), atol=1e-9)


def test_only_the_channel_moves(posteriors: Posteriors, members: dict[int, VAE]) -> None:
    traversals = traverse_members(posteriors, members, TraversalConfig(base_images=2, values=5))
    assert traversals.images.shape == (6, 2, 5, 5, 4)
    assert traversals.images.dtype == np.uint8
    latents = torch.from_numpy(posteriors.mean[1][traversals.base[1]]).clone()
    latents[2] = traversals.values[5, 3]  # member 4 (row 1), channel 2 is flat channel 5
    with torch.inference_mode():
        expected = members[4].decode(latents[None])[0, 0].mul(255).round().to(torch.uint8)
    np.testing.assert_array_equal(traversals.images[5, 1, 3], expected)


def test_values_run_evenly_between_the_quantiles(posteriors: Posteriors, members: dict[int, VAE]) -> None:
    traversals = traverse_members(posteriors, members, TraversalConfig(values=7, tail=0.05))
    steps = np.diff(traversals.values, axis=1)
    np.testing.assert_allclose(steps, steps[:, :1].repeat(6, axis=1))
    mean, logvar = posteriors.flat()
    ends = aggregate_quantiles(mean, logvar, np.array([0.05, 0.95]))
    np.testing.assert_allclose(traversals.values[:, [0, -1]], ends)


def test_base_images_show_different_labels(posteriors: Posteriors) -> None:
    base = base_images(posteriors, 3)
    assert sorted(posteriors.labels[base, 0].tolist()) == [0, 1, 2]
    assert len(set(base_images(posteriors, 10).tolist())) == 10
    assert len(base_images(posteriors, 99)) == 30


def test_base_images_are_spread_over_classes_and_not_over_what_is_not_known(posteriors: Posteriors) -> None:
    gaps = replace(posteriors, labels=np.where(np.arange(30) % 3 == 0, np.nan, np.arange(30) % 3))
    assert base_images(gaps, 2).tolist() == [1, 2]
    assert base_images(gaps, 3).tolist() == [1, 2, 0]
    blank = replace(posteriors, labels=np.where(np.arange(30) < 28, "", "late"))
    assert base_images(blank, 2).tolist() == [28, 0]
    # 30 fractions fall into 20 classes of one or two: of the first, the eleventh and the last, the first image each
    falling = replace(posteriors, labels=np.sqrt(np.arange(30.0))[::-1])
    assert base_images(falling, 3).tolist() == [29, 14, 0]


def test_colour_images_keep_their_channels_last() -> None:
    vae = build_member((3, 5, 4), CONFIG, seed=0).eval()
    images = np.zeros((6, 5, 4, 3), dtype=np.uint8)
    posteriors = Posteriors(np.random.default_rng(0).normal(size=(1, 6, 3)), np.zeros((1, 6, 3)), images=images)
    assert traverse_members(posteriors, {0: vae}, TraversalConfig(base_images=2)).images.shape == (3, 2, 9, 5, 4, 3)


def test_without_images_there_is_nothing_to_start_from(members: dict[int, VAE]) -> None:
    with pytest.raises(MissingDataError, match="start from images of the sample"):
        traverse_members(Posteriors(np.zeros((1, 4, 3)), np.zeros((1, 4, 3))), members)
