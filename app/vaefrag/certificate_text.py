"""A certificate in words: the verdict, a paragraph for the methods section of a paper, and the table of members."""

from collections.abc import Mapping, Sequence

import numpy as np

from vaefrag import __version__
from vaefrag.plurals import counted
from vaefrag_core.artifacts import Analysis, NullTests
from vaefrag_core.config import Estimator
from vaefrag_core.ensemble_record import EnsembleRecord, ImportedSource, TrainedSource
from vaefrag_core.structure.certificate import Certificate, MemberRecord
from vaefrag_core.structure.hotspot_evidence import HotspotEvidence, hotspot_evidence
from vaefrag_core.structure.hotspot_groups import required_members
from vaefrag_core.structure.hotspots import comparable_channels

ESTIMATORS: Mapping[Estimator, str] = {
    "bound": "from the bound on information by Kolchinsky and Tracey (2017)",
    "exact": "integrated exactly",
}
MOST_LISTED = 4  # hotspots whose figures are given one by one
NO_NULL = "The hotspots have not been held against chance: {} works out p, false discovery rates and turned axes."
EVIDENCE_NOTE = (
    "NMI inside: corrected for chance, over pairs of different members, with its interval over the choice of images. p,"
    " FDR: by shuffled images. Above turned: of ensembles whose members' axes were turned at random, how many show no"
    " hotspot as similar inside."
)
TOO_FEW = "There are too few hotspots or members to tell whether one of them stands apart."
EVIDENCE_COLUMNS = ["NMI inside", "95 %", "p", "FDR", "above turned", "in a new member", "95 %"]
MEMBER_COLUMNS = ["member", "holds", "lacks", "NMI", "to medoids", "live", "bits", ""]


def methods_paragraph(record: EnsembleRecord, analysis: Analysis, certificate: Certificate) -> str:
    """Write the paragraph.

    Args:
        record: of the ensemble.
        analysis: its newest analysis.
        certificate: what was made of it.
    """
    sentences = [
        _origin(record, len(certificate.members)),
        *_comparison(record, analysis),
        *_findings(record.id, analysis),
        *_members(certificate),
    ]
    return " ".join(sentences)


def verdict(certificate: "Certificate") -> list[str]:
    """Say which member to publish, and which stand apart, in sentences."""
    if certificate.consensus is None:
        return ["There is no hotspot, so that no member stands for the ensemble."]
    sentences = [_consensus(certificate, "by channels of NMI {:.2f}")]
    if certificate.outliers:
        verb = "shares" if len(certificate.outliers) == 1 else "share"
        sentences.append(
            f"{members_text(certificate.outliers).capitalize()} {verb} clearly less with the hotspots than the others."
        )
    elif certificate.testable:
        sentences.append("No member stands apart from the others.")
    else:
        sentences.append(TOO_FEW)
    return sentences


def member_rows(certificate: "Certificate") -> list[list[str]]:
    """Return the cells of the table of members."""
    return [
        [
            str(record.member),
            f"{len(record.held)} of {len(record.held) + len(record.lacking)}",
            ", ".join(map(str, record.lacking)) or "none",
            number(record.agreement),
            number(record.medoid_nmi),
            str(record.live_channels),
            f"{record.sum_bits:.1f}",
            _standing(record, certificate),
        ]
        for record in certificate.members
    ]


def evidence_of(analysis: Analysis) -> tuple[HotspotEvidence, ...]:
    """Return how sure each hotspot is, by the measure of the analysis."""
    measure = analysis.config.hotspots.measure
    return hotspot_evidence(analysis.matrix, analysis.hotspots[measure], analysis.null_tests.get(measure))


def null_command(ensemble_id: str, analysis: Analysis) -> str | None:
    """Return the command that holds the hotspots against chance; None where it has been run, and without hotspots."""
    measure = analysis.config.hotspots.measure
    if not analysis.hotspots[measure].groups or measure in analysis.null_tests:
        return None
    return f"vaefrag null {ensemble_id}"


def evidence_cells(evidence: HotspotEvidence) -> list[str]:
    """Return the cells of EVIDENCE_COLUMNS for one hotspot; "–" for what is not known."""
    return [
        number(evidence.nmi),
        interval_text(evidence.nmi_interval),
        chance_text(evidence.p_value),
        chance_text(evidence.false_discovery_rate),
        "–" if evidence.rotation_percentile is None else f"{evidence.rotation_percentile:.0f}%",
        "–" if evidence.return_probability is None else f"{evidence.return_probability:.0%}",
        "–" if evidence.return_interval is None else "{:.0%}–{:.0%}".format(*evidence.return_interval),
    ]


