"""What tests of the pages share: an app, callbacks asked as a browser would, and pictures read back."""

import json
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from dash import Dash
from flask.testing import FlaskClient

from app.main import create_app
from app.settings import Settings
from vaefrag_core.store import EnsembleStore


def app_of(store: EnsembleStore, cache: Path, **settings: Any) -> Dash:
    return create_app(Settings(workspace=store.workspace, cache_dir=cache, **settings), store)


def post_to(
    app: Dash,
    output: str,
    inputs: dict[str, Any],
    state: dict[str, Any] | None = None,
    changed: str = "",
    client: FlaskClient | None = None,
) -> Any:
    """Send what the browser sends for one callback; give the parts of the answer, or its status when it is no 200.

    The callback is found by an output it has; the order of its inputs is its own.
    """
    name, callback = next((n, c) for n, c in app.callback_map.items() if output in n)
    sent = {**inputs, **(state or {})}

    def fill(wanted: list[dict[str, str]]) -> list[dict[str, Any]]:
        return [item | {"value": sent.get(f"{item['id']}.{item['property']}")} for item in wanted]

    outputs = [dict(zip(("id", "property"), part.rsplit(".", 1), strict=True)) for part in name.strip(".").split("...")]
    body = {
        "output": name,
        "outputs": outputs if name.startswith("..") else outputs[0],
        "inputs": fill(callback["inputs"]),
        "state": fill(callback["state"]),
        "changedPropIds": [changed or next(iter(inputs))],
    }
    path = app.config.requests_pathname_prefix + "_dash-update-component"
    answer = (client or app.server.test_client()).post(path, json=body)
    if answer.status_code != 200:
        return answer.status_code
    content = json.loads(answer.data)
    return content["response"] | content.get("sideUpdate", {})


def text_of(part: Any) -> str:
    """Give all words of a piece of a page, in order."""
    if isinstance(part, list | tuple):
        return " ".join(filter(None, (text_of(item) for item in part)))
    if isinstance(part, dict):
        return text_of(part.get("props", {}).get("children"))
    if hasattr(part, "to_plotly_json"):
        return text_of(getattr(part, "children", None))
    return "" if part is None else str(part)


def decode_png(png: bytes) -> tuple[np.ndarray, dict[bytes, bytes]]:
    """Read a PNG of unfiltered lines: its bytes as (height, width, depth), and its chunks."""
    chunks, at = {}, 8
    while at < len(png):
        length, name = struct.unpack(">I4s", png[at : at + 8])
        content = png[at + 8 : at + 8 + length]
        assert struct.unpack(">I", png[at + 8 + length : at + 12 + length])[0] == zlib.crc32(name + content)
        chunks[name] = content
        at += 12 + length
    width, height, _, kind = struct.unpack(">IIBB", chunks[b"IHDR"][:10])
    lines = np.frombuffer(zlib.decompress(chunks[b"IDAT"]), dtype=np.uint8).reshape(height, -1)
    assert not lines[:, 0].any()
    return lines[:, 1:].reshape(height, width, 4 if kind == 6 else 1), chunks
