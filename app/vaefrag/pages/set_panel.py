"""The numbers of a set; and, which takes longer, the best next channels and how sets grow."""

from typing import Any

import numpy as np
from dash import html
from dash.development.base_component import Component

from vaefrag.components.facts import fact, section, swatch
from vaefrag.components.glossary import help_mark
from vaefrag.components.graph import graph
from vaefrag.components.notices import remarks
from vaefrag.components.shell import segmented
from vaefrag.figures.information_shares import growth_figure, share_figure, whole_figure
from vaefrag.figures.theme import hotspot_colour
from vaefrag.pages.channel_set_view import SHAPLEY_IMAGES, ChannelSetView
from vaefrag.plurals import counted
from vaefrag_core.synthesis.channel_pool import ChannelName
from vaefrag_core.synthesis.combination import Combination
from vaefrag_core.synthesis.subset_information import MOST_CHANNELS as SHAPLEY_CHANNELS

LISTED = 8  # channels that could be added
OFFERED_LABELS = 3  # to rank by
READY_SIZES = (3, 5, 10)  # of greedy sets offered


def set_panel(view: ChannelSetView) -> list[Component]:
    """Show the channels of the set, with a button each that takes it out, and what they tell."""
    combination, channels = view.combination, view.channels
    clear = [html.A("Clear", href=view.selection.select(()).search(), className="stay clear")] if channels else []
    head = html.Div([html.H2(f"The set: {counted(len(channels), 'channel')}"), *clear], className="detail-head")
    problems = remarks(view.problems, tone="alarm")
    if combination is None:
        text = "No channel yet. Pick some on the left, take the medoids of all hotspots, or a greedy set."
        return [head, problems, html.P(text, className="quiet")]
    names = zip(channels, _distinct_names(channels), strict=True)
    chips = html.Ul([_chip(view, channel, name) for channel, name in names], className="set-chips")
    return [head, problems, chips, *_numbers(view, combination)]


def _chip(view: ChannelSetView, channel: ChannelName, text: str) -> html.Li:
    several = len({c.ensemble for c in view.channels}) > 1
    ensemble = view.ensembles[channel.ensemble].name if channel.ensemble in view.ensembles else channel.ensemble
    remove = channel_button("×", channel, "set", f"Take {channel} out of the set", className="away")
    where = [html.Span(ensemble, className="quiet")] if several else []
    return html.Li([swatch(hotspot_colour(view.hotspot(channel))), text, *where, remove], title=ensemble)


def channel_button(
    text: str, channel: ChannelName, of: str, label: str, *, className: str, title: str | None = None
) -> html.Button:
    """Return a button of a channel.

    Args:
        text: what stands on it.
        channel: what it adds to the set or takes out.
        of: the list that it stands in. Buttons of "next" add the channel, others add it or take it out.
        label: what it does, for screen readers.
        className: its classes.
        title: shown under the pointer.
    """
    name = {"channel": f"{channel.ensemble}:{channel}", "of": of}
    spoken: dict[str, Any] = {"aria-label": label}
    return html.Button(text, id=name, type="button", className=className, title=title, **spoken)


def _numbers(view: ChannelSetView, combination: Combination) -> list[Component]:
    joint, total, most = combination.joint_bits, combination.sum_bits, combination.ceiling_bits
    facts = [
        fact("together", f"{joint:.2f} of {most:.2f} bits", "joint information"),
        fact("in sum", f"{total:.2f} bits", "information"),
        fact("redundancy", _redundancy(combination), "redundancy"),
    ]
    warning = (
        f"Within a tenth of {combination.ceiling_name} = {most:.2f} bits, the most that so many images can"
        " show: these channels may tell far more together than is shown. Take a larger fingerprint sample."
    )
    near = remarks([warning]) if combination.near_ceiling else html.Div(hidden=True)
    whole = graph(
        "set-whole",
        whole_figure(joint, total, (_ceiling_name(combination.ceiling_name), most)),
        f"Together {joint:.2f} bits, in sum {total:.2f}, at most {most:.2f}",
        buttons=[],
    )
    names = _distinct_names(view.channels)
    shares = graph(
        "set-shares",
        share_figure(names, combination.single_bits, combination.marginal_bits, combination.shapley_bits),
        "What each channel tells alone, its marginal share and its Shapley share",
        buttons=[],
    )
    note = (
        ""
        if combination.shapley_bits is not None
        else (f"Shapley shares are shown for up to {SHAPLEY_CHANNELS} channels on up to {SHAPLEY_IMAGES:,} images.")
    )
    return [
        html.Div(facts, className="facts", id="set-facts"),
        near,
        whole,
        html.Div(id="combine-members", className="beside"),
        section("What each channel is worth", "Shapley share", shares, note),
        *_labels(combination),
    ]


