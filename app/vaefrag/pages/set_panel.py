"""What is said about a set: at once its numbers, a moment later the best next channel and how sets grow."""

import numpy as np
from dash import html

from vaefrag.components.facts import fact, section, swatch
from vaefrag.components.glossary import help_mark
from vaefrag.components.graph import graph
from vaefrag.components.notices import remarks
from vaefrag.components.shell import segmented
from vaefrag.figures.information_shares import growth_figure, share_figure, whole_figure
from vaefrag.figures.theme import hotspot_colour
from vaefrag.pages.channel_set_view import LIVE, SHAPLEY_IMAGES, ChannelSetView
from vaefrag.plurals import counted
from vaefrag_core.synthesis.channel_pool import ChannelName
from vaefrag_core.synthesis.combination import Combination
from vaefrag_core.synthesis.subset_information import MOST_CHANNELS as SHAPLEY_CHANNELS

LISTED = 8  # channels that could be added
READY_SIZES = (3, 5, 10)  # of greedy sets offered


def set_panel(mixture: ChannelSetView) -> list:
    """Show the channels of the set, with a button each that takes it out, and what they tell."""
    found, chosen = mixture.combination, mixture.chosen
    clear = [html.A("Clear", href=chosen.of(()).search(), className="stay clear")] if chosen.channels else []
    head = html.Div([html.H2(f"The set: {counted(len(chosen.channels), 'channel')}"), *clear], className="detail-head")
    problems = remarks(mixture.problems, tone="alarm")
    if found is None:
        text = "No channel yet. Pick some on the left, take the medoids of all hotspots, or a greedy set."
        return [head, problems, html.P(text, className="quiet")]
    named = zip(chosen.channels, _distinct(chosen.channels), strict=True)
    chips = html.Ul([_chip(mixture, channel, name) for channel, name in named], className="set-chips")
    return [head, problems, chips, *_numbers(mixture, found)]


def _chip(mixture: ChannelSetView, channel: ChannelName, text: str) -> html.Li:
    several = len({c.ensemble for c in mixture.channels}) > 1
    home = mixture.ensembles[channel.ensemble].name if channel.ensemble in mixture.ensembles else channel.ensemble
    away = press("×", channel, "set", f"Take {channel} out of the set", className="away")
    where = [html.Span(home, className="quiet")] if several else []
    return html.Li([swatch(hotspot_colour(mixture.hotspot(channel))), text, *where, away], title=home)


def press(text: str, channel: ChannelName, of: str, label: str, **look: str) -> html.Button:
    """Give a button of a channel: those of "next" add it, others add it or take it out."""
    name = {"channel": f"{channel.ensemble}:{channel}", "of": of}
    return html.Button(text, id=name, type="button", **look, **{"aria-label": label})


def _numbers(mixture: ChannelSetView, found: Combination) -> list:
    facts = [
        fact("together", f"{found.joint_bits:.2f} of {found.ceiling_bits:.2f} bits", "joint information"),
        fact("in sum", f"{found.sum_bits:.2f} bits", "information"),
        fact("redundancy", f"{found.redundancy_bits:z.2f} bits", "redundancy"),
    ]
    warning = (
        f"Within a tenth of {found.ceiling_name} = {found.ceiling_bits:.2f} bits, the most that so many images can"
        " show: these channels tell more together than is shown, and are less redundant. Take a larger fingerprint"
        " sample."
    )
    near = remarks([warning]) if found.near_ceiling else html.Div(hidden=True)
    whole = graph(
        "set-whole",
        whole_figure(found.joint_bits, found.sum_bits, (_ceiling_name(found.ceiling_name), found.ceiling_bits)),
        f"Together {found.joint_bits:.2f} bits, in sum {found.sum_bits:.2f}, at most {found.ceiling_bits:.2f}",
        buttons=[],
    )
    names = _distinct(mixture.channels)
    shares = graph(
        "set-shares",
        share_figure(names, found.single_bits, found.marginal_bits, found.shapley_bits),
        "What each channel tells alone, its marginal share and its Shapley share",
        buttons=[],
    )
    note = (
        ""
        if found.shapley_bits is not None
        else (f"Shapley shares are shown for up to {SHAPLEY_CHANNELS} channels on up to {SHAPLEY_IMAGES:,} images.")
    )
    return [
        html.Div(facts, className="facts", id="set-facts"),
        near,
        whole,
        html.Div(id="combine-members", className="beside"),
        section("What each channel is worth", "Shapley share", shares, note),
        *_labels(found),
    ]


def _distinct(channels: tuple[ChannelName, ...]) -> list[str]:
    """Name channels; of several ensembles, with a letter for each ensemble."""
    ensembles = list(dict.fromkeys(channel.ensemble for channel in channels))
    if len(ensembles) == 1:
        return [str(channel) for channel in channels]
    return [f"{chr(ord('A') + ensembles.index(c.ensemble) % 26)} {c}" for c in channels]


def _labels(found: Combination) -> list:
    if not found.label_names:
        return []
    columns = zip(
        found.label_names, found.label_nmi, found.label_vi_bits, found.label_shared_bits, found.label_bits, strict=True
    )
    rows = [
        html.Tr(
            [
                html.Td(name),
                html.Td("–" if np.isnan(nmi) else f"{nmi:.2f}"),
                html.Td(f"{vi:.2f}"),
                html.Td(f"{shared:.2f} of {bits:.2f}"),
            ]
        )
        for name, nmi, vi, shared, bits in columns
    ]
    heads = [html.Th(head) for head in ("label", "NMI", "VI, bits", "told of it, bits")]
    table = html.Table([html.Thead(html.Tr(heads)), html.Tbody(rows)], className="table")
    return [section("The joint space and the labels", "label", table)]


