"""How sure a hotspot is, in its details: intervals over images, and what resamples show."""

import numpy as np
from dash import html

from vaefrag.components.facts import fact, return_shares
from vaefrag.pages.explorer_view import ExplorerView


def corrected_inside(view: ExplorerView, hotspot: int) -> list[html.Div]:
    """Return the interval of the corrected NMI inside a hotspot; the number alone where there is none."""
    evidence = view.analysis.evidence(view.selection.measure)[hotspot]
    if evidence.nmi_interval is None:
        return [fact("corrected NMI", f"{evidence.nmi:.2f}", "corrected inside")]
    low, high = evidence.nmi_interval
    return [fact("corrected NMI, 95 %", f"{low:.2f} to {high:.2f}", "corrected inside")]


def stability_facts(view: ExplorerView, hotspot: int) -> list[html.Div]:
    """Return how often a hotspot came back on resamples, when there are any."""
    stability = view.stability
    if stability is None:
        return []
    means = [stability.mean_jaccard("members")[hotspot], stability.mean_jaccard("images")[hotspot]]
    pairs = (
        ("mean Jaccard", means, "Jaccard"),
        ("on its / other images", stability.mean_inside[hotspot], "other images"),
    )
    shown = [
        (name, " / ".join("–" if np.isnan(v) else f"{v:.2f}" for v in values), term) for name, values, term in pairs
    ]
    return [fact("returns", return_shares(stability, hotspot), "returns"), *(fact(*one) for one in shown)]
