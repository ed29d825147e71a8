"""One space against many at once, with gradients: what `similarity` says of pairs, of all in one product."""

from dataclasses import dataclass

import torch
from torch import Tensor

from vaefrag_core.errors import InvalidInputError
from vaefrag_core.measures.information import overlap_bits
from vaefrag_core.measures.similarity import normalized, variation


@dataclass(frozen=True, eq=False)
class ReferenceBits:
    """What R spaces carry, alone and beside each of the K spaces of a panel, in bits.

    Args:
        single: (R,) I(X;U).
        twice: (R,) I(X;U,U′).
        joint: (R, K) I(X;U,V).
        panel_single: (K,) I(X;V).
        panel_twice: (K,) I(X;V,V′).
        images: N.
    """

    single: Tensor
    twice: Tensor
    joint: Tensor
    panel_single: Tensor
    panel_twice: Tensor
    images: int

    @property
    def mutual_information(self) -> Tensor:
        """(R, K) I(U;V), bits."""
        return self.single[:, None] + self.panel_single - self.joint

    @property
    def nmi(self) -> Tensor:
        """(R, K) NMI(U,V); NaN where a space tells nothing apart."""
        own = 2 * self.single - self.twice
        return normalized(
            self.mutual_information, own[:, None], 2 * self.panel_single - self.panel_twice, images=self.images
        )

    @property
    def vi(self) -> Tensor:
        """(R, K) VI(U,V), bits."""
        return variation(self.joint, self.twice[:, None], self.panel_twice)


class ReferenceSpaces:
    """K spaces on N images, laid out for comparison with others. Memory: K·N² numbers.

    Args:
        coefficient: (K, N, N) Bhattacharyya coefficients of each.

    Raises:
        InvalidInputError: when the shape is another.
    """

    def __init__(self, coefficient: Tensor) -> None:
        if coefficient.ndim != 3 or coefficient.shape[1] != coefficient.shape[2]:
            raise InvalidInputError(
                f"Expected coefficients of shape (spaces, images, images), got {tuple(coefficient.shape)}."
            )
        # By images first: at one image, all sums over the others are one product of (R, N) and (N, K).
        self._coefficient = coefficient.permute(1, 2, 0).contiguous()  # (N, N, K)
        self.images = coefficient.shape[1]
        self.single = overlap_bits(self._coefficient.mean(dim=1).T)
        self.twice = overlap_bits(self._coefficient.square().mean(dim=1).T)

    def compare(self, coefficient: Tensor) -> ReferenceBits:
        """Compare R spaces with every space of the panel.

        Args:
            coefficient: (R, N, N) coefficients on the same images.

        Returns:
            Bits, from which NMI and VI follow; equal to what `similarity` says of each pair, but for rounding.
        """
        product = torch.bmm(coefficient.transpose(0, 1), self._coefficient)  # (N, R, K)
        return ReferenceBits(
            single=overlap_bits(coefficient.mean(dim=-1)),
            twice=overlap_bits(coefficient.square().mean(dim=-1)),
            joint=overlap_bits(product.permute(1, 2, 0) / self.images),
            panel_single=self.single,
            panel_twice=self.twice,
            images=self.images,
        )

    def order(self, dimension: int) -> Tensor:
        """Lay the images out as the panel's spaces agree they lie: near each other where they are taken for each other.

        The eigenvectors of the normalized graph Laplacian whose edges are the mean coefficients.

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
        wanted = min(dimension, self.images - 1)
        axes = vectors[:, -1 - wanted : -1].flip(1) / root[:, None]
        axes = axes / axes.std(dim=0, correction=0).clamp_min(torch.finfo(axes.dtype).eps)
        return torch.nn.functional.pad(axes, (0, dimension - wanted))
