"""One view of one ensemble: what the URL selects, as figures and as what a click on them would select."""

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
from vaefrag_core.ensemble_store import EnsembleRecord


class View:
    """One view of one ensemble.

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
        self.opened: OpenAnalysis = site.queries.open(ensemble_id)
        traversals = self.opened.analysis.traversals
        choices = Choices(
            measure=self.opened.measure,
            names=self.opened.index,
            hotspots={measure: len(found.groups) for measure, found in self.opened.analysis.hotspots.items()},
            labels=self.opened.matrix.label_names,
            base_images=0 if traversals is None else traversals.images.shape[1],
        )
        self.selection, self.problems = parse_search(search, choices)
        self.hotspots = self.opened.hotspots(self.selection.measure)
        self.order = self.opened.order(self.selection.measure, self.selection.dead)

    def state(self) -> dict[str, str]:
        """Name what each figure shows besides the marks: when that stays, only the marks are sent."""
        measure, dead = self.selection.measure, self.selection.dead
        matrix = self.site.tiles(self.opened, measure, dead)
        return {"matrix": matrix, "map": f"{matrix} {self.selection.layout}"}

    def matrix(self) -> go.Figure:
        """Draw the similarity of all channels."""
        if not len(self.order):
            return nothing("No live channel to compare")
        return matrix_figure(self._matrix_view(), self.marked(self.order))

    def matrix_marks(self) -> Patch:
        """Give the matrix figure's change when only the selection changed."""
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
            names=[self.opened.names[c] for c in on_map],
            coordinates=self._coordinates()[on_map],
            hotspot=self.hotspots.labels[on_map],
            bits=self.opened.matrix.information_bits[on_map],
            equal=self.selection.layout == "mds",
        )
        return map_figure(view, self.marked(on_map))

    def map_marks(self) -> Patch:
        """Give the map's change when only the selection changed."""
        on_map = self.on_map()
        marked = self.marked(on_map)
        change = Patch()
        if not len(on_map):
            return change
        change["data"][0]["selectedpoints"] = selected_points(marked)
        change["layout"]["selections"] = []
        return change

    def on_map(self) -> np.ndarray:
        """Give the flat indices of the channels that have a place on the map."""
        return np.flatnonzero(np.isfinite(self._coordinates()).all(axis=1))

    def marked(self, shown: np.ndarray) -> list[int]:
        """Give the positions, among the channels shown, of those selected."""
        if self.selection.focus == "hotspot":
            chosen = list(self.hotspots.groups[self.selection.hotspot or 0].channels)
        else:
            chosen = [self.opened.index[name] for name in self.selection.channels]
        return np.flatnonzero(np.isin(shown, chosen)).tolist()

    def clicked_cell(self, click: dict[str, Any]) -> Selection:
        """Select what a click on the matrix, its reachability or its labels hit."""
        if not click.get("xvals") and not click.get("points"):
            return self.selection
        point = (click.get("points") or [{}])[0]
        x = click["xvals"][0] if click.get("xvals") else point.get("x")
        y = click["yvals"][0] if click.get("yvals") else point.get("y")
        places = [self._place(value) for value in (y, x)]
        if click.get("yaxes_id") == "y2":  # above the matrix, y is a distance
            places[0] = places[1]
        if click.get("xaxes_id") == "x3":  # beside it, x is a label
            places[1] = places[0]
        names = [self.opened.names[self.order[place]] for place in places if place is not None]
        return self.selection.of(*names) if names else self.selection

    def clicked_point(self, click: dict[str, Any]) -> Selection:
        """Select the channel of a point of the map."""
        names = [point["customdata"][0] for point in click.get("points", []) if "customdata" in point]
        return self.selection.of(*names[:1]) if names else self.selection

    def picked_points(self, picked: dict[str, Any] | None) -> Selection:
        """Select the channels drawn around on the map; none, when the drawing was taken back."""
        names = [point["customdata"][0] for point in (picked or {}).get("points", []) if "customdata" in point]
        return self.selection.of(*names)

    def _place(self, value: object) -> int | None:
        if not isinstance(value, int | float):
            return None
        place = round(value)
        return place if 0 <= place < len(self.order) else None

    def _coordinates(self) -> np.ndarray:
        return self.opened.analysis.maps[self.selection.measure].coordinates(self.selection.layout)

    def _matrix_view(self) -> MatrixView:
        measure, dead = self.selection.measure, self.selection.dead
        nmi = measure == "nmi"
        return MatrixView(
            source=self.site.matrix(self.opened, measure, dead),
            tiles=self.site.tiles(self.opened, measure, dead),
            values=self.site.values(self.opened, measure, dead),
            names=[self.opened.names[c] for c in self.order],
            hotspot=self.hotspots.labels[self.order],
            reachability=self.hotspots.reachability[self.order],
            distance_title="−ln NMI" if nmi else "VI, bits",
            measure_title="NMI of two channels" if nmi else "VI of two channels, bits",
            high=self.opened.high(measure),
            reverse=not nmi,
            label_names=self.opened.matrix.label_names,
            label_nmi=self.opened.matrix.label_nmi[self.order],
        )


def has_points(picked: dict[str, Any] | None) -> bool:
    """Tell whether a drawing on the map caught any channel."""
    return bool(picked and picked.get("points"))
