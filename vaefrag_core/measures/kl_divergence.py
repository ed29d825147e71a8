"""Kullback-Leibler divergence of posteriors from the prior, and what it says of units and members. Needs no torch.

Reference: Kullback, S., Leibler, R. A. (1951). On information and sufficiency. Annals of Mathematical Statistics
22(1), 79-86. https://doi.org/10.1214/aoms/1177729694
"""

from collections.abc import Sequence

import numpy as np

from vaefrag_core.array_types import AnyArray, BoolArray, FloatArray, IntArray, RealArray

MAX_LOGVAR = 700.0  # beyond, σ² is more than a double holds; the divergence is then large in any case
INACTIVE_KL_NATS = 0.01  # as in Duan et al. (2020)
FEWEST_MEMBERS = 3  # of two, either may be the odd one
BEYOND_OTHERS = 1e3  # times the middle member; healthy runs of one kind are within a few times
DIVERGED_NATS = 1e6  # per image: more than any image has to tell


def kl_to_prior_nats(mean: RealArray, logvar: RealArray) -> FloatArray:
    """Kullback-Leibler divergence of Gaussian posteriors from the standard normal prior.

    KL = ½ (μ² + σ² − 1 − ln σ²)

    Args:
        mean: (...) μ, latent units.
        logvar: (...) ln σ², of the same shape.

    Returns:
        (...) nats, 0 for a posterior that equals the prior. Its mean over images is the price of a channel in training.

    Example:
        >>> kl_to_prior_nats(np.array([0.0, 2.0]), np.zeros(2))
        array([0., 2.])
    """
    mean, logvar = np.asarray(mean, dtype=np.float64), np.asarray(logvar, dtype=np.float64)
    # expm1: near the prior σ² − 1 is a small difference of numbers near 1
    return np.asarray((mean**2 + np.expm1(np.minimum(logvar, MAX_LOGVAR)) - logvar) / 2)


def active_units(kl_nats: AnyArray) -> BoolArray:
    """Find the units that training uses, by the rule of the metrics of the field.

    A unit is inactive where its mean KL is below 0.01 nats: its posteriors are hardly more than the prior. Analyses ask
    something else, what a channel tells of the images at hand, in bits; see `channel_states.dead_channels`.

    Args:
        kl_nats: (...) mean KL of each unit, nats.

    Returns:
        (...) True where a unit is active.

    Example:
        >>> active_units(np.array([0.0, 0.004, 1.5])).tolist()
        [False, False, True]

    Reference: Duan, S. et al. (2020). Unsupervised model selection for variational disentangled representation
    learning. https://arxiv.org/abs/1905.12614
    """
    return np.asarray(kl_nats >= INACTIVE_KL_NATS)


def diverged_posteriors(mean: Sequence[RealArray], logvar: Sequence[RealArray]) -> IntArray:
    """Find the members whose posteriors are beyond all measure, as those of a run that diverged are.

    A member pays its KL from the prior for an image, summed over channels. It counts what three quarters of the images
    cost at most: neither a few images far out nor many that a run-away activation leaves at 0 decide. A member has
    diverged when that is above a million nats, and above a thousand times what the middle one of the others pays. Where
    all members are written in other units than the prior's, they are alike, and none has diverged.

    Args:
        mean: M arrays (N, D_m), latent units.
        logvar: ln σ², of the same shapes.

    Returns:
        Their places among the members, ascending; none of fewer than three members.

    Example:
        >>> mean = np.ones((4, 10, 2)) * np.array([1.0, 1.0, 1e6, 1.1])[:, None, None]
        >>> diverged_posteriors(mean, np.zeros((4, 10, 2))).tolist()
        [2]
    """
    if len(mean) < FEWEST_MEMBERS:
        return np.zeros(0, dtype=np.int64)
    nats = np.array([np.quantile(kl_to_prior_nats(m, v).sum(axis=1), 0.75) for m, v in zip(mean, logvar, strict=True)])
    others = np.array([np.median(np.delete(nats, member)) for member in range(len(nats))])
    return np.flatnonzero((nats > DIVERGED_NATS) & (nats > BEYOND_OTHERS * others))
