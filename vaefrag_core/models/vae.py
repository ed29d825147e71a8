"""A variational autoencoder: encode, sample, decode.

Reference: Kingma, D. P., Welling, M. (2014). Auto-encoding variational Bayes. https://arxiv.org/abs/1312.6114
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from vaefrag_core.array_types import AnyArray
from vaefrag_core.config import ModelConfig
from vaefrag_core.models.image_shapes import ImageShape
from vaefrag_core.models.networks import build_networks

# A posterior narrower than e⁻¹⁰ or wider than e⁵ standard deviations of the prior means nothing to the decoder,
# and the exponential of an unbounded ln σ² is what turns a bad step into NaN.
LOGVAR_RANGE = (-20.0, 10.0)
ENCODER = "encoder."  # how the names of its parameters begin


class Forward(NamedTuple):
    """One pass: what the decoder gives (B, C, H, W), and the posteriors (B, D)."""

    output: Tensor
    mean: Tensor
    logvar: Tensor


class VAE(nn.Module):
    """Encoder and decoder of one member.

    Layers may multiply in fewer digits than they are given (`training/precision.py`); what a pass gives has as many as
    its images, and latents are drawn in as many.

    Args:
        image_shape: image channels, height, width.
        config: of the networks and the likelihood.
    """

    def __init__(self, image_shape: ImageShape, config: ModelConfig) -> None:
        super().__init__()
        self.encoder, self.decoder = build_networks(image_shape, config)
        self.likelihood = config.likelihood

    def encode(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Give mean and ln σ² of the posteriors, each (B, D), for images (B, C, H, W) in 0…1."""
        mean, logvar = self.encoder(images).to(images.dtype).chunk(2, dim=-1)
        return mean, logvar.clamp(*LOGVAR_RANGE)

    def decode(self, latents: Tensor) -> Tensor:
        """Give the mean pixels (B, C, H, W) in 0…1 that latents (B, D) stand for."""
        output: Tensor = self.decoder(latents)
        return output.sigmoid() if self.likelihood == "bernoulli" else output.clamp(0, 1)

    def forward(self, images: Tensor, noise: Tensor) -> Forward:
        """Encode, sample with the given standard normal noise (B, D), decode."""
        mean, logvar = self.encode(images)
        latents = mean + torch.exp(logvar / 2) * noise
        return Forward(self.decoder(latents).to(latents.dtype), mean, logvar)


def member_seed(seed: int, member: int) -> int:
    """Give a member its own 63-bit seed, made from the ensemble's seed and the member's number alone."""
    return int(np.random.SeedSequence([seed, member]).generate_state(1, np.uint64)[0] >> np.uint64(1))


def build_member(image_shape: ImageShape, config: ModelConfig, seed: int) -> VAE:
    """Make a freshly initialized member; the global random state is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return VAE(image_shape, config)


def restore_member(image_shape: ImageShape, config: ModelConfig, weights: Mapping[str, AnyArray]) -> VAE:
    """Make a member with the given weights, by parameter name, ready to encode and decode."""
    with torch.device("meta"):
        vae = VAE(image_shape, config)
    vae.load_state_dict({name: torch.from_numpy(w) for name, w in weights.items()}, assign=True)
    return vae.eval()
