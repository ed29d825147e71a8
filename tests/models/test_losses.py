"""Losses against torch's own distributions."""

import math
from collections.abc import Iterator

import pytest
import torch
from torch.distributions import Bernoulli, MultivariateNormal, Normal, kl_divergence

from vaefrag_core.config import ModelConfig, Objective, TrainConfig
from vaefrag_core.errors import InvalidInputError
from vaefrag_core.models.discriminator import BETAS, build_discriminator
from vaefrag_core.models.losses import (
    LOSSES,
    LossInputs,
    beta_vae,
    capacity_at,
    dip_penalty,
    discriminator_nats,
    factor_vae,
    kl_nats,
    loss_and_penalty,
    reconstruction_nats,
    shuffled,
    total_correlation_nats,
)
from vaefrag_core.objectives import OBJECTIVES
from vaefrag_core.training.batch_schedule import Schedule


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


def test_mse_is_the_mean_over_pixels_and_up_to_a_constant_a_gaussian(batch: tuple[torch.Tensor, torch.Tensor]) -> None:
    output, images = batch
    config = ModelConfig(likelihood="mse")
    mean_squared = reconstruction_nats(output, images, config)
    torch.testing.assert_close(mean_squared, torch.nn.MSELoss()(output, images))
    gaussian = ModelConfig(likelihood="gaussian", pixel_variance=12 / 2)  # half of the numbers in an image
    torch.testing.assert_close(
        mean_squared - reconstruction_nats(0 * output, images, config),
        reconstruction_nats(output, images, gaussian) - reconstruction_nats(0 * output, images, gaussian),
    )


def test_kl_is_the_divergence_from_the_prior() -> None:
    generator = torch.Generator().manual_seed(1)
    mean, logvar = torch.randn(2, 7, 3, generator=generator)
    expected = kl_divergence(Normal(mean, (logvar / 2).exp()), Normal(0.0, 1.0)).mean(dim=0)
    torch.testing.assert_close(kl_nats(mean, logvar), expected)


def test_beta_weighs_the_kl_term_alone() -> None:
    reconstruction, kl = torch.tensor(7.0), torch.tensor([1.0, 2.5])
    assert beta_vae(reconstruction, kl, 0.0) == 7.0
    assert beta_vae(reconstruction, kl, 2.0) - beta_vae(reconstruction, kl, 1.0) == 3.5


N_IMAGES, STEP = 500, 40


def loss_of(config: TrainConfig) -> torch.Tensor:
    """Give the loss of one batch of 16 images and 3 channels that are neither whitened nor independent."""
    generator = torch.Generator().manual_seed(2)
    mean, noise = torch.randn(2, 16, 3, generator=generator)
    mean, logvar = mean @ torch.tensor([[2.0, 1.0, 0.0], [0.0, 1.0, 0.5], [0.0, 0.0, 0.4]]), -1 + 0.3 * noise
    kl = kl_nats(mean, logvar)
    inputs = LossInputs(
        torch.tensor(50.0), kl, mean, logvar, noise, N_IMAGES, STEP, lambda latents: latents.sin().sum(dim=1)
    )
    return loss_and_penalty(config, inputs)[0]


def test_every_declared_objective_has_a_loss_and_every_loss_is_declared() -> None:
    assert list(LOSSES) == list(OBJECTIVES)


def test_an_objective_without_a_loss_is_refused_and_no_other_trained_in_its_place() -> None:
    unknown = TrainConfig.model_construct(**{**dict(TrainConfig()), "objective": "beta-vea"})
    with pytest.raises(InvalidInputError, match=r"no loss for the objective 'beta-vea'\. There are .*beta-vae"):
        loss_of(unknown)


@pytest.mark.parametrize(
    ("name", "coefficient"), [(o, c) for o, declared in OBJECTIVES.items() for c in declared.coefficients]
)
def test_every_coefficient_changes_its_loss_and_no_other(name: Objective, coefficient: str) -> None:
    config = TrainConfig(objective=name, beta=2.0, capacity_steps=100)
    value = getattr(config, coefficient)
    changed = config.model_copy(update={coefficient: 2 * value})
    assert loss_of(changed) != pytest.approx(float(loss_of(config)), rel=1e-6)
    for unread in config.unread_settings:
        other = config.model_copy(update={unread: 3 * getattr(config, unread)})
        assert loss_of(other) == loss_of(config)


@pytest.mark.parametrize(
    "neutral",
    [
        TrainConfig(objective="annealed-vae", gamma=1.0, capacity_nats=0.0),
        TrainConfig(objective="beta-tcvae", beta=1.0),
        TrainConfig(objective="factor-vae", gamma_tc=0.0),
        TrainConfig(objective="dip-vae-i", lambda_od=0.0, lambda_d=0.0),
        TrainConfig(objective="dip-vae-ii", lambda_od=0.0, lambda_d=0.0),
    ],
)
def test_with_neutral_coefficients_each_is_the_vae(neutral: TrainConfig) -> None:
    torch.testing.assert_close(loss_of(neutral), loss_of(TrainConfig()))


def test_the_capacity_grows_in_a_straight_line_and_stays() -> None:
    config = TrainConfig(capacity_nats=30.0, capacity_steps=200)
    assert [capacity_at(step, config) for step in (0, 50, 200, 1_000)] == [0.0, 7.5, 30.0, 30.0]


