"""The panel beside the matrix: the numbers and pictures of the channel, pair, group or hotspot selected."""

from collections.abc import Sequence

import numpy as np
from dash import dcc, html
from dash.development.base_component import Component

from vaefrag.components.facts import fact, section, swatch, with_error
from vaefrag.components.glossary import help_mark
from vaefrag.components.graph import graph
from vaefrag.components.shell import segmented
from vaefrag.drawn_images import errors_of_pair, shown_images
from vaefrag.figures.channel_pair import pair_figure
from vaefrag.figures.rasters import GAP, scale_for
from vaefrag.figures.theme import hotspot_colour
from vaefrag.figures.training_curves import channel_figure
from vaefrag.pages.explorer_view import ExplorerView
from vaefrag.pages.hotspot_facts import corrected_inside, stability_facts
from vaefrag.pages.null_view import null_facts
from vaefrag.pages.selection import Selection
from vaefrag.pages.site import CELL_PIXELS, SMALL_CELL_PIXELS
from vaefrag.queries import (
    central_channel,
    channel_posterior,
    kl_nats,
    nearest,
    pair_facts,
    representatives,
)
from vaefrag_core.measures.sampling_error import PairErrors
from vaefrag_core.structure.label_factors import known_texts


def details_panel(view: ExplorerView) -> list[Component]:
    """Describe what is selected; when nothing is, how to select."""
    channels = view.selected()
    match view.selection.focus:
        case "channel":
            return _channel(view, channels[0])
        case "pair":
            return _pair(view, channels[0], channels[1])
        case "channels":
            return _group(view, channels)
        case "hotspot":
            return _hotspot(view, view.selection.hotspot or 0)
    return _how_to_select()


def _channel(view: ExplorerView, c: int) -> list[Component]:
    posteriors = view.posteriors
    facts = [
        fact("information", _of_ceiling(view, c), "information"),
        *([fact("KL", f"{kl_nats(posteriors, c):.2f} nats", "KL")] if posteriors else []),
        fact("hotspot", _hotspot_link(view, c), "hotspot"),
    ]
    flipped = _flip(view, c)
    note = "The axis runs downwards, so that the channel changes like its hotspot’s medoid." if flipped else ""
    return [
        _head(view, f"Channel {view.analysis.names[c]}", hotspot=_hotspot_of(view, c)),
        html.Dl(facts, className="facts"),
        section("Latent traversal", "traversal", _traversal(view, c), note=note),
        html.Div([section("Nearest channels", None, _nearest(view, c)), _labels(view, [c])], className="halves"),
        *_over_training(view, c),
        *_encoded_anew(view),
    ]


def _over_training(view: ExplorerView, c: int) -> list[html.Section]:
    history = view.analysis.over_training
    if history is None:
        return []
    figure = channel_figure(history.steps, history.information_bits[:, c], history.nmi_with_end[:, c])
    plot = graph("over-training", figure, f"Channel {view.analysis.names[c]} over training", buttons=["resetScale2d"])
    return [section("Over training", "over training", plot)]


def _pair(view: ExplorerView, u: int, v: int) -> list[Component]:
    facts, errors = pair_facts(view.analysis.matrix, u, v), _pair_errors(view, u, v)
    names = (view.analysis.names[u], view.analysis.names[v])
    nmi = "undefined" if np.isnan(facts.nmi) else with_error(facts.nmi, errors.nmi, digits=3)
    entries = [
        fact("NMI", nmi, "NMI above 1" if facts.nmi > 1 else "NMI"),
        *_corrected(view, u, v),
        fact("VI", with_error(facts.vi_bits, errors.vi_bits, " bits"), "VI"),
        fact(f"I(X;U), {names[0]}", with_error(facts.bits[0], errors.bits[0], " bits"), "information"),
        fact(f"I(X;V), {names[1]}", with_error(facts.bits[1], errors.bits[1], " bits"), "information"),
        fact("I(X;U,V)", with_error(facts.joint_bits, errors.joint_bits, " bits"), "joint"),
    ]
    known = not np.isnan(errors.joint_bits)
    above = "NMI is above 1: the two together share more than two noisy draws of either would." if facts.nmi > 1 else ""
    grids = [html.Div([_title_link(view, c), _traversal(view, c, SMALL_CELL_PIXELS)]) for c in (u, v)]
    return [
        _head(view, f"Channels {names[0]} and {names[1]}"),
        html.Dl(entries, className="facts"),
        *([html.P([_meaning_of_errors(view), help_mark("standard error")], className="note")] if known else []),
        *([html.P(above, className="note")] if above else []),
        *(
            [section("Latent traversals", "traversal", html.Div(grids, className="halves"))]
            if view.analysis.traversals is not None
            else []
        ),
        *_scatter(view, u, v),
        *_encoded_anew(view),
    ]


