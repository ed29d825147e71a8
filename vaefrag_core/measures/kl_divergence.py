"""Kullback-Leibler divergence of posteriors from the prior, and the units that it calls inactive. Needs no torch.

Reference: Kullback, S., Leibler, R. A. (1951). On information and sufficiency. Annals of Mathematical Statistics
22(1), 79-86. https://doi.org/10.1214/aoms/1177729694
"""

import numpy as np

from vaefrag_core.array_types import AnyArray, BoolArray, FloatArray, RealArray

MAX_LOGVAR = 700.0  # beyond, σ² is more than a double holds; the divergence is then large in any case
INACTIVE_KL_NATS = 0.01  # as in Duan et al. (2020)


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
