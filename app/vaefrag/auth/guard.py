"""The guard before every route: a path that it does not list as public is closed."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

from flask import Flask, Response, jsonify, make_response, redirect, request

from vaefrag.auth.sessions import Sessions
from vaefrag.auth.throttle import SignInThrottle
from vaefrag.auth.token import find_token
from vaefrag.loopback import is_loopback

if TYPE_CHECKING:
    from werkzeug.wrappers import Response as BaseResponse

    from vaefrag.settings import Settings

HEALTH, READY, SIGN_IN, SIGN_OUT = "healthz", "readyz", "sign-in", "sign-out"
PUBLIC_ASSETS = ("assets/app.css", "assets/early.js", "assets/logo.svg")  # of the sign-in page; they reveal nothing
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")  # that change nothing (RFC 9110, section 9.2.1)


@dataclass(frozen=True)
class AuthContext:
    """What the guard and the sign-in page share.

    Args:
        sessions: None when there is no token, and everybody on this machine may come in.
        throttle: wrong tokens so far.
        prefix: path under which the site is served; begins and ends with a slash.
        hosts: names under which browsers may address the site when there is no token, besides those of this machine.
        origin: scheme and host by which people reach the site through a proxy; empty when there is none.
    """

    sessions: Sessions | None
    throttle: SignInThrottle
    prefix: str
    hosts: frozenset[str]
    origin: str

    def is_local_path(self, path: str) -> bool:
        """Return whether a path leads to a page of this site, however a browser may read it."""
        # Browsers read a backslash as a slash and drop tabs and line ends: "/\evil.example" would leave the site.
        strange = "\\" in path or any(ord(letter) < 32 for letter in path)
        return path.startswith(self.prefix) and not path.startswith("//") and not strange


def guard(server: Flask, settings: "Settings") -> AuthContext:
    """Put the guard before every route of a server, those that come later included.

    Args:
        server: the server.
        settings: the token, if there is one, and the names by which the site is reached.

    Returns:
        What the sign-in page needs.

    Raises:
        InvalidInputError: see `vaefrag.auth.token.find_token`.
    """
    token = find_token(settings)
    public = urlsplit(settings.public_url or "")
    auth = AuthContext(
        sessions=None if token is None else Sessions(token, settings.session_hours * 3600),
        throttle=SignInThrottle(),
        prefix=settings.url_prefix,
        hosts=frozenset(name.lower() for name in (settings.host, public.hostname) if name),
        origin=f"{public.scheme}://{public.netloc}".lower() if public.netloc else "",
    )
    public_paths = frozenset(auth.prefix + path for path in (HEALTH, READY, SIGN_IN, *PUBLIC_ASSETS))

    def check_request() -> "BaseResponse | None":
        refusal = _refuse_other_sites(auth)
        if refusal is not None or auth.sessions is None or request.path in public_paths:
            return refusal
        return _require_token(auth, auth.sessions)

    # First of all: other functions before requests, Dash's among them, would answer strangers.
    server.before_request_funcs.setdefault(None, []).insert(0, check_request)
    return auth


def refuse(status: int, sentence: str) -> Response:
    """Answer a request that is not let in."""
    return make_response(jsonify({"error": sentence}), status)


def refuse_for(seconds: float) -> Response:
    """Answer a client that has tried too many tokens, and has to wait."""
    response = refuse(429, f"Too many wrong tokens came from your address. Try again in {math.ceil(seconds)} seconds.")
    response.headers["Retry-After"] = str(math.ceil(seconds))
    return response


def _refuse_other_sites(auth: AuthContext) -> Response | None:
    """Refuse what another site made a browser send, with or without a token."""
    # Without a token, a foreign name that leads here is an attack (DNS rebinding): for the browser, its pages and ours
    # would be of one origin.
    if auth.sessions is None and not _is_own_host(auth, request.host):
        return refuse(
            403,
            f"This site is not called {request.host[:80]!r}. Open it as localhost; behind a proxy, set"
            " VAEFRAG_PUBLIC_URL to the address that people use.",
        )
    origin = request.headers.get("Origin", "").lower()
    # The scheme is compared only where VAEFRAG_PUBLIC_URL names it: behind a proxy with HTTPS, requests come by HTTP.
    if origin and origin != auth.origin and origin.partition("://")[2] != request.host.lower():
        return refuse(
            403,
            f"The request comes from {origin[:80]!r}, which is not this site. Behind a proxy, set VAEFRAG_PUBLIC_URL to"
            " the address that people use.",
        )
    # Browsers send this header where they leave out Origin; programs send neither.
    unsafe = request.method not in SAFE_METHODS
    if unsafe and request.headers.get("Sec-Fetch-Site", "none") not in ("same-origin", "none"):
        return refuse(403, "The request comes from another site.")
    return None


def _is_own_host(auth: AuthContext, host: str) -> bool:
    """Return whether a Host header names this machine, or the address that the settings give it."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return False
    return is_loopback(name) or name in auth.hosts


def _require_token(auth: AuthContext, sessions: Sessions) -> "BaseResponse | None":
    """Let in whoever shows the token or a session; send people to sign in, and tell programs why not."""
    kind, _, shown = request.headers.get("Authorization", "").partition(" ")
    if kind.lower() == "bearer":
        # Before the throttle: else whoever guesses from behind the same address would shut out those who know it.
        if sessions.is_token(shown.strip()):
            return None
        client = request.remote_addr or ""
        seconds = auth.throttle.seconds_to_wait(client)
        if seconds:
            return refuse_for(seconds)
        auth.throttle.record_failure(client, shown.strip())
    elif sessions.is_valid(request.cookies.get(sessions.cookie)):
        return None
    elif _is_navigation():
        path = request.full_path.rstrip("?")
        return redirect(f"{auth.prefix}{SIGN_IN}?next={quote(path, safe='/')}", 303)
    response = refuse(401, "Sign in, or send the access token as `Authorization: Bearer TOKEN`.")
    response.headers["WWW-Authenticate"] = "Bearer"
    return response


def _is_navigation() -> bool:
    """Return whether a person opens a page, as opposed to a page or a program that fetches something."""
    accepts_page = "text/html" in request.headers.get("Accept", "")
    return request.method == "GET" and accepts_page and request.headers.get("Sec-Fetch-Mode", "navigate") == "navigate"
