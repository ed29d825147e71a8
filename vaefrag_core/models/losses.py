"""The losses that train a VAE, in nats per image: pure functions.

Every objective is the reconstruction, a weighted KL, and a penalty of its own:

    beta-vae        R + β Σ KL
    annealed-vae    R + γ |Σ KL − C|           C grows from 0 to its end (Burgess et al. 2018)
    beta-tcvae      R + Σ KL + (β − 1) TC      (Chen et al. 2018)
    factor-vae      R + Σ KL + γ TC            TC told by a discriminator (Kim & Mnih 2018)
    dip-vae-i       R + β Σ KL + λ_od Σ_i≠j Cov_ij² + λ_d Σ_i (Cov_ii − 1)²,  Cov of the means (Kumar et al. 2018)
    dip-vae-ii      the same with the covariance of the aggregate posterior, Cov + E diag σ²

References:
    Higgins, I. et al. (2017). beta-VAE: learning basic visual concepts with a constrained variational framework.
    ICLR. https://openreview.net/forum?id=Sy2fzU9gl
    Burgess, C. P. et al. (2018). Understanding disentangling in beta-VAE. arXiv 1804.03599.
    Chen, R. T. Q. et al. (2018). Isolating sources of disentanglement in variational autoencoders. NeurIPS.
    arXiv 1802.04942.
    Kim, H., Mnih, A. (2018). Disentangling by factorising. ICML. arXiv 1802.05983.
    Kumar, A. et al. (2018). Variational inference of disentangled latent concepts from unlabeled observations. ICLR.
    arXiv 1711.00848.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from vaefrag_core.config import ModelConfig, TrainConfig
from vaefrag_core.errors import InvalidInputError
from vaefrag_core.objectives import Objective


def reconstruction_nats(output: Tensor, images: Tensor, config: ModelConfig) -> Tensor:
    """Negative log-likelihood of images, summed over pixels, averaged over the batch; or their mean squared error.

    Bernoulli: Σ_p −x ln y − (1−x) ln(1−y), y = sigmoid(output).
    Gaussian: Σ_p (x − y)²/(2v) + ½ ln 2πv, y = output, with the fixed pixel variance v of the config.
    MSE: 1/P Σ_p (x − y)², y = output, of P numbers in an image: up to a constant, the Gaussian with v = P/2.

    Args:
        output: (B, C, H, W) of the decoder.
        images: (B, C, H, W) in 0…1; other values too but under the Bernoulli likelihood.
        config: says which likelihood.

    Returns:
        () nats per image.
    """
    if config.likelihood == "mse":
        return (output - images).square().mean()
    if config.likelihood == "bernoulli":
        per_pixel = F.binary_cross_entropy_with_logits(output, images, reduction="none")
    else:
        v = config.pixel_variance
        per_pixel = (output - images).square() / (2 * v) + math.log(2 * math.pi * v) / 2
    return per_pixel.flatten(1).sum(dim=1).mean()


def kl_nats(mean: Tensor, logvar: Tensor) -> Tensor:
    """Divergence of the posteriors from the standard normal prior, of each channel, averaged over the batch.

    KL = ½ (μ² + σ² − 1 − ln σ²)

    Args:
        mean: (B, D).
        logvar: (B, D) ln σ².

    Returns:
        (D,) nats per image.

    Example:
        >>> kl_nats(torch.tensor([[2.0]]), torch.zeros(1, 1))
        tensor([2.])
    """
    return ((mean.square() + logvar.exp() - 1 - logvar) / 2).mean(dim=0)


def beta_vae(reconstruction: Tensor, kl: Tensor, beta: float) -> Tensor:
    """β-VAE loss: reconstruction + β Σ KL (Higgins et al. 2017).

    Args:
        reconstruction: () nats.
        kl: (D,) nats.
        beta: weight of the KL term; 1 is the evidence lower bound of Kingma and Welling.

    Returns:
        () nats.

    Example:
        >>> beta_vae(torch.tensor(10.0), torch.tensor([1.0, 2.0]), beta=4.0)
        tensor(22.)
    """
    return reconstruction + beta * torch.sum(kl)


def annealed_vae(reconstruction: Tensor, kl: Tensor, gamma: float, capacity_nats: float) -> Tensor:
    """Loss with a capacity: reconstruction + γ |Σ KL − C| (Burgess et al. 2018, equation 8).

    Args:
        reconstruction: () nats.
        kl: (D,) nats.
        gamma: weight of the distance from the capacity.
        capacity_nats: C, what the channels may carry now.

    Returns:
        () nats.

    Example:
        >>> annealed_vae(torch.tensor(10.0), torch.tensor([1.0, 2.0]), gamma=4.0, capacity_nats=2.5)
        tensor(12.)
    """
    return reconstruction + gamma * (torch.sum(kl) - capacity_nats).abs()


def capacity_at(step: int, config: TrainConfig) -> float:
    """Return the capacity C (nats) of a step, counted from 0: from 0 in a straight line to its end.

    Example:
        >>> capacity_at(50, TrainConfig(capacity_nats=25.0, capacity_steps=100))
        12.5
    """
    return config.capacity_nats * min(1.0, step / config.capacity_steps)


def total_correlation_nats(latents: Tensor, mean: Tensor, logvar: Tensor, n_images: int) -> Tensor:
    """Total correlation of the aggregate posterior, KL(q(z) ‖ Π_d q(z_d)), from one batch.

    q(z) = 1/N Σ_n q(z|x_n) is estimated for each latent from the batch: the image that it was drawn for counts 1/N,
    the others share the rest, so that the estimate of q is unbiased for batches drawn without replacement. (Chen et
    al. 2018 call this stratified sampling, and give one of the others another weight.) Of its logarithm the mean is too
    low where few images of a batch overlap: of independent channels, batches of 64 show −0.01 nats for two whose
    posteriors have variance 0.5, −1.6 for five of variance 0.1.

    Args:
        latents: (B, D) drawn from the posteriors.
        mean: (B, D).
        logvar: (B, D) ln σ².
        n_images: N, images of the data set.

    Returns:
        () nats.
    """
    batch = latents.shape[0]
    ends = logvar + math.log(2 * math.pi)
    log_q = -((latents[:, None] - mean).square() * torch.exp(-logvar) + ends) / 2  # (of z, of x, D)
    own, other = math.log(1 / n_images), math.log((1 - 1 / n_images) / max(batch - 1, 1)) if n_images > 1 else 0.0
    weights = torch.full((batch, batch), other, dtype=latents.dtype, device=latents.device)
    weights = weights + (own - other) * torch.eye(batch, dtype=latents.dtype, device=latents.device)
    joint = torch.logsumexp(weights + log_q.sum(dim=2), dim=1)
    product = torch.logsumexp(weights[:, :, None] + log_q, dim=1).sum(dim=1)
    return (joint - product).mean()


def beta_tcvae(reconstruction: Tensor, kl: Tensor, total_correlation: Tensor, beta: float) -> Tensor:
    """β-TCVAE loss: reconstruction + Σ KL + (β − 1) TC, since Σ KL holds the total correlation once already.

    Args:
        reconstruction: () nats.
        kl: (D,) nats.
        total_correlation: () nats.
        beta: weight of the total correlation; 1 is the evidence lower bound.

    Returns:
        () nats.
    """
    return reconstruction + torch.sum(kl) + (beta - 1) * total_correlation


def factor_vae(reconstruction: Tensor, kl: Tensor, total_correlation: Tensor, gamma: float) -> Tensor:
    """FactorVAE loss: reconstruction + Σ KL + γ TC (Kim & Mnih 2018, equation 2).

    Args:
        reconstruction: () nats.
        kl: (D,) nats.
        total_correlation: () nats, as a discriminator tells it: the mean of its logits.
        gamma: weight of the total correlation; 0 is the evidence lower bound.

    Returns:
        () nats.
    """
    return reconstruction + torch.sum(kl) + gamma * total_correlation


def shuffled(latents: Tensor, order: Tensor) -> Tensor:
    """Shuffle each channel between the images of a batch, which leaves its distribution and undoes all dependence.

    Args:
        latents: (B, D).
        order: (B, D) for each channel a permutation of the images.

    Returns:
        (B, D).

    Example:
        >>> shuffled(torch.tensor([[1, 2], [3, 4]]), torch.tensor([[0, 1], [1, 0]])).tolist()
        [[1, 4], [3, 2]]
    """
    return latents.gather(0, order)


def discriminator_nats(together: Tensor, apart: Tensor) -> Tensor:
    """Cross-entropy of a discriminator, ½ E ln(1 + e^−a) + ½ E ln(1 + e^b): ln 2 when it tells nothing apart.

    Args:
        together: (B,) its logits a, of latents as they were drawn.
        apart: (B,) its logits b, of shuffled latents.

    Returns:
        () nats.

    Example:
        >>> discriminator_nats(torch.zeros(4), torch.zeros(4))
        tensor(0.6931)
    """
    return (F.softplus(-together).mean() + F.softplus(apart).mean()) / 2


def dip_penalty(mean: Tensor, logvar: Tensor | None, lambda_od: float, lambda_d: float) -> Tensor:
    """Distance of the channels' covariance from the identity: λ_od Σ_i≠j Cov_ij² + λ_d Σ_i (Cov_ii − 1)².

    Args:
        mean: (B, D) of the posteriors.
        logvar: (B, D) for DIP-VAE-II, whose covariance is that of the aggregate posterior; None for DIP-VAE-I.
        lambda_od: weight off the diagonal.
        lambda_d: weight on it.

    Returns:
        () a pure number, counted as nats in the loss.
    """
    centred = mean - mean.mean(dim=0)
    covariance = centred.T @ centred / mean.shape[0]
    diagonal = torch.diagonal(covariance)
    off_diagonal = covariance.square().sum() - diagonal.square().sum()
    if logvar is not None:
        diagonal = diagonal + logvar.exp().mean(dim=0)
    return lambda_od * off_diagonal + lambda_d * (diagonal - 1).square().sum()


@dataclass(frozen=True)
class LossInputs:
    """What a loss is computed from at one step of a member's training.

    Args:
        reconstruction: () nats.
        kl: (D,) nats.
        mean: (B, D) of the posteriors.
        logvar: (B, D) ln σ².
        noise: (B, D) standard normal, by which the latents were drawn.
        n_images: N, images of the data set.
        step: counted from 0.
        discriminator: latents (B, D) → (B,) logits; for objectives that declare one.
    """

    reconstruction: Tensor
    kl: Tensor
    mean: Tensor
    logvar: Tensor
    noise: Tensor
    n_images: int
    step: int
    discriminator: Callable[[Tensor], Tensor] | None = None

    @property
    def latents(self) -> Tensor:
        """(B, D) the latents that the decoder was shown."""
        return self.mean + torch.exp(self.logvar / 2) * self.noise


def _beta_vae(config: TrainConfig, inputs: LossInputs) -> tuple[Tensor, Tensor]:
    return beta_vae(inputs.reconstruction, inputs.kl, config.beta), torch.zeros_like(inputs.reconstruction)


def _annealed_vae(config: TrainConfig, inputs: LossInputs) -> tuple[Tensor, Tensor]:
    capacity_nats = capacity_at(inputs.step, config)
    loss = annealed_vae(inputs.reconstruction, inputs.kl, config.gamma, capacity_nats)
    return loss, (torch.sum(inputs.kl) - capacity_nats).abs()


def _beta_tcvae(config: TrainConfig, inputs: LossInputs) -> tuple[Tensor, Tensor]:
    total_correlation = total_correlation_nats(inputs.latents, inputs.mean, inputs.logvar, inputs.n_images)
    return beta_tcvae(inputs.reconstruction, inputs.kl, total_correlation, config.beta), total_correlation


def _factor_vae(config: TrainConfig, inputs: LossInputs) -> tuple[Tensor, Tensor]:
    assert inputs.discriminator is not None
    total_correlation = inputs.discriminator(inputs.latents).mean()
    return factor_vae(inputs.reconstruction, inputs.kl, total_correlation, config.gamma_tc), total_correlation


def _dip_vae_i(config: TrainConfig, inputs: LossInputs) -> tuple[Tensor, Tensor]:
    penalty = dip_penalty(inputs.mean, None, config.lambda_od, config.lambda_d)
    return beta_vae(inputs.reconstruction, inputs.kl, config.beta) + penalty, penalty


def _dip_vae_ii(config: TrainConfig, inputs: LossInputs) -> tuple[Tensor, Tensor]:
    penalty = dip_penalty(inputs.mean, inputs.logvar, config.lambda_od, config.lambda_d)
    return beta_vae(inputs.reconstruction, inputs.kl, config.beta) + penalty, penalty


# The loss of every objective declared in `vaefrag_core.objectives`, by the same name.
LOSSES: Mapping[Objective, Callable[[TrainConfig, LossInputs], tuple[Tensor, Tensor]]] = {
    "beta-vae": _beta_vae,
    "annealed-vae": _annealed_vae,
    "beta-tcvae": _beta_tcvae,
    "factor-vae": _factor_vae,
    "dip-vae-i": _dip_vae_i,
    "dip-vae-ii": _dip_vae_ii,
}


def loss_and_penalty(config: TrainConfig, inputs: LossInputs) -> tuple[Tensor, Tensor]:
    """Return the loss of a config's objective and the value of its own term.

    Args:
        config: the objective and its coefficients.
        inputs: what they are applied to.

    Returns:
        () the loss, nats, and () the penalty: |Σ KL − C| of annealed-vae, TC of beta-tcvae and factor-vae (nats, not
        weighted), the weighted distance from the identity of dip-vae, 0 of beta-vae.

    Raises:
        InvalidInputError: when the objective has no loss here. No other is trained in its place.
    """
    loss = LOSSES.get(config.objective)
    if loss is None:
        raise InvalidInputError(
            f"There is no loss for the objective {config.objective!r}. There are losses for {', '.join(LOSSES)}."
        )
    return loss(config, inputs)