def _drawn(count: int, n_images: int) -> str:
    return f"the {n_images:,} images" if count == n_images else f"{count:,} images drawn from the {n_images:,}"


def _meaning_of_errors(view: ExplorerView) -> str:
    n_images = view.analysis.matrix.n_images
    count = len(shown_images(n_images))
    return "± one standard error over images" + (f", from {_drawn(count, n_images)} " if count < n_images else " ")


def _pair_errors(view: ExplorerView, u: int, v: int) -> PairErrors:
    """Return the standard errors of a pair; NaN where its posteriors are gone, or where it is a channel and itself."""
    posteriors = view.posteriors
    if posteriors is None or u == v:
        return PairErrors((np.nan, np.nan), np.nan, np.nan, np.nan, np.nan)
    key = f"pair errors/{view.analysis.ensemble_id}/{view.analysis.version}/{u}/{v}"
    return view.site.queries.cached(key, lambda: errors_of_pair(posteriors, u, v, view.analysis.matrix.estimator))


def _corrected(view: ExplorerView, u: int, v: int) -> list[html.Div]:
    corrected = view.analysis.matrix.corrected_nmi([u, v])[0, 1]
    if np.isnan(corrected):
        return []
    text = f"{round(corrected, 3) + 0.0:.3f}".replace("-", "−")  # zero without a sign
    return [fact("corrected NMI", text, "corrected NMI")]


def _hotspot(view: ExplorerView, number: int) -> list[Component]:
    group = view.hotspots.groups[number]
    facts = [
        fact("channels", str(group.size), "channel"),
        fact("members", f"{group.n_members} of {view.analysis.n_members}", "member"),
        fact("mean NMI", f"{group.mean_nmi:.2f}", "NMI"),
        *corrected_inside(view, number),
        fact("mean VI", f"{group.mean_vi_bits:.2f} bits", "VI"),
        fact("information", f"{group.mean_bits:.2f} bits", "information"),
        fact("medoid", _channel_link(view, group.medoid), "medoid"),
        *null_facts(view, number),
        *stability_facts(view, number),
    ]
    doubts = view.analysis.doubts(view.selection.measure)[number]
    return [
        _head(view, f"Hotspot {number}", hotspot=number),
        html.Dl(facts, className="facts"),
        *([html.P(["Near chance. ", " ".join(doubts)], className="note")] if doubts else []),
        _side_by_side(view, group.channels, group.medoid),
        _labels(view, group.channels),
    ]


def _group(view: ExplorerView, channels: Sequence[int]) -> list[Component]:
    matrix = view.analysis.matrix
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
        _head(view, f"{len(channels)} channels picked"),
        html.Dl(facts, className="facts"),
        _side_by_side(view, channels, central_channel(matrix, channels, view.selection.measure)),
        _labels(view, channels),
    ]


def _side_by_side(view: ExplorerView, channels: Sequence[int], medoid: int) -> html.Section:
    """Show channels of several members, each moving the same base image."""
    traversals = view.analysis.traversals
    if traversals is None:
        return section("Latent traversals", "traversal", _not_painted())
    shown = representatives(view.analysis.matrix, channels, medoid, view.selection.measure)
    reference = _flip(view, medoid)
    base = view.selection.base
    rows = [
        html.Div([_channel_link(view, c), _row(view, c, flip=_flip(view, c) != reference, base=base)], className="row")
        for c in shown
    ]
    options = [
        (str(k + 1), view.selection.replace(base=k).search(), k == base) for k in range(traversals.images.shape[1])
    ]
    switch = html.Div([html.Span("Base image"), segmented("Base image", options)], className="switch")
    note = f"Channels of {len(shown)} members, the medoid first, each moved over its own range on one image."
    return section("The same fragment, run after run", "traversal", html.Div(rows, className="rows"), note, switch)


