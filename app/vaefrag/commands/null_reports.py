"""What hotspots were held against: as JSON for scripts, as tables for people."""

from typing import TYPE_CHECKING, Any

from vaefrag import terminal
from vaefrag.plurals import counted

if TYPE_CHECKING:
    from vaefrag_core.artifacts import MemberCurve, NullTests, Recurrence


def hotspot_null(tests: "NullTests", hotspot: int) -> dict[str, Any]:
    """Return how far one hotspot is beyond chance, as JSON content."""
    return {
        "p_value": float(tests.p_values[hotspot]),
        "false_discovery_rate": float(tests.false_discovery_rates[hotspot]),
        "rotation_p_value": float(tests.rotation_p_values[hotspot]),
        "rotation_percentile": float(tests.rotation_percentiles[hotspot]),
        "rotation_percentile_of_rank": float(tests.rotated.percentiles_by_rank(tests.similarity)[hotspot]),
    }


def null_result(tests: "NullTests", recurrence: "Recurrence") -> dict[str, Any]:
    """Return the tests of an analysis as JSON content.

    Args:
        tests: of its G hotspots.
        recurrence: which members hold each.
    """
    return {
        "draws": len(tests.highest_by_chance),
        "seed": tests.seed,
        "highest_by_chance": float(tests.highest_by_chance.max()),
        "rotation": {
            "members_turned": tests.rotated.n_turned,
            **{
                name: {"found": value, "turned_mean": float(turned.mean()), "percentile": percentile}
                for name, value, turned, percentile in tests.overall
            },
        },
        "hotspots": [
            {
                "hotspot": hotspot,
                "similarity": float(tests.similarity[hotspot]),
                **hotspot_null(tests, hotspot),
                "return_probability": float(recurrence.probability[hotspot]),
                "return_interval": [float(end) for end in recurrence.interval[hotspot]],
                "members_lacking": recurrence.lacking(hotspot).tolist(),
            }
            for hotspot in range(len(tests.similarity))
        ],
        "member_curve": curve_result(tests.curve),
    }


def curve_result(curve: "MemberCurve") -> dict[str, Any]:
    """Return the curve over members as JSON content: a point for each number of members."""
    points = [
        {
            "members": int(members),
            "hotspots_mean": float(hotspots.mean()),
            "hotspots_range": [int(hotspots.min()), int(hotspots.max())],
            "refound_mean": float(refound.mean()),
            "refound_range": [int(refound.min()), int(refound.max())],
        }
        for members, hotspots, refound in zip(curve.members, curve.hotspots, curve.refound, strict=True)
    ]
    return {"choices": curve.hotspots.shape[1], "settled_from": curve.settled_from, "points": points}


def show_null(tests: "NullTests", recurrence: "Recurrence") -> None:
    """Show the tests as tables."""
    columns = ["hotspot", "inside", "p", "FDR", "above\nturned", "of its\nrank", "in new", "95 %", "lacking"]
    by_rank = tests.rotated.percentiles_by_rank(tests.similarity)
    rows = [
        [
            str(g),
            f"{tests.similarity[g]:.2f}",
            f"{tests.p_values[g]:.2g}",
            f"{tests.false_discovery_rates[g]:.2g}",
            f"{tests.rotation_percentiles[g]:.0f}%",
            f"{by_rank[g]:.0f}%",
            f"{recurrence.probability[g]:.0%}",
            "{:.0%}–{:.0%}".format(*recurrence.interval[g]),
            ", ".join(map(str, recurrence.lacking(g))) or "none",
        ]
        for g in range(len(tests.similarity))
    ]
    draws = len(tests.highest_by_chance)
    if rows:
        terminal.show_table(columns, rows, right=columns[1:7])
    terminal.print_message(
        f"p, FDR: among {draws} ensembles of the same channels with their images shuffled, the most similar group that"
        f" spans enough members reaches {tests.highest_by_chance.max():.2f}."
    )
    _show_rotated(tests)
    _show_curve(tests.curve)


def _show_rotated(tests: "NullTests") -> None:
    if not tests.rotated.n_turned:
        terminal.print_message("No member has two live channels, so there are no axes to turn.")
        return
    terminal.print_message(
        f"Above turned: {len(tests.rotated.channels)} ensembles of the same members, the axes of each turned at random"
        " and its bits per channel kept; the share whose best hotspot, or the one of the same rank, is less similar"
        " inside."
    )
    names = {"hotspots": "hotspots", "channels": "channels in hotspots", "similarity": "mean similarity inside"}
    rows = [
        [names[name], f"{value:.3g}", f"{turned.mean():.3g}", f"{percentile:.0f}%"]
        for name, value, turned, percentile in tests.overall
    ]
    terminal.show_table(
        ["all hotspots", "found", "turned, mean", "above turned"], rows, right=["found", "turned, mean"]
    )


def _show_curve(curve: "MemberCurve") -> None:
    if not len(curve.members):
        return
    rows = [
        [
            str(point["members"]),
            f"{point['hotspots_mean']:.1f}",
            "{} to {}".format(*point["hotspots_range"]),
            f"{point['refound_mean']:.1f} of {curve.total}",
        ]
        for point in curve_result(curve)["points"]
    ]
    terminal.show_table(["members", "hotspots, mean", "range", "refound"], rows, right=["members", "hotspots, mean"])
    settled = curve.settled_from
    if settled is not None:
        terminal.print_message(
            f"From {counted(settled, 'member')} on, nine tenths of these hotspots are refound, over"
            f" {curve.hotspots.shape[1]} random choices of as many members."
        )
