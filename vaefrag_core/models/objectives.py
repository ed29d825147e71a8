"""The losses that train a VAE, in nats per image: pure functions.

Reference: Higgins, I. et al. (2017). beta-VAE: learning basic visual concepts with a constrained variational
framework. ICLR. https://openreview.net/forum?id=Sy2fzU9gl
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from vaefrag_core.config import ModelConfig


def reconstruction_nats(output: Tensor, images: Tensor, config: ModelConfig) -> Tensor:
    """Negative log-likelihood of images, summed over pixels, averaged over the batch.

    Bernoulli: Σ_p −x ln y − (1−x) ln(1−y), y = sigmoid(output).
    Gaussian: Σ_p (x − y)²/(2v) + ½ ln 2πv, y = output, with the fixed pixel variance v of the config.

    Args:
        output: (B, C, H, W) of the decoder.
        images: (B, C, H, W) in 0…1.
        config: says which likelihood.

    Returns:
        () nats per image.
    """
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
