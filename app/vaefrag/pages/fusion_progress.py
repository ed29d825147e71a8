"""The progress of a fusion, read from the state that it keeps: the best space so far, its objective and its bits."""

import plotly.graph_objects as go
from dash import dcc, html

from vaefrag.components.fusion_form import OBJECTIVES
from vaefrag.components.glossary import help_mark
from vaefrag.figures.fusion import optimization_figure, space_figure
from vaefrag.figures.theme import nothing
from vaefrag.jobs.job_models import JobRecord
from vaefrag.pages.site import Site
from vaefrag_core.config import FusionConfig
from vaefrag_core.config_errors import parse
from vaefrag_core.errors import VaefragError
from vaefrag_core.structure.label_factors import known_texts

PLOTS = ("fusing-space", "fusing-objective", "fusing-bits")
TITLES = {
    "fusing-space": ("The best space so far", "fused space", "One point for each image, coloured by the first label."),
    "fusing-objective": ("Objective over the steps", "objective of a fusion", "Every start; the best one in front."),
    "fusing-bits": (
        "Information over the steps",
        "information",
        "Every start. Dashed: the ceiling, the most there is.",
    ),
}


def fusion_id_of(site: Site, job: JobRecord) -> str:
    """Return the id of the space that a job fuses; empty when its ensembles are gone."""
    try:
        config = parse(FusionConfig, job.submission.request)
        return site.queries.fusion_of(job.submission.ensemble_id, config)
    except VaefragError:
        return ""


def heading(name: str) -> tuple[html.H2, str]:
    """Return the heading of a plot, and a note below it."""
    title, term, note = TITLES[name]
    return html.H2([title, help_mark(term)]), note


def result_link(site: Site, job: JobRecord) -> list[dcc.Link]:
    """Link to the space that a job has fused, or to the best so far of one that was stopped."""
    ensemble_id, fusions = job.submission.ensemble_id, site.queries.fusions
    fusion_id = fusion_id_of(site, job) if job.submission.kind == "fuse" else ""
    if not fusion_id or fusion_id not in fusions.ids(ensemble_id):
        return []
    text = "Open the fused space" if fusions.report(ensemble_id, fusion_id) else "Open the best so far"
    return [dcc.Link(text, href=site.fusion(fusion_id), className="button small primary")]


def draw(site: Site, name: str, job: JobRecord) -> go.Figure:
    """Draw how far a fusion is.

    Args:
        site: queries.
        name: one of `PLOTS`.
        job: the job that fuses.
    """
    ensemble_id, fusion_id = job.submission.ensemble_id, fusion_id_of(site, job)
    try:
        state = site.queries.fusions.state(ensemble_id, fusion_id) if fusion_id else None
        if state is None:
            return nothing("It is drawn after the first steps.")
        if name == "fusing-objective":
            return optimization_figure(state.objectives, state.best, OBJECTIVES[job.submission.request["objective"]])
        posteriors = site.queries.store.posteriors(ensemble_id)
        if name == "fusing-bits":
            return optimization_figure(state.bits, state.best, "bits", posteriors.input_entropy_bits)
    except VaefragError as error:
        return nothing(str(error))
    names = posteriors.label_names or ()
    values = None if posteriors.labels is None else known_texts(posteriors.labels[:, 0])
    return space_figure(state.mean, state.logvar, names[0] if names else None, values, revision=job.id)
