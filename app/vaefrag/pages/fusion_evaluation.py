"""What a fusion gained: labels read from the fused space and from its learners, on images held out."""

from collections.abc import Callable, Mapping
from typing import Any

from dash import html

from vaefrag.components.facts import section
from vaefrag.components.shell import segmented

READINGS = {
    "overlap": "by the ten images whose posteriors overlap most with that of the image",
    "draws": "from a single draw of the image’s posterior, by Bayes’ rule",
    "means": "by the ten nearest posterior means, whatever their σ",
}


def readings_of(report: Mapping[str, Any]) -> list[str]:
    """Return the ways of reading that an evaluation knows; [""] of one without any."""
    return list(dict.fromkeys(probe["kind"] for probe in report.get("probes", ()))) or [""]


def evaluation_card(report: Mapping[str, Any], reading: str, address: Callable[[str], str]) -> html.Section:
    """Show how well labels are read, and what the fused space gains.

    Args:
        report: the evaluation, as `FusionStore.report` returns it.
        reading: the way of reading that is shown.
        address: the query of the page that shows another one.
    """
    probes = [probe for probe in report.get("probes", ()) if probe["kind"] == reading]
    if not probes:
        why = "; ".join(report.get("notes", ())) or "The data set came without labels, or it was stopped before."
        return html.Section(section("What was gained", None, html.P(why, className="note")), className="card")
    if reading not in READINGS:
        why = (
            "It was evaluated by an earlier version, which had no intervals. The same `vaefrag fuse` evaluates it anew."
        )
        return html.Section(section("What was gained", None, html.P(why, className="note")), className="card")
    bits = {(row["label"], row["space"]): row for row in report.get("label_bits", ())}
    rows = [
        html.Tr(
            [
                html.Td(probe["label"] if r == 0 else ""),
                html.Td(row["space"]),
                html.Td(f"{row['accuracy']:.1%}"),
                html.Td(" … ".join(f"{end:.1%}" for end in row["interval"])),
                html.Td("" if r == 0 else _signed(row["gain"])),
                html.Td("" if r == 0 else " … ".join(map(_signed, row["gain_interval"]))),
                *_bits_cells(bits.get((probe["label"], row["space"]))),
            ]
        )
        for probe in probes
        for r, row in enumerate(probe["spaces"])
    ]
    heads = ["label", "read from", "right", "95 %", "fused gains", "95 %", "bits about it", "95 %"]
    table = html.Table([html.Thead(html.Tr([html.Th(head) for head in heads])), html.Tbody(rows)], className="table")
    options = [(name, address(name), name == reading) for name in readings_of(report) if name in READINGS]
    switch = html.Div([html.Span("Read by"), segmented("How labels are read", options)], className="switch")
    chance = ", ".join(f"{probe['label']} {probe['chance']:.1%}" for probe in probes)
    note = (
        f"Labels of held-out images, read {READINGS[reading]}. Fusing saw no label; the best single learner was chosen"
        f" on other images. Always naming the commonest value is right in: {chance}. Bits: I(U;label) beyond what"
        " shuffled labels show."
    )
    return html.Section(section("What was gained", "reading a label", table, note, switch), className="card")


def _bits_cells(row: Mapping[str, Any] | None) -> list[html.Td]:
    if row is None:
        return [html.Td(""), html.Td("")]
    return [html.Td(_bits(row["bits"])), html.Td(" … ".join(map(_bits, row["interval"])))]


def _bits(value: float) -> str:
    return f"{round(value, 2) + 0.0:.2f}".replace("-", "−")


def _signed(share: float) -> str:
    return f"{share:+.1%}".replace("-", "−")
