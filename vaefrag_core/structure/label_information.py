"""What channels tell of labels of many numbers, without cutting these into bins."""

from dataclasses import replace

import numpy as np

from vaefrag_core.array_types import FloatArray
from vaefrag_core.artifacts import ChannelMatrix, Posteriors
from vaefrag_core.measures.channel_states import dead_channels
from vaefrag_core.structure.label_factors import labels_of

NEIGHBOURS = 5  # of an image: fewer waver more, more blur what sharp channels tell
MAX_IMAGES = 2_000  # drawn from larger samples, which bounds the time and leaves an error of a few hundredths of a bit
FEWEST_IMAGES = 4 * NEIGHBOURS  # of fewer, nearest neighbours are half of all


def label_bits_by_neighbours(draws: FloatArray, values: FloatArray, seed: int = 0) -> FloatArray:
    """Estimate the mutual information of draws with a label by nearest neighbours.

    I(U;Y) ≈ ψ(k) + ψ(N) − ⟨ψ(n_u + 1) + ψ(n_y + 1)⟩, n_u and n_y the images within the distance of the k-th nearest,
    k = 5. Both sides are turned into normal scores first, so that only the order of values counts, as it does for
    mutual information itself.

    Args:
        draws: (N, C) a draw of each channel for each image.
        values: (N,) values of the label, numbers.
        seed: of what breaks ties.

    Returns:
        (C,) bits, 0 or more. Of what shares nothing, a hundredth of a bit at 1,000 images.

    Reference: Kraskov, A., Stögbauer, H., Grassberger, P. (2004). Estimating mutual information. Physical Review E 69,
    066138. https://doi.org/10.1103/PhysRevE.69.066138

    Example:
        >>> x = np.random.default_rng(0).normal(size=(500, 2))
        >>> label_bits_by_neighbours(x, x[:, 0]).round() > 3
        array([ True, False])
    """
    from sklearn.feature_selection import mutual_info_regression

    nats = mutual_info_regression(
        _normal_scores(draws), _normal_scores(values[:, None])[:, 0], n_neighbors=NEIGHBOURS, random_state=seed
    )
    return np.asarray(nats / np.log(2))


def with_unbinned_labels(
    matrix: ChannelMatrix, posteriors: Posteriors, min_bits: float, seed: int = 0
) -> ChannelMatrix:
    """Add to a comparison what a draw of each channel tells of binned labels, without their bins.

    Args:
        matrix: the comparison of all channels.
        posteriors: what it was made from.
        min_bits: below, a channel is dead, and is not estimated.
        seed: of draws, and of the images that are taken of large samples.

    Returns:
        The same, with `label_unbinned_bits`: NaN for labels that are not binned, and for dead channels.
    """
    bits = np.full(matrix.label_nmi.shape, np.nan)
    live = np.flatnonzero(~dead_channels(matrix.information_bits, min_bits))
    labels = labels_of(posteriors)
    distinct = np.unique(posteriors.image_copies)  # copies would be each other's nearest neighbours
    rng = np.random.default_rng(seed)
    for f, label in enumerate(labels):
        if label.numbers is None or not len(live):
            continue
        images = distinct[label.labelled[distinct]]
        if len(images) < FEWEST_IMAGES:
            continue
        images = np.sort(rng.choice(images, min(len(images), MAX_IMAGES), replace=False))
        mean, logvar = (array[live][:, images] for array in posteriors.flat())
        # a draw further from its mean than float64 resolves says nothing, and would be infinite
        draws = mean + np.exp(np.clip(logvar, -80, 80) / 2) * rng.normal(size=mean.shape)
        bits[live, f] = label_bits_by_neighbours(draws.T, label.numbers[images], seed)
    return replace(matrix, label_unbinned_bits=bits)


def _normal_scores(values: FloatArray) -> FloatArray:
    """Replace values by the quantiles of a normal distribution at their ranks, column by column; ties share one."""
    from scipy.stats import norm, rankdata

    return np.asarray(norm.ppf((rankdata(values, axis=0) - 0.5) / len(values)))
