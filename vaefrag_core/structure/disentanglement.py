"""Disentanglement of one member by known factors: MIG, DCI, SAP and the FactorVAE score.

Codes are posterior means (N, D) of the active units, standardized; factors are (F, N) numbered values. The scores do
not change when channels are exchanged or turned around: `standard_codes` brings them into one order and orientation.
"""

from dataclasses import dataclass

import numpy as np

from vaefrag_core.array_types import FloatArray, IntArray
from vaefrag_core.artifacts.image_copies import hold_out_images
from vaefrag_core.structure.classifier_warnings import without_regression_warning
from vaefrag_core.structure.label_factors import label_entropy_bits

NEIGHBOURS = 3  # of a code among those of the same value, for MIG
HELD_OUT = 0.25  # share of the images on which predictions are tested
TREES = 10  # of a forest, for DCI
SMALLEST_LEAF = 5  # images: smaller leaves fit noise, and give channels an importance that they do not have
VOTES = 800  # of the FactorVAE score, to learn from and as many to test, as published
BATCH = 64  # images of a vote
FEWEST_OF_A_VALUE = 5  # images: the variance of fewer says nothing about a channel


@dataclass(frozen=True)
class DCI:
    """Disentanglement, completeness and informativeness; NaN where undefined."""

    disentanglement: float
    completeness: float
    informativeness: float


def standard_codes(mean: FloatArray) -> FloatArray:
    """Centre and scale channels, and bring them into an order and orientation that their values alone decide.

    Args:
        mean: (N, D) posterior means, in any units.

    Returns:
        (N, D') codes of standard deviation 1; channels that are constant are left out.

    Example:
        >>> standard_codes(np.array([[5.0, 1.0], [5.0, 3.0]])).tolist()
        [[1.0], [-1.0]]
    """
    mean = np.asarray(mean, dtype=np.float64)
    mean = mean[:, np.ptp(mean, axis=0) > 0]
    codes = (mean - mean.mean(axis=0)) / mean.std(axis=0)
    turned = codes[np.abs(codes).argmax(axis=0), np.arange(codes.shape[1])] < 0
    codes = np.where(turned, -codes, codes)
    return np.ascontiguousarray(codes[:, np.lexsort(codes[::-1])])


def mig(codes: FloatArray, classes: IntArray, seed: int = 0, copy_of: IntArray | None = None) -> float:
    """Mutual information gap.

    MIG = mean over factors v of [ I(z₁;v) − I(z₂;v) ] / H(v), z₁ and z₂ the two channels that tell most about v.
    Information is estimated by nearest neighbours of the same value, k = 3, without cutting channels into bins: these
    would straddle values. Each distinct image counts once, since copies would be their own nearest neighbours.

    Args:
        codes: (N, D) standardized codes.
        classes: (F, N) numbered values of the factors.
        seed: of what breaks ties.
        copy_of: (N,) the position of the first image that each one equals; None without copies.

    Returns:
        0 to 1; 1 when one channel alone tells each factor. 0 without channels.

    Reference: Chen, R. T. Q. et al. (2018). Isolating sources of disentanglement in variational autoencoders.
    https://arxiv.org/abs/1802.04942. Ross, B. C. (2014). Mutual information between discrete and continuous data sets.
    PLoS ONE 9(2), e87357. https://doi.org/10.1371/journal.pone.0087357
    """
    from sklearn.feature_selection import mutual_info_classif

    if not codes.shape[1]:
        return 0.0
    distinct = np.arange(len(codes)) if copy_of is None else np.unique(copy_of)
    gaps = []
    for values in classes[:, distinct]:
        information = mutual_info_classif(codes[distinct], values, n_neighbors=NEIGHBOURS, random_state=seed)
        entropy = label_entropy_bits(values) * np.log(2)
        # An estimate can exceed what there is to tell by its error.
        gaps.append(_gap(np.minimum(information, entropy)[:, None], np.zeros(1))[0] / entropy if entropy else np.nan)
    return float(np.mean(gaps))


@without_regression_warning()
def sap(codes: FloatArray, classes: IntArray, seed: int = 0, copy_of: IntArray | None = None) -> float:
    """Separated attribute predictability.

    SAP = mean over factors v of S(z₁,v) − S(z₂,v), z₁ and z₂ the two channels that predict v best. S is the balanced
    accuracy, on a held-out quarter of the images, of thresholds on that channel alone, as many as v needs.

    Args:
        codes: (N, D) standardized codes.
        classes: (F, N) numbered values of the factors.
        seed: seed of the split.
        copy_of: (N,) the position of the first image that each one equals; copies are on one side of the split.

    Returns:
        0 to 1. A missing second channel predicts as chance does.

    Reference: Kumar, A., Sattigeri, P., Balakrishnan, A. (2018). Variational inference of disentangled latent
    concepts from unlabeled observations. https://arxiv.org/abs/1711.00848
    """
    from sklearn.tree import DecisionTreeClassifier

    train, test = hold_out_images(np.arange(len(codes)) if copy_of is None else copy_of, HELD_OUT, seed)
    score = np.zeros((codes.shape[1], len(classes)))
    chance = np.zeros(len(classes))
    for f, values in enumerate(classes):
        count = len(np.unique(values))
        chance[f] = 1 / count
        for d, channel in enumerate(codes.T):
            # Grown best split first, a tree of K leaves on one channel is K − 1 thresholds.
            tree = DecisionTreeClassifier(max_leaf_nodes=count, class_weight="balanced", random_state=seed)
            tree.fit(channel[train, None], values[train])
            right = tree.predict(channel[test, None]) == values[test]
            of_value = np.bincount(values[test])
            hits = np.bincount(values[test], weights=right)
            score[d, f] = (hits[of_value > 0] / of_value[of_value > 0]).mean()
    return float(np.mean(_gap(score, chance)))


