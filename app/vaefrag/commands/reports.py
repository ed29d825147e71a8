"""Results of analyses, metrics and data sets: as JSON for scripts, as tables for people."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from vaefrag import terminal
from vaefrag.commands.hotspot_reports import inside_result, return_result
from vaefrag.commands.null_reports import curve_result, hotspot_null
from vaefrag.plurals import about, counted, first_few

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from vaefrag_core.artifacts import Analysis, ChannelMatrix, Hotspot, Hotspots
    from vaefrag_core.artifacts.stability import Over
    from vaefrag_core.datasets.base import ImageDataset
    from vaefrag_core.structure.hotspot_evidence import HotspotEvidence
    from vaefrag_core.structure.member_metrics import MemberMetrics
    from vaefrag_core.training.checkpoints import MemberStatus

RESAMPLED: "tuple[Over, ...]" = ("members", "images")  # in a bootstrap of hotspots
LABEL_WIDTH = 20  # of the names of labels, likewise; of more, only the label is shown that a hotspot tells most of
LEAST_ERROR = 0.001  # that is written out: a table has no room for more digits
_LEVELS, _FILES = 12, 50  # most that are shown: levels of a factor, and files that were left out


def training_result(ensemble_id: str, statuses: "Sequence[MemberStatus]") -> dict[str, Any]:
    """Return how training ended as JSON content: "done", "failed" (some members), or "stopped"."""
    states = [status.state for status in statuses]
    unfinished = any(state in ("running", "waiting") for state in states)
    return {
        "id": ensemble_id,
        "state": "stopped" if unfinished else "failed" if "failed" in states else "done",
        "members": len(states),
        "members_done": states.count("done"),
        "members_failed": states.count("failed"),
        "loss_nats": [status.loss for status in statuses],
    }


def show_failures(statuses: "Sequence[MemberStatus]") -> None:
    """Show which members failed, and why."""
    for line in first_few([status.message for status in statuses if status.state == "failed"]):
        terminal.print_message(line, markup=False)


def analysis_result(ensemble_id: str, analysis: "Analysis") -> dict[str, Any]:
    """Return an analysis as JSON content: its hotspots by the measure of its config, with their channels."""
    from vaefrag_core.structure.hotspot_doubts import hotspot_doubts
    from vaefrag_core.structure.hotspot_evidence import hotspot_evidence
    from vaefrag_core.structure.similarity_inside import mean_inside

    measure = analysis.config.hotspots.measure
    matrix, hotspots = analysis.matrix, analysis.hotspots[measure]
    evidence = hotspot_evidence(matrix, hotspots)
    names = [{"member": int(m), "channel": int(d)} for m, d in matrix.channel_names]
    doubts = hotspot_doubts(matrix, hotspots, analysis.null_tests.get(measure))
    groups = [
        {
            "hotspot": group.number,
            "size": group.size,
            "members": group.n_members,
            "mean_nmi": group.mean_nmi,
            "mean_nmi_by_chance": mean_inside(
                matrix.chance_nmi(list(group.channels)), matrix.member[list(group.channels)]
            ),
            **inside_result(evidence[group.number]),
            "mean_vi_bits": group.mean_vi_bits,
            "mean_bits": group.mean_bits,
            "medoid": names[group.medoid],
            "channels": [names[c] for c in group.channels],
            **_labels(matrix, group.channels),
            "best_label": _name(matrix, matrix.best_label(list(group.channels))),
            "doubts": list(doubts[group.number]),
            **return_result(evidence[group.number]),
            **_lacking(hotspots, group.number),
            **_null(analysis, group.number),
            **_stability(analysis, group.number),
        }
        for group in hotspots.groups
    ]
    return {
        "id": ensemble_id,
        "measure": measure,
        "members": len(set(matrix.member.tolist())),
        "channels": matrix.n_channels,
        "live_channels": int((~hotspots.dead).sum()),
        "images": matrix.n_images,
        "ceiling_bits": matrix.ceiling_bits,
        "channels_near_ceiling": int((matrix.near_ceiling & ~hotspots.dead).sum()),
        "nmi_by_chance": matrix.typical_chance_nmi((~hotspots.dead).nonzero()[0]),
        "min_samples": hotspots.min_samples,
        "identifiers": list(matrix.identifiers),
        "label_bins": dict(zip(matrix.label_names, matrix.label_bins.tolist(), strict=False)),
        "resamples": analysis.config.bootstrap.resamples,
        "members_diverged": list(matrix.diverged),
        "messages": list(hotspots.messages),
        "hotspots": groups,
        **_curve(analysis),
    }


def _labels(matrix: "ChannelMatrix", channels: "Sequence[int]") -> dict[str, Any]:
    """Return NMI with each label but identifiers, as it is and corrected, and bits told of binned ones without bins."""
    plain, corrected = matrix.label_nmi_of(list(channels))
    unbinned = matrix.unbinned_bits_of(list(channels))
    names = [(f, matrix.label_names[f]) for f in matrix.compared_labels]
    return {
        "label_nmi": {name: float(plain[f]) for f, name in names},
        "label_nmi_corrected": {name: float(corrected[f]) for f, name in names},
        "label_bits_unbinned": {name: float(unbinned[f]) for f, name in names if math.isfinite(unbinned[f])},
    }


def _lacking(hotspots: "Hotspots", hotspot: int) -> dict[str, Any]:
    """Return the members that lack a hotspot; nothing for results of earlier versions."""
    return {} if hotspots.recurrence is None else {"members_lacking": hotspots.recurrence.lacking(hotspot).tolist()}


def _curve(analysis: "Analysis") -> dict[str, Any]:
    tests = analysis.null_tests.get(analysis.config.hotspots.measure)
    return {} if tests is None else {"member_curve": curve_result(tests.curve)}


def _null(analysis: "Analysis", hotspot: int) -> dict[str, Any]:
    """Return how far a hotspot is beyond chance, once `vaefrag null` has been run on this analysis."""
    tests = analysis.null_tests.get(analysis.config.hotspots.measure)
    return {} if tests is None else {"null": hotspot_null(tests, hotspot)}


def _stability(analysis: "Analysis", hotspot: int) -> dict[str, Any]:
    """Return how often a hotspot came back on resamples, when there are any."""
    stability = analysis.stability.get(analysis.config.hotspots.measure)
    if stability is None:
        return {}
    found_on, others = stability.mean_inside[hotspot]
    resampled = {
        over: {
            "mean_jaccard": float(stability.mean_jaccard(over)[hotspot]),
            "returned": float(stability.returned(over)[hotspot]),
        }
        for over in RESAMPLED
    }
    return {"stability": resampled | {"inside": {"found_on": float(found_on), "other_images": float(others)}}}


def _show_stability(analysis: "Analysis", hotspots: int) -> None:
    """Show how often hotspots came back on resamples, when there are any."""
    if not analysis.stability or not hotspots:
        return
    columns = [
        "hotspot",
        "returns, of\nmembers",
        "Jaccard",
        "returns, of\nimages",
        "Jaccard ",
        "inside, on\nits images",
        "on\nothers",
    ]
    rows = []
    for hotspot in range(hotspots):
        over = _stability(analysis, hotspot)["stability"]
        shown = [(_percent(over[kind]["returned"]), _number(over[kind]["mean_jaccard"])) for kind in RESAMPLED]
        rows.append([hotspot, *shown[0], *shown[1], *map(_number, over["inside"].values())])
    terminal.show_table(columns, rows, right=columns)
    terminal.print_message(
        f"Over {analysis.config.bootstrap.resamples} resamples of members, and as many of images: the share in which a"
        " hotspot comes back (Jaccard index 0.5 or more), and its mean Jaccard index. Inside: corrected similarity of"
        " what was found on the images drawn, on these and on those left out."
    )


def show_analysis(analysis: "Analysis") -> None:
    """Show the hotspots as a table."""
    from vaefrag_core.structure.hotspot_doubts import hotspot_doubts

    measure = analysis.config.hotspots.measure
    matrix, hotspots = analysis.matrix, analysis.hotspots[measure]
    members = len(set(matrix.member.tolist()))
    live, n_hotspots = int((~hotspots.dead).sum()), len(hotspots.groups)
    terminal.print_message(
        f"{counted(n_hotspots, 'hotspot')} among {counted(live, 'live channel')} of {counted(members, 'member')}"
        f" ({counted(matrix.n_channels - live, 'dead channel')} set aside){':' if n_hotspots else '.'}"
    )
    if n_hotspots:
        _show_hotspots(matrix, hotspots, members)
        if matrix.compared_labels and len(matrix.label_chance):
            terminal.print_message(
                "NMI with labels is corrected for chance: 0 of a label that a channel says nothing of."
            )
    _show_stability(analysis, n_hotspots)
    chance = matrix.typical_chance_nmi((~hotspots.dead).nonzero()[0])
    if math.isfinite(chance):
        terminal.print_message(
            f"On {matrix.n_images:,} images, channels like these that share nothing show an NMI of {about(chance)};"
            " the corrected NMI counts from there."
            + (
                " In brackets one standard error over images, of the last digit."
                if n_hotspots and hotspots.inside is not None
                else ""
            )
        )
    for number, sentences in enumerate(hotspot_doubts(matrix, hotspots, analysis.null_tests.get(measure))):
        if sentences:
            terminal.print_message(f"Hotspot {number} is near chance. {' '.join(sentences)}")
    for message in hotspots.messages:
        terminal.print_message(message)


def _show_hotspots(matrix: "ChannelMatrix", hotspots: "Hotspots", members: int) -> None:
    from vaefrag_core.structure.hotspot_evidence import hotspot_evidence

    evidence = hotspot_evidence(matrix, hotspots)
    shown = [(f, matrix.label_names[f]) for f in matrix.compared_labels]
    apart = sum(2 + len(name) for _, name in shown) <= LABEL_WIDTH
    columns = [
        "hot-\nspot",
        "chan-\nnels",
        "members",
        "NMI\ninside",
        "cor-\nrected",
        "bits",
        "medoid",
        "in\nnew",
        *([f"NMI\n{name}" for _, name in shown] if apart else ["label\nNMI", "best\nlabel"]),
    ]
    rows = [
        [
            group.number,
            group.size,
            f"{group.n_members} of {members}",
            f"{group.mean_nmi:.2f}",
            _with_error(evidence[group.number]),
            f"{group.mean_bits:.2f}",
            ".".join(str(part) for part in matrix.channel_names[group.medoid]),
            "–" if hotspots.recurrence is None else f"{hotspots.recurrence.probability[group.number]:.0%}",
            *([_number(_label_nmi(matrix, group)[f]) for f, _ in shown] if apart else _best_label(matrix, group)),
        ]
        for group in hotspots.groups
    ]
    terminal.show_table(columns, rows, right=[c for c in columns if c not in ("medoid", "best\nlabel")])


def _with_error(evidence: "HotspotEvidence") -> str:
    """Write the corrected NMI inside a hotspot with its standard error, as 0.62(3)."""
    if evidence.nmi_error is None:
        return _number(evidence.nmi)
    return terminal.with_error(evidence.nmi, max(evidence.nmi_error, LEAST_ERROR))


def _label_nmi(matrix: "ChannelMatrix", group: "Hotspot") -> "NDArray[np.float64]":
    """Return NMI with each label, corrected for chance; as it is, in results of earlier versions."""
    return matrix.label_nmi_of(list(group.channels))[1 if len(matrix.label_chance) else 0]


def _best_label(matrix: "ChannelMatrix", group: "Hotspot") -> tuple[str, str]:
    best = matrix.best_label(list(group.channels))
    return ("–", "") if best is None else (_number(_label_nmi(matrix, group)[best]), matrix.label_names[best])


def _name(matrix: "ChannelMatrix", label: int | None) -> str | None:
    return None if label is None else matrix.label_names[label]


def metrics_result(ensemble_id: str, metrics: "MemberMetrics") -> dict[str, Any]:
    """Return the metrics of each member, their mean and standard deviation over members, as JSON content."""
    from vaefrag_core.structure.member_metrics import METRICS

    def named(values: "NDArray[np.float64]") -> dict[str, float]:
        return dict(zip(METRICS, values.tolist(), strict=True))

    members = zip(metrics.member_ids, metrics.live_channels, metrics.values, strict=True)
    return {
        "id": ensemble_id,
        "factors": list(metrics.factors),
        "messages": list(metrics.messages),
        "members": [{"member": m, "live_channels": live, **named(values)} for m, live, values in members],
        "mean": named(metrics.mean),
        "spread": named(metrics.spread),
    }


def show_metrics(metrics: "MemberMetrics") -> None:
    """Show the metrics as a table of members."""
    lines = [
        *zip(metrics.member_ids, metrics.live_channels, metrics.values, strict=True),
        ("mean", "", metrics.mean),
        ("spread", "", metrics.spread),
    ]
    columns = ["member", "live", "MIG", "disent.", "compl.", "inform.", "SAP", "FactorVAE", "UDR"]  # for 80 columns
    terminal.show_table(columns, [[m, n, *map(_number, values)] for m, n, values in lines], right=columns)
    terminal.print_message(
        "live: channels that carry KL; disent., compl., inform.: disentanglement, completeness, informativeness (DCI)."
    )
    if metrics.factors:
        terminal.print_message(f"Factors: {', '.join(metrics.factors)}.")
    for message in metrics.messages:
        terminal.print_message(message)


def _number(value: float) -> str:
    return f"{value:.2f}" if math.isfinite(value) else "–"


def _percent(share: float) -> str:
    return f"{share:.0%}" if math.isfinite(share) else "–"


def show_datasets(entries: Sequence[Mapping[str, Any]]) -> None:
    """Show the data sets as a table, and below it where each is; locations are too long for a column."""
    rows = [
        [
            entry["name"],
            f"{entry['n_images']:,}" if entry["n_images"] else "–",
            "×".join(str(n) for n in entry["image_shape"][:2]) if entry["image_shape"] else "–",
            "yes" if entry["available"] else "no",
            entry["description"],
        ]
        for entry in entries
    ]
    terminal.show_table(["name", "images", "pixels", "here", "what"], rows, right=["images"])
    terminal.print_message("")
    for entry in entries:
        factors = f" Factors: {', '.join(entry['factors'])}."
        terminal.print_message(f"{entry['name']}: {entry['location'].rstrip('.')}.{factors}", markup=False)


def dataset_result(dataset: "ImageDataset") -> dict[str, Any]:
    """Return the content of a data set as JSON content."""
    return {
        "name": dataset.name,
        "origin": dataset.origin,
        "n_images": dataset.n_images,
        "image_shape": list(dataset.image_shape),
        "factors": {factor.name: list(factor.levels) for factor in dataset.factors},
        "remarks": list(dataset.remarks),
        "files": [{"name": name, "found": outcome} for name, outcome in dataset.report],
    }


def show_dataset(result: Mapping[str, Any]) -> None:
    """Show the content of a data set; of many files, those that were left out."""
    height, width, channels = result["image_shape"]
    colour = "in colour" if channels == 3 else "in grey"
    terminal.print_message(
        f"{result['n_images']:,} images of {width}×{height} pixels {colour}, from {result['origin']}.", markup=False
    )
    for name, levels in result["factors"].items():
        shown = ", ".join(levels[:_LEVELS]) + (", …" if len(levels) > _LEVELS else "")
        terminal.print_message(f"Factor {name}: {len(levels):,} levels, {shown}.", markup=False)
    for remark in result["remarks"]:
        terminal.print_message(remark, markup=False)
    left_out = [(file["name"], file["found"]) for file in result["files"] if not file["found"].startswith("read")]
    if left_out:
        terminal.show_table(["left out", "why"], left_out[:_FILES])
    if len(left_out) > _FILES:
        terminal.print_message(f"{len(left_out) - _FILES:,} more are in --json.")
