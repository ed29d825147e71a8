"""The divergence from the prior, against torch's own and against what training charges."""

import numpy as np
import torch
from torch.distributions import Normal, kl_divergence

from vaefrag_core.measures.kl_divergence import kl_to_prior_nats
from vaefrag_core.models.losses import kl_nats


def test_it_is_that_of_torch_and_what_training_charges() -> None:
    rng = np.random.default_rng(0)
    mean, logvar = rng.normal(size=(2, 50, 4)) * [[[3]], [[5]]]
    means, logvars = torch.tensor(mean), torch.tensor(logvar)
    expected = kl_divergence(Normal(means, (logvars / 2).exp()), Normal(0.0, 1.0))
    np.testing.assert_allclose(kl_to_prior_nats(mean, logvar), expected, rtol=1e-10)
    charged = kl_nats(means, logvars)
    np.testing.assert_allclose(kl_to_prior_nats(mean, logvar).mean(axis=0), charged, rtol=1e-10)


def test_the_prior_itself_costs_nothing_and_extremes_stay_finite() -> None:
    assert kl_to_prior_nats(np.zeros(1), np.zeros(1))[0] == 0
    near = kl_to_prior_nats(np.zeros(1), np.array([1e-6]))[0]
    np.testing.assert_allclose(near, 1e-12 / 4, rtol=1e-4)
    assert np.isfinite(kl_to_prior_nats(np.array([1e3, 0, 0]), np.array([-80.0, 80.0, 1e4]))).all()
