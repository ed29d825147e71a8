"""The information of every subset of a few channels at once, and each channel's fair share of it.

The product of coefficients over a subset is that over its part in one half of the channels, times that over its part
in the other half. So for one image the sums of all 2ᵏ subsets are one product of two matrices with 2^(k/2) rows each.
"""

import math
from dataclasses import dataclass

import numpy as np

from vaefrag_core.array_types import FloatArray, IntArray, RealArray
from vaefrag_core.synthesis.coefficient_blocks import CoefficientBlocks, Memory, side_by_side

MOST_CHANNELS = 12  # whose 4,096 subsets are worked out within a second on 1,000 images
BLOCK_BYTES = 3e6  # of a block's products: they stay in a core's cache
MOST_ROWS = 16


@dataclass(frozen=True, eq=False)
class JointSums:
    """Sums over images i of log2 Σⱼ of products of coefficients.

    Args:
        subsets: (2ᵏ,) of every subset; bit c of the place says whether channel c is in. Empty for more than 12.
        single: (k,) of each channel.
        without: (k,) of all channels but one.
        joint: of all.
        twice: of all, with every coefficient squared.
        within: (F,) of all, over images of equal label only.
    """

    subsets: FloatArray
    single: FloatArray
    without: FloatArray
    joint: float
    twice: float
    within: FloatArray


def joint_sums(overlaps: CoefficientBlocks, codes: IntArray, *, with_subsets: bool = True) -> JointSums:
    """Work out everything that a set of channels is judged by.

    Args:
        overlaps: of k channels on N images.
        codes: (F, N) the numbered values of each label.
        with_subsets: False leaves the 2ᵏ subsets out.
    """
    k, n = overlaps.shape
    halves = (k // 2, k - k // 2) if with_subsets and k <= MOST_CHANNELS else None
    wide = 2 ** halves[1] if halves else k
    memory = Memory()
    step = int(max(1, min(MOST_ROWS, BLOCK_BYTES // (2 * wide * n * 4), n)))

    def task(first: int) -> FloatArray:
        rows = slice(first, min(first + step, n))
        count = rows.stop - rows.start
        b = memory.array("coefficients", (k, count, n), overlaps.dtype)
        overlaps.fill(b, slice(None), rows, slice(None))
        if halves:
            low, high = (  # (rows, 2^h, N)
                _products(part, memory.array(name, (count, 2 ** len(part), n), overlaps.dtype))
                for name, part in zip(("low", "high"), np.split(b, [halves[0]]), strict=True)
            )
            subsets = np.matmul(high, low.transpose(0, 2, 1)).reshape(count, -1)
            joint: RealArray = low[:, -1] * high[:, -1]
            parts = [subsets]
        else:
            single, without, joint = _leave_one_out(b)
            parts = [single, without, joint.sum(axis=1)[:, None]]
        twice = np.einsum("in,in->i", joint, joint)
        within = [np.einsum("in,in->i", joint, code[rows, None] == code) for code in codes]
        sums = np.column_stack([*parts, twice, *within])
        return np.asarray(np.log2(sums, dtype=np.float64).sum(axis=0))

    total = np.sum(side_by_side(task, list(range(0, n, step))), axis=0)
    main, twice, within = np.split(total, [len(total) - len(codes) - 1, len(total) - len(codes)])
    if halves:
        every = 2**k - 1
        bits = 1 << np.arange(k)
        return JointSums(main, main[bits], main[every - bits], float(main[every]), float(twice[0]), within)
    return JointSums(np.zeros(0), main[:k], main[k : 2 * k], float(main[-1]), float(twice[0]), within)


def shapley_shares(worth: FloatArray) -> FloatArray:
    """Shares of the whole: each channel's gain, averaged over all orders in which the set could be put together.

    φ_c = Σ_{S ∌ c} |S|! (k−|S|−1)! / k! · ( v(S ∪ c) − v(S) )

    Args:
        worth: (2ᵏ,) v of every subset; bit c of the place says whether c is in.

    Returns:
        (k,) shares, in the unit of v; their sum is v of all less v of none.

    Example:
        Two channels that tell the same bit share it:

        >>> shapley_shares(np.array([0.0, 1.0, 1.0, 1.0])).tolist()
        [0.5, 0.5]

    Reference: Shapley, L. S. (1953). A value for n-person games. Contributions to the Theory of Games 2, 307-317.
    https://doi.org/10.1515/9781400881970-018
    """
    k = len(worth).bit_length() - 1
    subsets = np.arange(len(worth))
    size = np.array([int(s).bit_count() for s in subsets])
    weight = np.array([1 / (k * math.comb(k - 1, s)) for s in range(k)])
    shares = np.zeros(k)
    for c in range(k):
        outside = subsets[subsets >> c & 1 == 0]
        shares[c] = (weight[size[outside]] * (worth[outside | 1 << c] - worth[outside])).sum()
    return shares


def _products(b: RealArray, out: RealArray) -> RealArray:
    """Multiply coefficients (h, rows, N) over every subset of the h channels, into (rows, 2^h, N)."""
    out[:, 0] = 1
    for c in range(len(b)):
        np.multiply(out[:, : 2**c], b[c][:, None], out=out[:, 2**c : 2 ** (c + 1)])
    return out


def _leave_one_out(b: RealArray) -> tuple[RealArray, ...]:
    """Give the sums of each channel and of all but each, (rows, k), and the product of all, (rows, N)."""
    k = len(b)
    after = [np.ones_like(b[0])]  # products of the last channels, the longest last
    for c in range(k - 1, 0, -1):
        after.append(after[-1] * b[c])
    before, without = np.ones_like(b[0]), []
    for c in range(k):
        without.append(np.einsum("in,in->i", before, after[k - 1 - c]))
        before = before * b[c]
    return b.sum(axis=2).T, np.stack(without, axis=1), before
