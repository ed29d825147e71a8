"""`vaefrag compare`: the hotspots of two ensembles on one sample against each other."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from vaefrag import terminal
from vaefrag.certificate_text import NO_NULL, chance_text, evidence_of, null_command
from vaefrag.commands.hotspot_reports import evidence_result
from vaefrag.commands.options import Json, Workspace
from vaefrag_core.errors import InvalidInputError

if TYPE_CHECKING:
    from vaefrag_core.artifacts import Analysis
    from vaefrag_core.structure.hotspot_comparison import HotspotComparison

MATRIX_HOTSPOTS = 9  # that fit side by side on a terminal
LEAST_ERROR = 0.001  # that is written out


def compare(
    first: Annotated[str, typer.Argument(metavar="ID", help="An ensemble that has been analysed.")],
    second: Annotated[str, typer.Argument(metavar="ID", help="Another one, on the same sample.")],
    draws: Annotated[int, typer.Option(min=1, help="Shuffles of the second ensemble's images.")] = 99,
    seed: Annotated[int, typer.Option(min=0, help="Of the shuffles.")] = 0,
    workspace: Workspace = None,
    as_json: Json = False,
) -> None:
    """Hold the hotspots of two ensembles against each other: which are found in both, and which in one alone."""
    from vaefrag.queries import OpenAnalysis, posteriors_behind
    from vaefrag.settings import load_settings
    from vaefrag_core.ensemble_store import EnsembleStore
    from vaefrag_core.structure.hotspot_comparison import compare_hotspots
    from vaefrag_core.synthesis.channel_pool import check_same_sample

    if first == second:
        raise InvalidInputError(f"Expected two different ensembles, got {first} twice. Name another one.")
    store = EnsembleStore(load_settings(workspace=workspace).workspace)
    analyses = {key: store.analysis(key) for key in (first, second)}
    posteriors = {
        key: posteriors_behind(OpenAnalysis.of(key, store.analysis_index(key), analysis), store.posteriors(key))
        for key, analysis in analyses.items()
    }
    check_same_sample(posteriors, "compared")
    configs = [analysis.config.hotspots for analysis in analyses.values()]
    groups = [analysis.hotspots[analysis.config.hotspots.measure].groups for analysis in analyses.values()]
    with terminal.count_progress("Comparing with shuffled images", draws) as show:
        comparison = compare_hotspots(
            (posteriors[first], groups[0]),
            (posteriors[second], groups[1]),
            configs[0],
            draws=draws,
            seed=seed,
            on_progress=lambda done, _: show(done),
        )
    result = _result(comparison, analyses, draws, seed)
    _show(result)
    if as_json:
        terminal.print_json(result)


def _result(comparison: "HotspotComparison", analyses: "dict[str, Analysis]", draws: int, seed: int) -> dict[str, Any]:
    first, second = analyses
    return {
        "ensembles": [first, second],
        "null_commands": [c for c in (null_command(*pair) for pair in analyses.items()) if c is not None],
        "cohesion": analyses[first].config.hotspots.cohesion,
        "min_similarity": analyses[first].config.hotspots.min_similarity,
        "draws": draws,
        "seed": seed,
        "highest_by_chance": float(comparison.highest_by_chance.max(initial=0.0)),
        "mean_nmi_corrected": comparison.between.tolist(),
        "found_in_both": comparison.same.tolist(),
        "p_values": comparison.p_values.tolist(),
        "hotspots": {
            first: _best_matches(comparison, analyses[first]),
            second: _best_matches(comparison.transposed(), analyses[second]),
        },
    }


def _best_matches(comparison: "HotspotComparison", analysis: "Analysis") -> list[dict[str, Any]]:
    """Return for each hotspot of the first ensemble the one of the second that it shares most with."""
    matrix, evidence = analysis.matrix, evidence_of(analysis)
    matches = []
    for group in analysis.hotspots[analysis.config.hotspots.measure].groups:
        row = comparison.between[group.number]
        # One that is the same comes before one that shares as much with a fainter inside.
        order = sorted(range(len(row)), key=lambda b: (not comparison.same[group.number, b], -row[b]))
        best = order[0] if order else None
        member, channel = matrix.channel_names[group.medoid]
        matches.append(
            {
                "hotspot": group.number,
                "size": group.size,
                "members": group.n_members,
                "medoid": {"member": int(member), "channel": int(channel)},
                **evidence_result(evidence[group.number]),
                "best_match": best,
                "best_match_nmi_corrected": None if best is None else float(row[best]),
                "best_match_p_value": None if best is None else float(comparison.p_values[group.number, best]),
                "found_in_both": best is not None and bool(comparison.same[group.number, best]),
            }
        )
    return matches


def _show(result: dict[str, Any]) -> None:
    first, second = result["ensembles"]
    for own, other in ((first, second), (second, first)):
        items = result["hotspots"][own]
        both = sum(item["found_in_both"] for item in items)
        terminal.print_message(f"{both} of {len(items)} hotspots of [bold]{own}[/] are found in [bold]{other}[/].")
        rows = [
            [
                str(item["hotspot"]),
                str(item["members"]),
                _inside(item),
                chance_text((item["null"] or {}).get("p_value")),
                "–" if item["return_probability"] is None else f"{item['return_probability']:.0%}",
                "–" if item["best_match"] is None else str(item["best_match"]),
                "–" if item["best_match"] is None else f"{item['best_match_nmi_corrected']:.2f}",
                "–" if item["best_match"] is None else f"{item['best_match_p_value']:.3g}",
                "in both" if item["found_in_both"] else "alone",
            ]
            for item in items
        ]
        heads = ["NMI\ninside", "p", "in new\nmember", "best\nmatch", "NMI\nwith it", "p of\nmatch", "found"]
        columns = ["hotspot", "members", *heads]
        if rows:
            terminal.show_table(columns, rows, right=columns[:-1])
    matrix = result["mean_nmi_corrected"]
    if matrix and 0 < len(matrix[0]) <= MATRIX_HOTSPOTS:
        heads = [str(b) for b in range(len(matrix[0]))]
        terminal.print_message(f"Mean corrected NMI, hotspots of {first} down, of {second} across:")
        rows = [[str(a), *(f"{value:.2f}" for value in row)] for a, row in enumerate(matrix)]
        terminal.show_table(["", *heads], rows, right=["", *heads])
    elif matrix and matrix[0]:
        terminal.print_message("The matrix of mean corrected NMI is in --json.")
    terminal.print_message(
        "NMI inside: corrected for chance, in brackets one standard error over images, of the last digit. p: of the"
        " hotspot by itself, among shuffled images. In new member: how likely a new member is to hold it. Intervals:"
        " --json."
    )
    terminal.print_message(
        f"In both: two hotspots share at least {result['cohesion']:g} of what the closer-knit one shares inside. With"
        f" the images of {second} shuffled {result['draws']} times, no two hotspots share more than"
        f" {result['highest_by_chance']:.2f}; p counts from there."
    )
    for command in result["null_commands"]:
        terminal.print_message(NO_NULL.format(f"`{command}`"))


def _inside(item: dict[str, Any]) -> str:
    value, error = item["mean_nmi_corrected"], item["mean_nmi_corrected_error"]
    return f"{value:.2f}" if error is None else terminal.with_error(value, max(error, LEAST_ERROR))
