"""What channels tell and share, by either estimator: the published bound, or integrals."""

from dataclasses import dataclass

import torch

from vaefrag_core.array_types import BoolArray, FloatArray
from vaefrag_core.config import Estimator
from vaefrag_core.errors import InvalidInputError
from vaefrag_core.measures.gaussian import BHATTACHARYYA
from vaefrag_core.structure.compared_rows import Progress, Rows
from vaefrag_core.structure.exact_by_torch import compare_on
from vaefrag_core.structure.exact_information import exact_bits
from vaefrag_core.structure.pairwise_information import shared_bits


@dataclass(frozen=True, eq=False)
class EstimatedBits:
    """What R rows tell and share.

    Args:
        information: (R,) I(X;U), bits.
        shared: (R, R) I(U;V), bits; I(U;U′) on the diagonal. NaN for pairs that were left out.
        error_bits: of the integrals, see `ExactBits`; 0 of the bound, which is no estimate of them.
        widened: (C,) True where narrow posteriors had to count as wider; None of the bound.
    """

    information: FloatArray
    shared: FloatArray
    error_bits: float = 0.0
    widened: BoolArray | None = None


def estimated_bits(
    rows: Rows,
    estimator: Estimator,
    *,
    ceiling_bits: float | None = None,
    device: str | torch.device = "cpu",
    threads: int | None = None,
    on_progress: Progress | None = None,
) -> EstimatedBits:
    """Work out what every row tells, and what every pair of rows shares.

    Args:
        rows: R rows on N images.
        estimator: `bound`, see `pairwise_information`, or `exact`, see `exact_information`.
        ceiling_bits: H(X); log2 N without it.
        device: where the products are computed.
        threads: CPU threads, by default as many as torch uses. The result does not depend on it.
        on_progress: called with images done and N; an exception that it raises ends the work.

    Raises:
        InvalidInputError: when exact bits are asked for with another divergence: they need none.
    """
    if estimator == "bound":
        return EstimatedBits(*shared_bits(rows, device=device, threads=threads, on_progress=on_progress))
    if rows.divergence is not BHATTACHARYYA:
        raise InvalidInputError(
            "Expected no divergence beside the exact estimator, which integrates posteriors and compares no pairs of"
            " images; leave the divergence out, or ask for the bound."
        )
    on_device = torch.device(device)
    found = exact_bits(
        rows,
        ceiling_bits=ceiling_bits,
        threads=threads or torch.get_num_threads(),
        on_progress=on_progress,
        # "cpu:0" stands for a GPU: its way, on the CPU, tries what no GPU is at hand for.
        compare=None if on_device == torch.device("cpu") else compare_on(on_device),
    )
    return EstimatedBits(found.information, found.shared, found.error_bits, found.widened)
