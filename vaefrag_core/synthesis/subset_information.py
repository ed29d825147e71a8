"""The information of every subset of a few channels at once, and each channel's fair share of it.

The product of coefficients over a subset is that over its part in one half of the channels, times that over its part
in the other half. So for one image the sums of all 2ᵏ subsets are one product of two matrices with 2^(k/2) rows each.
"""

import math
from dataclasses import dataclass

import numpy as np

from vaefrag_core.array_types import FloatArray, IntArray
from vaefrag_core.synthesis.coefficient_blocks import Block, CoefficientBlocks, ThreadBuffers, map_threads

MOST_CHANNELS = 12  # whose 4,096 subsets take about a second on 1,000 images
BLOCK_BYTES = 3e6  # of one block's products, so that they stay in a core's cache
MOST_ROWS = 16  # images of one block


@dataclass(frozen=True, eq=False)
class SubsetLogSums:
    """Sums over images i of log2 Σⱼ of products of coefficients: N log2 N less N times information.

    Args:
        subsets: (2ᵏ,) of every subset; bit c of the index says whether channel c is in it. Empty for more than 12
            channels.
        singles: (k,) of each channel alone.
        leave_one_out: (k,) of all channels but one.
        joint: of all channels.
        doubled: of all channels with every coefficient squared, as of two independent draws.
        within_label: (F,) of all channels, with Σⱼ over images of equal label only.
    """

    subsets: FloatArray
    singles: FloatArray
    leave_one_out: FloatArray
    joint: float
    doubled: float
    within_label: FloatArray


def subset_log_sums(coefficients: CoefficientBlocks, codes: IntArray, *, with_subsets: bool = True) -> SubsetLogSums:
    """Sum the coefficients of a set of channels, of its subsets, and of the set within each label.

    Args:
        coefficients: k channels on N images.
        codes: (F, N) the numbered values of each label.
        with_subsets: False leaves the 2ᵏ subsets out.
    """
    k, n = coefficients.shape
    halves = (k // 2, k - k // 2) if with_subsets and k <= MOST_CHANNELS else None
    factors = 2 ** halves[1] if halves else k
    buffers = ThreadBuffers()
    block_rows = int(max(1, min(MOST_ROWS, BLOCK_BYTES // (2 * factors * n * 4), n)))

    # Columns of the values of all labels, and the one of each image: one product serves many shuffles of a label.
    starts = np.cumsum([0, *(int(code.max()) + 1 for code in codes)])
    columns = codes + starts[:-1, None]
    values = np.zeros((n, int(starts[-1])), dtype=coefficients.dtype)
    values[np.arange(n), columns] = 1

    def sum_block(first: int) -> FloatArray:
        rows = slice(first, min(first + block_rows, n))
        count = rows.stop - rows.start
        b = buffers.array("coefficients", (k, count, n), coefficients.dtype)
        coefficients.fill(b, slice(None), rows, slice(None))
        if halves:
            low, high = (  # (rows, 2^h, N)
                _products(part, buffers.array(name, (count, 2 ** len(part), n), coefficients.dtype))
                for name, part in (("low", b[: halves[0]]), ("high", b[halves[0] :]))
            )
            subsets = np.matmul(high, low.transpose(0, 2, 1)).reshape(count, -1)
            joint = low[:, -1] * high[:, -1]
            parts = [subsets]
        else:
            singles, leave_one_out, joint = _leave_one_out(b)
            parts = [singles, leave_one_out, joint.sum(axis=1)[:, None]]
        doubled = np.einsum("in,in->i", joint, joint)
        of_values = joint @ values  # Σⱼ over the images of each value of each label
        within_label = np.take_along_axis(of_values, columns[:, rows].T, axis=1)
        sums = np.column_stack([*parts, doubled, within_label])
        # Never log2 of 0: the diagonal, b_ii = 1, is in every sum.
        return np.asarray(np.log2(sums, dtype=np.float64).sum(axis=0))

    total = np.sum(map_threads(sum_block, list(range(0, n, block_rows))), axis=0)
    main, doubled, within_label = np.split(total, [len(total) - len(codes) - 1, len(total) - len(codes)])
    if halves:
        whole = 2**k - 1
        bits = 1 << np.arange(k)
        leave_one_out = main[whole - bits]
        return SubsetLogSums(main, main[bits], leave_one_out, float(main[whole]), float(doubled[0]), within_label)
    empty = np.zeros(0)
    return SubsetLogSums(empty, main[:k], main[k : 2 * k], float(main[-1]), float(doubled[0]), within_label)


def shapley_shares(values: FloatArray) -> FloatArray:
    """Divide the value of a set among its channels: each one's gain, averaged over all orders of building the set.

    φ_c = Σ_{S ∌ c} |S|! (k−|S|−1)! / k! · ( v(S ∪ c) − v(S) )

    Args:
        values: (2ᵏ,) v of every subset; bit c of the index says whether channel c is in it.

    Returns:
        (k,) shares, in the unit of v; their sum is v of all less v of none.

    Reference: Shapley, L. S. (1953). A value for n-person games. Contributions to the Theory of Games 2, 307-317.
    https://doi.org/10.1515/9781400881970-018

    Example:
        Two channels that tell the same bit share it:

        >>> shapley_shares(np.array([0.0, 1.0, 1.0, 1.0])).tolist()
        [0.5, 0.5]
    """
    k = len(values).bit_length() - 1
    subsets = np.arange(len(values))
    size = np.array([int(s).bit_count() for s in subsets])
    weight = np.array([1 / (k * math.comb(k - 1, s)) for s in range(k)])
    shares = np.zeros(k)
    for c in range(k):
        outside = subsets[subsets >> c & 1 == 0]
        shares[c] = (weight[size[outside]] * (values[outside | 1 << c] - values[outside])).sum()
    return shares


def _products(b: Block, out: Block) -> Block:
    """Multiply coefficients (h, rows, N) over every subset of the h channels, into (rows, 2^h, N)."""
    out[:, 0] = 1  # of the empty subset
    for c in range(len(b)):
        np.multiply(out[:, : 2**c], b[c][:, None], out=out[:, 2**c : 2 ** (c + 1)])
    return out


def _leave_one_out(b: Block) -> tuple[Block, ...]:
    """Return the sums of each channel and of all but each, (rows, k), and the product of all, (rows, N).

    The product of all but one is that of the channels before it, times that of the channels after it. Dividing the
    product of all by one coefficient would fail where that is 0.
    """
    k = len(b)
    after = [np.ones_like(b[0])]  # products of the last channels, the longest last
    for c in range(k - 1, 0, -1):
        after.append(after[-1] * b[c])
    before, leave_one_out = np.ones_like(b[0]), []
    for c in range(k):
        leave_one_out.append(np.einsum("in,in->i", before, after[k - 1 - c]))
        before = before * b[c]
    return b.sum(axis=2).T, np.stack(leave_one_out, axis=1), before
