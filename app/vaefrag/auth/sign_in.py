"""/sign-in: a page that works without a script and shows nothing of the site; and /sign-out."""

import math
from typing import TypedDict

from flask import Flask, make_response, redirect, render_template_string, request
from werkzeug.urls import iri_to_uri
from werkzeug.wrappers import Response

from vaefrag.auth.guard import PUBLIC_ASSETS, SIGN_IN, SIGN_OUT, AuthContext, refuse_for
from vaefrag.auth.sessions import Sessions

PAGE = """<!DOCTYPE html>
<html lang="en">
    <head>
        <meta charset="utf-8">
        <meta name="viewport" content="width=device-width, initial-scale=1">
        <title>Sign in · vaefrag</title>
        <link rel="icon" type="image/svg+xml" href="{{ logo }}">
        <link rel="stylesheet" href="{{ sheet }}">
        <script src="{{ early }}"></script>
    </head>
    <body>
        <main class="sign-in">
            <div class="home"><img src="{{ logo }}" alt="" class="logo">vaefrag</div>
            <form method="post" action="{{ action }}" class="notice">
                <h1>Sign in</h1>
                <input type="hidden" name="next" value="{{ next }}">
                <label for="token">Access token</label>
                <input id="token" name="token" type="password" autocomplete="current-password" required autofocus
                    {%- if problem %} aria-invalid="true" aria-describedby="problem"{% endif %}>
                {%- if problem %}
                <p id="problem" class="bad" role="alert">{{ problem }}</p>
                {%- endif %}
                <button type="submit">Sign in</button>
                <p class="note">Whoever runs this server has the token. It is asked for again after {{ lasts }}.</p>
            </form>
        </main>
    </body>
</html>"""


def register(server: Flask, auth: AuthContext, sessions: Sessions) -> None:
    """Serve the page, and signing out.

    Args:
        server: the server, with its guard.
        auth: what the guard returned.
        sessions: issues them.
    """

    @server.get(auth.prefix + SIGN_IN)
    def sign_in() -> Response:
        if sessions.is_valid(request.cookies.get(sessions.cookie)):
            return redirect(_next_page(auth), 303)
        if request.headers.get("Sec-Fetch-Site") == "cross-site":
            # A browser that follows a link from another site leaves the cookie (SameSite=Strict) out. It sends it with
            # what a page of ours opens, so this empty page opens the one that was asked for.
            return make_response("", 200, {"Refresh": f"0; url={iri_to_uri(_next_page(auth))}"})
        return _page(auth, sessions)

    @server.post(auth.prefix + SIGN_IN)
    def check_token() -> Response:
        shown = request.form.get("token", "").strip()
        if sessions.is_token(shown):
            response = redirect(_next_page(auth), 303)
            age = int(sessions.seconds)
            response.set_cookie(sessions.cookie, sessions.issue(), max_age=age, **_cookie_options(auth))
            return response
        client = request.remote_addr or ""
        seconds = auth.throttle.seconds_to_wait(client)
        if seconds:
            words = f"Too many wrong tokens came from your address. Try again in {math.ceil(seconds)} seconds."
            response = _page(auth, sessions, words, status=429)
            response.headers["Retry-After"] = refuse_for(seconds).headers["Retry-After"]
            return response
        auth.throttle.record_failure(client, shown)
        return _page(auth, sessions, "This is not the token.", status=403)

    @server.post(auth.prefix + SIGN_OUT)
    def sign_out() -> Response:
        response = redirect(auth.prefix + SIGN_IN, 303)
        response.delete_cookie(sessions.cookie, **_cookie_options(auth))
        return response


def _next_page(auth: AuthContext) -> str:
    """Return the page that was asked for, if it is one of this site."""
    path = request.values.get("next", "")
    return path if auth.is_local_path(path) else auth.prefix


class _CookieOptions(TypedDict):
    path: str
    httponly: bool
    samesite: str
    secure: bool


def _cookie_options(auth: AuthContext) -> _CookieOptions:
    """Return where the cookie is sent: within this site, out of reach of scripts, encrypted wherever the site is."""
    encrypted = request.is_secure or auth.origin.startswith("https://")
    return {"path": auth.prefix, "httponly": True, "samesite": "Strict", "secure": encrypted}


def _page(auth: AuthContext, sessions: Sessions, problem: str = "", status: int = 200) -> Response:
    sheet, early, logo = (auth.prefix + path for path in PUBLIC_ASSETS)
    html = render_template_string(
        PAGE,
        sheet=sheet,
        early=early,
        logo=logo,
        action=auth.prefix + SIGN_IN,
        next=_next_page(auth),
        problem=problem,
        lasts=_duration(sessions.seconds),
    )
    return make_response(html, status)


def _duration(seconds: float) -> str:
    hours = seconds / 3600
    if hours < 48:
        return "an hour" if hours == 1 else f"{hours:g} hours"
    return f"{hours / 24:.0f} days"
