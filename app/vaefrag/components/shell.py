"""The frame around every page."""

import dash_mantine_components as dmc
from dash import dcc, html

from vaefrag.components.icons import icon

THEME = {
    "primaryColor": "indigo",
    "defaultRadius": "sm",
    "fontFamily": "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif",
    "focusRing": "auto",
    "cursorType": "pointer",
}


def shell(
    prefix: str, logo: str, places: list[tuple[str, str]], toasts: list, way_out: str | None
) -> dmc.MantineProvider:
    """Give the frame: a bar with the way home, and room for the page.

    Args:
        prefix: path of the list of ensembles.
        logo: URL of the logo.
        places: name and path of what the bar leads to.
        toasts: where short messages appear, and what makes them.
        way_out: path that ends a session; None when nobody has to sign in.
    """
    home = dcc.Link([html.Img(src=logo, alt="", className="logo"), html.Span("vaefrag")], href=prefix, className="home")
    scheme = dmc.ColorSchemeToggle(
        lightIcon=icon("sun"),
        darkIcon=icon("moon"),
        variant="subtle",
        color="gray",
        size="lg",
        **{"aria-label": "Switch between light and dark"},
    )
    links = [dcc.Link([name, html.Span(id=f"count-{name.lower()}")], href=path) for name, path in places]
    site = html.Nav(links, className="places", **{"aria-label": "Places"})
    crumbs = html.Nav(id="crumbs", className="crumbs", **{"aria-label": "Where you are"})
    leave = [] if way_out is None else [_sign_out(way_out)]
    bar = html.Header([home, site, crumbs, scheme, *leave])
    page = html.Main([html.Div(id="alarm"), html.Div(id="page")], id="main", tabIndex=-1)
    stores = [dcc.Location(id="url", refresh="callback-nav"), dcc.Store(id="title"), dcc.Store(id="title-set")]
    skip = html.A("Skip to the page", href="#main", className="skip")
    return dmc.MantineProvider([*stores, skip, bar, page, *toasts], theme=THEME, defaultColorScheme="auto")


def _sign_out(path: str) -> html.Form:
    return html.Form(html.Button("Sign out", type="submit", className="sign-out"), action=path, method="POST")


def segmented(label: str, options: list[tuple[str, str, bool]]) -> html.Div:
    """Give a switch made of links, so that the URL alone says which side it is on.

    Args:
        label: what is switched, for screen readers.
        options: text, query of the URL, and whether it is the one shown.
    """
    links = [
        html.A(
            text,
            href=search,
            className="stay segment" + (" on" if chosen else ""),
            **{"aria-current": "true" if chosen else "false"},
        )
        for text, search, chosen in options
    ]
    return html.Div(links, className="segmented", role="group", **{"aria-label": label})