def _row(view: ExplorerView, c: int, *, flip: bool, base: int) -> html.Img:
    source = view.site.traversal(view.analysis, c, flip=flip, cell=CELL_PIXELS, base=base)
    width, _ = _grid_size(view, CELL_PIXELS)
    return html.Img(
        src=source, className="pixels", style={"width": f"{width}px"}, alt=f"Traversal of {view.analysis.names[c]}"
    )


def _traversal(view: ExplorerView, c: int, cell: int = CELL_PIXELS) -> html.Div | html.P:
    traversals = view.analysis.traversals
    if traversals is None:
        return _not_painted()
    flip, name = _flip(view, c), view.analysis.names[c]
    values = traversals.values[c][::-1] if flip else traversals.values[c]
    picture = html.Img(
        src=view.site.traversal(view.analysis, c, flip=flip, cell=cell),
        className="pixels",
        alt=f"Rows of images as channel {name} moves",
        id={"traversal": name},
    )
    small = cell != CELL_PIXELS
    labelled = (values[0], values[len(values) // 2], values[-1]) if small else values
    ticks = html.Div([html.Span(_tick(value)) for value in labelled], className="axis axis-sparse" if small else "axis")
    parts, (width, image_width) = [html.Div([picture, ticks])], _grid_size(view, cell)
    widths = [width]
    if not small and view.posteriors is not None and view.posteriors.images is not None:
        source = view.site.base_images(view.analysis, cell=cell)
        original = html.Img(src=source, className="pixels", alt="The images that are encoded")
        parts.insert(0, html.Div([original, html.Div("image", className="axis")], className="original"))
        widths.insert(0, image_width)
    # Shares of the width keep the rows level when a narrow page shrinks the pictures.
    columns = " ".join(f"minmax(0, {part}fr)" for part in widths)
    style = {"gridTemplateColumns": columns, "width": f"{sum(widths) + 12 * (len(widths) - 1)}px"}
    return html.Div(parts, className="traversal", style=style)


def _grid_size(view: ExplorerView, cell: int) -> tuple[int, int]:
    """Return the widths of a traversal's picture and of one image in it, pixels."""
    assert view.analysis.traversals is not None
    _, _, steps, height, width = view.analysis.traversals.images.shape[:5]
    factor = scale_for(height, cell)
    return steps * (width * factor + GAP) - GAP, width * factor


def _scatter(view: ExplorerView, u: int, v: int) -> list[Component]:
    posteriors = view.posteriors
    if posteriors is None:
        return []
    images = shown_images(posteriors.n_images)
    means = (channel_posterior(posteriors, u)[0][images], channel_posterior(posteriors, v)[0][images])
    names = (view.analysis.names[u], view.analysis.names[v])
    switch, label, values = None, None, None
    labels = tuple(posteriors.label_names or ())
    compared = view.compared_labels  # identifiers would give each image a colour of its own
    if posteriors.labels is not None and compared:
        label = view.selection.label or compared[0]
        values = known_texts(posteriors.labels[images, labels.index(label)])
        options = [(name, view.selection.replace(label=name).search(), name == label) for name in compared]
        switch = html.Div([html.Span("Colour"), segmented("Colour by label", options)], className="switch")
    figure = pair_figure(means, names, label, values)
    plot = graph(
        "pair-scatter", figure, f"Means of channels {names[0]} and {names[1]}", buttons=["zoom2d", "resetScale2d"]
    )
    note = f"Posterior means of {_drawn(len(images), posteriors.n_images)} of the fingerprint sample."
    return [section("Image by image", None, plot, note, switch)]


def _nearest(view: ExplorerView, c: int) -> html.Table:
    rows = [
        html.Tr(
            [
                html.Td(_channel_link(view, other.channel)),
                html.Td("–" if np.isnan(other.nmi) else f"{other.nmi:.3f}"),
                html.Td(f"{other.vi_bits:.2f}"),
                html.Td(
                    _link("pair", view.selection.select(view.analysis.names[c], view.analysis.names[other.channel]))
                ),
            ]
        )
        for other in nearest(view.analysis.matrix, view.hotspots, c, view.selection.measure)
    ]
    heads = [html.Th("channel"), html.Th("NMI"), html.Th("VI, bits"), html.Th("")]
    return html.Table([html.Thead(html.Tr(heads)), html.Tbody(rows)], className="table")


def _labels(view: ExplorerView, channels: Sequence[int]) -> html.Section:
    """Show the NMI with each label as bars; of binned ones also the bits told without bins."""
    matrix = view.analysis.matrix
    if not matrix.compared_labels:
        text = "Its labels name images, and are compared with nothing." if matrix.label_names else ""
        words = text or "The data set came without labels."
        return section("NMI with labels", "label", html.P(words, className="note"))
    means, unbinned = view.label_nmi(channels), matrix.unbinned_bits_of(list(channels))
    bars = [
        html.Div(
            [
                html.Span(name, className="bar-name"),
                html.Div(html.Div(style={"width": f"{min(max(np.nan_to_num(value), 0), 1):.1%}"}), className="bar"),
                html.Span("–" if np.isnan(value) else f"{value:.2f}", className="bar-value"),
            ],
            className="bar-row",
        )
        for name, value in ((matrix.label_names[f], means[f]) for f in matrix.compared_labels)
    ]
    title = "NMI with labels" if len(channels) == 1 else "Mean NMI with labels"
    told = [f"{matrix.label_names[f]} {unbinned[f]:.2f} bits" for f in matrix.compared_labels if unbinned[f] >= 0]
    notes = ["Corrected for chance."] if len(matrix.label_chance) else []
    notes += [f"Told without bins: {', '.join(told)}."] if told else []
    return section(title, "label", html.Div(bars), note=" ".join(notes))


def _head(view: ExplorerView, title: str, hotspot: int = -1) -> html.Div:
    dot = [swatch(hotspot_colour(hotspot))] if hotspot >= 0 else []
    combine = dcc.Link(
        "Combine", href=view.site.combine(view.analysis.ensemble_id, [view.analysis.names[c] for c in view.selected()])
    )
    clear = html.A("Clear", href=view.selection.select().search(), className="stay")
    return html.Div([html.H2([*dot, title]), html.Span([combine, clear], className="clear")], className="detail-head")


def _hotspot_link(view: ExplorerView, c: int) -> html.A | str:
    """Link to the hotspot of a channel; words when it has none."""
    hotspot = _hotspot_of(view, c)
    if hotspot >= 0:
        search = view.selection.select_hotspot(hotspot).search()
        return html.A([swatch(hotspot_colour(hotspot)), str(hotspot)], href=search, className="stay")
    return "none (dead)" if view.hotspots.dead[c] else "none"


def _of_ceiling(view: ExplorerView, c: int) -> list[str | Component]:
    matrix = view.analysis.matrix
    error = matrix.information_error[c] if len(matrix.information_error) else np.nan
    bits = with_error(matrix.information_bits[c], error)
    return [f"{bits} of {matrix.ceiling_bits:.2f} bits", help_mark("ceiling")]


def _hotspot_of(view: ExplorerView, c: int) -> int:
    return int(view.hotspots.labels[c])


def _flip(view: ExplorerView, c: int) -> bool:
    """Return whether a channel runs against its hotspot's medoid."""
    return bool(view.hotspots.sign[c] < 0)


def _channel_link(view: ExplorerView, c: int) -> html.A:
    name = view.analysis.names[c]
    return _link(name, view.selection.select(name))


def _title_link(view: ExplorerView, c: int) -> html.P:
    return html.P(["Channel ", _channel_link(view, c)], className="grid-title")


def _link(text: str, selection: Selection) -> html.A:
    return html.A(text, href=selection.search(), className="stay")


def _encoded_anew(view: ExplorerView) -> list[Component]:
    """Say why there is no scatter and no divergence, where the posteriors analysed are gone."""
    if view.posteriors is not None:
        return []
    text = (
        "Members have been encoded anew since this analysis, so what it was made from is gone: neither KL nor means are"
        " shown. Analyse the ensemble again."
    )
    return [html.P(text, className="note")]


def _how_to_select() -> list[Component]:
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
