"""Sets that grow channel by channel: what each step tells, streamed over blocks of image pairs.

Coefficients are symmetric, so only blocks on and above the diagonal are filled in: what a block holds of images i
and j counts for both.
"""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from vaefrag_core.array_types import AnyArray, FloatArray, IntArray
from vaefrag_core.synthesis.coefficient_blocks import CoefficientBlocks, Memory, side_by_side

BLOCK_ROWS = 64
CANDIDATES_OF_A_TASK = 16  # that share one product of the set so far
SPACES_OF_A_TASK = 8  # the same of whole spaces
Codes = IntArray | None


def prefix_bits(overlaps: CoefficientBlocks, orders: Sequence[Sequence[int]], codes: Codes = None) -> list[FloatArray]:
    """Give the information of the first channel, the first two, … of each order.

    Args:
        overlaps: of K channels on N images.
        orders: of channels.
        codes: (N,) the numbered values of a label, to give what is told about it as well.

    Returns:
        For each order (length, 1) joint bits; (length, 2) with a label, the second I(U_joint; label).
    """

    def task(order: Sequence[int]) -> FloatArray:
        memory, n = Memory(), overlaps.shape[1]
        totals = np.zeros((len(order), 1 if codes is None else 2, n))
        for rows, columns in _triangle(n):
            b, product = _two_blocks(memory, overlaps, rows, columns)
            product[:] = 1
            for step, channel in enumerate(order):
                overlaps.fill(b, slice(channel, channel + 1), rows, columns)
                np.multiply(product, b, out=product)
                _add(totals[step], product[0], rows, columns, codes)
        return _bits(totals, codes)

    return side_by_side(task, list(orders))


def added_bits(
    overlaps: CoefficientBlocks, chosen: Sequence[int], candidates: Sequence[int], codes: Codes = None
) -> FloatArray:
    """Give the information of a set with each of some candidates.

    Args:
        overlaps: of K channels on N images.
        chosen: the set.
        candidates: channels, A of them.
        codes: (N,) the numbered values of a label, to give what is told about it as well.

    Returns:
        (A, 1) joint bits of the set and the candidate; (A, 2) with a label, the second I(U_joint; label).
    """

    def task(group: Sequence[int]) -> FloatArray:
        memory, n = Memory(), overlaps.shape[1]
        totals = np.zeros((len(group), 1 if codes is None else 2, n))
        for rows, columns in _triangle(n):
            b, product = _two_blocks(memory, overlaps, rows, columns)
            _multiply_up(overlaps, chosen, rows, columns, b, product)
            for place, channel in enumerate(group):
                overlaps.fill(b, slice(channel, channel + 1), rows, columns)
                np.multiply(product, b, out=b)
                _add(totals[place], b[0], rows, columns, codes)
        return _bits(totals, codes)

    groups = [candidates[k : k + CANDIDATES_OF_A_TASK] for k in range(0, len(candidates), CANDIDATES_OF_A_TASK)]
    empty = np.zeros((0, 1 if codes is None else 2))
    return np.concatenate([empty, *side_by_side(task, groups)])


def space_bits(
    overlaps: CoefficientBlocks, spaces: Sequence[Sequence[int]], chosen: Sequence[int], codes: Codes = None
) -> tuple[FloatArray, FloatArray]:
    """Give what spaces tell, and what each and a set tell together.

    Args:
        overlaps: of K channels on N images.
        spaces: channels of each of M spaces.
        chosen: the set. A channel in both counts twice, as two draws of it.
        codes: (N,) the numbered values of a label.

    Returns:
        (M, 1) bits of each space; (M, 2) with a label, the second I(U_space; label). And (M,) joint bits of each with
        the set; 0 without one.
    """

    def task(group: Sequence[Sequence[int]]) -> tuple[FloatArray, FloatArray]:
        memory, n = Memory(), overlaps.shape[1]
        totals, both = np.zeros((len(group), 1 if codes is None else 2, n)), np.zeros((len(group), 1, n))
        for rows, columns in _triangle(n):
            b, product = _two_blocks(memory, overlaps, rows, columns)
            of_set = memory.array("set", b.shape, overlaps.dtype)
            _multiply_up(overlaps, chosen, rows, columns, b, of_set)
            for place, space in enumerate(group):
                _multiply_up(overlaps, space, rows, columns, b, product)
                _add(totals[place], product[0], rows, columns, codes)
                if chosen:
                    np.multiply(product, of_set, out=product)
                    _add(both[place], product[0], rows, columns, None)
        return _bits(totals, codes), _bits(both, None)[:, 0] if chosen else np.zeros(len(group))

    groups = [spaces[k : k + SPACES_OF_A_TASK] for k in range(0, len(spaces), SPACES_OF_A_TASK)]
    found = side_by_side(task, groups)
    return np.concatenate([own for own, _ in found]), np.concatenate([joint for _, joint in found])


