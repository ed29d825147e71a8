"""The guard before every route: what it does not know to be open is closed."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

from flask import Flask, Response, jsonify, make_response, redirect, request
from werkzeug.middleware.proxy_fix import ProxyFix

from vaefrag.auth.sessions import Sessions
from vaefrag.auth.throttle import SignInThrottle
from vaefrag.auth.token import find_token
from vaefrag.loopback import is_loopback

if TYPE_CHECKING:
    from vaefrag.settings import Settings

HEALTH, SIGN_IN, SIGN_OUT = "healthz", "sign-in", "sign-out"
LOOK = ("assets/app.css", "assets/early.js", "assets/logo.svg")  # of the page for signing in; they tell nothing
READS = ("GET", "HEAD", "OPTIONS")


@dataclass(frozen=True)
class AuthContext:
    """What the guard and the page for signing in share.

    Args:
        sessions: None when there is no token, and everybody on this machine may come in.
        attempts: wrong tokens so far.
        prefix: path under which the site is served; begins and ends with a slash.
        hosts: names under which browsers may address the site when there is no token, besides those of this machine.
        origin: scheme and host by which people reach the site through a proxy; empty when there is none.
    """

    sessions: Sessions | None
    attempts: SignInThrottle
    prefix: str
    hosts: frozenset[str]
    origin: str

    def is_local_path(self, path: str) -> bool:
        """Say whether a path leads to a page of this site, however a browser may read it."""
        strange = "\\" in path or any(ord(letter) < 32 for letter in path)
        return path.startswith(self.prefix) and not path.startswith("//") and not strange


def guard(server: Flask, settings: "Settings") -> AuthContext:
    """Put the guard before every route of a server, those that come later included.

    Args:
        server: the server.
        settings: say whether there is a token, and by which names the site is reached.

    Raises:
        InvalidInputError: see `vaefrag.auth.token.find_token`.
    """
    token = find_token(settings)
    public = urlsplit(settings.public_url or "")
    door = AuthContext(
        sessions=None if token is None else Sessions(token, settings.session_hours * 3600),
        attempts=SignInThrottle(),
        prefix=settings.url_prefix,
        hosts=frozenset(name.lower() for name in (settings.host, public.hostname) if name),
        origin=f"{public.scheme}://{public.netloc}".lower() if public.netloc else "",
    )
    opened = frozenset(door.prefix + path for path in (HEALTH, SIGN_IN, *LOOK))
    if settings.proxies:
        server.wsgi_app = ProxyFix(server.wsgi_app, x_for=settings.proxies, x_proto=0)  # type: ignore[method-assign]

    def stop() -> Response | None:
        stranger = _foreign(door)
        if stranger is not None:
            return stranger
        return None if door.sessions is None or request.path in opened else _known(door, door.sessions)

    server.before_request_funcs.setdefault(None, []).insert(0, stop)
    return door


def refuse(status: int, sentence: str) -> Response:
    """Answer a request that is not let in."""
    return make_response(jsonify({"error": sentence}), status)


def too_many(seconds: float) -> Response:
    """Answer a client that has tried too many tokens."""
    response = refuse(429, f"Too many wrong tokens came from your address. Try again in {math.ceil(seconds)} seconds.")
    response.headers["Retry-After"] = str(math.ceil(seconds))
    return response


def _foreign(door: AuthContext) -> Response | None:
    """Refuse what another site made a browser send, with or without a token."""
    if door.sessions is None and not _is_ours(door, request.host):
        return refuse(
            403,
            f"This site is not called {request.host[:80]!r}. Open it as localhost; behind a proxy, set"
            " VAEFRAG_PUBLIC_URL to the address that people use.",
        )
    origin = request.headers.get("Origin", "").lower()
    if origin and origin != door.origin and origin.partition("://")[2] != request.host.lower():
        return refuse(
            403,
            f"The request comes from {origin[:80]!r}, which is not this site. Behind a proxy, set VAEFRAG_PUBLIC_URL to"
            " the address that people use.",
        )
    if request.method not in READS and request.headers.get("Sec-Fetch-Site", "none") not in ("same-origin", "none"):
        return refuse(403, "The request comes from another site.")
    return None


def _is_ours(door: AuthContext, host: str) -> bool:
    """Say whether a Host header names this machine; a foreign name that leads here is an attack (DNS rebinding)."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return False
    return is_loopback(name) or name in door.hosts


def _known(door: AuthContext, sessions: Sessions) -> Response | None:
    """Let in whoever shows the token or a session; send people to sign in, and tell programs why not."""
    kind, _, shown = request.headers.get("Authorization", "").partition(" ")
    if kind.lower() == "bearer":
        client = request.remote_addr or ""
        seconds = door.attempts.wait(client)
        if seconds:
            return too_many(seconds)
        if sessions.is_token(shown.strip()):
            return None
        door.attempts.failed(client, shown.strip())
    elif sessions.is_open(request.cookies.get(sessions.cookie)):
        return None
    elif _is_navigation():
        path = request.full_path.rstrip("?")
        return redirect(f"{door.prefix}{SIGN_IN}?next={quote(path, safe='/')}", 303)
    response = refuse(401, "Sign in, or send the access token as `Authorization: Bearer TOKEN`.")
    response.headers["WWW-Authenticate"] = "Bearer"
    return response


def _is_navigation() -> bool:
    """Say whether a person opens a page, as opposed to a page or a program that fetches something."""
    wants_page = "text/html" in request.headers.get("Accept", "")
    return request.method == "GET" and wants_page and request.headers.get("Sec-Fetch-Mode", "navigate") == "navigate"
