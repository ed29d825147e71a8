"""The pages as one app: `create_app` takes everything that they need, nothing is global."""

from collections.abc import Sequence
from importlib.resources import files

from dash import ClientsideFunction, Dash, Input, Output, State, html, set_props
from flask import Flask, Response
from flask_caching import Cache

from vaefrag.auth import sign_in
from vaefrag.auth.guard import HEALTH, READY, SIGN_OUT, guard
from vaefrag.components.notices import notice, remarks
from vaefrag.components.shell import shell
from vaefrag.data_folders import data_folders
from vaefrag.fault_sentences import MACHINE_FAULTS, fault_sentence
from vaefrag.jobs.job_store import JobStore
from vaefrag.page_cache import PageCache
from vaefrag.pages import (
    atlas,
    certificate,
    combine,
    ensemble,
    ensemble_list,
    fuse,
    fusion,
    health_route,
    job,
    job_list,
    new_ensemble,
    notifications,
)
from vaefrag.pages.page import Page, RenderedPage
from vaefrag.pages.site import Site
from vaefrag.proxies import undo_proxies
from vaefrag.queries import Queries
from vaefrag.settings import Settings
from vaefrag_core.ensemble_store import EnsembleStore
from vaefrag_core.errors import VaefragError

ASSETS = files("vaefrag.assets")
# A new page is a module of `vaefrag.pages` and a line here. The bar links to pages in this order.
PAGES = (
    ensemble_list.PAGE,
    ensemble.PAGE,
    certificate.PAGE,
    new_ensemble.PAGE,
    atlas.PAGE,
    combine.PAGE,
    fuse.PAGE,
    fusion.PAGE,
    job_list.PAGE,
    job.PAGE,
)
HTTPS_SECONDS = 365 * 24 * 3600  # for which browsers open the public address by HTTPS alone
MOST_REQUEST_BYTES = 2**20  # no page sends more than a selection

INDEX = """<!DOCTYPE html>
<html lang="en">
    <head>
        {%metas%}
        <meta name="viewport" content="width=device-width, initial-scale=1">
        <title>{%title%}</title>
        <link rel="icon" type="image/svg+xml" href="FAVICON">
        {%css%}
        <script src="EARLY"></script>
    </head>
    <body>
        {%app_entry%}
        <footer>{%config%}{%scripts%}{%renderer%}</footer>
    </body>
</html>"""


def create_app(settings: Settings, store: EnsembleStore, pages: Sequence[Page] = PAGES) -> Dash:
    """Make the app that serves the pages of a workspace.

    Args:
        settings: how they are served.
        store: the workspace.
        pages: what is served.

    Raises:
        InvalidInputError: when others could reach the pages and no token guards them, or the token is no good.
    """
    app = Dash(
        "vaefrag",
        assets_folder=str(ASSETS),
        assets_ignore=r"early\.js",  # goes into the head, before anything is painted
        url_base_pathname=settings.url_prefix,
        title="vaefrag",
        update_title="",  # the title is ours: "Updating…" would come and go with every poll
        on_error=_show_error,
        # Pages come and go below the bar, so at the start most ids are not there yet.
        suppress_callback_exceptions=True,
    )
    app.server.config["MAX_CONTENT_LENGTH"] = MOST_REQUEST_BYTES
    undo_proxies(app.server, settings)
    _answer_faults(app.server)
    auth = guard(app.server, settings)
    job_store = JobStore(store.workspace)
    health_paths = settings.url_prefix + HEALTH, settings.url_prefix + READY
    health_route.register(app.server, health_paths, settings, job_store)
    if auth.sessions is not None:
        sign_in.register(app.server, auth, auth.sessions)
    app.index_string = INDEX.replace("FAVICON", app.get_asset_url("logo.svg")).replace(
        "EARLY", app.get_asset_url("early.js")
    )
    site = Site(Queries(store, _cache(app, settings)), settings.url_prefix, job_store, data_folders(settings))
    links = [(page.link, site.prefix + page.path) for page in pages if page.link]
    sign_out_path = site.prefix + SIGN_OUT if auth.sessions is not None else None
    logo = app.get_asset_url("logo.svg")
    app.layout = shell(site.prefix, logo, links, notifications.poll_components(), sign_out_path)
    _register_router(app, site, pages)
    notifications.register(app, site)  # on every page
    for register in dict.fromkeys(register for page in pages for register in page.register):
        register(app, site)
    # At the end, as it hashes the inline scripts of all callbacks.
    _add_security_headers(app.server, app.csp_hashes(), auth.origin)
    return app