def next_panel(mixture: ChannelSetView) -> list:
    """List the channels that the set would gain most from, each with a link that adds it."""
    chosen = mixture.chosen
    options = [
        (name, chosen.to(by=name).search(), name == chosen.by)
        for name in ("bits", *mixture.labels[:3], *_other(mixture))
    ]
    switch = html.Div([html.Span("by"), segmented("Rank by", options)], className="switch")
    head = html.Div([html.H2("Best next channel"), switch], className="card-head")
    pooled, ranked = mixture.ranked()
    if not len(ranked.channels):
        return [head, html.P("There is no live channel that is not in the set.", className="quiet")]
    gains = zip(ranked.channels[:LISTED].tolist(), ranked.gain_bits, ranked.joint_bits, strict=False)
    rows = [_addition(mixture, pooled.names[c], float(gain), float(joint)) for c, gain, joint in gains]
    gain_head = "gain, bits" if chosen.by == "bits" else f"gain of {chosen.by}, bits"
    heads = [html.Th(head) for head in ("channel", "hotspot", gain_head, "together, bits", "")]
    table = html.Table([html.Thead(html.Tr(heads)), html.Tbody(rows)], className="table")
    note = f"Of {len(ranked.channels):,} live channels that are not in the set."
    return [head, table, html.P(note, className="note")]


def _other(mixture: ChannelSetView) -> list[str]:
    """Keep the label that the URL names in reach when there are many."""
    return [mixture.chosen.by] if mixture.chosen.by not in ("bits", *mixture.labels[:3]) else []


def _addition(mixture: ChannelSetView, name: ChannelName, gain: float, joint: float) -> html.Tr:
    home = mixture.hotspot(name)
    several = len({name.ensemble, *(c.ensemble for c in mixture.channels)}) > 1
    where = [" ", html.Span(mixture.ensembles[name.ensemble].name, className="quiet")] if several else []
    add = press("Add", name, "next", f"Add {name} to the set", className="add")
    hotspot = [swatch(hotspot_colour(home)), str(home)] if home >= 0 else "–"
    cells = [[str(name), *where], hotspot, f"{gain:.2f}", f"{joint:.2f}", add]
    return html.Tr([html.Td(cell) for cell in cells])


def _ceiling_name(name: str) -> str:
    """Name a ceiling on a plot's axis, where N needs no digits."""
    return "log2 N" if name.startswith("log2") else name


def growth_panel(mixture: ChannelSetView) -> list:
    """Draw how a greedy set grows, beside random sets, whole members and the set."""
    head = html.Div(html.H2("How sets grow"), className="card-head")
    if not (mixture.opened(mixture.chosen.at).matrix.information_bits >= LIVE).any():
        return [head, html.P("No channel of this ensemble is live, so there is none to choose.", className="quiet")]
    names, grown, spaces = mixture.growth()
    chosen, found = mixture.chosen, mixture.combination
    opened = mixture.opened(chosen.at)
    live, members = opened.matrix.information_bits >= LIVE, opened.matrix.member
    widths = [int(live[members == member].sum()) for member in np.unique(members)]
    limit, worth, unit = (_ceiling_name(opened.matrix.ceiling_name), opened.ceiling_bits), None, "bits together"
    if chosen.by == "bits":
        worth = None if found is None else found.joint_bits
    else:
        f = mixture.labels.index(chosen.by)
        limit, unit = (f"entropy of {chosen.by}", float(opened.matrix.label_bits[f])), f"bits told of {chosen.by}"
        worth = None if found is None else float(found.label_shared_bits[f])
    point = None if worth is None else (len(chosen.channels), worth)
    figure = growth_figure(grown.bits, grown.random_bits, (widths, spaces.bits), point, limit, unit)
    buttons = ["zoom2d", "pan2d", "resetScale2d"]
    plot = graph(
        "set-growth", figure, "Bits of greedy sets, random sets and whole members over channels", buttons=buttons
    )
    ready = [
        html.A(f"best {size}", href=chosen.of(names[:size]).search(), className="stay rule")
        for size in READY_SIZES
        if size <= len(names)
    ]
    take = html.Div([html.Span(["Take the greedy set", help_mark("greedy set")]), *ready], className="rules")
    draws = len(grown.random_bits)
    note = (
        f"Of this ensemble’s live channels. Grey: mean and range of {draws} random sets. Members count live channels."
    )
    return [head, plot, html.P(note, className="note"), take]


def beside_members(mixture: ChannelSetView) -> object:
    """Say how much of a whole member the set carries."""
    if not mixture.channels:
        return ""
    found = mixture.carried()
    share = float(np.mean(found.shared_bits / np.maximum(found.bits, 1e-9)))
    best, mean = float(found.bits.max()), float(found.bits.mean())
    return html.P(
        [
            f"A whole member carries {mean:.2f} bits on average, the richest {best:.2f}. The set carries ",
            html.B(f"{share:.0%}"),
            " of what a member tells.",
            help_mark("carried"),
        ],
        className="note",
    )