def greedy_order(
    overlaps: CoefficientBlocks, start: Sequence[int], candidates: Mapping[int, float], size: int, codes: Codes = None
) -> list[int]:
    """Add the best channel, again and again.

    By joint bits, a channel's gain shrinks as the set grows: what it tells is told already. So a channel is looked at
    again only while its last gain is above the best of this round. What is told about a label may grow, and is worked
    out for all.

    Args:
        overlaps: of K channels.
        start: the set to begin with.
        candidates: what may be added, with the bits of each alone; channels of the set are passed over.
        size: how many to add at most.
        codes: (N,) of a label; then by what is told about it.

    Returns:
        The channels added, in order; of equals the one that comes first among the candidates.
    """
    order: list[int] = []
    left = np.array([c for c in candidates if c not in start], dtype=np.int64)
    gain = np.array([candidates[c] for c in left.tolist()])
    base = _worth(overlaps, start, codes)
    while len(order) < size and len(left):
        fresh = np.full(len(left), -np.inf)
        for batch in _promising(gain, fresh) if codes is None else [np.arange(len(left))]:
            fresh[batch] = added_bits(overlaps, [*start, *order], left[batch].tolist(), codes)[:, -1] - base
            gain[batch] = fresh[batch]
        best = int(np.argmax(fresh))
        order.append(int(left[best]))
        base += float(fresh[best])
        left, gain = np.delete(left, best), np.delete(gain, best)
    return order


def _promising(gain: FloatArray, fresh: FloatArray) -> Iterator[IntArray]:
    """Give batches of those that may be best, by their last gain, until none is left that promises more."""
    ranked = np.argsort(-gain, kind="stable")
    for first in range(0, len(ranked), CANDIDATES_OF_A_TASK):
        batch = ranked[first : first + CANDIDATES_OF_A_TASK]
        if gain[batch[0]] < fresh.max():
            return
        yield batch


def _worth(overlaps: CoefficientBlocks, channels: Sequence[int], codes: Codes) -> float:
    return float(prefix_bits(overlaps, [channels], codes)[0][-1, -1]) if channels else 0.0


def _triangle(n: int) -> Iterator[tuple[slice, slice]]:
    for first in range(0, n, BLOCK_ROWS):
        yield slice(first, min(first + BLOCK_ROWS, n)), slice(first, n)


def _two_blocks(memory: Memory, overlaps: CoefficientBlocks, rows: slice, columns: slice) -> tuple[AnyArray, AnyArray]:
    shape = (1, rows.stop - rows.start, columns.stop - columns.start)
    return memory.array("b", shape, overlaps.dtype), memory.array("product", shape, overlaps.dtype)


def _multiply_up(
    overlaps: CoefficientBlocks,
    channels: Sequence[int],
    rows: slice,
    columns: slice,
    b: AnyArray,
    product: AnyArray,
) -> None:
    """Write the product of channels' coefficients; `b` is overwritten."""
    product[:] = 1
    for channel in channels:
        overlaps.fill(b, slice(channel, channel + 1), rows, columns)
        np.multiply(product, b, out=product)


def _add(totals: FloatArray, product: AnyArray, rows: slice, columns: slice, codes: Codes) -> None:
    """Add what a block holds to the sums of its rows and, beyond the diagonal, of its columns."""
    beyond = rows.stop - rows.start
    parts = [product] if codes is None else [product, product * (codes[rows, None] == codes[columns])]
    for total, part in zip(totals, parts, strict=True):
        total[rows] += part.sum(axis=1)
        total[rows.stop :] += part[:, beyond:].sum(axis=0)


def _bits(totals: FloatArray, codes: Codes) -> FloatArray:
    """Turn sums over j, (A, 1 or 2, N), into joint bits and, with a label, what is told about it."""
    n = totals.shape[-1]
    bits = np.log2(n) - np.log2(totals).mean(axis=-1)
    if codes is None:
        return np.asarray(bits)
    label = np.log2(n) - np.log2(np.bincount(codes)[codes]).mean()
    return np.stack([bits[:, 0], bits[:, 0] + label - bits[:, 1]], axis=1)