def members_text(members: Sequence[int]) -> str:
    """Return "member 3", or "members 3, 5 and 7".

    Example:
        >>> members_text([3]), members_text([3, 5, 7])
        ('member 3', 'members 3, 5 and 7')
    """
    *others, last = map(str, members)
    return f"members {', '.join(others)} and {last}" if others else f"member {last}"


def returns_text(probability: float, interval: Sequence[float]) -> str:
    """Write the probability that a new member holds a hotspot, and its interval.

    Example:
        >>> returns_text(0.9, (0.6, 0.98))
        '90% (60% to 98%)'
    """
    low, high = interval
    return f"{probability:.0%} ({low:.0%} to {high:.0%})"


def interval_text(interval: Sequence[float] | None) -> str:
    """Write an interval to two digits; "–" where there is none.

    Example:
        >>> interval_text((-0.021, 0.204))
        '−0.02 to 0.20'
    """
    return "–" if interval is None else "{:.2f} to {:.2f}".format(*interval).replace("-", "−")


def chance_text(p_value: float | None) -> str:
    """Write a p-value or a rate of false discoveries; "–" where there is none."""
    return "–" if p_value is None else f"{p_value:.2g}"


def number(value: float) -> str:
    """Return a number to two digits; "–" where there is none."""
    return "–" if value != value else f"{value:.2f}"


def _origin(record: EnsembleRecord, compared: int) -> str:
    versions = _versions(record.versions)
    match record.source:
        case ImportedSource():
            return (
                f"Posteriors of {counted(compared, 'member')} were made by another program and imported ({versions});"
                " how they were trained is not recorded."
            )
        case TrainedSource(spec=spec):
            model, train = spec.model, spec.train
            network = model.network or model.architecture
            if model.stackable:
                network += f" with hidden layers of {', '.join(map(str, model.widths))} units"
            cut = "" if train.clip_gradient is None else f", gradients cut to a norm of {train.clip_gradient:g}"
            trained = "" if compared == spec.members else f" ({compared} of them trained and compared)"
            return (
                f"{counted(spec.members, 'variational autoencoder')}{trained}, {train.title}, with"
                f" {counted(model.channels, 'latent channel')} each ({network}; {model.likelihood} likelihood), were"
                f" trained on {spec.dataset.name}, each from a random seed of its own (ensemble seed {train.seed}), for"
                f" {train.steps:,} steps of {train.batch_size} images by Adam (learning rate"
                f" {train.learning_rate:g}{cut}; {train.precision}; {versions})."
            )


def _comparison(record: EnsembleRecord, analysis: Analysis) -> list[str]:
    matrix, config = analysis.matrix, analysis.config.hotspots
    hotspots = analysis.hotspots[config.measure]
    live, members = int((~hotspots.dead).sum()), len(np.unique(matrix.member[comparable_channels(matrix, config)]))
    source = record.source
    drawn = f" (drawn with seed {source.spec.fingerprint.seed})" if isinstance(source, TrainedSource) else ""
    measure = "normalized mutual information" if config.measure == "nmi" else "variation of information"
    return [
        f"Their posteriors of {matrix.n_images:,} images{drawn} were compared by the {measure} of single channels,"
        f" {ESTIMATORS[matrix.estimator]} and corrected for what channels share whose images are shuffled"
        f" (vaefrag {__version__};"
        f" settings {analysis.config.key}, posteriors {analysis.posteriors_key}).",
        f"{live} of {counted(matrix.n_channels, 'channel')} carried {config.min_bits:g} bits or more.",
        f"A hotspot is a group of channels of at least {required_members(members, config)} of"
        f" {counted(members, 'member')} with a mean corrected similarity above {config.min_similarity:g}, whose halves"
        f" by average linkage share at least {config.cohesion:g} of what the closer-knit half shares, and which is"
        " apart from every other.",
    ]