@without_regression_warning()
def dci(codes: FloatArray, classes: IntArray, seed: int = 0, copy_of: IntArray | None = None) -> DCI:
    """Disentanglement, completeness and informativeness.

    R_df is the importance of channel d for factor f in a random forest, its columns summing to 1. With the entropy of
    a row in base F and of a column in base D,

        D = Σ_d ρ_d (1 − H_F(R_d· / Σ_f R_df)),  ρ_d = Σ_f R_df / F        C = mean_f (1 − H_D(R_·f))

    and informativeness is the forests' accuracy on a held-out quarter of the images, averaged over factors.

    Args:
        codes: (N, D) standardized codes.
        classes: (F, N) numbered values of the factors.
        seed: seed of the split and the forests.
        copy_of: (N,) the position of the first image that each one equals; copies are on one side of the split.

    Returns:
        Each 0 to 1. Disentanglement of one factor, and completeness of one channel, is undefined.

    Reference: Eastwood, C., Williams, C. K. I. (2018). A framework for the quantitative evaluation of disentangled
    representations. ICLR. https://openreview.net/forum?id=By-7dz-AZ
    """
    from sklearn.ensemble import RandomForestClassifier

    channels, factors = codes.shape[1], len(classes)
    if not channels:
        return DCI(float("nan"), float("nan"), float("nan"))
    train, test = hold_out_images(np.arange(len(codes)) if copy_of is None else copy_of, HELD_OUT, seed)
    importance, accuracy = np.zeros((channels, factors)), np.zeros(factors)
    for f, values in enumerate(classes):
        # All channels stand at every split: a random few would share a factor among channels that tell it worse.
        forest = RandomForestClassifier(TREES, max_features=None, min_samples_leaf=SMALLEST_LEAF, random_state=seed)
        forest.fit(codes[train], values[train])
        importance[:, f] = forest.feature_importances_
        accuracy[f] = np.mean(forest.predict(codes[test]) == values[test])
    weight = importance.sum(axis=1)
    row = importance[weight > 0] / weight[weight > 0, None]
    disentanglement = 1 - _entropy(row) / np.log(factors) if factors > 1 else np.full(len(row), np.nan)
    completeness = 1 - _entropy(importance.T) / np.log(channels) if channels > 1 else np.full(factors, np.nan)
    share = weight[weight > 0] / weight.sum()
    return DCI(float(share @ disentanglement), float(completeness.mean()), float(accuracy.mean()))


def factorvae_score(codes: FloatArray, classes: IntArray, seed: int = 0) -> float:
    """Accuracy with which the channel that varies least names the factor that was held fixed.

    A vote draws a factor, one of its values and 64 images of that value, with replacement; it names the channel of
    least variance, relative to all images. Each channel then stands for the factor that most of 800 votes gave it, and
    the score is how often that is right in 800 others. Values of fewer than 5 images are not drawn.

    Args:
        codes: (N, D) codes of variance 1.
        classes: (F, N) numbered values of the factors.
        seed: seed of the votes.

    Returns:
        1/F (chance) to 1; NaN for a single factor, where nothing can be wrong, and without channels.

    Reference: Kim, H., Mnih, A. (2018). Disentangling by factorising. https://arxiv.org/abs/1802.05983
    """
    rng = np.random.default_rng(seed)
    groups = [[np.flatnonzero(v == k) for k in np.unique(v)] for v in classes]
    groups = [[g for g in of_factor if len(g) >= FEWEST_OF_A_VALUE] for of_factor in groups]
    drawable = [f for f, of_factor in enumerate(groups) if of_factor]
    if len(drawable) < 2 or not codes.shape[1]:
        return float("nan")
    factor = rng.choice(drawable, 2 * VOTES)
    channel = np.zeros(2 * VOTES, dtype=np.int64)
    for vote, f in enumerate(factor):
        group = groups[f][rng.integers(len(groups[f]))]
        channel[vote] = codes[rng.choice(group, BATCH)].var(axis=0).argmin()
    votes = np.zeros((codes.shape[1], len(classes)), dtype=np.int64)
    np.add.at(votes, (channel[:VOTES], factor[:VOTES]), 1)
    return float(np.mean(votes.argmax(axis=1)[channel[VOTES:]] == factor[VOTES:]))


def _gap(score: FloatArray, floor: FloatArray) -> FloatArray:
    """Return the largest score of each factor less the second; missing channels score the floor."""
    best = np.sort(np.vstack([floor, floor, score]), axis=0)
    return np.asarray(best[-1] - best[-2])


def _entropy(rows: FloatArray) -> FloatArray:
    """Entropy of distributions, nats: (R, K) → (R,)."""
    return np.asarray(-(rows * np.log(np.where(rows > 0, rows, 1.0))).sum(axis=1))