def _redundancy(combination: Combination) -> str:
    """Return redundancy above chance; as it is, and by chance, where so few images cannot tell."""
    above = combination.redundancy_above_chance_bits
    if np.isnan(above):
        return f"{combination.redundancy_bits:z.2f}, by chance {combination.redundancy_by_chance_bits:z.2f} bits"
    return f"{above:z.2f} bits"


def _distinct_names(channels: tuple[ChannelName, ...]) -> list[str]:
    """Name channels; of several ensembles, with a letter for each ensemble."""
    ensembles = list(dict.fromkeys(channel.ensemble for channel in channels))
    if len(ensembles) == 1:
        return [str(channel) for channel in channels]
    return [f"{chr(ord('A') + ensembles.index(c.ensemble) % 26)} {c}" for c in channels]


def _labels(combination: Combination) -> list[Component]:
    """Show what the set tells of each label but those that are compared with nothing, such as identifiers."""
    columns = zip(
        combination.label_names,
        combination.label_corrected_nmi,
        combination.label_vi_bits,
        combination.label_shared_bits,
        combination.label_chance_bits,
        combination.label_bits,
        strict=True,
    )
    rows = [
        html.Tr(
            [
                html.Td(name),
                html.Td(_or_dash(nmi)),
                html.Td(_or_dash(vi)),
                html.Td(f"{_or_dash(shared)} of {bits:.2f}"),
                html.Td(_or_dash(chance)),
            ]
        )
        for name, nmi, vi, shared, chance, bits in columns
        if np.isfinite(bits)
    ]
    if not rows:
        return []
    heads = [html.Th(head) for head in ("label", "NMI", "VI, bits", "told of it, bits", "by chance")]
    table = html.Table([html.Thead(html.Tr(heads)), html.Tbody(rows)], className="table")
    return [section("The joint space and the labels", "label", table, "NMI is corrected for chance.")]


def _or_dash(value: float) -> str:
    return "–" if np.isnan(value) else f"{value:z.2f}"


def next_panel(view: ChannelSetView) -> list[Component]:
    """List the channels that the set would gain most from, each with a link that adds it."""
    ranked_by = view.selection.ranked_by
    # the label that the URL names stays in reach when there are many
    names = dict.fromkeys(("bits", *view.labels[:OFFERED_LABELS], ranked_by))
    options = [(name, view.selection.replace(ranked_by=name).search(), name == ranked_by) for name in names]
    switch = html.Div([html.Span("by"), segmented("Rank by", options)], className="switch")
    head = html.Div([html.H2("Best next channel"), switch], className="card-head")
    pool, additions = view.rank_additions()
    if not len(additions.channels):
        return [head, html.P("There is no live channel that is not in the set.", className="quiet")]
    gains = zip(additions.channels[:LISTED].tolist(), additions.gain_bits, additions.joint_bits, strict=False)
    rows = [_addition(view, pool.names[c], float(gain), float(joint)) for c, gain, joint in gains]
    gain_head = "gain, bits" if ranked_by == "bits" else f"gain of {ranked_by}, bits"
    heads = [html.Th(head) for head in ("channel", "hotspot", gain_head, "together, bits", "")]
    table = html.Table([html.Thead(html.Tr(heads)), html.Tbody(rows)], className="table")
    note = f"Of {len(additions.channels):,} live channels that are not in the set."
    return [head, table, html.P(note, className="note")]


def _addition(view: ChannelSetView, name: ChannelName, gain: float, joint: float) -> html.Tr:
    number = view.hotspot(name)
    several = len({name.ensemble, *(c.ensemble for c in view.channels)}) > 1
    where = [" ", html.Span(view.ensembles[name.ensemble].name, className="quiet")] if several else []
    add = channel_button("Add", name, "next", f"Add {name} to the set", className="add")
    hotspot = [swatch(hotspot_colour(number)), str(number)] if number >= 0 else "–"
    cells: list[Any] = [[str(name), *where], hotspot, f"{gain:.2f}", f"{joint:.2f}", add]
    return html.Tr([html.Td(cell) for cell in cells])


def _ceiling_name(name: str) -> str:
    """Name a ceiling on a plot's axis, where N needs no digits."""
    return "log2 N" if name.startswith("log2") else name


