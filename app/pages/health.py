"""/healthz: whether the site is alive, for whoever watches over it. Open to all, and silent on the ensembles."""

from pathlib import Path

from flask import Flask, Response, jsonify

from app.jobs.service import engine_state
from vaefrag_core import __version__


def register(server: Flask, path: str, workspace: Path) -> None:
    """Answer there.

    Args:
        server: the web server of the app.
        path: of the answer.
        workspace: whose engine is looked at.
    """

    @server.get(path)
    def health() -> Response:
        response = jsonify({"status": "ok", "version": __version__, "engine": engine_state(workspace).running})
        response.headers["Cache-Control"] = "no-store"
        return response
