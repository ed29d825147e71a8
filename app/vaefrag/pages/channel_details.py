"""The panel beside the matrix: all that is known about the channel, pair or group selected."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from dash import dcc, html

from vaefrag.components.facts import fact, return_shares, section, swatch
from vaefrag.components.glossary import help_mark
from vaefrag.components.graph import graph
from vaefrag.components.shell import segmented
from vaefrag.figures.channel_pair import pair_figure
from vaefrag.figures.rasters import GAP, scale_for
from vaefrag.figures.theme import hotspot_colour
from vaefrag.figures.training_curves import channel_figure
from vaefrag.pages.selection import Selection
from vaefrag.pages.site import CELL_PIXELS, SMALL_CELL_PIXELS, Site
from vaefrag.queries import OpenAnalysis, channel_posterior, kl_nats, middle_of, nearest, pair_facts, representatives
from vaefrag_core.artifacts import Posteriors


@dataclass(frozen=True)
class Details:
    """What the panel is made from.

    Args:
        site: queries and addresses.
        opened: the analysis shown.
        selection: what is selected in it.
    """

    site: Site
    opened: OpenAnalysis
    selection: Selection

    def panel(self) -> list:
        """Describe what is selected; how to select, when nothing is."""
        indices = [self.opened.index[name] for name in self.selection.channels]
        match self.selection.focus:
            case "channel":
                return self._channel(indices[0])
            case "pair":
                return self._pair(indices[0], indices[1])
            case "channels":
                return self._group(indices)
            case "hotspot":
                return self._hotspot(self.selection.hotspot or 0)
        return _how_to_select()

    def _channel(self, c: int) -> list:
        label = self._label(c)
        posteriors = self._posteriors()
        facts = [
            fact("information", self._of_ceiling(c), "information"),
            *([fact("KL", f"{kl_nats(posteriors, c):.2f} nats", "KL")] if posteriors else []),
            fact("hotspot", self._home(c), "hotspot"),
        ]
        flipped = self._flip(c)
        note = "The axis runs downwards, so that the channel changes like its hotspot’s medoid." if flipped else ""
        return [
            self._head(f"Channel {self.opened.names[c]}", hotspot=label),
            html.Dl(facts, className="facts"),
            section("Latent traversal", "traversal", self._traversal(c), note=note),
            html.Div([section("Nearest channels", None, self._nearest(c)), self._labels([c])], className="halves"),
            *self._over_training(c),
        ]

    def _over_training(self, c: int) -> list[html.Section]:
        found = self.opened.analysis.over_training
        if found is None:
            return []
        figure = channel_figure(found.steps, found.information_bits[:, c], found.nmi_with_end[:, c])
        plot = graph("over-training", figure, f"Channel {self.opened.names[c]} over training", buttons=["resetScale2d"])
        return [section("Over training", "over training", plot)]

    def _pair(self, u: int, v: int) -> list:
        facts = pair_facts(self.opened.matrix, u, v)
        names = (self.opened.names[u], self.opened.names[v])
        nmi = "undefined" if np.isnan(facts.nmi) else f"{facts.nmi:.3f}"
        shown = [
            fact("NMI", nmi, "NMI above 1" if facts.nmi > 1 else "NMI"),
            *self._corrected(u, v),
            fact("VI", f"{facts.vi_bits:.2f} bits", "VI"),
            fact(f"I(X;U), {names[0]}", f"{facts.bits[0]:.2f} bits", "information"),
            fact(f"I(X;V), {names[1]}", f"{facts.bits[1]:.2f} bits", "information"),
            fact("I(X;U,V)", f"{facts.joint_bits:.2f} bits", "joint"),
        ]
        above = (
            "NMI is above 1: the two together share more than two noisy draws of either would." if facts.nmi > 1 else ""
        )
        grids = [html.Div([self._title_link(c), self._traversal(c, SMALL_CELL_PIXELS)]) for c in (u, v)]
        return [
            self._head(f"Channels {names[0]} and {names[1]}"),
            html.Dl(shown, className="facts"),
            *([html.P(above, className="note")] if above else []),
            *(
                [section("Latent traversals", "traversal", html.Div(grids, className="halves"))]
                if self._painted
                else []
            ),
            *self._scatter(u, v),
        ]

    def _corrected(self, u: int, v: int) -> list[html.Div]:
        corrected = self.opened.matrix.corrected_nmi([u, v])[0, 1]
        if np.isnan(corrected):
            return []
        text = f"{round(corrected, 3) + 0.0:.3f}".replace("-", "−")  # zero without a sign
        return [fact("corrected NMI", text, "corrected NMI")]

    def _hotspot(self, number: int) -> list:
        group = self.opened.hotspots(self.selection.measure).groups[number]
        members = len(np.unique(self.opened.matrix.member))
        facts = [
            fact("channels", str(group.size), "channel"),
            fact("members", f"{group.n_members} of {members}", "member"),
            fact("mean NMI", f"{group.mean_nmi:.2f}", "NMI"),
            fact("mean VI", f"{group.mean_vi_bits:.2f} bits", "VI"),
            fact("information", f"{group.mean_bits:.2f} bits", "information"),
            fact("medoid", self._channel_link(group.medoid), "medoid"),
            *self._stability(number),
        ]
        return [
            self._head(f"Hotspot {number}", hotspot=number),
            html.Dl(facts, className="facts"),
            self._side_by_side(group.channels, group.medoid),
            self._labels(group.channels),
        ]

    def _stability(self, hotspot: int) -> list[html.Div]:
        found = self.opened.analysis.stability.get(self.selection.measure)
        if found is None:
            return []
        means = [found.mean_jaccard(over)[hotspot] for over in ("members", "images")]
        jaccard = " / ".join("–" if np.isnan(mean) else f"{mean:.2f}" for mean in means)
        return [fact("returns", return_shares(found, hotspot), "returns"), fact("mean Jaccard", jaccard, "Jaccard")]

    def _group(self, channels: Sequence[int]) -> list:
        matrix = self.opened.matrix
        square = np.asarray(matrix.nmi[np.ix_(channels, channels)], dtype=np.float64)
        pairs = square[~np.eye(len(channels), dtype=bool)]
        mean_nmi = f"{np.nanmean(pairs):.2f}" if np.isfinite(pairs).any() else "undefined"
        facts = [
            fact("channels", str(len(channels)), "channel"),
            fact("members", f"{len(np.unique(matrix.member[list(channels)]))}", "member"),
            fact("mean NMI", mean_nmi, "NMI"),
            fact("information", f"{matrix.information_bits[list(channels)].mean():.2f} bits", "information"),
        ]
        return [
            self._head(f"{len(channels)} channels picked"),
            html.Dl(facts, className="facts"),
            self._side_by_side(channels, middle_of(matrix, channels, self.selection.measure)),
            self._labels(channels),
        ]

    def _side_by_side(self, channels: Sequence[int], medoid: int) -> html.Section:
        """Show the channel of several members moving the same base image."""
        traversals = self.opened.analysis.traversals
        if traversals is None:
            return section("Latent traversals", "traversal", _not_painted())
        chosen = representatives(self.opened.matrix, channels, medoid, self.selection.measure)
        reference = self._flip(medoid)
        base = self.selection.base
        rows = [
            html.Div([self._channel_link(c), self._row(c, flip=self._flip(c) != reference, base=base)], className="row")
            for c in chosen
        ]
        options = [
            (str(k + 1), self.selection.to(base=k).search(), k == base) for k in range(traversals.images.shape[1])
        ]
        switch = html.Div([html.Span("Base image"), segmented("Base image", options)], className="switch")
        note = f"Channels of {len(chosen)} members, the medoid first, each moved over its own range on one image."
        return section("The same fragment, run after run", "traversal", html.Div(rows, className="rows"), note, switch)

    def _row(self, c: int, *, flip: bool, base: int) -> html.Img:
        source = self.site.traversal(self.opened, c, flip=flip, cell=CELL_PIXELS, base=base)
        width, _ = self._grid_size(CELL_PIXELS)
        return html.Img(
            src=source, className="pixels", style={"width": f"{width}px"}, alt=f"Traversal of {self.opened.names[c]}"
        )

    def _traversal(self, c: int, cell: int = CELL_PIXELS) -> html.Div:
        traversals = self.opened.analysis.traversals
        if traversals is None:
            return _not_painted()
        flip, name = self._flip(c), self.opened.names[c]
        values = traversals.values[c][::-1] if flip else traversals.values[c]
        picture = html.Img(
            src=self.site.traversal(self.opened, c, flip=flip, cell=cell),
            className="pixels",
            alt=f"Rows of images as channel {name} moves",
            id={"traversal": name},
        )
        small = cell != CELL_PIXELS
        shown = (values[0], values[len(values) // 2], values[-1]) if small else values
        ticks = html.Div(
            [html.Span(_tick(value)) for value in shown], className="axis axis-sparse" if small else "axis"
        )
        parts, (width, image_width) = [html.Div([picture, ticks])], self._grid_size(cell)
        widths = [width]
        posteriors = self._posteriors()
        if not small and posteriors is not None and posteriors.images is not None:
            source = self.site.base_images(self.opened, cell=cell)
            original = html.Img(src=source, className="pixels", alt="The images that are encoded")
            parts.insert(0, html.Div([original, html.Div("image", className="axis")], className="original"))
            widths.insert(0, image_width)
        # Shares of the width keep the rows level when a narrow page shrinks the pictures.
        columns = " ".join(f"minmax(0, {part}fr)" for part in widths)
        style = {"gridTemplateColumns": columns, "width": f"{sum(widths) + 12 * (len(widths) - 1)}px"}
        return html.Div(parts, className="traversal", style=style)

    def _grid_size(self, cell: int) -> tuple[int, int]:
        """Width of a traversal's picture and of one image in it, pixels."""
        assert self.opened.analysis.traversals is not None
        _, _, steps, height, width = self.opened.analysis.traversals.images.shape[:5]
        factor = scale_for(height, cell)
        return steps * (width * factor + GAP) - GAP, width * factor

    def _scatter(self, u: int, v: int) -> list:
        posteriors = self._posteriors()
        if posteriors is None:
            return []
        means = (channel_posterior(posteriors, u)[0], channel_posterior(posteriors, v)[0])
        names = (self.opened.names[u], self.opened.names[v])
        switch, label, values = None, None, None
        if posteriors.labels is not None:
            label = self.selection.label or posteriors.label_names[0]
            values = [str(value) for value in posteriors.labels[:, posteriors.label_names.index(label)]]
            options = [(name, self.selection.to(label=name).search(), name == label) for name in posteriors.label_names]
            switch = html.Div([html.Span("Colour"), segmented("Colour by label", options)], className="switch")
        figure = pair_figure(means, names, label, values)
        plot = graph(
            "pair-scatter", figure, f"Means of channels {names[0]} and {names[1]}", buttons=["zoom2d", "resetScale2d"]
        )
        note = f"Posterior means of the {posteriors.n_images:,} images of the fingerprint sample."
        return [section("Image by image", None, plot, note, switch)]

    def _nearest(self, c: int) -> html.Div:
        hotspots = self.opened.hotspots(self.selection.measure)
        rows = [
            html.Tr(
                [
                    html.Td(self._channel_link(other.channel)),
                    html.Td("–" if np.isnan(other.nmi) else f"{other.nmi:.3f}"),
                    html.Td(f"{other.vi_bits:.2f}"),
                    html.Td(
                        self._link("pair", self.selection.of(self.opened.names[c], self.opened.names[other.channel]))
                    ),
                ]
            )
            for other in nearest(self.opened.matrix, hotspots, c, self.selection.measure)
        ]
        heads = [html.Th("channel"), html.Th("NMI"), html.Th("VI, bits"), html.Th("")]
        return html.Table([html.Thead(html.Tr(heads)), html.Tbody(rows)], className="table")

    def _labels(self, channels: Sequence[int]) -> html.Section:
        """Show the NMI with each label as bars."""
        matrix = self.opened.matrix
        if not matrix.label_names:
            return section("NMI with labels", "label", html.P("The data set came without labels.", className="note"))
        means = matrix.label_nmi[list(channels)].mean(axis=0)
        bars = [
            html.Div(
                [
                    html.Span(name, className="bar-name"),
                    html.Div(html.Div(style={"width": f"{min(max(np.nan_to_num(value), 0), 1):.1%}"}), className="bar"),
                    html.Span("–" if np.isnan(value) else f"{value:.2f}", className="bar-value"),
                ],
                className="bar-row",
            )
            for name, value in zip(matrix.label_names, means, strict=True)
        ]
        title = "NMI with labels" if len(channels) == 1 else "Mean NMI with labels"
        return section(title, "label", html.Div(bars))

    def _head(self, title: str, hotspot: int = -1) -> html.Div:
        dot = [swatch(hotspot_colour(hotspot))] if hotspot >= 0 else []
        combine = dcc.Link("Combine", href=self.site.combine(self.opened.ensemble_id, self._names()))
        clear = html.A("Clear", href=self.selection.of().search(), className="stay")
        return html.Div(
            [html.H2([*dot, title]), html.Span([combine, clear], className="clear")], className="detail-head"
        )

    def _names(self) -> Sequence[str]:
        """Name the channels selected."""
        if self.selection.focus != "hotspot":
            return self.selection.channels
        group = self.opened.hotspots(self.selection.measure).groups[self.selection.hotspot or 0]
        return [self.opened.names[c] for c in group.channels]

    def _home(self, c: int) -> object:
        label = self._label(c)
        if label >= 0:
            dot = swatch(hotspot_colour(label))
            return html.A([dot, str(label)], href=self.selection.of_hotspot(label).search(), className="stay")
        return "none (dead)" if self.opened.hotspots(self.selection.measure).dead[c] else "none"

    def _of_ceiling(self, c: int) -> list:
        bits, ceiling = self.opened.matrix.information_bits[c], self.opened.ceiling_bits
        return [f"{bits:.2f} of {ceiling:.2f} bits", help_mark("ceiling")]

    def _label(self, c: int) -> int:
        return int(self.opened.hotspots(self.selection.measure).labels[c])

    def _flip(self, c: int) -> bool:
        return bool(self.opened.hotspots(self.selection.measure).sign[c] < 0)

    @property
    def _painted(self) -> bool:
        return self.opened.analysis.traversals is not None

    def _posteriors(self) -> Posteriors | None:
        return self.site.queries.posteriors(self.opened)

    def _channel_link(self, c: int) -> html.A:
        return self._link(self.opened.names[c], self.selection.of(self.opened.names[c]))

    def _title_link(self, c: int) -> html.P:
        return html.P(["Channel ", self._channel_link(c)], className="grid-title")

    def _link(self, text: str, selection: Selection) -> html.A:
        return html.A(text, href=selection.search(), className="stay")


def _how_to_select() -> list:
    return [
        html.Div(html.H2("Look closer"), className="detail-head"),
        html.Ul(
            [
                html.Li(
                    ["Click a cell of the matrix", html.Span("two channels: what they share, and how they differ")]
                ),
                html.Li(["Click the diagonal, or a point of the map", html.Span("one channel: what it paints")]),
                html.Li(["Draw around points of the map", html.Span("a group of your own")]),
                html.Li(["Choose a hotspot in the table", html.Span("the same fragment in several members")]),
            ],
            className="how",
        ),
    ]


def _tick(value: float) -> str:
    """Write a value with a true minus sign, and zero without one."""
    return f"{round(value, 1) + 0.0:.1f}".replace("-", "−")


def _not_painted() -> html.P:
    text = "These posteriors were imported without models, so there is nothing to paint traversals with."
    return html.P(text, className="note")
