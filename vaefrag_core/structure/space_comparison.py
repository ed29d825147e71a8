"""Comparison of members by their whole latent spaces, all channels together."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from vaefrag_core.array_types import FloatArray, IntArray
from vaefrag_core.artifacts import Posteriors, SpaceMatrix
from vaefrag_core.artifacts.image_copies import shuffled_images
from vaefrag_core.config import SpaceConfig
from vaefrag_core.measures.monte_carlo import SpaceEstimates, monte_carlo_comparison
from vaefrag_core.measures.space_similarity import prepare_space, space_similarities
from vaefrag_core.structure.disentanglement import standard_codes
from vaefrag_core.structure.infomec import infomec, shuffled_infomec
from vaefrag_core.structure.label_factors import factors_of
from vaefrag_core.structure.member_metrics import active_means

INFORMATION_SHUFFLES = 8  # that share the draws among them; their spread tells how well chance is known
FEWEST_DRAWS = 100  # of one of them
SIMILARITY_SHUFFLES = 19  # a pair above all of them is there by chance once in twenty
FEWEST_LABELLED = 50  # images, below which ten neighbours are no neighbourhood


def compare_spaces(
    posteriors: Posteriors,
    config: SpaceConfig | None = None,
    *,
    device: str | torch.device = "cpu",
    on_progress: Callable[[int, int], None] = lambda done, draws: None,
) -> SpaceMatrix:
    """Compare the latent spaces of members, by information and by what else the field uses, each beside its null.

    Args:
        posteriors: M members on N images.
        config: number of draws and their seed; the defaults of `SpaceConfig` without it.
        device: where information is computed.
        on_progress: called with the draws done and their total, twice as many as asked for: half of them tell what
            chance shows. An exception that it raises ends the work.

    Returns:
        Estimates with standard errors; the same on every call with the same seed on the same device. Where
        spaces tell every image from every other, their NMI is near 1 whatever they are; `SpaceMatrix.messages` says so.
    """
    config = config or SpaceConfig()
    part = max(FEWEST_DRAWS, config.draws // INFORMATION_SHUFFLES)
    total = config.draws + part * INFORMATION_SHUFFLES

    arrays = [
        [torch.as_tensor(member, dtype=torch.float64, device=device) for member in members]
        for members in (posteriors.mean, posteriors.logvar)
    ]

    def estimate(draws: int, seed: int, begun: int, orders: IntArray | None = None) -> SpaceEstimates:
        shuffled = arrays
        if orders is not None:
            places = torch.as_tensor(orders, device=device)
            shuffled = [[member[order] for member, order in zip(members, places, strict=True)] for members in arrays]
        return monte_carlo_comparison(
            *shuffled,
            draws=draws,
            generator=torch.Generator(device).manual_seed(seed),
            on_progress=lambda done, _: on_progress(begun + done, total),
        )

    estimates = estimate(config.draws, config.seed, 0)
    by_chance = []
    for r in range(INFORMATION_SHUFFLES):
        orders = _orders_of_members(posteriors, config.seed + r)
        shuffled = estimate(part, config.seed + r, config.draws + r * part, orders)
        by_chance.append((shuffled.own[:, None] + shuffled.own[None, :] - shuffled.vi).numpy() / 2)
    means = [active_means(m, v) for m, v in zip(posteriors.mean, posteriors.logvar, strict=True)]
    chance = np.stack(by_chance)
    chance[:, np.arange(posteriors.n_members), np.arange(posteriors.n_members)] = np.nan
    return SpaceMatrix(
        member_ids=posteriors.member_ids,
        information_bits=estimates.information.numpy(),
        information_error=estimates.information_error.numpy(),
        own_bits=estimates.own.numpy(),
        own_error=estimates.own_error.numpy(),
        vi_bits=estimates.vi.numpy(),
        vi_error=estimates.vi_error.numpy(),
        nmi=estimates.nmi.numpy(),
        nmi_error=estimates.nmi_error.numpy(),
        chance_bits=chance.mean(axis=0),
        chance_error=chance.std(axis=0, ddof=1) / math.sqrt(len(chance)),
        **_similarities_of_means(posteriors, means, config.seed),
        n_images=posteriors.n_images,
        draws=config.draws,
        shuffles=INFORMATION_SHUFFLES,
        input_entropy_bits=posteriors.input_entropy_bits,
    )


def _orders_of_members(posteriors: Posteriors, seed: int) -> IntArray:
    """Draw an order of the images for each member, (M, N), so that their spaces share nothing any more."""
    return shuffled_images(posteriors.image_copies, posteriors.n_members, np.random.default_rng(seed))


def _similarities_of_means(posteriors: Posteriors, means: Sequence[FloatArray], seed: int) -> dict[str, Any]:
    """Compare the posterior means of live channels, and hold them against labels: the fields of a `SpaceMatrix`."""
    spaces, codes = [prepare_space(mean) for mean in means], [standard_codes(mean) for mean in means]
    shuffled = []
    for r in range(SIMILARITY_SHUFFLES):
        pairs = zip(spaces, _orders_of_members(posteriors, seed + r), strict=True)
        shuffled.append(space_similarities([space.reordered(order) for space, order in pairs]))
    factors = factors_of(posteriors).classes
    if posteriors.n_images < FEWEST_LABELLED:
        factors = factors[:0]
    return {
        "live_channels": np.array([space.standardized.shape[1] for space in spaces]),
        "similarity": space_similarities(spaces),
        "similarity_chance": np.mean(shuffled, axis=0),
        "similarity_highest": np.max(shuffled, axis=0),
        "infomec": np.array([infomec(member, factors) for member in codes]),
        "infomec_chance": np.array(
            [shuffled_infomec(member, factors, seed, posteriors.image_copies) for member in codes]
        ),
    }
