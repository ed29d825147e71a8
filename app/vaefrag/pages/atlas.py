"""/atlas/<sweep id>: the hotspots of a sweep, value by value, as far as its ensembles are. The page renews itself."""

from typing import Any
from urllib.parse import parse_qs

import dash_mantine_components as dmc
from dash import ALL, ClientsideFunction, Dash, Input, Output, State, dcc, html
from dash.development.base_component import Component
from dash.exceptions import PreventUpdate

from vaefrag.components.glossary import help_mark
from vaefrag.components.notices import notice, remarks
from vaefrag.jobs.ensemble_status import continue_training
from vaefrag.pages.job_polling import pressed_button, requester
from vaefrag.pages.page import Page, PageRequest, RenderedPage
from vaefrag.pages.site import Site
from vaefrag.pages.sweep_status import sweep_status_of
from vaefrag.pages.sweep_view import SweepView, table
from vaefrag_core.artifacts import Atlas
from vaefrag_core.errors import BrokenFileError, MissingDataError
from vaefrag_core.sweeps import Sweep

POLL_MILLISECONDS = 1_500
MOST_NAMED = 14  # steps at the slider: more would run into each other


class AtlasView:
    """A sweep as its page shows it, at a step of training.

    Args:
        site: queries, addresses and the job store.
        sweep_id: the sweep.
        step: the step of training to show; None for its end.

    Raises:
        MissingDataError: when there is no such sweep.
        BrokenFileError: when it cannot be read.
    """

    def __init__(self, site: Site, sweep_id: str, step: str | int | None = None) -> None:
        self.site = site
        self.sweep: Sweep = site.queries.sweeps.sweep(sweep_id)
        self.problem, self.version = "", ""
        self.atlas: Atlas | None = None
        over_training: list[Atlas] = []
        sources: dict[str, str] = {}
        try:
            index = site.queries.sweeps.atlas_index(sweep_id)
            self.version, sources = index.folder, index.sources
            end = site.queries.sweeps.atlas(sweep_id)
            over_training = [*(site.queries.sweeps.atlas(sweep_id, s) for s in end.steps[:-1]), end]
            self.atlas = end
        except BrokenFileError as error:
            self.problem = str(error)
        except MissingDataError:
            pass
        pairs = zip(self.sweep.values, self.sweep.ensembles, strict=True)
        self.statuses = [sweep_status_of(site, value, name, sources.get(name)) for value, name in pairs]
        self.steps = list(self.atlas.steps) if self.atlas else []
        self.step, self.remarks = self._read_step(step)
        self.view: SweepView | None = None
        if self.atlas:
            shown = over_training[-1 if self.step is None else self.steps.index(self.step)]
            self.view = SweepView(site, self.sweep, self.statuses, shown, over_training)

    def _read_step(self, step: str | int | None) -> tuple[int | None, list[str]]:
        """Return the step to show, None for the end, and a remark on one that is not there."""
        if step is None or str(step) in map(str, self.steps[-1:]):
            return None, []
        if (text := str(step)) in map(str, self.steps):
            return int(text), []
        there = f"there are {', '.join(map(str, self.steps))}" if self.steps else "there is only its end"
        return None, [f"The address asks for step “{text[:40]}” of training; {there}. Showing the end."]

    def state(self) -> str:
        """Return what the page shows, as text: while that stays, the page is not drawn again."""
        parts = [f"{s.word} {s.done} {s.failed} {s.current} {s.at_work}" for s in self.statuses]
        return " | ".join([self.version, self.problem, *parts])

    def page(self) -> RenderedPage:
        """Lay the page out."""
        follows = [
            dcc.Interval(id="atlas-tick", interval=POLL_MILLISECONDS),
            dcc.Store(id="atlas-shown", data=self.state()),
        ]
        return RenderedPage(
            html.Div([html.Div(self.body(), id="atlas-body", className="stack"), *follows], className="wide"),
            self.sweep.name,
        )

    def body(self) -> list[Component]:
        """Return everything that depends on the ensembles' states."""
        if self.view is None:
            return [self._heading(), *self._unfinished()]
        drawn = html.Div(self.drawn(), id="atlas-drawn", className="stack")
        return [self._heading(), remarks(self.remarks), *self._missing(), *self._slider(), drawn, *self._hint()]

    def _heading(self) -> html.Div:
        sweep = self.sweep
        values = ", ".join(f"{value:g}" for value in sweep.values)
        words = [
            f"{sweep.symbol} = {values}",
            *([f"{most} members at each"] if (most := max(s.members for s in self.statuses)) else []),
            *([f"sample of {self.atlas.n_images:,} images"] if self.atlas else []),
        ]
        line = html.P([html.Span(word) for word in words], className="words")
        return html.Div([html.H1([sweep.name, help_mark("sweep")]), line], className="heading")

    def _unfinished(self) -> list[Component]:
        """Show why there is no atlas yet, and a button that goes on where nobody is at work."""
        if self.problem:
            broken = notice(
                "alert", "The atlas cannot be read", html.P(self.problem), self._go_on_button("Draw it"), tone="alarm"
            )
            return [broken, table(self.site, self.sweep, self.statuses)]
        if any(s.at_work for s in self.statuses):
            text = (
                "The atlas appears here as soon as a first ensemble is trained and analysed, and grows with the others."
            )
            return [notice("wait", "In training", html.P(text)), table(self.site, self.sweep, self.statuses)]
        if all(s.members and s.failed == s.members for s in self.statuses):
            text = "No member of any ensemble was trained to its end, so there is nothing to draw."
            return [
                notice("alert", "Training failed", html.P(text), self._go_on_button("Try again"), tone="alarm"),
                table(self.site, self.sweep, self.statuses),
            ]
        text = "Nobody is at work on this sweep, and there is nothing to draw yet."
        return [
            notice("wait", "No atlas yet", html.P(text), self._go_on_button("Go on")),
            table(self.site, self.sweep, self.statuses),
        ]

    def drawn(self) -> list[Component]:
        """Return the flow, the curves and the table at the step shown."""
        return self.view.parts() if self.view else []

    def step_words(self) -> str:
        """Return which step of training is shown, in words."""
        end = self.steps[-1]
        return f"Step {end:,}, the end" if self.step is None else f"Step {self.step:,} of {end:,}"

    def _slider(self) -> list[Component]:
        """Return a slider over the steps of training, where there are several."""
        if len(self.steps) < 2:
            return []
        last = len(self.steps) - 1
        apart = -(-len(self.steps) // MOST_NAMED)
        # counted from the end, so that the end always has its name
        names = [f"{step:,}" if (last - k) % apart == 0 else None for k, step in enumerate(self.steps)]
        slider = dmc.Slider(
            id="atlas-slider",
            min=0,
            max=last,
            step=1,
            value=last if self.step is None else self.steps.index(self.step),
            marks=[{"value": k, "label": name} for k, name in enumerate(names)],
            label=None,
            thumbLabel="Step of training",
            updatemode="drag",
            color="gray",
            size="sm",
        )
        when = html.P(self.step_words(), id="atlas-when", role="status")
        stores = [dcc.Store(id="atlas-steps", data=self.steps), dcc.Store(id="atlas-step", data=self.step)]
        row = [html.Div([html.H2("Over training"), when]), slider, *stores]
        return [html.Section(row, className="card training-row")]

    def _hint(self) -> list[Component]:
        """Say how to follow the sweep over training, where it cannot be followed yet."""
        if len(self.steps) > 1 or self.atlas is None:
            return []
        if not any(s.snapshots > 1 for s in self.statuses):
            text = "A sweep trained with --snapshots 8 can be looked at here at steps of its training as well."
        elif all(s.current for s in self.statuses):
            text = "Its members were kept at steps of training: `vaefrag analyze ID` of each ensemble brings them here."
        else:
            return []
        return [html.P(text, className="note")]

    def _missing(self) -> list[Component]:
        """Name the ensembles that the atlas does not show yet, and a button where nobody is at work on them."""
        behind = [s for s in self.statuses if not s.current]
        if not behind:
            return []
        values = ", ".join(f"{self.sweep.symbol} = {s.value:g}" for s in behind)
        if any(s.at_work for s in self.statuses):
            text = f"Not in the atlas yet: {values}. The page renews itself as they are trained and analysed."
            return [html.Div(html.Span(text), className="card news news-row")]
        text = f"Missing or outdated in the atlas: {values}."
        return [html.Div([html.Span(text), self._go_on_button("Go on")], className="card news news-row")]

    def _go_on_button(self, text: str) -> html.Div:
        button = html.Button(text, id={"go-on": self.sweep.id}, type="button", className="button primary")
        return html.Div(button)


def page(site: Site, request: PageRequest) -> RenderedPage:
    """Show the atlas of a sweep, as far as there is one, at the step of training that the URL names."""
    try:
        view = AtlasView(site, request.id, _step_in(request.search))
    except BrokenFileError as error:
        return RenderedPage(
            site.error_page(notice("alert", "A file cannot be read", html.P(str(error)), tone="alarm")), request.id
        )
    except MissingDataError as error:
        return RenderedPage(site.error_page(notice("search", "No such sweep", html.P(str(error)))), "Not found")
    return view.page()


def register(app: Dash, site: Site) -> None:
    """Let the page follow its ensembles, and its plots lead to them.

    Args:
        app: the app.
        site: queries, addresses and the record.
    """

    @app.callback(
        Output("atlas-body", "children"),
        Output("atlas-shown", "data"),
        Input("atlas-tick", "n_intervals"),
        State("url", "pathname"),
        State("url", "search"),
        State("atlas-shown", "data"),
        prevent_initial_call=True,
    )
    def look(_: int | None, path: str, search: str, shown: str) -> tuple[list[Component], str]:
        """The ensembles → the page anew, when one of them stands otherwise."""
        request = PAGE.request(site, path, search)
        if request is None:
            raise PreventUpdate  # on the way to another page
        view = AtlasView(site, request.id, _step_in(search))
        if view.state() == shown:
            raise PreventUpdate
        return view.body(), view.state()

    app.clientside_callback(
        ClientsideFunction("pages", "step"),
        Output("atlas-step", "data"),
        Input("atlas-slider", "value"),
        State("atlas-steps", "data"),
        State("atlas-step", "data"),
        prevent_initial_call=True,
    )

    @app.callback(
        Output("atlas-drawn", "children"),
        Output("atlas-when", "children"),
        Input("atlas-step", "data"),
        State("url", "pathname"),
        prevent_initial_call=True,
    )
    def draw(step: int | None, path: str) -> tuple[list[Component], str]:
        """The slider → what there was at that step."""
        request = PAGE.request(site, path)
        if request is None:
            raise PreventUpdate  # on the way to another page
        view = AtlasView(site, request.id, step)
        return view.drawn(), view.step_words()

    @app.callback(
        Output("atlas-tick", "n_intervals"),
        Input({"go-on": ALL}, "n_clicks"),
        State("atlas-tick", "n_intervals"),
        prevent_initial_call=True,
    )
    def take_up(clicks: list[int | None], tick: int | None) -> int:
        """The button → jobs for what is missing, and a look at what came of it."""
        view = AtlasView(site, pressed_button()["go-on"])
        for status in view.statuses:
            if status.at_work or status.current or not status.members:
                continue
            if status.done < status.members:
                continue_training(site.queries.store.record(status.ensemble_id), site.job_store, who=requester())
            else:
                site.job_store.submit_analysis(status.ensemble_id, who=requester())  # draws the atlas when it is done
        return (tick or 0) + 1

    @app.callback(
        Output("url", "pathname", allow_duplicate=True),
        Output("url", "search", allow_duplicate=True),
        Input("flow", "clickData"),
        Input("sweep-curves", "clickData"),
        prevent_initial_call=True,
    )
    def open_explorer(bar: dict[str, Any] | None, point: dict[str, Any] | None) -> tuple[str, str]:
        """A bar or a point → the explorer of its ensemble, with the hotspot selected."""
        for click in (bar, point):
            target = ((click or {}).get("points") or [{}])[0].get("customdata")
            if target and isinstance(target[0], str):
                return target[0], target[1]
        raise PreventUpdate


def _step_in(search: str | None) -> str | None:
    return parse_qs((search or "").removeprefix("?")).get("step", [None])[-1]


PAGE = Page("atlas/<sweep_id>", page, (register,))
