"""Comparison of members by their whole latent spaces, all channels together."""

from collections.abc import Callable

import torch

from vaefrag_core.artifacts import Posteriors, SpaceMatrix
from vaefrag_core.config import SpaceConfig
from vaefrag_core.measures.monte_carlo import monte_carlo_comparison


def compare_spaces(
    posteriors: Posteriors,
    config: SpaceConfig | None = None,
    *,
    device: str | torch.device = "cpu",
    on_progress: Callable[[int, int], None] = lambda done, draws: None,
) -> SpaceMatrix:
    """Estimate the information of every member's latent space, and NMI and VI of every pair of members.

    Args:
        posteriors: M members on N images.
        config: number of draws and their seed; the defaults of `SpaceConfig` without it.
        device: where it is computed.
        on_progress: called with the draws done and their total; an exception that it raises ends the work.

    Returns:
        Estimates with standard errors; the same on every call with the same seed on the same device. Where
        spaces tell every image from every other, their NMI is near 1 whatever they are; `SpaceMatrix.messages` says so.
    """
    config = config or SpaceConfig()
    estimates = monte_carlo_comparison(
        [torch.as_tensor(mean, dtype=torch.float64, device=device) for mean in posteriors.mean],
        [torch.as_tensor(logvar, dtype=torch.float64, device=device) for logvar in posteriors.logvar],
        draws=config.draws,
        generator=torch.Generator(device).manual_seed(config.seed),
        on_progress=on_progress,
    )
    return SpaceMatrix(
        member_ids=posteriors.member_ids,
        information_bits=estimates.information.numpy(),
        information_error=estimates.information_error.numpy(),
        nmi=estimates.nmi.numpy(),
        nmi_error=estimates.nmi_error.numpy(),
        vi_bits=estimates.vi.numpy(),
        vi_error=estimates.vi_error.numpy(),
        n_images=posteriors.n_images,
        draws=config.draws,
        input_entropy_bits=posteriors.input_entropy_bits,
    )
