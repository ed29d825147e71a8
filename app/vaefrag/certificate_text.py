"""A certificate in words: the verdict, a paragraph for the methods section of a paper, and the table of members."""

from collections.abc import Mapping, Sequence

import numpy as np

from vaefrag import __version__
from vaefrag.plurals import counted
from vaefrag_core.artifacts import Analysis
from vaefrag_core.ensemble_record import EnsembleRecord, ImportedSource, TrainedSource
from vaefrag_core.structure.certificate import Certificate
from vaefrag_core.structure.hotspot_groups import mean_between_members, required_members

MOST_LISTED = 4  # hotspots whose probability is given one by one
NO_NULL = "`vaefrag null {}` says whether the hotspots could be chance."
TOO_FEW = "There are too few hotspots or members to tell whether one of them stands apart."
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
        *_findings(analysis),
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
            "consensus" if record.member == certificate.consensus else "outlier" if record.outlier else "",
        ]
        for record in certificate.members
    ]


def hotspot_similarity(analysis: Analysis) -> list[float]:
    """Return the mean corrected NMI inside each hotspot, between different members."""
    matrix = analysis.matrix
    values = []
    for group in analysis.hotspots[analysis.config.hotspots.measure].groups:
        channels = np.array(group.channels)
        nmi = np.nan_to_num(matrix.corrected_similarity("nmi", channels))
        values.append(mean_between_members(nmi, matrix.member[channels], np.arange(len(channels))))
    return values


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
    live, members = int((~hotspots.dead).sum()), len(np.unique(matrix.member))
    source = record.source
    drawn = f" (drawn with seed {source.spec.fingerprint.seed})" if isinstance(source, TrainedSource) else ""
    measure = "normalized mutual information" if config.measure == "nmi" else "variation of information"
    return [
        f"Their posteriors of {matrix.n_images:,} images{drawn} were compared by the {measure} of single channels,"
        f" corrected for what channels share whose images are shuffled (vaefrag {__version__};"
        f" settings {analysis.config.key}, posteriors {analysis.posteriors_key}).",
        f"{live} of {counted(matrix.n_channels, 'channel')} carried {config.min_bits:g} bits or more.",
        f"A hotspot is a group of channels of at least {required_members(members, config)} of"
        f" {counted(members, 'member')} with a mean corrected similarity above {config.min_similarity:g}, whose halves"
        f" by average linkage share at least {config.cohesion:g} of what the closer-knit half shares, and which is"
        " apart from every other.",
    ]


def _findings(analysis: Analysis) -> list[str]:
    hotspots = analysis.hotspots[analysis.config.hotspots.measure]
    if not hotspots.groups:
        return ["No hotspot was found."]
    similarity = hotspot_similarity(analysis)
    sizes = [group.n_members for group in hotspots.groups]
    sentences = [
        f"{counted(len(hotspots.groups), 'hotspot')} {'was' if len(sizes) == 1 else 'were'} found, with channels of"
        f" {_range(sizes, '{:d}')} members and a mean corrected NMI inside of {_range(similarity, '{:.2f}')}."
    ]
    if hotspots.recurrence is not None:
        probability, interval = hotspots.recurrence.probability, hotspots.recurrence.interval
        shown = [returns_text(p, ends) for p, ends in zip(probability, interval, strict=True)]
        each = ", ".join(shown)
        if len(shown) > MOST_LISTED:
            each = f"between {shown[int(probability.argmin())]} and {shown[int(probability.argmax())]}"
        sentences.append(
            "Judged by members held out, the probability that a new member holds"
            f" {'it' if len(sizes) == 1 else 'each'} is {each} (95 % intervals by Wilson)."
        )
    return sentences


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
