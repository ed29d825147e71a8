"""/certificate/<id>: which member of an ensemble to publish, which stand apart, and where each channel belongs."""

from typing import Any

import dash_mantine_components as dmc
from dash import dcc, html
from dash.development.base_component import Component

from vaefrag.certificate_text import (
    chance_text,
    evidence_of,
    interval_text,
    member_rows,
    methods_paragraph,
    null_command,
    number,
    returns_text,
    verdict,
)
from vaefrag.components.facts import swatch
from vaefrag.components.glossary import help_mark
from vaefrag.components.markup import Child
from vaefrag.components.notices import notice, remarks
from vaefrag.figures.theme import hotspot_colour
from vaefrag.pages.page import Page, PageRequest, RenderedPage
from vaefrag.pages.selection import Selection
from vaefrag.pages.site import Site
from vaefrag.plurals import counted
from vaefrag.queries import OpenAnalysis
from vaefrag_core.ensemble_record import EnsembleRecord
from vaefrag_core.errors import BrokenFileError, MissingDataError
from vaefrag_core.structure.certificate import Certificate, ChannelRecord, certify

CHANNELS_HEIGHT = 520  # pixels, beyond which the table of channels scrolls


def page(site: Site, request: PageRequest) -> RenderedPage:
    """Show the certificate of the newest analysis."""
    try:
        record = site.queries.store.record(request.id)
        analysis = site.queries.open(request.id)
        view = CertificateView(site, record, analysis)
    except BrokenFileError as error:
        broken = notice("alert", "A file cannot be read", html.P(str(error)), tone="alarm")
        return RenderedPage(site.error_page(broken), request.id)
    except MissingDataError as error:
        missing = notice("search", "No certificate", html.P(str(error)))
        return RenderedPage(site.error_page(missing), "Not found")
    return RenderedPage(view.content(), f"Certificate of {record.name}")


