"""Results of sweeps: as JSON for scripts, as tables for people."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from vaefrag import terminal

if TYPE_CHECKING:
    from vaefrag_core.artifacts import Atlas
    from vaefrag_core.sweeps import Sweep


def sweep_result(sweep: "Sweep", ensembles: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return a sweep as JSON content.

    Args:
        sweep: the sweep.
        ensembles: the result of each of its ensembles, in the order of its values.
    """
    rows = [{"value": value, **result} for value, result in zip(sweep.values, ensembles, strict=True)]
    return {"sweep": sweep.id, "name": sweep.name, "coefficient": sweep.coefficient, "ensembles": rows}


def atlas_result(
    sweep: "Sweep", atlas: "Atlas", *, step: int | None = None, steps: Sequence[int] | None = None
) -> dict[str, Any]:
    """Return an atlas as JSON content.

    Args:
        sweep: the sweep.
        atlas: its atlas, at the end of training or at one of its steps.
        step: that step; None for the end.
        steps: all steps that have an atlas; None for those that `atlas` names, which is that of the end.
    """
    from vaefrag_core.artifacts.atlas import spread_of

    steps = atlas.steps if steps is None else steps
    points = []
    for p, point in enumerate(atlas.points):
        groups = [
            {
                "hotspot": group.number,
                "thread": atlas.lineages[p][group.number],
                "channels": group.size,
                "members": group.n_members,
                "mean_nmi": group.mean_nmi,
                "mean_bits": group.mean_bits,
            }
            for group in point.hotspots
        ]
        points.append(
            {
                "value": point.value,
                "id": point.ensemble_id,
                "members": point.members,
                "live_channels": list(point.live_channels),
                "live_channels_mean": spread_of(point.live_channels)[0],
                "live_channels_spread": spread_of(point.live_channels)[1],
                "bits_mean": spread_of(point.bits)[0],
                "bits_spread": spread_of(point.bits)[1],
                "summed_bits": list(point.summed_bits),
                "space_bits": list(point.space_bits),
                "tightness": point.tightness,
                "hotspots": groups,
            }
        )
    links = [
        {
            "from_value": atlas.points[link.step].value,
            "to_value": atlas.points[link.step + 1].value,
            "from": link.source,
            "to": link.target,
            "nmi": link.nmi,
        }
        for link in atlas.links
    ]
    drawn = {point.ensemble_id for point in atlas.points}
    return {
        "sweep": sweep.id,
        "name": sweep.name,
        "coefficient": sweep.coefficient,
        "step": step or (steps[-1] if steps else None),
        "steps": list(steps),
        "images": atlas.n_images,
        "min_nmi": atlas.min_nmi,
        "waiting": [ensemble_id for ensemble_id in sweep.ensembles if ensemble_id not in drawn],
        "points": points,
        "links": links,
    }


def show_atlas(sweep: "Sweep", atlas: "Atlas") -> None:
    """Show an atlas as two tables: the ensemble of each value, and how its hotspots go on."""
    from vaefrag_core.artifacts.atlas import spread_of

    terminal.print_message(f"{sweep.name}:")
    whole = any(point.space_bits for point in atlas.points)
    columns = [sweep.symbol, "members", "live channels", "bits of each", *(["bits of a member"] if whole else [])]
    columns += ["hotspots", "NMI inside", "channels"]
    rows = []
    for point in atlas.points:
        rows.append(
            [
                f"{point.value:g}",
                point.members,
                _with_spread(*spread_of(point.live_channels)),
                _with_spread(*spread_of(point.bits)),
                *([_with_spread(*spread_of(point.space_bits))] if whole else []),
                len(point.hotspots),
                _number(point.tightness),
                " ".join(str(group.size) for group in point.hotspots) or "–",
            ]
        )
    terminal.show_table(columns, rows, right=columns[:-1])
    if missing := len(sweep.ensembles) - len(atlas.points):
        terminal.print_message(f"{missing} of {len(sweep.ensembles)} ensembles have not been analysed yet.")
    if len(atlas.points) > 1:
        _show_flow(sweep, atlas)


def _show_flow(sweep: "Sweep", atlas: "Atlas") -> None:
    """Show of each hotspot which ones it comes from, and as which ones it goes on."""
    onward: dict[tuple[int, int], list[str]] = {}
    back: dict[tuple[int, int], list[str]] = {}
    for link in sorted(atlas.links, key=lambda link: -link.nmi):
        onward.setdefault((link.step, link.source), []).append(f"{link.target} ({link.nmi:.2f})")
        back.setdefault((link.step + 1, link.target), []).append(str(link.source))
    columns = [sweep.symbol, "hotspot", "channels", "members", "NMI inside", "bits", "comes from", "goes on as"]
    rows = []
    for step, point in enumerate(atlas.points):
        last = step == len(atlas.points) - 1
        for group in point.hotspots:
            before = ", ".join(back.get((step, group.number), [])) or ("" if step == 0 else "nothing")
            after = ", ".join(onward.get((step, group.number), [])) or ("" if last else "nothing")
            rows.append(
                [
                    f"{point.value:g}",
                    group.number,
                    group.size,
                    f"{group.n_members} of {point.members}",
                    f"{group.mean_nmi:.2f}",
                    f"{group.mean_bits:.2f}",
                    before,
                    after,
                ]
            )
    terminal.show_table(columns, rows, right=columns[:6])
    terminal.print_message(
        f"Hotspots go on as those at the next value whose channels share a mean NMI of {atlas.min_nmi:g} or more with"
        " theirs, in brackets."
    )


def _with_spread(mean: float, spread: float) -> str:
    return f"{mean:.2f} ± {spread:.2f}" if math.isfinite(mean) else "–"


def _number(value: float) -> str:
    return f"{value:.2f}" if math.isfinite(value) else "–"
