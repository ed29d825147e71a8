"""A certificate as tables, as JSON content and as Markdown; and two ensembles' hotspots against each other."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from vaefrag import terminal
from vaefrag.certificate_text import (
    MEMBER_COLUMNS,
    NO_NULL,
    hotspot_similarity,
    member_rows,
    number,
    returns_text,
    verdict,
)

if TYPE_CHECKING:
    from vaefrag_core.artifacts import Analysis
    from vaefrag_core.structure.certificate import Certificate


def certificate_result(ensemble_id: str, analysis: "Analysis", certificate: "Certificate", text: str) -> dict[str, Any]:
    """Return a certificate as JSON content; names are those of `vaefrag analyze --json`."""
    hotspots = analysis.hotspots[analysis.config.hotspots.measure]
    names = [{"member": int(m), "channel": int(d)} for m, d in analysis.matrix.channel_names]
    recurrence = hotspots.recurrence
    returns: list[dict[str, Any]] = [{} for _ in hotspots.groups]
    if recurrence is not None:
        returns = [
            {"return_probability": float(p), "return_interval": [float(end) for end in ends]}
            for p, ends in zip(recurrence.probability, recurrence.interval, strict=True)
        ]
    nothing = {"return_probability": None, "return_interval": None}
    return {
        "id": ensemble_id,
        "measure": analysis.config.hotspots.measure,
        "hotspots": [
            {
                "hotspot": group.number,
                "size": group.size,
                "members": group.n_members,
                "mean_nmi_corrected": similarity,
                "medoid": names[group.medoid],
                **returned,
            }
            for group, similarity, returned in zip(hotspots.groups, hotspot_similarity(analysis), returns, strict=True)
        ],
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
            }
            for record in certificate.members
        ],
        "channels": [
            names[record.channel]
            | {
                "bits": float(analysis.matrix.information_bits[record.channel]),
                "hotspot": record.hotspot,
                "state": record.state,
                **(nothing if record.hotspot is None else nothing | returns[record.hotspot]),
                "copies": [
                    names[copy] | {"nmi_corrected": nmi}
                    for copy, nmi in zip(record.copies, record.copies_nmi, strict=True)
                ],
            }
            for record in certificate.channels
        ],
        "methods": text,
    }


def show_certificate(ensemble_id: str, certificate: "Certificate", text: str) -> None:
    """Show what each member holds as a table, the verdict, and the paragraph."""
    terminal.show_table(MEMBER_COLUMNS, member_rows(certificate), right=["member", "NMI", "to medoids", "live", "bits"])
    terminal.print_message(
        "NMI: corrected for chance, of the member's channels with the other members' in the hotspots that it holds."
    )
    for sentence in verdict(certificate):
        terminal.print_message(f"[bold]{sentence}[/]")
    terminal.print_message(f"\n{text}", markup=False)
    terminal.print_message(f"\nChannels, with their nearest copies: --json. {NO_NULL.format(ensemble_id)}")


def certificate_markdown(name: str, result: dict[str, Any], certificate: "Certificate") -> str:
    """Write a certificate as Markdown: the verdict, the paragraph, and tables of members, hotspots and channels."""
    hotspots = [
        [
            item["hotspot"],
            item["size"],
            item["members"],
            number(item["mean_nmi_corrected"]),
            _named(item["medoid"]),
            _returns(item),
        ]
        for item in result["hotspots"]
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
        _markdown_table(["hotspot", "channels", "members", "NMI inside", "medoid", "in a new member"], hotspots),
        NO_NULL.format(result["id"]),
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
