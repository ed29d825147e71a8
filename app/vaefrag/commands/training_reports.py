"""Channels over training: as JSON for scripts, as a table for people."""

from typing import TYPE_CHECKING, Any

from vaefrag import terminal

if TYPE_CHECKING:
    from vaefrag_core.artifacts import OverTraining


def over_training_result(over_training: "OverTraining") -> dict[str, Any]:
    """Return channels at each step of training as JSON content, in the order of members."""
    columns = zip(
        over_training.steps.tolist(),
        over_training.live_of_members.tolist(),
        over_training.mean_live_bits.tolist(),
        over_training.hotspots.tolist(),
        over_training.mean_nmi_with_end.tolist(),
        over_training.information_bits.tolist(),
        over_training.nmi_with_end.tolist(),
        strict=True,
    )
    names = ("step", "live_channels", "mean_live_bits", "hotspots", "mean_nmi_with_end", "bits", "nmi_with_end")
    return {"over_training": [dict(zip(names, row, strict=True)) for row in columns]}


def show_over_training(over_training: "OverTraining") -> None:
    """Show live channels, their information, hotspots and NMI with the end, step by step."""
    columns = ["step", "live channels", "bits", "hotspots", "NMI with the end"]
    rows = [
        [
            f"{over_training.steps[s]:,}",
            f"{over_training.live_of_members[s].mean():.1f}",
            _number(over_training.mean_live_bits[s]),
            over_training.hotspots[s],
            _number(over_training.mean_nmi_with_end[s]),
        ]
        for s in range(len(over_training.steps))
    ]
    terminal.show_table(columns, rows, right=columns)
    terminal.print_message(
        "Means: live channels over members, bits over the channels that live at that step, NMI of each channel with"
        " itself at the end over those that live then."
    )


def _number(value: float) -> str:
    return "–" if value != value else f"{value:.2f}"
