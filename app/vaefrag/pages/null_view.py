"""What the hotspots of an ensemble were held against, as the explorer shows it beside and below their table."""

from typing import Any

from dash import html
from dash.development.base_component import Component

from vaefrag.components.facts import fact
from vaefrag.components.glossary import help_mark
from vaefrag.components.graph import graph
from vaefrag.figures.member_curve import member_curve_figure
from vaefrag.pages.explorer_view import ExplorerView
from vaefrag_core.artifacts import Hotspot, NullTests


def null_heads(view: ExplorerView) -> list[Any]:
    """Return the heads of the columns that tell how far hotspots are beyond chance; none before `vaefrag null`."""
    if view.null_tests is None:
        return []
    return [["p", help_mark("p-value")], ["axes", help_mark("turned axes")]]


def null_cells(view: ExplorerView, group: Hotspot) -> list[Component]:
    """Return the cells of one hotspot below these heads."""
    tests = view.null_tests
    if tests is None:
        return []
    rate = f"False discovery rate {tests.false_discovery_rates[group.number]:.2g}."
    p_value = html.Span(f"{tests.p_values[group.number]:.2g}", title=rate)
    return [p_value, html.Span(_percentile(tests, group.number))]


def null_facts(view: ExplorerView, number: int) -> list[html.Div]:
    """Return how far one hotspot is beyond chance, and which members lack it, for the details beside the matrix."""
    facts = []
    if (recurrence := view.hotspots.recurrence) is not None:
        lacking = ", ".join(map(str, recurrence.lacking(number)))
        facts.append(fact("members lacking it", lacking or "none", "new member"))
    if (tests := view.null_tests) is not None:
        facts.append(fact("p (FDR)", _p_value(tests, number), "p-value"))
        facts.append(fact("above turned axes", _percentile(tests, number), "turned axes"))
    return facts


def null_notes(view: ExplorerView) -> list[Component]:
    """Return what stands below the table: the hotspots among fewer members, or which command tells all this."""
    tests = view.null_tests
    if tests is None:
        measure = "" if view.selection.measure == view.analysis.measure else " by the other measure"
        if measure or not view.hotspots.groups:
            return []
        command = html.Code(f"vaefrag null {view.analysis.ensemble_id}")
        shown = (
            " tries them, and shows it here. Tests belong to one estimator: those of the other come back with it, and"
            " none is taken over."
        )
        return [html.P(["Could they be chance? ", command, shown], className="note")]
    curve = tests.curve
    if not len(curve.members):
        return []
    settled = curve.settled_from
    sentence = (
        f"From {settled} members on, nine tenths of the hotspots are found again."
        if settled is not None and settled < curve.members[-1]
        else "The number has not settled: nine tenths of the hotspots are found only among all members."
        if settled is not None
        else "There are none among all members."
    )
    figure = member_curve_figure(
        curve.members.tolist(),
        curve.hotspots.mean(axis=1).tolist(),
        list(zip(curve.hotspots.min(axis=1).tolist(), curve.hotspots.max(axis=1).tolist(), strict=True)),
        curve.refound.mean(axis=1).tolist(),
    )
    plot = graph("member-curve", figure, "Hotspots found among fewer members", buttons=["resetScale2d"])
    note = f"{sentence} Means over {curve.hotspots.shape[1]} random choices of as many members; bars: fewest and most."
    summary = html.Summary(["How many members does it take?", help_mark("member curve")])
    return [html.Details([summary, plot, html.P(note, className="note")], className="member-curve")]


def _p_value(tests: NullTests, hotspot: int) -> str:
    return f"{tests.p_values[hotspot]:.2g} ({tests.false_discovery_rates[hotspot]:.2g})"


def _percentile(tests: NullTests, hotspot: int) -> str:
    return f"{tests.rotation_percentiles[hotspot]:.0f}%" if tests.rotated.n_turned else "–"
