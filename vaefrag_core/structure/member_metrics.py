"""All metrics of all members: the table that stands beside what the ensemble shows as a whole."""

from dataclasses import dataclass

import numpy as np

from vaefrag_core.array_types import FloatArray
from vaefrag_core.artifacts import Posteriors
from vaefrag_core.errors import InvalidInputError
from vaefrag_core.measures.kl_divergence import kl_to_prior_nats
from vaefrag_core.structure.disentanglement import dci, factorvae_score, mig, sap, standard_codes
from vaefrag_core.structure.disentanglement_ranking import udr
from vaefrag_core.structure.label_factors import Factors, usable_factors

METRICS = ("mig", "disentanglement", "completeness", "informativeness", "sap", "factorvae", "udr")
MIN_KL_NATS = 0.01  # the mean KL below which a channel tells nothing, as in Duan et al. (2020)
FEWEST_IMAGES = 100  # a quarter of fewer is too few to test a prediction on


@dataclass(frozen=True, eq=False)
class MemberMetrics:
    """The metrics of an ensemble's members.

    Args:
        member_ids: (M,) numbers of the members.
        values: (M, 7) in the order of `METRICS`; NaN where undefined.
        live_channels: (M,) channels whose mean KL reaches 0.01 nats; the others are left out of every metric.
        factors: labels that were taken as factors.
        messages: what was left out, and why.
    """

    member_ids: tuple[int, ...]
    values: FloatArray
    live_channels: tuple[int, ...]
    factors: tuple[str, ...]
    messages: tuple[str, ...]

    @property
    def mean(self) -> FloatArray:
        """(7,) over the members where it is defined."""
        return np.array([column[np.isfinite(column)].mean() if c else np.nan for c, column in self._defined()])

    @property
    def spread(self) -> FloatArray:
        """(7,) standard deviation over members; NaN of fewer than two."""
        return np.array([column[np.isfinite(column)].std(ddof=1) if c > 1 else np.nan for c, column in self._defined()])

    def _defined(self) -> list[tuple[int, FloatArray]]:
        return [(int(np.isfinite(column).sum()), column) for column in self.values.T]


def member_metrics(posteriors: Posteriors, seed: int = 0) -> MemberMetrics:
    """Measure every member by the metrics of the field. Posterior means are the codes.

    Args:
        posteriors: of all members, with labels for all metrics but UDR.
        seed: of splits, forests and votes.

    Raises:
        InvalidInputError: when there are fewer than 100 images, or neither a factor nor a second member.
    """
    if posteriors.n_images < FEWEST_IMAGES:
        raise InvalidInputError(
            f"Expected at least {FEWEST_IMAGES} images to measure members on, got {posteriors.n_images}."
            " Take a larger fingerprint sample."
        )
    factors = usable_factors(posteriors.labels, tuple(posteriors.label_names or ()), posteriors.n_images)
    if not factors.names and posteriors.n_members < 2:
        raise InvalidInputError(
            "Expected a label of more than one value, or a second member for UDR, got neither."
            f"{''.join(' ' + message for message in factors.messages)} Add labels or members."
        )
    codes = [standard_codes(live_means(m, v)) for m, v in zip(posteriors.mean, posteriors.logvar, strict=True)]
    with_factors = np.array([_with_factors(member, factors, seed) for member in codes])
    return MemberMetrics(
        member_ids=tuple(int(number) for number in posteriors.member_ids),
        values=np.column_stack([with_factors, udr(codes)]),
        live_channels=tuple(member.shape[1] for member in codes),
        factors=factors.names,
        messages=(*factors.messages, *_cautions(factors, posteriors.n_members)),
    )


def live_means(mean: FloatArray, logvar: FloatArray) -> FloatArray:
    """Keep the channels whose KL to the prior averages 0.01 nats or more."""
    live = kl_to_prior_nats(mean, logvar).mean(axis=0) >= MIN_KL_NATS
    return np.asarray(mean, dtype=np.float64)[:, live]


def _with_factors(codes: FloatArray, factors: Factors, seed: int) -> list[float]:
    if not factors.names:
        return [np.nan] * (len(METRICS) - 1)
    parts = dci(codes, factors.classes, seed)
    return [
        mig(codes, factors.classes),
        parts.disentanglement,
        parts.completeness,
        parts.informativeness,
        sap(codes, factors.classes, seed),
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