class CertificateView:
    """The certificate of an analysis, as its page shows it.

    Args:
        site: queries and addresses.
        record: of the ensemble.
        analysis: its newest analysis.
    """

    def __init__(self, site: Site, record: EnsembleRecord, analysis: OpenAnalysis) -> None:
        self.site, self.record, self.analysis = site, record, analysis
        self.hotspots = analysis.hotspots[analysis.measure]
        key = f"certificate/{analysis.ensemble_id}/{analysis.version}"
        self.certificate: Certificate = site.queries.cached(
            key, lambda: certify(analysis.matrix, self.hotspots, analysis.config.hotspots)
        )

    def content(self) -> html.Div:
        """Lay the page out."""
        parts = [self._heading(), self._methods(), *self._hotspots(), self._members(), self._channels()]
        return html.Div(parts, className="wide stack")

    def _heading(self) -> html.Div:
        words: list[Child] = [
            dcc.Link(self.record.name, href=self.site.ensemble(self.record.id)),
            counted(len(self.certificate.members), "member"),
            counted(len(self.hotspots.groups), "hotspot"),
            html.Code(self.record.id, title="Commands ask for this id."),
        ]
        line = html.P([html.Span(word) for word in words], className="words")
        return html.Div(
            [html.H1("Which run to publish"), line, remarks(verdict(self.certificate))], className="heading"
        )

    def _methods(self) -> html.Section:
        text = methods_paragraph(self.record, self.analysis, self.certificate)
        copy = dmc.CopyButton(
            value=text, children="Copy", copiedChildren="Copied", size="compact-xs", variant="subtle", color="gray"
        )
        head = html.Div([html.H2("For the methods section"), copy], className="card-head")
        return html.Section([head, html.P(text, id="methods")], className="card")

    def _hotspots(self) -> list[html.Section]:
        """Show how sure each hotspot is; nothing without any."""
        if not self.hotspots.groups:
            return []
        heads: list[Any] = [
            "hotspot",
            "members",
            ["NMI inside", help_mark("corrected inside")],
            "95 %",
            ["p", help_mark("p-value")],
            "false discovery rate",
            ["above turned axes", help_mark("turned axes")],
            ["in a new member", help_mark("new member")],
        ]
        rows: list[html.Tr] = []
        for group, evidence in zip(self.hotspots.groups, evidence_of(self.analysis), strict=True):
            turned, probability = evidence.rotation_percentile, evidence.return_probability
            search = Selection(measure=self.analysis.measure).select_hotspot(group.number).search()
            link = dcc.Link(str(group.number), href=self.site.ensemble(self.record.id) + search)
            cells: list[Child] = [
                html.Span([swatch(hotspot_colour(group.number)), link]),
                str(group.n_members),
                number(evidence.nmi),
                interval_text(evidence.nmi_interval),
                chance_text(evidence.p_value),
                chance_text(evidence.false_discovery_rate),
                "–" if turned is None else f"{turned:.0f}%",
                "–" if probability is None else returns_text(probability, evidence.return_interval or ()),
            ]
            rows.append(html.Tr([html.Td(cell) for cell in cells]))
        notes: list[Child] = []
        if command := null_command(self.record.id, self.analysis):
            words: list[Child] = ["Not held against chance yet: ", html.Code(command), " does, and it is shown here."]
            notes = [html.P(words, className="note")]
        return [html.Section([html.H2("Hotspots"), _table(heads, rows), *notes], className="card")]

    def _members(self) -> html.Section:
        heads: list[Any] = [
            "member",
            "holds",
            "lacks",
            ["NMI", help_mark("agreement")],
            ["to medoids", help_mark("medoid")],
            "live channels",
            "bits in sum",
            ["p", help_mark("outlier")],
            "",
        ]
        rows: list[html.Tr] = []
        for record, texts in zip(self.certificate.members, member_rows(self.certificate), strict=True):
            standing = html.Span(texts[-1], className="bad" if record.outlier or record.diverged else "good")
            p_value = f"{record.p_value:.2g}" if self.certificate.testable and not record.diverged else "–"
            cells: list[Child] = [*texts[:-1], p_value, standing]
            rows.append(html.Tr([html.Td(cell) for cell in cells]))
        return html.Section([html.H2("Members"), _table(heads, rows)], className="card")

    def _channels(self) -> html.Section:
        shown = [record for record in self.certificate.channels if record.state != "dead"]
        dead = len(self.certificate.channels) - len(shown)
        heads: list[Any] = [
            "channel",
            "bits",
            "hotspot",
            ["in a new member", help_mark("new member")],
            ["nearest copies", help_mark("nearest copies")],
        ]
        table = _table(heads, [self._channel_row(record) for record in shown])
        note = [html.P(f"{counted(dead, 'dead channel')} left out.", className="note")] if dead else []
        scrolling = dmc.ScrollArea(table, type="auto", mah=CHANNELS_HEIGHT, style={"overflow": "auto"})
        return html.Section([html.H2("Channels"), scrolling, *note], className="card")

    def _channel_row(self, record: ChannelRecord) -> html.Tr:
        copies: list[Child] = []
        for copy, nmi in zip(record.copies, record.copies_nmi, strict=True):
            faint = nmi < self.analysis.config.hotspots.min_similarity
            text: list[Child] = [self._link(copy), f" {number(nmi)}"]
            copies += [", " if copies else "", html.Span(text, className="quiet" if faint else "")]
        hotspot: list[Child] = [html.Span(record.state, className="quiet")]
        if record.hotspot is not None:
            hotspot = [swatch(hotspot_colour(record.hotspot)), str(record.hotspot)]
        cells: list[Any] = [
            self._link(record.channel),
            number(float(self.analysis.matrix.information_bits[record.channel])),
            hotspot,
            self._returns(record.hotspot),
            copies or "–",
        ]
        return html.Tr([html.Td(cell) for cell in cells])

    def _link(self, channel: int) -> Component:
        name = self.analysis.names[channel]
        search = Selection(measure=self.analysis.measure).select(name).search()
        return dcc.Link(name, href=self.site.ensemble(self.record.id) + search)

    def _returns(self, hotspot: int | None) -> str:
        recurrence = self.hotspots.recurrence
        if hotspot is None or recurrence is None:
            return "–"
        return returns_text(recurrence.probability[hotspot], recurrence.interval[hotspot])


def _table(heads: list[Any], rows: list[html.Tr]) -> html.Table:
    return html.Table([html.Thead(html.Tr([html.Th(head) for head in heads])), html.Tbody(rows)], className="table")


PAGE = Page("certificate/<ensemble_id>", page)