def _show_error(error: Exception) -> None:
    """Show what a user can mend above the page; anything else is a fault of ours and goes to the log."""
    if not isinstance(error, (VaefragError, *MACHINE_FAULTS)):
        raise error
    sentence = str(error) if isinstance(error, VaefragError) else fault_sentence(error)
    set_props("alarm", {"children": remarks([sentence], tone="alarm")})


def _answer_faults(server: Flask) -> None:
    """Answer a request that a fault of the machine keeps from being served in a sentence, with status 503."""

    def answer(error: Exception) -> Response:
        if isinstance(error, VaefragError):
            raise error
        server.logger.warning("%s", fault_sentence(error))
        return Response(fault_sentence(error), 503, mimetype="text/plain")

    for fault in MACHINE_FAULTS:
        server.register_error_handler(fault, answer)


def _register_router(app: Dash, site: Site, pages: Sequence[Page]) -> None:
    @app.callback(
        Output("page", "children"),
        Output("crumbs", "children"),
        Output("title", "data"),
        Output("alarm", "children"),
        Input("url", "pathname"),
        State("url", "search"),
    )
    def route(path: str | None, search: str | None) -> tuple[html.Div, list[html.Span], str, html.Div | None]:
        """The path → a page."""
        for page in pages:
            request = page.request(site, path, search)
            if request is not None:
                shown, in_bar = page.render(site, request), bool(page.link)
                break
        else:
            shown, in_bar = _not_found(site, path or ""), False
        crumbs = [] if in_bar else [html.Span(shown.title)]
        problem = site.job_store.problem
        return shown.content, crumbs, f"{shown.title} · vaefrag", remarks([problem], tone="alarm") if problem else None

    app.clientside_callback(
        ClientsideFunction("pages", "title"),
        Output("title-set", "data"),
        Input("title", "data"),
        prevent_initial_call=True,
    )


def _not_found(site: Site, path: str) -> RenderedPage:
    text = html.P([html.Code(path[:80]), " is not an address of this site."])
    return RenderedPage(site.error_page(notice("search", "No such page", text)), "Not found")


def _cache(app: Dash, settings: Settings) -> Cache:
    """Keep what pages derive in a folder of our own."""
    config = {
        "CACHE_TYPE": f"{PageCache.__module__}.{PageCache.__qualname__}",
        "CACHE_DIR": str(settings.cache_folder),
        "CACHE_BYTES": int(settings.cache_megabytes * 1e6),
    }
    return Cache(app.server, config=config)


def _add_security_headers(server: Flask, script_hashes: Sequence[str], origin: str) -> None:
    """Let the browser refuse whatever is not ours: no script, picture or request from or to anywhere else."""

    @server.after_request
    def add_headers(response: Response) -> Response:
        """Dash needs styles in the page, plotly workers and pictures from blobs; nothing comes from elsewhere."""
        response.headers["Content-Security-Policy"] = (
            f"default-src 'none'; script-src 'self' {' '.join(script_hashes)}; style-src 'self' 'unsafe-inline';"
            " img-src 'self' data: blob:; connect-src 'self'; font-src 'self'; worker-src 'self' blob:;"
            " base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
        )
        response.headers.setdefault("Cache-Control", "no-store")  # what only some may see stays in no cache
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Referrer-Policy"] = "same-origin"
        response.headers["Cross-Origin-Opener-Policy"] = "same-origin"
        response.headers["Cross-Origin-Resource-Policy"] = "same-origin"
        if origin.startswith("https://"):
            response.headers["Strict-Transport-Security"] = f"max-age={HTTPS_SECONDS}"
        return response
