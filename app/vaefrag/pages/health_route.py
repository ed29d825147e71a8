"""/healthz: whether pages and engine are alive, for monitoring. Open to all, so that it reveals nothing else."""

from pathlib import Path

from flask import Flask, Response, jsonify

from vaefrag.jobs.engine_process import engine_state


def register(server: Flask, path: str, workspace: Path) -> None:
    """Register the route.

    Args:
        server: the web server of the app.
        path: the path of the route.
        workspace: the workspace whose engine is checked.
    """

    @server.get(path)
    def health() -> Response:
        engine = engine_state(workspace).running
        # 200 all the same: pages without an engine still show what was found, and must not be restarted for its sake.
        return jsonify({"status": "ok" if engine else "degraded", "web": True, "engine": engine})
