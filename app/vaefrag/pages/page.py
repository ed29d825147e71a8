"""What a page is: the path it is served at, how it is drawn, and what it adds to the app."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import parse_qs, unquote

from dash import Dash, html

from vaefrag.pages.site import Site


@dataclass(frozen=True)
class RenderedPage:
    """A page, ready to be shown.

    Args:
        content: what stands below the bar.
        title: shown in the browser's tab, and as the last of the crumbs.
    """

    content: html.Div
    title: str


@dataclass(frozen=True)
class PageRequest:
    """What a URL asks of a page.

    Args:
        variables: values of the variables in the page's path, by name.
        search: query of the URL, question mark included; may be empty.
    """

    variables: Mapping[str, str]
    search: str = ""

    @property
    def id(self) -> str:
        """Value of the path's first variable; empty when the path has none."""
        return next(iter(self.variables.values()), "")

    def field(self, name: str) -> str:
        """Return the first value of a field of the query; empty when it is not there."""
        return parse_qs(self.search.removeprefix("?")).get(name, [""])[0]


@dataclass(frozen=True)
class Page:
    """One kind of page. A module of `vaefrag.pages` exports one for each path; `vaefrag.main.PAGES` lists them all.

    Args:
        path: below the prefix of the site; a part in angle brackets is a variable, such as "jobs/<job_id>".
        render: draws the page that is asked for.
        register: functions that add callbacks and routes to the app. One that several pages share is called once.
        link: text of the link to it in the bar; empty for a page that the bar does not lead to.

    Example:
        >>> about = Page("about/<topic>", lambda site, request: RenderedPage(html.Div(request.id), "About"))
        >>> about.variables(["about", "hotspots"])
        {'topic': 'hotspots'}
    """

    path: str
    render: Callable[[Site, PageRequest], RenderedPage]
    register: tuple[Callable[[Dash, Site], None], ...] = ()
    link: str = ""

    def request(self, site: Site, path: str | None, search: str | None = "") -> PageRequest | None:
        """Read a URL.

        Args:
            site: knows the prefix.
            path: of the URL; None, as from a browser that has only just opened, is the start page.
            search: query of the URL.

        Returns:
            What the URL asks of this page; None when it leads elsewhere.
        """
        variables = self.variables(_parts((path or site.prefix) + "/", site.prefix))
        return None if variables is None else PageRequest(variables, search or "")

    def id_in(self, site: Site, path: str | None) -> str:
        """Return the value of the first variable in a path; empty when the path leads elsewhere."""
        request = self.request(site, path)
        return request.id if request else ""

    def variables(self, parts: list[str]) -> dict[str, str] | None:
        """Compare the parts of a path with this page's; return the variables' values, or None when they differ."""
        pattern = self.path.split("/") if self.path else []
        if len(parts) != len(pattern):
            return None
        names = [part[1:-1] if part.startswith("<") else "" for part in pattern]
        if any(part != fixed for part, fixed, name in zip(parts, pattern, names, strict=True) if not name):
            return None
        return {name: part for part, name in zip(parts, names, strict=True) if name}


def _parts(path: str, prefix: str) -> list[str]:
    """Split a path below the prefix."""
    below = path.removeprefix(prefix).strip("/")
    # Split first, then decode: an id may hold an encoded slash.
    return [unquote(part) for part in below.split("/")] if below else []
