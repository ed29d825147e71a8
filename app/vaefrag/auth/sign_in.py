"""/sign-in: a page that works without a script and shows nothing of the site, and /sign-out."""

import math

from flask import Flask, Response, make_response, redirect, render_template_string, request
from werkzeug.urls import iri_to_uri

from vaefrag.auth.guard import LOOK, SIGN_IN, SIGN_OUT, AuthContext, too_many
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


def register(server: Flask, door: AuthContext, sessions: Sessions) -> None:
    """Serve the page, and the way out.

    Args:
        server: the server, with its guard.
        door: what the guard knows.
        sessions: makes them.
    """

    @server.get(door.prefix + SIGN_IN)
    def sign_in() -> Response:
        if sessions.is_open(request.cookies.get(sessions.cookie)):
            return redirect(_next(door), 303)
        if request.headers.get("Sec-Fetch-Site") == "cross-site":
            # With a link from another site the cookie stays at home. What a page of ours opens brings it along.
            return make_response("", 200, {"Refresh": f"0; url={iri_to_uri(_next(door))}"})
        return _page(door, sessions)

    @server.post(door.prefix + SIGN_IN)
    def enter() -> Response:
        client = request.remote_addr or ""
        seconds = door.attempts.wait(client)
        if seconds:
            words = f"Too many wrong tokens came from your address. Try again in {math.ceil(seconds)} seconds."
            response = _page(door, sessions, words, status=429)
            response.headers["Retry-After"] = too_many(seconds).headers["Retry-After"]
            return response
        shown = request.form.get("token", "").strip()
        if not sessions.is_token(shown):
            door.attempts.failed(client, shown)
            return _page(door, sessions, "This is not the token.", status=403)
        response = redirect(_next(door), 303)
        response.set_cookie(sessions.cookie, sessions.begin(), max_age=int(sessions.seconds), **_ways(door))
        return response

    @server.post(door.prefix + SIGN_OUT)
    def sign_out() -> Response:
        response = redirect(door.prefix + SIGN_IN, 303)
        response.delete_cookie(sessions.cookie, **_ways(door))
        return response


def _next(door: AuthContext) -> str:
    """Give the page that was asked for, if it is one of this site."""
    wanted = request.values.get("next", "")
    return wanted if door.is_local_path(wanted) else door.prefix


def _ways(door: AuthContext) -> dict:
    """Say how the cookie travels: within this site, out of reach of scripts, encrypted wherever the site is."""
    encrypted = request.is_secure or door.origin.startswith("https://")
    return {"path": door.prefix, "httponly": True, "samesite": "Strict", "secure": encrypted}


def _page(door: AuthContext, sessions: Sessions, problem: str = "", status: int = 200) -> Response:
    sheet, early, logo = (door.prefix + path for path in LOOK)
    html = render_template_string(
        PAGE,
        sheet=sheet,
        early=early,
        logo=logo,
        action=door.prefix + SIGN_IN,
        next=_next(door),
        problem=problem,
        lasts=_spell(sessions.seconds),
    )
    return make_response(html, status)


def _spell(seconds: float) -> str:
    hours = seconds / 3600
    if hours < 48:
        return "an hour" if hours == 1 else f"{hours:g} hours"
    return f"{hours / 24:.0f} days"
