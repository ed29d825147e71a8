"""An ensemble as its page shows it: what the URL selects, its figures, and what a click on them selects."""

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
import plotly.graph_objects as go
from dash import Patch

from vaefrag.figures.channel_map import MapView, map_figure, selected_points
from vaefrag.figures.similarity_matrix import MatrixView, matrix_figure, matrix_shapes
from vaefrag.figures.theme import nothing
from vaefrag.pages.selection import Choices, Selection, parse_search
from vaefrag.pages.site import Site
from vaefrag.queries import OpenAnalysis
from vaefrag_core.array_types import FloatArray, IntArray
from vaefrag_core.artifacts import Hotspots, NullTests, Posteriors, Stability
from vaefrag_core.ensemble_store import EnsembleRecord
from vaefrag_core.errors import MissingDataError


class ExplorerView:
    """The newest analysis of an ensemble, with what a URL selects in it.

    Args:
        site: queries and addresses.
        ensemble_id: the ensemble.
        search: query of the URL.

    Raises:
        MissingDataError: when the ensemble has not been analysed.
        BrokenFileError: when its files cannot be read.
    """

    def __init__(self, site: Site, ensemble_id: str, search: str | None) -> None:
        self.site = site
        self.record: EnsembleRecord = site.queries.store.record(ensemble_id)
        self.analysis: OpenAnalysis = site.queries.open(ensemble_id)
        traversals = self.analysis.traversals
        choices = Choices(
            measure=self.analysis.measure,
            names=self.analysis.index,
            hotspots={measure: len(hotspots.groups) for measure, hotspots in self.analysis.hotspots.items()},
            labels=self.compared_labels,
            base_images=0 if traversals is None else traversals.images.shape[1],
        )
        self.selection, self.problems = parse_search(search, choices)

    @property
    def compared_labels(self) -> list[str]:
        """The names of the labels that are no identifiers."""
        matrix = self.analysis.matrix
        return [matrix.label_names[f] for f in matrix.compared_labels]

    @property
    def hotspots(self) -> Hotspots:
        """The hotspots by the measure shown."""
        return self.analysis.hotspots[self.selection.measure]

    @property
    def stability(self) -> Stability | None:
        """How often the hotspots return in resamples; None when that was not asked for."""
        return self.analysis.stability.get(self.selection.measure)

    @property
    def null_tests(self) -> NullTests | None:
        """What the hotspots shown were held against; None until `vaefrag null` has run."""
        return self.analysis.null_tests.get(self.selection.measure)

    @cached_property
    def order(self) -> IntArray:
        """The channels of the matrix from left to right, by flat index."""
        return self.analysis.order(self.selection.measure, self.selection.dead)

    @cached_property
    def posteriors(self) -> Posteriors | None:
        """The posteriors that were analysed; None when they are gone, because members have been encoded anew since."""
        try:
            return self.site.queries.posteriors(self.analysis)
        except MissingDataError:
            return None

    def state(self) -> dict[str, str]:
        """Return what each figure shows besides its marks, as text: while that stays, only the marks are sent."""
        measure, dead = self.selection.measure, self.selection.dead
        matrix = self.site.tiles(self.analysis, measure, dead)
        return {"matrix": matrix, "map": f"{matrix} {self.selection.layout}"}

    def matrix(self) -> go.Figure:
        """Draw the similarity of all channels."""
        if not len(self.order):
            return nothing("No live channel to compare")
        return matrix_figure(self._matrix_view(), self.marked(self.order))

    def matrix_marks(self) -> Patch:
        """Return the change of the matrix figure when only the selection changed."""
        change = Patch()
        if len(self.order):
            change["layout"]["shapes"] = matrix_shapes(self._matrix_view(), self.marked(self.order))
        return change

    def map(self) -> go.Figure:
        """Draw the map of channels."""
        on_map = self.on_map()
        if not len(on_map):
            return nothing(
                "Too few live channels for a map" if not self.hotspots.dead.all() else "No live channel to lay out"
            )
        view = MapView(
            revision=self.state()["map"],
            names=[self.analysis.names[c] for c in on_map],
            coordinates=self._coordinates()[on_map],
            hotspot=self.hotspots.labels[on_map],
            bits=self.analysis.matrix.information_bits[on_map],
            equal=self.selection.layout == "mds",
        )
        return map_figure(view, self.marked(on_map))

    def map_marks(self) -> Patch:
        """Return the change of the map when only the selection changed."""
        on_map = self.on_map()
        marked = self.marked(on_map)
        change = Patch()
        if not len(on_map):
            return change
        change["data"][0]["selectedpoints"] = selected_points(marked)
        change["layout"]["selections"] = []  # plotly keeps the outline of a drawing until it is told to drop it
        return change

    def on_map(self) -> IntArray:
        """Return the flat indices of the channels that have a place on the map."""
        return np.flatnonzero(np.isfinite(self._coordinates()).all(axis=1))

    def selected(self) -> Sequence[int]:
        """Return the flat indices of the channels selected; those of a hotspot when one is."""
        if self.selection.focus == "hotspot":
            return self.hotspots.groups[self.selection.hotspot or 0].channels
        return [self.analysis.index[name] for name in self.selection.channels]

    def marked(self, channels: IntArray) -> list[int]:
        """Return the positions, among channels shown, of those selected."""
        positions: list[int] = np.flatnonzero(np.isin(channels, self.selected())).tolist()
        return positions

    def clicked_cell(self, click: dict[str, Any]) -> Selection:
        """Select what a click on the matrix, its reachability or its labels hit."""
        if not click.get("xvals") and not click.get("points"):
            return self.selection
        point = (click.get("points") or [{}])[0]
        x = click["xvals"][0] if click.get("xvals") else point.get("x")
        y = click["yvals"][0] if click.get("yvals") else point.get("y")
        row, column = self._position(y), self._position(x)
        if click.get("yaxes_id") == "y2":  # above the matrix, y is a distance
            row = column
        if click.get("xaxes_id") == "x3":  # beside it, x is a label
            column = row
        names = [self.analysis.names[self.order[position]] for position in (row, column) if position is not None]
        return self.selection.select(*names) if names else self.selection

    def clicked_point(self, click: dict[str, Any]) -> Selection:
        """Select the channel of a point of the map."""
        names = [point["customdata"][0] for point in click.get("points", []) if "customdata" in point]
        return self.selection.select(*names[:1]) if names else self.selection

    def lassoed_points(self, drawing: dict[str, Any] | None) -> Selection:
        """Select the channels drawn around on the map; none, when the drawing was taken back."""
        names = [point["customdata"][0] for point in (drawing or {}).get("points", []) if "customdata" in point]
        return self.selection.select(*names)

    def _position(self, value: object) -> int | None:
        """Return the row or column of the matrix at a coordinate; None off the matrix."""
        if not isinstance(value, int | float):
            return None
        position = round(value)  # cells are centred on whole numbers
        return position if 0 <= position < len(self.order) else None

    def _coordinates(self) -> FloatArray:
        return self.analysis.maps[self.selection.measure].coordinates(self.selection.layout)

    def label_nmi(self, channels: Sequence[int]) -> FloatArray:
        """Return the mean NMI of channels with each label, (F,), corrected for chance where that was worked out."""
        return np.asarray(self._label_nmi()[list(channels)].mean(axis=0))

    def _label_nmi(self) -> FloatArray:
        matrix = self.analysis.matrix
        return (
            matrix.corrected_label_nmi(np.arange(matrix.n_channels)) if len(matrix.label_chance) else matrix.label_nmi
        )

    def _matrix_view(self) -> MatrixView:
        measure, dead = self.selection.measure, self.selection.dead
        nmi = measure == "nmi"
        return MatrixView(
            source=self.site.matrix(self.analysis, measure, dead),
            tiles=self.site.tiles(self.analysis, measure, dead),
            values=self.site.values(self.analysis, measure, dead),
            names=[self.analysis.names[c] for c in self.order],
            hotspot=self.hotspots.labels[self.order],
            reachability=self.hotspots.reachability[self.order],
            distance_title="−ln NMI" if nmi else "VI, bits",
            measure_title="NMI of two channels" if nmi else "VI of two channels, bits",
            high=self.analysis.colour_maximum(measure),
            reverse=not nmi,
            label_names=self.compared_labels,
            label_nmi=self._label_nmi()[self.order][:, list(self.analysis.matrix.compared_labels)],
        )


def has_points(drawing: dict[str, Any] | None) -> bool:
    """Return whether a drawing on the map caught any channel."""
    return bool(drawing and drawing.get("points"))
