"""InfoMEC of one member by known factors: modularity, explicitness and compactness in terms of information.

Reference: Hsu, K. et al. (2023). Disentanglement via latent quantization. NeurIPS. https://arxiv.org/abs/2305.18378
"""

import math
import warnings

import numpy as np
from scipy.special import digamma

from vaefrag_core.array_types import FloatArray, IntArray
from vaefrag_core.artifacts.image_copies import shuffled_images
from vaefrag_core.structure.label_factors import label_entropy_bits

INFOMEC = ("infom", "infoe", "infoc")
NEIGHBOURS = 10  # of the estimate of mutual information, as published
TIE_NOISE = 1e-10  # standard deviations
INVERSE_PENALTY = 100.0  # of the regression: next to none, and still finite where factors are told without error


def infomec(codes: FloatArray, classes: IntArray) -> FloatArray:
    """Modularity, explicitness and compactness.

    With R_fd = I(v_f; z_d) / H(v_f), by ten nearest neighbours,

        InfoM: mean over channels of max_f R_fd / Σ_f R_fd, moved from 1/F … 1 to 0 … 1
        InfoC: mean over factors of max_d R_fd / Σ_d R_fd, moved from 1/D … 1 to 0 … 1
        InfoE: mean over factors of 1 − H(v_f | codes) / H(v_f), the first as a logistic regression on all codes has it

    Its authors leave out channels of a small range; callers leave out inactive ones. They weight the classes of the
    regression alike; here H(v_f) is the entropy of the factor as it is. Both are the same for factors of equal counts.
    The regression is judged on the images that it has seen, as published: hold it against shuffled factors.

    Args:
        codes: (N, D) standardized codes.
        classes: (F, N) numbered values of the factors, each of two values at least.

    Returns:
        InfoM, InfoE, InfoC. NaN: InfoM of one factor, InfoC of one channel, and all without channels or factors.
        Channels that tell nothing of any factor are left out of InfoM, factors that no channel tells of out of InfoC.
    """
    if not codes.shape[1] or not len(classes):
        return np.full(3, np.nan)
    told = told_shares(codes, classes)
    return np.array([_largest_share(told.T), _explicitness(codes, classes), _largest_share(told)])


def shuffled_infomec(
    codes: FloatArray, classes: IntArray, seed: int = 0, copy_of: IntArray | None = None
) -> FloatArray:
    """Return `infomec` with the images of the factors shuffled together: what codes show that tell nothing of them.

    Args:
        codes: (N, D) standardized codes.
        classes: (F, N) numbered values of the factors.
        seed: of the shuffle.
        copy_of: (N,) the position of the first image that each one equals; None without copies.
    """
    copy_of = np.arange(len(codes)) if copy_of is None else copy_of
    (order,) = shuffled_images(copy_of, 1, np.random.default_rng(seed))
    return infomec(codes, classes[:, order])


def told_shares(codes: FloatArray, classes: IntArray) -> FloatArray:
    """Return the share of each factor that each channel tells, I(v_f; z_d) / H(v_f), (F, D), 0 or more.

    With k nearest neighbours of the same value, n_v images of it, and m images of any value within their distance,

        I(v; z) = ψ(N) + ⟨ψ(k)⟩ − ⟨ψ(n_v)⟩ − ⟨ψ(m)⟩ nats

    over the images whose value is not theirs alone. scikit-learn's `mutual_info_classif`, which this equals, searches
    trees; in one dimension, neighbours lie beside each other once codes are sorted.

    Reference: Ross, B. C. (2014). Mutual information between discrete and continuous data sets. PLoS ONE 9(2).
    """
    noise = np.random.default_rng(0).normal(size=codes.shape)  # parts equal codes, as Kraskov et al. (2004) advise
    channels = (codes + TIE_NOISE * np.maximum(1, np.abs(codes).mean(axis=0)) * noise).T
    nats = [[max(0.0, _told_nats(channel, values)) for channel in channels] for values in classes]
    return np.asarray(np.asarray(nats) / np.array([_entropy_nats(values) for values in classes])[:, None])


def _told_nats(channel: FloatArray, values: IntArray) -> float:
    """Return I(v; z) of one channel and one factor, each (N,)."""
    radii, neighbours, alike = (np.zeros(len(channel)) for _ in range(3))
    order = np.argsort(channel)
    for value in np.unique(values):
        images = order[values[order] == value]
        k = min(NEIGHBOURS, len(images) - 1)
        alike[images] = len(images)
        if k:
            radii[images], neighbours[images] = _neighbour_distances(channel[images], k), k
    told = alike > 1
    channel, radii, neighbours, alike = (part[told] for part in (channel, radii, neighbours, alike))
    radii -= 4 * np.spacing(np.abs(channel) + radii)  # the neighbour itself is outside, however its place is rounded
    in_order = np.sort(channel)
    within = np.searchsorted(in_order, channel + radii, "right") - np.searchsorted(in_order, channel - radii, "left")
    near, same, all_within = (float(digamma(part).mean()) for part in (neighbours, alike, within))
    return float(digamma(len(channel))) + near - same - all_within


def _neighbour_distances(ascending: FloatArray, k: int) -> FloatArray:
    """Return the distance of each number of an ascending row to its k-th nearest other one."""
    far = np.full(k, np.inf)
    padded = np.concatenate([-far, ascending, far])
    # The k nearest and the number itself are k + 1 in a row: the narrowest such row around it.
    rows = [
        np.maximum(
            ascending - padded[k - left : len(padded) - k - left], padded[2 * k - left :][: len(ascending)] - ascending
        )
        for left in range(k + 1)
    ]
    return np.asarray(np.min(rows, axis=0))


def _largest_share(rows: FloatArray) -> float:
    """Return the mean over rows of the largest entry's share of its row, moved so that equal entries give 0."""
    count, total = rows.shape[1], rows.sum(axis=1)
    rows, total = rows[total > 0], total[total > 0]
    if count < 2 or not len(rows):
        return float("nan")
    return float(((rows.max(axis=1) / total).mean() - 1 / count) / (1 - 1 / count))


def _explicitness(codes: FloatArray, classes: IntArray) -> float:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import log_loss

    shares = []
    for values in classes:
        regression = LogisticRegression(C=INVERSE_PENALTY, max_iter=200)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # the entropy has settled long before the coefficients
            predicted = regression.fit(codes, values).predict_proba(codes)
        shares.append(1 - log_loss(values, predicted, labels=regression.classes_) / _entropy_nats(values))
    return float(np.mean(shares))


def _entropy_nats(values: IntArray) -> float:
    return label_entropy_bits(values) * math.log(2)
