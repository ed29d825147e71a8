"""Losses against torch's own distributions."""

import math

import pytest
import torch
from torch.distributions import Bernoulli, Normal, kl_divergence

from vaefrag_core.config import ModelConfig
from vaefrag_core.models.objectives import beta_vae, kl_nats, reconstruction_nats


@pytest.fixture
def batch() -> tuple[torch.Tensor, torch.Tensor]:
    """Give decoder outputs and binary images, (5, 1, 3, 4)."""
    generator = torch.Generator().manual_seed(0)
    output = torch.randn(5, 1, 3, 4, generator=generator)
    return output, (torch.rand(5, 1, 3, 4, generator=generator) > 0.5).float()


def test_bernoulli_is_minus_the_log_likelihood(batch: tuple[torch.Tensor, torch.Tensor]) -> None:
    output, images = batch
    expected = -Bernoulli(logits=output).log_prob(images).sum(dim=(1, 2, 3)).mean()
    torch.testing.assert_close(reconstruction_nats(output, images, ModelConfig()), expected)


def test_gaussian_is_minus_the_log_likelihood_at_its_fixed_variance(batch: tuple[torch.Tensor, torch.Tensor]) -> None:
    output, images = batch
    config = ModelConfig(likelihood="gaussian", pixel_variance=0.3)
    expected = -Normal(output, math.sqrt(0.3)).log_prob(images).sum(dim=(1, 2, 3)).mean()
    torch.testing.assert_close(reconstruction_nats(output, images, config), expected)


def test_kl_is_the_divergence_from_the_prior() -> None:
    generator = torch.Generator().manual_seed(1)
    mean, logvar = torch.randn(2, 7, 3, generator=generator)
    expected = kl_divergence(Normal(mean, (logvar / 2).exp()), Normal(0.0, 1.0)).mean(dim=0)
    torch.testing.assert_close(kl_nats(mean, logvar), expected)


def test_beta_weighs_the_kl_term_alone() -> None:
    reconstruction, kl = torch.tensor(7.0), torch.tensor([1.0, 2.5])
    assert beta_vae(reconstruction, kl, 0.0) == 7.0
    assert beta_vae(reconstruction, kl, 2.0) - beta_vae(reconstruction, kl, 1.0) == 3.5
