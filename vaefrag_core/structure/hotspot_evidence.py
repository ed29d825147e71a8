"""How sure each hotspot of an analysis is, in figures: one place from which reports and pages take them."""

from dataclasses import dataclass

from vaefrag_core.array_types import FloatArray
from vaefrag_core.artifacts import ChannelMatrix, Hotspots, NullTests
from vaefrag_core.structure.similarity_inside import similarity_inside

Interval = tuple[float, float]


@dataclass(frozen=True)
class HotspotEvidence:
    """How sure one hotspot is.

    Args:
        nmi: mean corrected NMI inside, see `similarity_inside`.
        nmi_error: its standard error over the choice of images; None where it was not worked out.
        nmi_interval: of 95 %, likewise.
        p_value: how often shuffled images show a group as similar; None before `vaefrag null`.
        false_discovery_rate: of this hotspot and those of smaller p; likewise.
        rotation_percentile: in how many percent of ensembles with turned axes the best hotspot is less similar inside;
            None as well where no member has two live channels to turn.
        return_probability: how likely a new member is to hold it; None in results of earlier versions.
        return_interval: of 95 %, likewise.
    """

    nmi: float
    nmi_error: float | None
    nmi_interval: Interval | None
    p_value: float | None
    false_discovery_rate: float | None
    rotation_percentile: float | None
    return_probability: float | None
    return_interval: Interval | None


def hotspot_evidence(
    matrix: ChannelMatrix, hotspots: Hotspots, tests: NullTests | None = None
) -> tuple[HotspotEvidence, ...]:
    """Gather what is known of each of G hotspots.

    Args:
        matrix: the comparison of the channels.
        hotspots: found in it.
        tests: what they were held against; None where they were not.

    Returns:
        (G,) evidence, by number.
    """
    inside, recurrence = hotspots.inside, hotspots.recurrence
    groups = [group.channels for group in hotspots.groups]
    nmi = similarity_inside(matrix, groups, "nmi") if inside is None else inside.corrected
    turned = tests if tests is not None and tests.rotated.n_turned else None
    return tuple(
        HotspotEvidence(
            nmi=float(nmi[g]),
            nmi_error=None if inside is None else float(inside.error[g]),
            nmi_interval=None if inside is None else _interval(inside.interval[g]),
            p_value=None if tests is None else float(tests.p_values[g]),
            false_discovery_rate=None if tests is None else float(tests.false_discovery_rates[g]),
            rotation_percentile=None if turned is None else float(turned.rotation_percentiles[g]),
            return_probability=None if recurrence is None else float(recurrence.probability[g]),
            return_interval=None if recurrence is None else _interval(recurrence.interval[g]),
        )
        for g in range(len(hotspots.groups))
    )


def _interval(ends: FloatArray) -> Interval:
    return float(ends[0]), float(ends[1])
