"""Undoes what proxies in front of the pages have done to a request, before anything else reads it."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from werkzeug.middleware.proxy_fix import ProxyFix

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment
    from flask import Flask

    from vaefrag.settings import Settings


class RestoredPrefix:
    """Serves a path that lacks the URL prefix as if it had it, because proxies may strip it or leave it.

    Everything behind it, the guard and the cookie's path included, sees paths with the prefix only. A path that begins
    with the prefix is taken as it is, so nothing of ours may be called like the prefix: of /jobs/, stripped paths to a
    job would be ambiguous.

    Args:
        application: what serves requests.
        prefix: begins and ends with a slash.
    """

    def __init__(self, application: "WSGIApplication", prefix: str) -> None:
        self._application, self._prefix = application, prefix

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Answer a request."""
        path = environ.get("PATH_INFO", "")
        if f"{path}/" == self._prefix:
            environ["PATH_INFO"] = self._prefix
        elif not path.startswith(self._prefix):
            environ["PATH_INFO"] = self._prefix + path.removeprefix("/")
        return self._application(environ, start_response)


def undo_proxies(server: "Flask", settings: "Settings") -> None:
    """Let a server see requests as they were before the proxies in front of it.

    Args:
        server: the server.
        settings: `proxies` tells how many are believed about the client's address and scheme, `url_prefix` what they
            may strip.
    """
    application: WSGIApplication = server.wsgi_app
    if settings.url_prefix != "/":
        application = RestoredPrefix(application, settings.url_prefix)
    if settings.proxies:
        application = ProxyFix(application, x_for=settings.proxies, x_proto=settings.proxies)
    server.wsgi_app = application  # type: ignore[assignment, method-assign]  # Flask's own way of adding middleware
