"""The metrics of the field for every member of an ensemble."""

from dataclasses import dataclass

import numpy as np

from vaefrag_core.array_types import FloatArray, IntArray
from vaefrag_core.artifacts import Posteriors
from vaefrag_core.errors import InvalidInputError
from vaefrag_core.measures.kl_divergence import active_units, kl_to_prior_nats
from vaefrag_core.structure.disentanglement import dci, factorvae_score, mig, sap, standard_codes
from vaefrag_core.structure.disentanglement_ranking import udr
from vaefrag_core.structure.label_factors import Factors, factors_of

METRICS = ("mig", "disentanglement", "completeness", "informativeness", "sap", "factorvae", "udr")
FEWEST_IMAGES = 100  # a quarter of fewer is too few to test a prediction on


@dataclass(frozen=True, eq=False)
class MemberMetrics:
    """The metrics of an ensemble's members.

    Args:
        member_ids: (M,) numbers of the members.
        values: (M, 7) in the order of `METRICS`; NaN where undefined.
        live_channels: (M,) active units, whose mean KL reaches 0.01 nats; the others are left out of every metric.
        factors: labels that serve as factors.
        messages: what was left out, and why.
    """

    member_ids: tuple[int, ...]
    values: FloatArray
    live_channels: tuple[int, ...]
    factors: tuple[str, ...]
    messages: tuple[str, ...]

    @property
    def mean(self) -> FloatArray:
        """(7,) mean of each metric over the members where it is defined."""
        return np.array([column[np.isfinite(column)].mean() if c else np.nan for c, column in self._defined()])

    @property
    def spread(self) -> FloatArray:
        """(7,) standard deviation of each metric over members; NaN for fewer than two."""
        return np.array([column[np.isfinite(column)].std(ddof=1) if c > 1 else np.nan for c, column in self._defined()])

    def _defined(self) -> list[tuple[int, FloatArray]]:
        return [(int(np.isfinite(column).sum()), column) for column in self.values.T]


def member_metrics(posteriors: Posteriors, seed: int = 0) -> MemberMetrics:
    """Measure every member by the metrics of the field. Posterior means are the codes.

    Args:
        posteriors: posteriors of all members, with labels for all metrics but UDR.
        seed: seed of splits, forests and votes.

    Returns:
        All metrics of all members; NaN where one is undefined.

    Raises:
        InvalidInputError: when there are fewer than 100 images, or neither a factor nor a second member.
    """
    if posteriors.n_images < FEWEST_IMAGES:
        raise InvalidInputError(
            f"Expected at least {FEWEST_IMAGES} images to measure members on, got {posteriors.n_images}."
            " Take a larger fingerprint sample."
        )
    factors = factors_of(posteriors)
    if not factors.names and posteriors.n_members < 2:
        raise InvalidInputError(
            "Expected a label of more than one value, or a second member for UDR, got neither."
            f"{''.join(' ' + message for message in factors.messages)} Add labels or members."
        )
    codes = [standard_codes(active_means(m, v)) for m, v in zip(posteriors.mean, posteriors.logvar, strict=True)]
    with_factors = np.array([_with_factors(member, factors, posteriors.image_copies, seed) for member in codes])
    return MemberMetrics(
        member_ids=tuple(int(number) for number in posteriors.member_ids),
        values=np.column_stack([with_factors, udr(codes)]),
        live_channels=tuple(member.shape[1] for member in codes),
        factors=factors.names,
        messages=(*factors.messages, *_cautions(factors, posteriors.n_members)),
    )


def active_means(mean: FloatArray, logvar: FloatArray) -> FloatArray:
    """Return the means of the active units, those whose KL to the prior averages 0.01 nats or more: (N, D′)."""
    active = active_units(kl_to_prior_nats(mean, logvar).mean(axis=0))
    return np.asarray(mean, dtype=np.float64)[:, active]


def _with_factors(codes: FloatArray, factors: Factors, copy_of: IntArray, seed: int) -> list[float]:
    if not factors.names:
        return [np.nan] * (len(METRICS) - 1)
    parts = dci(codes, factors.classes, seed, copy_of)
    return [
        mig(codes, factors.classes, seed, copy_of),
        parts.disentanglement,
        parts.completeness,
        parts.informativeness,
        sap(codes, factors.classes, seed, copy_of),
        factorvae_score(codes, factors.classes, seed),
    ]


def _cautions(factors: Factors, n_members: int) -> list[str]:
    cautions = []
    if not factors.names:
        cautions.append("Without a label to serve as factor there is UDR alone.")
    elif len(factors.names) == 1:
        cautions.append("With one factor, disentanglement and the FactorVAE score are undefined.")
    if n_members < 2:
        cautions.append("UDR compares members: it needs a second one.")
    return cautions
