"""A certificate as tables, as JSON content and as Markdown; and two ensembles' hotspots against each other."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from vaefrag import terminal
from vaefrag.certificate_text import (
    EVIDENCE_COLUMNS,
    EVIDENCE_NOTE,
    MEMBER_COLUMNS,
    NO_NULL,
    evidence_cells,
    evidence_of,
    member_rows,
    null_command,
    returns_text,
    verdict,
)
from vaefrag.commands.hotspot_reports import evidence_result, return_result

if TYPE_CHECKING:
    from vaefrag_core.artifacts import Analysis
    from vaefrag_core.structure.certificate import Certificate


def certificate_result(ensemble_id: str, analysis: "Analysis", certificate: "Certificate", text: str) -> dict[str, Any]:
    """Return a certificate as JSON content; names are those of `vaefrag analyze --json`."""
    hotspots = analysis.hotspots[analysis.config.hotspots.measure]
    names = [{"member": int(m), "channel": int(d)} for m, d in analysis.matrix.channel_names]
    evidence = evidence_of(analysis)
    nothing = {"return_probability": None, "return_interval": None}
    return {
        "id": ensemble_id,
        "measure": analysis.config.hotspots.measure,
        "hotspots": [
            {
                "hotspot": group.number,
                "size": group.size,
                "members": group.n_members,
                "medoid": names[group.medoid],
                **evidence_result(of_group),
            }
            for group, of_group in zip(hotspots.groups, evidence, strict=True)
        ],
        "null_command": null_command(ensemble_id, analysis),
        "consensus": certificate.consensus,
        "outliers": list(certificate.outliers),
        "outliers_can_be_told": certificate.testable,
        "members": [
            {
                "member": record.member,
                "hotspots_held": list(record.held),
                "hotspots_lacking": list(record.lacking),
                "mean_nmi_corrected": record.agreement,
                "mean_nmi_corrected_to_medoids": record.medoid_nmi,
                "mean_vi_bits": record.vi_bits,
                "live_channels": record.live_channels,
                "sum_bits": record.sum_bits,
                "p_value": record.p_value,
                "outlier": record.outlier,
                "diverged": record.diverged,
            }
            for record in certificate.members
        ],
        "channels": [
            names[record.channel]
            | {
                "bits": float(analysis.matrix.information_bits[record.channel]),
                "hotspot": record.hotspot,
                "state": record.state,
                **(nothing if record.hotspot is None else return_result(evidence[record.hotspot])),
                "copies": [
                    names[copy] | {"nmi_corrected": nmi}
                    for copy, nmi in zip(record.copies, record.copies_nmi, strict=True)
                ],
            }
            for record in certificate.channels
        ],
        "methods": text,
    }


def show_certificate(ensemble_id: str, analysis: "Analysis", certificate: "Certificate", text: str) -> None:
    """Show what each member holds and how sure each hotspot is as tables, the verdict, and the paragraph."""
    terminal.show_table(MEMBER_COLUMNS, member_rows(certificate), right=["member", "NMI", "to medoids", "live", "bits"])
    terminal.print_message(
        "NMI: corrected for chance, of the member's channels with the other members' in the hotspots that it holds."
    )
    _show_hotspots(analysis)
    if command := null_command(ensemble_id, analysis):
        terminal.print_message(NO_NULL.format(f"`{command}`"))
    for sentence in verdict(certificate):
        terminal.print_message(f"[bold]{sentence}[/]")
    terminal.print_message(f"\n{text}", markup=False)
    terminal.print_message("\nChannels, with their nearest copies: --json.")


def _show_hotspots(analysis: "Analysis") -> None:
    groups = analysis.hotspots[analysis.config.hotspots.measure].groups
    if not groups:
        return
    heads = ["NMI\ninside", "95 %", "p", "FDR", "above\nturned", "in new\nmember", "95 % "]
    columns = ["hotspot", "members", *heads]
    rows = [
        [str(group.number), str(group.n_members), *evidence_cells(evidence)]
        for group, evidence in zip(groups, evidence_of(analysis), strict=True)
    ]
    terminal.show_table(columns, rows, right=columns)
    terminal.print_message(EVIDENCE_NOTE)


def certificate_markdown(name: str, result: dict[str, Any], analysis: "Analysis", certificate: "Certificate") -> str:
    """Write a certificate as Markdown: the verdict, the paragraph, and tables of members, hotspots and channels."""
    hotspots = [
        [item["hotspot"], item["size"], item["members"], _named(item["medoid"]), *evidence_cells(evidence)]
        for item, evidence in zip(result["hotspots"], evidence_of(analysis), strict=True)
    ]
    channels = [
        [
            _named(item),
            f"{item['bits']:.2f}",
            item["state"] if item["hotspot"] is None else item["hotspot"],
            _returns(item),
            ", ".join(f"{_named(copy)} ({copy['nmi_corrected']:.2f})" for copy in item["copies"]) or "–",
        ]
        for item in result["channels"]
    ]
    parts = [
        f"# Certificate of {name}",
        f"Ensemble `{result['id']}`.",
        " ".join(verdict(certificate)),
        "## Methods",
        result["methods"],
        "## Members",
        _markdown_table([*MEMBER_COLUMNS[:-1], "standing"], member_rows(certificate)),
        "NMI is corrected for chance: of the member's channels with the other members' in the hotspots that it holds.",
        "## Hotspots",
        _markdown_table(["hotspot", "channels", "members", "medoid", *EVIDENCE_COLUMNS], hotspots),
        EVIDENCE_NOTE,
        *([NO_NULL.format(f"`{result['null_command']}`")] if result["null_command"] else []),
        "## Channels",
        _markdown_table(["channel", "bits", "hotspot", "in a new member", "nearest copies"], channels),
    ]
    return "\n\n".join(parts) + "\n"


def _markdown_table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |" for line in lines)


def _named(name: dict[str, Any]) -> str:
    return f"{name['member']}.{name['channel']}"


def _returns(item: dict[str, Any]) -> str:
    if item.get("return_probability") is None:
        return "–"
    return returns_text(item["return_probability"], item["return_interval"])