def growth_panel(view: ChannelSetView) -> list[Component]:
    """Draw how a greedy set grows, beside random sets, whole members and the set."""
    head = html.Div(html.H2("How sets grow"), className="card-head")
    matrix = view.analysis.matrix
    live = ~view.analysis.hotspots[view.analysis.measure].dead
    if not live.any():
        return [head, html.P("No channel of this ensemble is live, so there is none to choose.", className="quiet")]
    names, growth, spaces = view.grow()
    widths = [int(live[matrix.member == member].sum()) for member in np.unique(matrix.member)]
    ranked_by, combination = view.selection.ranked_by, view.combination
    told, limit, unit = None, (_ceiling_name(matrix.ceiling_name), matrix.ceiling_bits), "bits together"
    if ranked_by == "bits":
        told = None if combination is None else combination.joint_bits
    else:
        f = matrix.label_names.index(ranked_by)
        limit, unit = (f"entropy of {ranked_by}", float(matrix.label_bits[f])), f"bits told of {ranked_by}"
        told = None if combination is None else float(combination.label_shared_bits[f])
    point = None if told is None else (len(view.channels), told)
    figure = growth_figure(growth.bits, growth.random_bits, (widths, spaces.bits), point, limit, unit)
    buttons = ["zoom2d", "pan2d", "resetScale2d"]
    plot = graph(
        "set-growth", figure, "Bits of greedy sets, random sets and whole members over channels", buttons=buttons
    )
    ready = [
        html.A(f"best {size}", href=view.selection.select(names[:size]).search(), className="stay rule")
        for size in READY_SIZES
        if size <= len(names)
    ]
    take = html.Div([html.Span(["Take the greedy set", help_mark("greedy set")]), *ready], className="rules")
    draws = len(growth.random_bits)
    note = (
        f"Of this ensemble’s live channels. Grey: mean and range of {draws} random sets. Members count live channels."
    )
    waiting = html.P("Growing the set on half of the images, to tell it on the others …", className="note")
    return [head, plot, html.P(note, className="note"), take, html.Div(waiting, id="combine-halves")]


def halves_panel(view: ChannelSetView) -> list[Component]:
    """Show what greedy sets tell on the images that they were chosen from, and on others."""
    grown = view.grow_on_halves()
    if grown is None:
        text = "The images are too few to tell greedy sets on others than those that chose them."
        return [html.P(text, className="note")]
    sizes = [size for size in READY_SIZES if size <= grown.own_gain.shape[1]] or [grown.own_gain.shape[1]]
    rows = []
    for size in sizes:
        own, others = (gain[:, size - 1].mean() for gain in (grown.own_gain, grown.other_gain))
        low, high = grown.other_gain_interval(size)
        bits = (told[:, size - 1].mean() for told in (grown.own_bits, grown.other_bits))
        texts = [f"best {size}", *(f"{value:z.2f}" for value in (*bits, own))]
        interval = html.Span(f"{low:z.2f} to {high:z.2f}", className="quiet")
        rows.append(html.Tr([*map(html.Td, texts), html.Td([f"{others:z.2f} ", interval])]))
    groups = [html.Th(""), html.Th("bits", colSpan=2), html.Th("more than random sets", colSpan=2)]
    heads = [html.Th(head) for head in ("", "where chosen", "on others", "where chosen", "on others, 95 %")]
    table = html.Table([html.Thead([html.Tr(groups), html.Tr(heads)]), html.Tbody(rows)], className="table")
    note = (
        f"Grown on one half of the images, {grown.n_images:,}, and told on the other as well: the mean of"
        f" {len(grown.own_gain)} such sets, in bits. A gain on others that reaches 0 is no more than luck would show."
    )
    return [section("Greedy sets on other images", "on other images", table, note)]


def beside_members(view: ChannelSetView) -> html.P | str:
    """Say how much of a whole member the set carries."""
    if not view.channels:
        return ""
    spaces = view.compare_members()
    mean_share, error = spaces.carried_mean, spaces.carried_error
    share = "a share that so few images cannot tell"
    if np.isfinite(mean_share):
        share = f"{max(mean_share, 0.0):.0%} ± {error:.0%}"
    best, mean = float(spaces.bits.max()), float(spaces.bits.mean())
    return html.P(
        [
            f"A whole member carries {mean:.2f} bits on average, the richest {best:.2f}. The set carries ",
            html.B(share),
            " of what a member tells.",
            help_mark("carried"),
        ],
        className="note",
    )
