"""The network that distinguishes latents from latents whose channels were shuffled between images.

What it learns is a density ratio: its logit approaches ln q(z) / Π_d q(z_d), whose mean over q(z) is the total
correlation.

Reference: Kim, H., Mnih, A. (2018). Disentangling by factorising. ICML. arXiv 1802.05983. There it has six layers of
1,000 units; here the widths are a setting.
"""

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn

from vaefrag_core.models.dense import dense

SLOPE = 0.2  # of the leaky units, as in the paper
BETAS = (0.5, 0.9)  # of the discriminator's Adam, as in the paper


class Discriminator(nn.Module):
    """Fully connected layers from D latents to one logit.

    Args:
        channels: D.
        widths: number of units of each hidden layer.
    """

    def __init__(self, channels: int, widths: Sequence[int]) -> None:
        super().__init__()
        self.layers = dense([channels, *widths, 1], partial(nn.LeakyReLU, SLOPE))

    def forward(self, latents: Tensor) -> Tensor:
        """Latents (B, D) → (B,) logits: large where a row's channels belong to one image."""
        logits: Tensor = self.layers(latents)
        return logits[:, 0]


def build_discriminator(channels: int, widths: Sequence[int], seed: int) -> Discriminator:
    """Create a discriminator with random weights of a seed; the global random state does not change."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Discriminator(channels, widths)