def _findings(ensemble_id: str, analysis: Analysis) -> list[str]:
    hotspots = analysis.hotspots[analysis.config.hotspots.measure]
    if not hotspots.groups:
        return ["No hotspot was found."]
    evidence = evidence_of(analysis)
    sizes = [group.n_members for group in hotspots.groups]
    inside = _each([_with_interval(one) for one in evidence], [one.nmi for one in evidence])
    over_images = "" if evidence[0].nmi_interval is None else " (95 % intervals over the choice of images)"
    sentences = [
        f"{counted(len(hotspots.groups), 'hotspot')} {'was' if len(sizes) == 1 else 'were'} found, with channels of"
        f" {_range(sizes, '{:d}')} members and a mean corrected NMI inside, over pairs of different members, of"
        f" {inside}{over_images}."
    ]
    returns = [
        (one.return_probability, returns_text(one.return_probability, one.return_interval))
        for one in evidence
        if one.return_probability is not None and one.return_interval is not None
    ]
    if returns:
        probability, texts = zip(*returns, strict=True)
        sentences.append(
            "Judged by members held out, the probability that a new member holds"
            f" {'it' if len(sizes) == 1 else 'each'} is {_each(texts, probability)} (95 % intervals by Wilson)."
        )
    return [*sentences, *_chance(ensemble_id, analysis, evidence)]


def _chance(ensemble_id: str, analysis: Analysis, evidence: Sequence[HotspotEvidence]) -> list[str]:
    """Say what the hotspots were held against, or that they were not."""
    tests: NullTests | None = analysis.null_tests.get(analysis.config.hotspots.measure)
    if tests is None:
        return [NO_NULL.format(f"`{null_command(ensemble_id, analysis)}`")]
    it = "it has" if len(evidence) == 1 else "they have"
    p_values = _range([one.p_value or 0.0 for one in evidence], "{:.2g}")
    rates = _range([one.false_discovery_rate or 0.0 for one in evidence], "{:.2g}")
    sentences = [
        f"Held against {counted(len(tests.highest_by_chance), 'ensemble')} of the same channels with their images"
        f" shuffled, {it} p = {p_values} and false discovery rates of {rates} (Phipson and Smyth, 2010; Benjamini and"
        f" Hochberg, 1995; seed {tests.seed})."
    ]
    percentiles = [one.rotation_percentile for one in evidence if one.rotation_percentile is not None]
    if percentiles:
        sentences.append(
            f"Inside, {it.split()[0]} {'is' if len(evidence) == 1 else 'are'} more similar than the best hotspot of"
            f" {_range(percentiles, '{:.0f}')} % of {counted(len(tests.rotated.channels), 'ensemble')} whose members'"
            " axes were turned at random."
        )
    else:
        sentences.append("No member has two channels whose axes could be turned.")
    return sentences


def _with_interval(evidence: HotspotEvidence) -> str:
    interval = evidence.nmi_interval
    return number(evidence.nmi) if interval is None else f"{number(evidence.nmi)} ({interval_text(interval)})"


def _each(texts: Sequence[str], values: Sequence[float]) -> str:
    """List what is said of each hotspot; of more than a few, only of the one of the least and of the greatest value."""
    if len(set(texts)) == 1:
        return texts[0]
    if len(texts) <= MOST_LISTED:
        return ", ".join(texts)
    return f"between {texts[int(np.argmin(values))]} and {texts[int(np.argmax(values))]}"


def _standing(record: MemberRecord, certificate: Certificate) -> str:
    """Say in a word how a member stands; nothing of most."""
    if record.diverged:
        return "diverged"
    if record.member == certificate.consensus:
        return "consensus"
    return "outlier" if record.outlier else ""


def _members(certificate: Certificate) -> list[str]:
    if certificate.consensus is None:
        return []
    agreement = "and its channels have a mean corrected NMI of {:.2f} with those of other members in them"
    sentences = [_consensus(certificate, agreement)]
    if certificate.outliers:
        worst = max(r.p_value for r in certificate.members if r.outlier)
        sentences.append(
            f"{members_text(certificate.outliers).capitalize()} shared clearly less with the hotspots than the others"
            f" did (permutation over members, p ≤ {worst:.2g})."
        )
    elif certificate.testable:
        sentences.append("No member shared significantly less with the hotspots than the others did.")
    return sentences


def _consensus(certificate: Certificate, agreement: str) -> str:
    """Say which member stands for the ensemble, with its agreement in these words."""
    record = next(r for r in certificate.members if r.member == certificate.consensus)
    total = len(record.held) + len(record.lacking)
    return (
        f"Member {record.member} stands best for the ensemble: it holds {len(record.held)} of"
        f" {counted(total, 'hotspot')}, {agreement.format(record.agreement)}."
    )


def _range(values: Sequence[float], form: str) -> str:
    low, high = form.format(min(values)), form.format(max(values))
    return low if low == high else f"{low} to {high}"


def _versions(versions: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in versions.items())
