"""`vaefrag null`: could the hotspots of an ensemble be chance, and would they come back in a new member?"""

from typing import Annotated, Any

import typer

from vaefrag import terminal
from vaefrag.commands.options import Json, Workspace


def null(
    ensemble_id: Annotated[str, typer.Argument(metavar="ID", help="The ensemble, as `vaefrag list` names it.")],
    draws: Annotated[int, typer.Option(min=1, help="Searches among shuffled channels.")] = 99,
    seed: Annotated[int, typer.Option(min=0, help="Of the shuffles.")] = 0,
    workspace: Workspace = None,
    as_json: Json = False,
) -> None:
    """Hold the hotspots of an analysis against shuffled channels, and each of them against members held out."""
    from vaefrag.settings import load_settings
    from vaefrag_core.ensemble_store import EnsembleStore
    from vaefrag_core.structure.hotspot_recurrence import hotspot_recurrence
    from vaefrag_core.structure.hotspot_significance import (
        false_discovery_rates,
        highest_by_chance,
        hotspot_p_values,
    )

    store = EnsembleStore(load_settings(workspace=workspace).workspace)
    index = store.analysis_index(ensemble_id)
    config = index.config.hotspots
    analysis = store.analysis(ensemble_id)
    hotspots, posteriors = analysis.hotspots[config.measure], store.posteriors(ensemble_id)
    with terminal.count_progress("Searching shuffled channels", draws) as show:
        highest = highest_by_chance(posteriors, config, draws, seed=seed, on_progress=lambda done, _: show(done))
    p_values = hotspot_p_values(analysis.matrix, hotspots, config, highest)
    recurrence = hotspots.recurrence or hotspot_recurrence(analysis.matrix, hotspots, config)
    result = {
        "ensemble": ensemble_id,
        "draws": draws,
        "seed": seed,
        "highest_by_chance": float(highest.max()),
        "hotspots": [
            {
                "hotspot": group.label,
                "p_value": float(p_value),
                "false_discovery_rate": float(rate),
                "return_probability": float(probability),
                "return_interval": [float(end) for end in interval],
                "members_lacking": recurrence.lacking(group.label).tolist(),
            }
            for group, p_value, rate, probability, interval in zip(
                hotspots.groups,
                p_values,
                false_discovery_rates(p_values),
                recurrence.probability,
                recurrence.interval,
                strict=True,
            )
        ],
    }
    if as_json:
        terminal.print_json(result)
    else:
        _show(result)


def _show(result: dict[str, Any]) -> None:
    rows = [
        [
            str(item["hotspot"]),
            f"{item['p_value']:.3g}",
            f"{item['false_discovery_rate']:.3g}",
            f"{item['return_probability']:.0%}",
            "{:.0%} to {:.0%}".format(*item["return_interval"]),
            ", ".join(map(str, item["members_lacking"])) or "none",
        ]
        for item in result["hotspots"]
    ]
    if rows:
        terminal.show_table(["hotspot", "p", "FDR", "in a new member", "95 %", "lacking"], rows, right=["p", "FDR"])
    terminal.print_message(
        f"Among {result['draws']} ensembles of the same channels with their images shuffled, the most similar group"
        f" that spans enough members reaches {result['highest_by_chance']:.2f}."
    )
