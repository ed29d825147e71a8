"""/healthz and /readyz, for monitoring. Open to all, so that they reveal nothing but what is well and what is not."""

from flask import Flask, Response, jsonify

from vaefrag.jobs.disk_room import room_sentence
from vaefrag.jobs.engine_process import engine_state
from vaefrag.jobs.job_store import JobStore
from vaefrag.settings import Settings


def register(server: Flask, paths: tuple[str, str], settings: Settings, job_store: JobStore) -> None:
    """Register the routes.

    Args:
        server: the web server of the app.
        paths: of the two routes.
        settings: the workspace, and what counts as too little room on its disk and as too long a silence of its engine.
        job_store: the record of its jobs.
    """

    @server.get(paths[0])
    def health() -> Response:
        """Answer 200 as long as pages are served."""
        engine = engine_state(settings.workspace).responds(settings.engine_silent_seconds)
        # 200 all the same: pages without an engine still show what was found, and must not be restarted for its sake.
        return jsonify({"status": "ok" if engine else "degraded", "web": True, "engine": engine})

    @server.get(paths[1])
    def ready() -> tuple[Response, int]:
        """Answer 200 when work is taken: the record can be read and written, its disk has room, the engine is alive."""
        parts = {
            "record": not job_store.problem,
            "disk": not room_sentence(settings.workspace, settings.least_free_mb),
            "engine": engine_state(settings.workspace).responds(settings.engine_silent_seconds),
        }
        is_ready = all(parts.values())
        return jsonify({"ready": is_ready, **parts}), 200 if is_ready else 503