def test_total_correlation_is_that_of_correlated_gaussians() -> None:
    """Means and posteriors are Gaussian, so that the aggregate posterior is: its TC is −½ ln det of its correlation."""
    correlation = torch.tensor([[1.0, 0.6, 0.0], [0.6, 1.0, 0.2], [0.0, 0.2, 1.0]], dtype=torch.float64)
    generator = torch.Generator().manual_seed(3)
    n, variance = 2_000, 0.3
    whitened = torch.randn(n, 3, generator=generator, dtype=torch.float64)
    mean = whitened @ torch.linalg.cholesky(correlation - variance * torch.eye(3, dtype=torch.float64)).T
    logvar = torch.full_like(mean, math.log(variance))
    latents = mean + math.sqrt(variance) * torch.randn(n, 3, generator=generator, dtype=torch.float64)
    expected = -torch.logdet(correlation) / 2
    prior = Normal(torch.zeros(3, dtype=torch.float64), 1.0)
    exact = MultivariateNormal(torch.zeros(3, dtype=torch.float64), correlation)
    of_sample = (exact.log_prob(latents) - prior.log_prob(latents).sum(dim=1)).mean()  # of these very latents
    assert of_sample == pytest.approx(float(expected), abs=0.05)
    assert total_correlation_nats(latents, mean, logvar, n) == pytest.approx(float(of_sample), abs=0.03)
    large = torch.stack([total_correlation_nats(*(x[i : i + 250] for x in (latents, mean, logvar)), n)
                         for i in range(0, n, 250)]).mean()  # fmt: skip
    assert large == pytest.approx(float(of_sample), abs=0.1)


def test_independent_channels_have_no_total_correlation() -> None:
    generator = torch.Generator().manual_seed(4)
    mean = torch.randn(2_000, 2, generator=generator)
    latents = mean + 0.5 * torch.randn(2_000, 2, generator=generator)
    logvar = torch.full_like(mean, 2 * math.log(0.5))
    assert total_correlation_nats(latents, mean, logvar, 2_000) == pytest.approx(0.0, abs=0.03)


def test_shuffling_keeps_each_channel_and_undoes_what_they_share() -> None:
    generator = torch.Generator().manual_seed(5)
    latents = torch.randn(500, 1, generator=generator).expand(500, 3) * torch.tensor([1.0, 2.0, 3.0])
    mixed = shuffled(latents, Schedule(0, 500, 500, 3).shuffles(0, 1)[0])
    torch.testing.assert_close(mixed.sort(dim=0).values, latents.sort(dim=0).values)
    correlation = torch.corrcoef(mixed.T) - torch.eye(3)
    assert correlation.abs().max() < 4 / math.sqrt(500)


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Small products are faster so where others use the machine as well."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.usefixtures("one_thread")
def test_a_discriminator_that_learns_from_shuffled_latents_tells_the_total_correlation() -> None:
    """Of two Gaussian channels with correlation 0.8: −½ ln(1 − 0.8²) = 0.511 nats."""
    torch.manual_seed(0)
    discriminator, steps = build_discriminator(2, (32, 32), seed=0), 300
    adam = torch.optim.Adam(discriminator.parameters(), lr=0.01, betas=BETAS)
    slower = torch.optim.lr_scheduler.LinearLR(adam, 1.0, 0.02, steps)
    root = torch.linalg.cholesky(torch.tensor([[1.0, 0.8], [0.8, 1.0]])).T
    for order in Schedule(0, 1024, 1024, 2).shuffles(0, steps):
        latents = torch.randn(1024, 2) @ root
        adam.zero_grad()
        discriminator_nats(discriminator(latents), discriminator(shuffled(latents, order))).backward()
        adam.step()
        slower.step()
    with torch.no_grad():
        correlated = discriminator(torch.randn(20_000, 2) @ root).mean()
    zero = torch.zeros(())
    estimate = factor_vae(zero, zero, correlated, gamma=1.0)
    assert estimate == pytest.approx(-math.log(1 - 0.8**2) / 2, abs=0.04)
    # Its optimum is the density ratio, at which the cross-entropy is ln 2 less the Jensen-Shannon divergence.
    assert discriminator_nats(discriminator(latents), discriminator(shuffled(latents, order))) < math.log(2) - 0.05


def test_dip_measures_the_distance_of_the_covariance_from_the_identity() -> None:
    mean = torch.tensor([[1.0, 1.0], [-1.0, 1.0], [1.0, -1.0], [-1.0, -1.0]])  # covariance: the identity
    assert dip_penalty(mean, None, 10.0, 5.0) == 0
    assert dip_penalty(2 * mean, None, 10.0, 5.0) == 5 * (3**2 + 3**2)
    sheared = torch.stack([mean[:, 0], mean[:, 0] + mean[:, 1]], dim=1)  # [[1, 1], [1, 2]]
    assert dip_penalty(sheared, None, 10.0, 5.0) == 10 * 2 + 5
    assert dip_penalty(mean, torch.full((4, 2), math.log(0.5)), 10.0, 5.0) == pytest.approx(5 * 2 * 0.5**2)


def test_dip_vae_ii_weighs_the_diagonal_like_the_rest_where_nothing_is_said() -> None:
    assert TrainConfig(objective="dip-vae-i").lambda_d == 10 * TrainConfig(objective="dip-vae-i").lambda_od
    assert TrainConfig(objective="dip-vae-ii").lambda_d == TrainConfig().lambda_od
    assert TrainConfig(objective="dip-vae-ii", lambda_od=3.0).lambda_d == 3.0
    assert TrainConfig(objective="dip-vae-ii", lambda_od=3.0, lambda_d=100.0).lambda_d == 100.0  # as it was asked for
    stored = TrainConfig(objective="dip-vae-ii", lambda_d=100.0)
    assert TrainConfig.model_validate(stored.model_dump(mode="json")) == stored
