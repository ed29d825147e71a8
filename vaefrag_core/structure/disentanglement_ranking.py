"""UDR: how far a member's channels come back, one by one, in the other members. No label is needed."""

from collections.abc import Sequence

import numpy as np

from vaefrag_core.array_types import FloatArray


def udr(members: Sequence[FloatArray]) -> FloatArray:
    """Unsupervised disentanglement ranking, with rank correlations.

    R_ab is |Spearman's ρ| of channel a of one member with channel b of the other, over the informative channels of
    both, d and d′ many. A pair of members scores

        ( Σ_b max_a R_ab² / Σ_a R_ab  +  Σ_a max_b R_ab² / Σ_b R_ab ) / (d + d′)

    and a member the median of its pairs.

    Args:
        members: M arrays (N, D_m): posterior means of the informative channels.

    Returns:
        (M,) 0 to 1; 1 when each channel has its like in every other member and correlates with no other. A member
        without informative channels has 0; a single member NaN.

    Reference: Duan, S. et al. (2020). Unsupervised model selection for variational disentangled representation
    learning. https://arxiv.org/abs/1905.12614
    """
    from scipy.stats import rankdata

    count = len(members)
    if count < 2:
        return np.full(count, np.nan)
    ranks = rankdata(np.concatenate(members, axis=1), axis=0)
    ranks -= ranks.mean(axis=0)
    length = np.linalg.norm(ranks, axis=0)
    ranks /= np.where(length > 0, length, 1.0)
    correlation = np.abs(ranks.T @ ranks)  # (C, C)
    ends = np.cumsum([0, *(member.shape[1] for member in members)])
    score = np.full((count, count), np.nan)
    for i in range(count):
        for j in range(i):
            block = correlation[ends[i] : ends[i + 1], ends[j] : ends[j + 1]]
            score[i, j] = score[j, i] = _pair_score(block)
    return np.asarray(np.nanmedian(score, axis=1))


def _pair_score(block: FloatArray) -> float:
    if not block.size:
        return 0.0
    total = 0.0
    for table in (block, block.T):
        sums = table.sum(axis=0)
        total += float((table.max(axis=0) ** 2 / np.where(sums > 0, sums, 1.0)).sum())
    return total / sum(block.shape)
