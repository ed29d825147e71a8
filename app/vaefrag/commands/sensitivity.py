"""`vaefrag sensitivity`: what other settings, the other measure, or one member less would find."""

from itertools import groupby
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vaefrag import terminal
from vaefrag.commands.options import Json, Workspace

if TYPE_CHECKING:
    from vaefrag_core.config import HotspotConfig
    from vaefrag_core.structure.hotspot_sensitivity import Sensitivity


def sensitivity(
    ensemble_id: Annotated[str, typer.Argument(metavar="ID", help="The ensemble, as `vaefrag list` names it.")],
    workspace: Workspace = None,
    as_json: Json = False,
) -> None:
    """Look for the hotspots of an analysis again, each setting changed in turn and each member left out in turn.

    Works from the similarities that the analysis stored: nothing is compared anew.
    """
    from vaefrag.settings import load_settings
    from vaefrag_core.ensemble_store import EnsembleStore
    from vaefrag_core.structure.hotspot_sensitivity import count_searches, hotspot_sensitivity

    store = EnsembleStore(load_settings(workspace=workspace).workspace)
    config = store.analysis_index(ensemble_id).config.hotspots
    analysis = store.analysis(ensemble_id)
    with terminal.count_progress("Searching", count_searches(analysis.matrix, config)) as show:
        searches = hotspot_sensitivity(
            analysis.matrix, analysis.hotspots[config.measure], config, on_progress=lambda done, _: show(done)
        )
    if as_json:
        terminal.print_json(_result(ensemble_id, config, searches))
    else:
        _show(config, searches)


def _result(ensemble_id: str, config: "HotspotConfig", searches: "Sensitivity") -> dict[str, Any]:
    return {
        "ensemble": ensemble_id,
        "hotspots": searches.hotspots,
        "settings": {
            name: {
                "of_analysis": getattr(config, name),
                "others": [
                    {"value": other.value, "hotspots": other.hotspots, "agreement": other.agreement} for other in others
                ],
            }
            for name, others in _by_setting(searches)
        },
        "members_left_out": [vars(member) for member in searches.members],
    }


def _show(config: "HotspotConfig", searches: "Sensitivity") -> None:
    rows = []
    for name, others in _by_setting(searches):
        of_analysis = getattr(config, name)
        for position, other in enumerate(others):
            label = f"{name.replace('_', ' ')} (now {'default' if of_analysis is None else of_analysis})"
            rows.append([label if not position else "", other.value, other.hotspots, f"{other.agreement:.2f}"])
    if searches.members:
        numbers, agreements = zip(*((member.hotspots, member.agreement) for member in searches.members), strict=True)
        fewest, most = min(numbers), max(numbers)
        rows.append(
            [
                f"each of {len(numbers)} members left out",
                "",
                str(fewest) if fewest == most else f"{fewest} to {most}",
                f"{min(agreements):.2f} to {max(agreements):.2f}",
            ]
        )
    terminal.show_table(
        ["changed", "to", "hotspots", "agreement"], rows, right=["to", "hotspots", "agreement"], whole=["changed"]
    )
    terminal.print_message(
        f"The analysis has {searches.hotspots}. One thing is changed at a time. Agreement: adjusted Rand index over all"
        " channels, one of no hotspot being a group of its own; 1 is the same hotspots, 0 no more than by chance."
    )


def _by_setting(searches: "Sensitivity") -> list[tuple[str, list[Any]]]:
    return [(name, list(others)) for name, others in groupby(searches.settings, key=lambda other: other.setting)]
