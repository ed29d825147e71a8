"""/healthz: whether pages and engine are alive, for whoever watches over them. Open to all, and silent on the rest."""

from pathlib import Path

from flask import Flask, Response, jsonify

from vaefrag.jobs.engine_process import engine_state


def register(server: Flask, path: str, workspace: Path) -> None:
    """Answer there.

    Args:
        server: the web server of the app.
        path: of the answer.
        workspace: whose engine is looked at.
    """

    @server.get(path)
    def health() -> Response:
        engine = engine_state(workspace).running
        # 200 all the same: pages without an engine still show what was found, and must not be restarted for its sake.
        return jsonify({"status": "ok" if engine else "degraded", "web": True, "engine": engine})
