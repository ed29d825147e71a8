"""What channels told on the way through training: as JSON for scripts, as a table for people."""

from typing import TYPE_CHECKING, Any

from vaefrag import terminal

if TYPE_CHECKING:
    from vaefrag_core.artifacts import OverTraining


def over_training_result(found: "OverTraining") -> dict[str, Any]:
    """Give what was found at each step, as JSON content; channels in the order of members."""
    columns = zip(
        found.steps.tolist(),
        found.live_of_members.tolist(),
        found.mean_live_bits.tolist(),
        found.hotspots.tolist(),
        found.mean_nmi_with_end.tolist(),
        found.information_bits.tolist(),
        found.nmi_with_end.tolist(),
        strict=True,
    )
    names = ("step", "live_channels", "mean_live_bits", "hotspots", "mean_nmi_with_end", "bits", "nmi_with_end")
    return {"over_training": [dict(zip(names, row, strict=True)) for row in columns]}


def show_over_training(found: "OverTraining") -> None:
    """Show live channels, their information, hotspots and NMI with the end, step by step."""
    columns = ["step", "live channels", "bits", "hotspots", "NMI with the end"]
    rows = [
        [
            f"{found.steps[s]:,}",
            f"{found.live_of_members[s].mean():.1f}",
            _number(found.mean_live_bits[s]),
            found.hotspots[s],
            _number(found.mean_nmi_with_end[s]),
        ]
        for s in range(len(found.steps))
    ]
    terminal.show_table(columns, rows, right=columns)
    terminal.print_message(
        "Means: live channels over members, bits over the channels that live at that step, NMI of each channel with"
        " itself at the end over those that live then."
    )


def _number(value: float) -> str:
    return "–" if value != value else f"{value:.2f}"
