"""Results of commands: as JSON for scripts, as tables for people."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from app import terminal

if TYPE_CHECKING:
    from vaefrag_core.artifacts import Analysis
    from vaefrag_core.training.checkpoints import MemberStatus


def training_result(ensemble_id: str, statuses: "Sequence[MemberStatus]") -> dict[str, Any]:
    """Say how training ended: "done", "failed" (some members), or "stopped"."""
    states = [status.state for status in statuses]
    open_ones = any(state in ("running", "waiting") for state in states)
    return {
        "id": ensemble_id,
        "state": "stopped" if open_ones else "failed" if "failed" in states else "done",
        "members": len(states),
        "members_done": states.count("done"),
        "members_failed": states.count("failed"),
        "loss_nats": [status.loss for status in statuses],
    }


def show_failures(statuses: "Sequence[MemberStatus]") -> None:
    """Name the members that failed, and why."""
    for status in statuses:
        if status.state == "failed":
            terminal.say(status.message)


def analysis_result(ensemble_id: str, analysis: "Analysis") -> dict[str, Any]:
    """Give what was found, for the measure that was asked for."""
    measure = analysis.config.hotspots.measure
    matrix, hotspots = analysis.matrix, analysis.hotspots[measure]
    names = [{"member": int(m), "channel": int(d)} for m, d in matrix.channel_names]
    groups = [
        {
            "label": group.label,
            "size": group.size,
            "members": group.n_members,
            "mean_nmi": group.mean_nmi,
            "mean_vi_bits": group.mean_vi_bits,
            "mean_bits": group.mean_bits,
            "medoid": names[group.medoid],
            "channels": [names[c] for c in group.channels],
            "label_nmi": dict(zip(matrix.label_names, group.label_nmi, strict=True)),
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
        "ceiling_bits": math.log2(matrix.n_images),
        "min_samples": hotspots.min_samples,
        "messages": list(hotspots.messages),
        "hotspots": groups,
    }


def show_analysis(analysis: "Analysis") -> None:
    """Show the hotspots as a table."""
    measure = analysis.config.hotspots.measure
    matrix, hotspots = analysis.matrix, analysis.hotspots[measure]
    members = len(set(matrix.member.tolist()))
    live = int((~hotspots.dead).sum())
    terminal.say(
        f"{len(hotspots.groups)} hotspots among {live} live channels of {members} members"
        f" ({matrix.n_channels - live} dead channels set aside):"
    )
    columns = [
        "hotspot",
        "channels",
        "members",
        "NMI inside",
        "bits",
        "medoid",
        *(f"NMI {n}" for n in matrix.label_names),
    ]
    rows = [
        [
            group.label,
            group.size,
            f"{group.n_members} of {members}",
            f"{group.mean_nmi:.2f}",
            f"{group.mean_bits:.2f}",
            ".".join(str(part) for part in matrix.channel_names[group.medoid]),
            *(f"{value:.2f}" for value in group.label_nmi),
        ]
        for group in hotspots.groups
    ]
    terminal.show_table(columns, rows, right=[c for c in columns if c != "medoid"])
    for message in hotspots.messages:
        terminal.say(message)


def show_datasets(entries: Sequence[Mapping[str, Any]]) -> None:
    """Show the data sets as a table."""
    rows = [
        [
            entry["name"],
            f"{entry['n_images']:,}",
            "×".join(str(n) for n in entry["image_shape"][:2]),
            ", ".join(entry["factors"]),
            "yes" if entry["available"] else "no",
            entry["description"],
            entry["location"],
        ]
        for entry in entries
    ]
    columns = ["name", "images", "pixels", "factors", "here", "what", "where"]
    terminal.show_table(columns, rows, right=["images"])
