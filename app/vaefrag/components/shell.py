"""The frame around every page."""

from collections.abc import Sequence

import dash_mantine_components as dmc
from dash import dcc, html
from dash.development.base_component import Component

from vaefrag.components.icons import icon
from vaefrag.components.markup import aria

THEME = {
    "primaryColor": "indigo",
    "defaultRadius": "sm",
    "fontFamily": "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif",
    "focusRing": "auto",
    "cursorType": "pointer",
}


def shell(
    prefix: str,
    logo: str,
    links: Sequence[tuple[str, str]],
    notifications: Sequence[Component],
    sign_out_path: str | None,
) -> dmc.MantineProvider:
    """Build the frame: a bar with the way home, and room for the page.

    Args:
        prefix: path of the start page.
        logo: URL of the logo.
        links: text and path of what the bar links to.
        notifications: where short messages appear, and what polls for them.
        sign_out_path: ends a session; None when nobody has to sign in.
    """
    home = dcc.Link([html.Img(src=logo, alt="", className="logo"), html.Span("vaefrag")], href=prefix, className="home")
    scheme = dmc.ColorSchemeToggle(
        lightIcon=icon("sun"),
        darkIcon=icon("moon"),
        variant="subtle",
        color="gray",
        size="lg",
        **aria(label="Switch between light and dark"),
    )
    places = [dcc.Link([text, html.Span(id=f"count-{text.lower()}")], href=path) for text, path in links]
    site = html.Nav(places, className="places", **aria(label="Places"))
    crumbs = html.Nav(id="crumbs", className="crumbs", **aria(label="Where you are"))
    sign_out = [] if sign_out_path is None else [_sign_out(sign_out_path)]
    bar = html.Header([home, site, crumbs, scheme, *sign_out])
    # tabIndex −1: the link that skips the bar can move the focus here, though the tab key does not stop here.
    page = html.Main([html.Div(id="alarm"), html.Div(id="page")], id="main", tabIndex=-1)
    # callback-nav: a callback that writes the URL shows another page without loading the site anew.
    stores = [dcc.Location(id="url", refresh="callback-nav"), dcc.Store(id="title"), dcc.Store(id="title-set")]
    skip = html.A("Skip to the page", href="#main", className="skip")
    return dmc.MantineProvider([*stores, skip, bar, page, *notifications], theme=THEME, defaultColorScheme="auto")


def _sign_out(path: str) -> html.Form:
    # A form and not a link: a browser that fetches links ahead must not end the session.
    return html.Form(html.Button("Sign out", type="submit", className="sign-out"), action=path, method="POST")


def segmented(label: str, options: Sequence[tuple[str, str, bool]]) -> html.Div:
    """Build a switch of links, so that the URL alone says which side it is on.

    Args:
        label: what is switched, for screen readers.
        options: text, query of the URL, and whether it is the one shown.
    """
    links = [
        html.A(
            text,
            href=search,
            className="stay segment" + (" on" if shown else ""),
            **aria(current="true" if shown else "false"),
        )
        for text, search, shown in options
    ]
    return html.Div(links, className="segmented", role="group", **aria(label=label))
