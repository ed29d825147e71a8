"""Similarity of one space to many reference spaces at once, with gradients: `similarity` as one matrix product."""

from dataclasses import dataclass

import torch
from torch import Tensor

from vaefrag_core.errors import InvalidInputError
from vaefrag_core.measures.information import information_bits_from_overlap
from vaefrag_core.measures.information_terms import nmi_from_terms, shared_bits_from_terms, vi_from_terms


@dataclass(frozen=True, eq=False)
class ReferenceBits:
    """What R spaces carry, alone and together with each of K reference spaces, in bits.

    Args:
        single: (R,) I(X;U).
        twice: (R,) I(X;U,U′).
        joint: (R, K) I(X;U,V).
        reference_single: (K,) I(X;V).
        reference_twice: (K,) I(X;V,V′).
        images: N.
    """

    single: Tensor
    twice: Tensor
    joint: Tensor
    reference_single: Tensor
    reference_twice: Tensor
    images: int

    @property
    def mutual_information(self) -> Tensor:
        """(R, K) I(U;V), bits."""
        return shared_bits_from_terms(self.single[:, None], self.reference_single, self.joint)

    @property
    def nmi(self) -> Tensor:
        """(R, K) NMI(U,V); NaN where a space tells nothing apart."""
        return nmi_from_terms(self.mutual_information, *self._own_bits(), images=self.images)

    @property
    def vi(self) -> Tensor:
        """(R, K) VI(U,V), bits."""
        return vi_from_terms(self.mutual_information, *self._own_bits())

    def _own_bits(self) -> tuple[Tensor, Tensor]:
        """I(U;U′) (R, 1) and I(V;V′) (K,), bits."""
        own = shared_bits_from_terms(self.single, self.single, self.twice)
        reference = shared_bits_from_terms(self.reference_single, self.reference_single, self.reference_twice)
        return own[:, None], reference


class ReferenceSpaces:
    """K reference spaces on N images, laid out so that others can be compared with all of them. Memory: K·N² numbers.

    Args:
        coefficient: (K, N, N) coefficients exp(−d_ij) of each.

    Raises:
        InvalidInputError: when the coefficients have another shape.
    """

    def __init__(self, coefficient: Tensor) -> None:
        if coefficient.ndim != 3 or coefficient.shape[1] != coefficient.shape[2]:
            raise InvalidInputError(
                f"Expected coefficients of shape (spaces, images, images), got {tuple(coefficient.shape)}."
            )
        # Images first: for one image, the sums over all others are one product of (R, N) and (N, K).
        self._coefficient = coefficient.permute(1, 2, 0).contiguous()  # (N, N, K)
        self.images = coefficient.shape[1]
        self.single = information_bits_from_overlap(self._coefficient.mean(dim=1).T)
        self.twice = information_bits_from_overlap(self._coefficient.square().mean(dim=1).T)

    def compare(self, coefficient: Tensor) -> ReferenceBits:
        """Compare R spaces with every reference space.

        Args:
            coefficient: (R, N, N) coefficients on the same images.

        Returns:
            Bits, from which NMI and VI follow; equal to those of `similarity` for each pair, up to rounding.
        """
        product = torch.bmm(coefficient.transpose(0, 1), self._coefficient)  # (N, R, K)
        return ReferenceBits(
            single=information_bits_from_overlap(coefficient.mean(dim=-1)),
            twice=information_bits_from_overlap(coefficient.square().mean(dim=-1)),
            joint=information_bits_from_overlap(product.permute(1, 2, 0) / self.images),
            reference_single=self.single,
            reference_twice=self.twice,
            images=self.images,
        )

    def order(self, dimension: int) -> Tensor:
        """Lay the images out as the reference spaces have it on average: images that are confused lie close together.

        The axes are the eigenvectors of the normalized graph Laplacian whose edges are the mean coefficients.

        Args:
            dimension: d of the layout.

        Returns:
            (N, d), each axis of unit variance; axes beyond N − 1 are zero.

        Reference: Belkin, M., Niyogi, P. (2003). Laplacian eigenmaps for dimensionality reduction and data
        representation. Neural Computation 15(6), 1373-1396.
        """
        edges = self._coefficient.mean(dim=2)
        edges = (edges + edges.T) / 2
        root = edges.sum(dim=1).sqrt()
        _, vectors = torch.linalg.eigh(edges / root[:, None] / root)
        # Ascending eigenvalues: the last vector is constant, and the smoothest others stand before it.
        available = min(dimension, self.images - 1)
        axes = vectors[:, -1 - available : -1].flip(1) / root[:, None]
        axes = axes / axes.std(dim=0, correction=0).clamp_min(torch.finfo(axes.dtype).eps)
        return torch.nn.functional.pad(axes, (0, dimension - available))
