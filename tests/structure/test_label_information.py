"""What channels tell of labels of many numbers, without bins, held against the closed form of Gaussians."""

import numpy as np
import pytest

from vaefrag_core.artifacts import Posteriors
from vaefrag_core.structure.label_information import label_bits_by_neighbours, with_unbinned_labels
from vaefrag_core.structure.matrices import compare_channels


@pytest.mark.parametrize("rho", [0.0, 0.3, 0.6, 0.9, 0.99])
def test_draws_of_a_gaussian_tell_what_its_correlation_says(rho: float) -> None:
    found = []
    for seed in range(4):
        rng = np.random.default_rng(seed)
        label = rng.normal(size=800)
        draws = rho * label[:, None] + np.sqrt(1 - rho**2) * rng.normal(size=(800, 5))
        found.append(label_bits_by_neighbours(draws, np.exp(label)))  # a skewed scale changes nothing
    # Nothing is below 0, so that what shares nothing shows a little.
    assert np.mean(found) == pytest.approx(-0.5 * np.log2(1 - rho**2), abs=0.03)
    assert np.std(found) < 0.08


def test_posteriors_are_judged_by_draws_on_the_images_that_have_a_value() -> None:
    rng = np.random.default_rng(1)
    label = rng.normal(size=600)
    noise = np.array([0.5, 1.0])  # σ of two channels whose means are the label itself
    mean = np.stack([label, label, np.zeros(600)], axis=1)[None]
    logvar = np.broadcast_to(np.log([*noise**2, 1.0]), mean.shape)
    labels = np.column_stack([np.where(np.arange(600) < 500, label, np.nan), label > 0])
    posteriors = Posteriors(mean, logvar, labels=labels)
    found = with_unbinned_labels(compare_channels(posteriors), posteriors, 0.01).label_unbinned_bits
    expected = 0.5 * np.log2(1 + 1 / noise**2)  # 1.16 and 0.50 bits; a mean alone would tell all
    np.testing.assert_allclose(found[:2, 0], expected, atol=0.12)
    assert np.isnan(found[2, 0])  # a dead channel
    assert np.isnan(found[:, 1]).all()  # a label of two values has no bins
