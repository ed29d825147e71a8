"""How much of whole members a set carries, counted from the level of chance, on as many rows as there is time for.

share = s(set, member) / s(member, member′), the second of two draws of the member

What is shared is a mean over images i, so that fewer rows i give the same on average, with an error that can be told:

    I(U;V) = (1/N) Σᵢ ( log2 N − log2 Σⱼ b^U_ij − log2 Σⱼ b^V_ij + log2 Σⱼ b^U_ij b^V_ij )

Σⱼ is over all images whatever the rows: what is shared by chance depends on their number.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from vaefrag_core.array_types import Float32Array, FloatArray, IntArray
from vaefrag_core.artifacts.image_copies import shuffled_images
from vaefrag_core.synthesis.coefficient_blocks import Block, CoefficientBlocks, ThreadBuffers, map_threads
from vaefrag_core.synthesis.greedy import prefix_bits, space_bits
from vaefrag_core.synthesis.label_readings import deal_folds
from vaefrag_core.synthesis.set_chance import set_bits_above_chance

COEFFICIENTS = 2e7  # of one pass over all members, a fifth of a second of two cores: bounds the rows
FEWEST_ROWS = 100
BLOCK_ROWS = 16
SHUFFLES = 4  # of the set, each of all images
LEFT_OUT = 20  # groups of images, each left out in turn for the standard error

Channels = tuple[FloatArray, FloatArray]


@dataclass(frozen=True, eq=False)
class MemberRows:
    """What the members of an ensemble have of their own; no set changes it.

    Args:
        bits: (M,) I(X;U) of each member, on all rows.
        rows: (R,) images i, drawn at random.
        own: (M, B + 1, R) log2 Σⱼ of each member, over all images j and without each of B groups of them.
        repeated: (B + 1, M) bits that two draws of each member share, likewise.
        repeated_by_chance: (B + 1, M) the same with the images of one of them shuffled.
    """

    bits: FloatArray
    rows: IntArray
    own: FloatArray
    repeated: FloatArray
    repeated_by_chance: FloatArray


@dataclass(frozen=True, eq=False)
class CarriedShare:
    """What a set shares with each of M members.

    Args:
        shared_bits: (M,) I(U_set; U_member).
        chance_bits: (M,) the same with the images of the set shuffled.
        shares: (M,) above chance, of what two draws of the member share; NaN where the images are too few to tell.
        shares_left_out: (B, M) the same without each of B groups of images, for standard errors.
    """

    shared_bits: FloatArray
    chance_bits: FloatArray
    shares: FloatArray
    shares_left_out: FloatArray


def member_rows(channels: Channels, spaces: Sequence[Sequence[int]], copy_of: IntArray) -> MemberRows:
    """Work out what members have of their own.

    Args:
        channels: means and ln σ² of all channels, (C, N) each.
        spaces: flat indices of each of M members.
        copy_of: (N,) the position of the first image that each one equals; copies are shuffled together.
    """
    n_images = len(copy_of)
    count = int(COEFFICIENTS / max(1, n_images * sum(map(len, spaces))))
    rng = np.random.default_rng(0)
    rows = rng.permutation(n_images)[: min(n_images, max(FEWEST_ROWS, count))]
    (order,) = shuffled_images(copy_of, 1, rng)
    plain, shuffled = _rows_first(channels, rows), _rows_first(channels, rows, order)
    groups, buffers = _ImageGroups.of(copy_of, rows), ThreadBuffers()

    def block_sums(block: slice) -> FloatArray:
        sums = []
        for space in spaces:
            product = _product(plain, space, block, buffers, "product")
            other = _product(shuffled, space, block, buffers, "other")
            sums.append([groups.log_sums(part) for part in (product, other, product * product, product * other)])
        return np.array(sums).swapaxes(0, 1)

    own, other, twice, beside = groups.over_blocks(block_sums)
    bits = space_bits(CoefficientBlocks(*channels), spaces, ())[0][:, 0]
    repeated, by_chance = (groups.mean_shared(*logs) for logs in ((own, own, twice), (own, other, beside)))
    return MemberRows(bits, rows, own, repeated, by_chance)


def carried_share(
    channels: Channels,
    spaces: Sequence[Sequence[int]],
    selection: Sequence[int],
    members: MemberRows,
    copy_of: IntArray,
    ceiling_bits: float,
) -> CarriedShare:
    """Hold what a set shares with each member against chance.

    Args:
        channels: means and ln σ² of all channels, (C, N) each.
        spaces: flat indices of each of M members.
        selection: flat indices of the set.
        members: as `member_rows` returns it for the same members.
        copy_of: (N,) as in `member_rows`.
        ceiling_bits: H(X).
    """
    orders = shuffled_images(copy_of, SHUFFLES, np.random.default_rng(1))
    chosen = channels[0][selection], channels[1][selection]
    plain, whole = _rows_first(channels, members.rows), range(len(selection))
    sets = [_rows_first(chosen, members.rows), *(_rows_first(chosen, members.rows, order) for order in orders)]

    groups, buffers = _ImageGroups.of(copy_of, members.rows), ThreadBuffers()

    def block_sums(block: slice) -> FloatArray:
        of_sets = [_product(each, whole, block, buffers, f"set {k}") for k, each in enumerate(sets)]
        own = [groups.log_sums(of_set) for of_set in of_sets]
        sums = []
        for space in spaces:
            product = _product(plain, space, block, buffers, "product")
            sums.append(own + [groups.log_sums(product * of_set) for of_set in of_sets])
        return np.array(sums).swapaxes(0, 1)

    logs = groups.over_blocks(block_sums)
    pairs = zip(logs[: len(sets)], logs[len(sets) :], strict=True)
    shared, *by_chance = (groups.mean_shared(members.own, of_set, joint) for of_set, joint in pairs)
    chance = np.mean(by_chance, axis=0)
    # What either side tells is known of all rows, and only what is shared of some.
    own_bits = prefix_bits(CoefficientBlocks(*chosen), [whole])[0][-1, 0]
    apart = [members.bits + own_bits] * 2 + [2 * members.bits] * 2
    terms = (shared, chance, members.repeated, members.repeated_by_chance)
    joint_bits = np.array([bits - term for bits, term in zip(apart, terms, strict=True)])  # (4, B + 1, M)
    shares, *left_out = (_shares(joint_bits[:, k], ceiling_bits) for k in range(len(shared)))
    return CarriedShare(shared[0], chance[0], shares, np.array(left_out))


@dataclass(frozen=True, eq=False)
class _ImageGroups:
    """Groups of the images, in the order of `_rows_first`, each left out in turn both of rows i and of sums over j.

    Args:
        of_rows: (R,) the group of each row.
        member_of: (N, B) 1 where an image is of a group.
    """

    of_rows: IntArray
    member_of: Float32Array

    @classmethod
    def of(cls, copy_of: IntArray, rows: IntArray) -> "_ImageGroups":
        groups = deal_folds(copy_of, min(LEFT_OUT, len(np.unique(copy_of))), np.random.default_rng(2))
        groups = groups[_order_with_first(rows, len(copy_of))]
        return cls(groups[: len(rows)], np.eye(groups.max() + 1, dtype=np.float32)[groups])

    def log_sums(self, product: Block) -> FloatArray:
        """Return log2 Σⱼ of products (rows, N), over all j and without each group: (B + 1, rows)."""
        parts = (product @ self.member_of).astype(np.float64).T
        whole = parts.sum(axis=0)
        # Rows of a group that is left out are not read: nothing may be left of their sums.
        return np.asarray(np.log2(np.maximum(np.concatenate([whole[None], whole - parts]), np.finfo(np.float64).tiny)))

    def over_blocks(self, block_sums: Callable[[slice], FloatArray]) -> FloatArray:
        """Put what blocks of rows return, (…, rows), side by side."""
        count = len(self.of_rows)
        blocks = [slice(first, min(first + BLOCK_ROWS, count)) for first in range(0, count, BLOCK_ROWS)]
        return np.concatenate(map_threads(block_sums, blocks), axis=-1)

    def mean_shared(self, own: FloatArray, of_set: FloatArray, joint: FloatArray) -> FloatArray:
        """Return bits shared, the mean over rows of all images and without each group: (B + 1, M) of (M, B + 1, R)."""
        count, of_group = len(self.member_of), self.member_of.sum(axis=0, dtype=np.float64)
        level = np.log2(np.concatenate([[count], count - of_group]))[:, None]
        kept = np.concatenate([[-1], np.arange(len(of_group))])[:, None] != self.of_rows
        return np.asarray(np.mean(level - own - of_set + joint, axis=-1, where=kept).T)


def _shares(bits: FloatArray, ceiling_bits: float) -> FloatArray:
    """Return shares, (M,).

    Args:
        bits: (4, M) joint bits of the set and each member, the same by chance, of two draws of it, the same by chance.
        ceiling_bits: H(X).
    """
    shared = set_bits_above_chance(bits[0], bits[1], ceiling_bits)
    repeated = set_bits_above_chance(bits[2], bits[3], ceiling_bits)
    return np.asarray(np.divide(shared, repeated, out=np.full(len(shared), np.nan), where=repeated > 0))


def _rows_first(channels: Channels, rows: IntArray, order: IntArray | None = None) -> CoefficientBlocks:
    """Return the channels with these images first, so that a block is a slice; with their images shuffled before."""
    place = _order_with_first(rows, channels[0].shape[1])
    if order is not None:
        place = order[place]
    return CoefficientBlocks(*(part[:, place] for part in channels))


def _order_with_first(rows: IntArray, images: int) -> IntArray:
    return np.concatenate([rows, np.setdiff1d(np.arange(images), rows)])


def _product(
    coefficients: CoefficientBlocks, channels: Sequence[int], block: slice, buffers: ThreadBuffers, name: str
) -> Block:
    """Return the product of channels' coefficients, (rows, N), in the buffer of a name."""
    shape = (1, block.stop - block.start, coefficients.shape[1])
    b, product = (buffers.array(f"{part} {coefficients.dtype}", shape, coefficients.dtype) for part in ("b", name))
    product[:] = 1
    for channel in channels:
        coefficients.fill(b, slice(channel, channel + 1), block, slice(None))
        np.multiply(product, b, out=product)
    whole: Block = product[0]
    return whole
