"""/fusion/<id>: one space fitted to many, beside its learners; how the fit went, and what was gained."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import numpy as np
from dash import Dash, Input, Output, State, dcc, html, no_update
from flask import Flask, Response, jsonify, make_response
from numpy.typing import NDArray

from vaefrag.components.facts import fact, section
from vaefrag.components.fusion_form import OBJECTIVES
from vaefrag.components.graph import graph
from vaefrag.components.notices import notice, remarks
from vaefrag.components.shell import segmented
from vaefrag.figures.fusion import optimization_figure, space_figure
from vaefrag.figures.rasters import rgba_png, scale_for, sprite
from vaefrag.pages.fusion_evaluation import evaluation_card, readings_of
from vaefrag.pages.page import Page, PageRequest, RenderedPage
from vaefrag.pages.site import Site
from vaefrag_core.artifacts import FusedSpace, Posteriors
from vaefrag_core.errors import BrokenFileError, MissingDataError, VaefragError
from vaefrag_core.structure.label_factors import known_texts
from vaefrag_core.synthesis.learner_spaces import LearnerSpaces

IMAGE_PIXELS = 96  # most of a side of the image under the pointer
BUTTONS = ["zoom2d", "pan2d", "resetScale2d"]


@dataclass(frozen=True)
class FusionView:
    """A fusion, and what of it is looked at.

    Args:
        site: queries and addresses.
        fusion_id: the fusion.
        ensemble_id: the ensemble that it is stored with.
        fused: the fused space.
        posteriors: the posteriors of the ensemble.
        report: the evaluation; empty when the fusion was stopped before.
        learners: what was fused; None when the ensemble has been encoded anew since.
        learner: the learner shown beside the fused space.
        label: the label whose values the colours show; None when there is none.
        reading: the way of reading labels that the table shows.
    """

    site: Site
    fusion_id: str
    ensemble_id: str
    fused: FusedSpace
    posteriors: Posteriors
    report: dict[str, Any]
    learners: LearnerSpaces | None
    learner: int
    label: str | None
    reading: str

    @classmethod
    def of(cls, site: Site, request: PageRequest) -> "FusionView":
        """Open a fusion by its id, and read what the URL says to look at.

        Raises:
            MissingDataError: when the workspace has none such.
            BrokenFileError: when its file cannot be read.
        """
        store, fusions = site.queries.store, site.queries.fusions
        fusion_id = request.id
        ensemble_id = fusions.home(fusion_id)
        fused, posteriors = fusions.fused(ensemble_id, fusion_id), store.posteriors(ensemble_id)
        learner = request.field("learner")
        names = tuple(posteriors.label_names or ())
        label = request.field("label")
        try:
            current = fusions.learners(ensemble_id, fused.config)
            learners = current if current.key == fused.learners_key else None
        except VaefragError:
            learners = None
        count = len(fused.learner_names)
        report = fusions.report(ensemble_id, fusion_id)
        readings, reading = readings_of(report), request.field("reading")
        return cls(
            site=site,
            fusion_id=fusion_id,
            ensemble_id=ensemble_id,
            fused=fused,
            posteriors=posteriors,
            report=report,
            learners=learners,
            learner=int(learner) if learner.isdecimal() and int(learner) < count else 0,
            label=label if label in names else (names[0] if names else None),
            reading=reading if reading in readings else readings[0],
        )

    def page(self) -> RenderedPage:
        """Lay the page out."""
        fused, title = self.fused, self.fused.config.title
        words = [html.Span(f"{len(fused.learner_names)} learners fused"), html.Span(html.Code(self.fusion_id))]
        home = dcc.Link("Open the ensemble", href=self.site.ensemble(self.ensemble_id), className="button")
        heading = html.Div(
            [html.Div([html.H1(title), html.P(words, className="words")]), home], className="heading heading-row"
        )
        content = [
            heading,
            remarks([f"No success. {fused.failure}"] if fused.failure else [], tone="alarm"),
            remarks([*self._unfinished(), *fused.warnings]),
            html.Section(html.Dl(self._facts(), className="facts"), className="card"),
            html.Div([self._fused_card(), self._learner_card()], className="halves-cards"),
            html.Div([self._optimization_card("objective"), self._optimization_card("bits")], className="halves-cards"),
            evaluation_card(self.report, self.reading, lambda reading: self._search(reading=reading)),
            self._learners_card(),
        ]
        return RenderedPage(html.Div(content, className="wide stack", id="fusion-body"), title)

    def _facts(self) -> list[html.Div]:
        fused = self.fused
        encoder = self.report.get("encoder")
        continuity = self.report.get("continuity")
        ends = {"flat": "until nothing rose", "steps": "all that were allowed", "stopped": "then stopped"}
        return [
            fact("information", f"{fused.information_bits:.2f} of {fused.ceiling_bits:.2f} bits", "information"),
            fact("learners", f"{fused.learner_bits.mean():.2f} bits on average", "learner"),
            fact(OBJECTIVES[fused.config.objective], f"{fused.objective:.3f}", "objective of a fusion"),
            fact("mean VI to learners", f"{fused.learner_vi_bits.mean():.2f} bits", "VI"),
            fact("steps", f"{fused.steps:,}, {ends[fused.end]}"),
            *([fact("continuity", _continuity_text(continuity), "continuity")] if continuity else []),
            *([fact("encoder for new images", f"explains {encoder['explained']:.0%}")] if encoder else []),
        ]

    def _fused_card(self) -> html.Section:
        """Show the fused space, and the image under the pointer."""
        figure = space_figure(
            self.fused.mean,
            self.fused.logvar,
            self.label,
            self._label_values(),
            revision=f"{self.fusion_id}/{self.label}",
        )
        plot = graph(
            "fused-space", figure, "The fused space, one point for each image", buttons=self._buttons(self.fused.mean)
        )
        names = self.posteriors.label_names or ()
        options = [(name, self._search(label=name), name == self.label) for name in names]
        switch = html.Div([html.Span("Colour"), segmented("Colour by label", options)], className="switch")
        image = html.Img(
            id="fused-image", className="pixels hover-image", alt="The image under the pointer", hidden=True
        )
        note = "Means of the posteriors; ellipses, where there are any, reach one standard deviation."
        content = html.Div([plot, image], className="hover-frame")
        return html.Section(section("Fused space", None, content, note, switch if names else None), className="card")

    def _learner_card(self) -> html.Section:
        """Show one of the learners for comparison."""
        name = self.fused.learner_names[self.learner]
        if self.learners is None:
            text = html.P(
                "The ensemble has been encoded anew since, so its learners cannot be shown.", className="note"
            )
            return html.Section(section("A learner", None, text), className="card")
        mean, logvar = self.learners.mean[self.learner], self.learners.logvar[self.learner]
        figure = space_figure(
            mean, logvar, self.label, self._label_values(), revision=f"{self.fusion_id}/{self.learner}/{self.label}"
        )
        plot = graph("learner-space", figure, f"The space of {name}", buttons=self._buttons(mean))
        more = "" if mean.shape[1] <= 3 else f" The first three of its {mean.shape[1]} channels."
        note = f"For comparison. Choose another one in the table below.{more}"
        return html.Section(section(f"Learner: {name}", None, plot, note), className="card")

    def _optimization_card(self, curve: str) -> html.Section:
        fused = self.fused
        # The start with the highest value at any step, as the fusion itself keeps it.
        best = int(fused.objectives.max(axis=0).argmax()) if fused.steps else 0
        if curve == "objective":
            title, figure = "Objective", optimization_figure(fused.objectives, best, OBJECTIVES[fused.config.objective])
        else:
            title, figure = "Information", optimization_figure(fused.bits, best, "bits", fused.ceiling_bits)
        plot = graph(f"optimization-{curve}", figure, f"{title} over the steps", buttons=["zoom2d", "resetScale2d"])
        note = "The start that was kept in front." + (
            " Dashed: the ceiling, the most there is." if curve == "bits" else ""
        )
        return html.Section(section(f"{title} over the steps", None, plot, note), className="card")

    def _learners_card(self) -> html.Section:
        fused = self.fused
        rows = [
            html.Tr(
                [
                    html.Td(html.A(name, href=self._search(learner=k), className="stay")),
                    html.Td(f"{fused.learner_bits[k]:.2f}"),
                    html.Td(f"{fused.learner_vi_bits[k]:.2f}"),
                    html.Td("–" if np.isnan(fused.learner_nmi[k]) else f"{fused.learner_nmi[k]:.2f}"),
                ],
                className="chosen" if k == self.learner else "",
            )
            for k, name in enumerate(fused.learner_names)
        ]
        heads = [html.Th("learner"), html.Th("bits"), html.Th("VI, bits"), html.Th("NMI")]
        table = html.Table([html.Thead(html.Tr(heads)), html.Tbody(rows)], className="table")
        note = "What each carries, and how alike the fused space is to it."
        return html.Section(section("Learners", None, table, note), className="card")

    def _unfinished(self) -> list[str]:
        return ["It was stopped; this is the best so far."] if self.fused.end == "stopped" else []

    def _label_values(self) -> list[str | None] | None:
        if self.label is None or self.posteriors.labels is None:
            return None
        names = tuple(self.posteriors.label_names or ())
        return known_texts(self.posteriors.labels[:, names.index(self.label)])

    def _search(self, **changed: Any) -> str:
        """Return the query of the URL with some fields changed."""
        fields = {"learner": self.learner, "label": self.label, "reading": self.reading} | changed
        return "?" + urlencode({name: value for name, value in fields.items() if value not in (None, "")})

    @staticmethod
    def _buttons(mean: NDArray[np.floating]) -> list[str]:
        return ["orbitRotation", "resetCameraDefault3d"] if mean.shape[1] >= 3 else BUTTONS


def _continuity_text(continuity: Mapping[str, Any]) -> str:
    return f"{continuity['fused']:.1f}; learners {np.median(continuity['learners']):.1f}"


def page(site: Site, request: PageRequest) -> RenderedPage:
    """Show a fusion, or say why there is none."""
    try:
        return FusionView.of(site, request).page()
    except BrokenFileError as error:
        return RenderedPage(
            site.error_page(notice("alert", "A file cannot be read", html.P(str(error)), tone="alarm")), request.id
        )
    except MissingDataError as error:
        return RenderedPage(site.error_page(notice("search", "No such fusion", html.P(str(error)))), "Not found")


def register(app: Dash, site: Site) -> None:
    """Let the page follow its URL, and show the image under the pointer.

    Args:
        app: the app.
        site: queries and addresses.
    """

    @app.callback(
        Output("fused-image", "src"),
        Output("fused-image", "hidden"),
        Input("fused-space", "hoverData"),
        Input("url", "pathname"),
        prevent_initial_call=True,
    )
    def show_image(hovered: dict[str, Any] | None, path: str) -> tuple[Any, Any]:
        """A point → the picture of its image."""
        fusion_id = PAGE.id_in(site, path)
        row = hovered["points"][0].get("customdata") if hovered and fusion_id else None
        if row is None:
            return no_update, no_update
        return f"{site.prefix}data/fusion/{fusion_id}/{int(row)}.png", False

    @app.callback(
        Output("fusion-body", "children"),
        Input("url", "search"),
        State("url", "pathname"),
        prevent_initial_call=True,
    )
    def show_selection(search: str | None, path: str) -> Any:
        """Another learner or label in the URL → the page anew."""
        request = PAGE.request(site, path, search)
        return page(site, request).content.children if request else no_update

    _register_image_route(app.server, site)


def _register_image_route(server: Flask, site: Site) -> None:
    @server.get(f"{site.prefix}data/fusion/<fusion_id>/<int:row>.png")
    def fused_image(fusion_id: str, row: int) -> Response:
        """The picture of one image of the sample."""
        try:
            images = site.queries.store.posteriors(site.queries.fusions.home(fusion_id)).images
        except VaefragError as error:
            return make_response(jsonify({"error": str(error)}), 404)
        if images is None or row >= len(images):
            return make_response(jsonify({"error": f"There is no image {row}."}), 404)
        image = images[row : row + 1]
        response = make_response(rgba_png(sprite(image[:, None], scale_for(image.shape[1], IMAGE_PIXELS))))
        response.mimetype = "image/png"
        return response


PAGE = Page("fusion/<fusion_id>", page, (register,))
