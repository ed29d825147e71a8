"""How far posteriors are from the prior. Without torch, since pages ask as well.

Reference: Kullback, S., Leibler, R. A. (1951). On information and sufficiency. Annals of Mathematical Statistics
22(1), 79-86. https://doi.org/10.1214/aoms/1177729694
"""

import numpy as np

from vaefrag_core.array_types import FloatArray, RealArray

MOST_LOGVAR = 700.0  # beyond, σ² is more than a double holds; the divergence is then large in any case


def kl_to_prior_nats(mean: RealArray, logvar: RealArray) -> FloatArray:
    """Kullback-Leibler divergence of Gaussian posteriors from the standard normal prior.

    KL = ½ (μ² + σ² − 1 − ln σ²)

    Args:
        mean: (...) μ, latent units.
        logvar: (...) ln σ², of the same shape.

    Returns:
        (...) nats, 0 for a posterior that is the prior. What training charges for a channel is its mean over images.

    Example:
        >>> kl_to_prior_nats(np.array([0.0, 2.0]), np.zeros(2))
        array([0., 2.])
    """
    mean, logvar = np.asarray(mean, dtype=np.float64), np.asarray(logvar, dtype=np.float64)
    # expm1: near the prior σ² − 1 is a small difference of numbers near 1
    return np.asarray((mean**2 + np.expm1(np.minimum(logvar, MOST_LOGVAR)) - logvar) / 2)
