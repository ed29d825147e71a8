"""What tests of the pages share: an app, callbacks asked as a browser would, and pictures read back."""

import json
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from dash import Dash
from flask.testing import FlaskClient

from vaefrag.main import create_app
from vaefrag.settings import Settings
from vaefrag_core.ensemble_store import EnsembleStore


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
    """Send what the browser sends for one callback; return the parts of the answer, or its status when it is no 200.

    The callback is the one with an output and the input that changed; the order of its inputs is its own.
    """
    name, callback = callback_of(app, output, changed or next(iter(inputs)))
    sent = {**inputs, **(state or {})}

    def fill(dependencies: list[dict[str, str]]) -> list[dict[str, Any]]:
        return [item | {"value": sent.get(f"{item['id']}.{item['property']}")} for item in dependencies]

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


def callback_of(app: Dash, output: str, changed: str) -> tuple[str, dict[str, Any]]:
    """Return the name and description of the callback that a changed property sets off.

    Several callbacks may write one property, so the output alone does not tell which one is meant.

    Args:
        app: the app.
        output: part of the callback's name.
        changed: "id.property".
    """
    place, prop = changed.rsplit(".", 1)
    return next(
        (name, callback)
        for name, callback in app.callback_map.items()
        if output in name and any(prop == i["property"] and _is_input(place, i["id"]) for i in callback["inputs"])
    )


def _is_input(place: str, pattern: str) -> bool:
    if not (place.startswith("{") and pattern.startswith("{")):
        return place == pattern
    return _fits(json.loads(place), json.loads(pattern))


class Tab:
    """A page as a browser holds it: its components, and callbacks asked with what they hold.

    Args:
        app: the app.
        path: of the page.
        search: query of the URL.
    """

    def __init__(self, app: Dash, path: str, search: str = "") -> None:
        self.app, self.path, self.search = app, path, search
        self.page = post_to(app, "page.children", {"url.pathname": path}, {"url.search": search})["page"]["children"]

    @property
    def words(self) -> str:
        """All words of the page."""
        return text_of(self.page)

    def holding(self, name: str | dict[str, str]) -> dict[str, Any]:
        """Return the properties of a component."""
        return next(props for props in self._components(self.page) if props["id"] == name)

    def fire(self, output: str, *changed: tuple[str | dict[str, str], str], **values: Any) -> Any:
        """Ask the callback with an output, as if some properties had just changed.

        Args:
            output: part of its name.
            changed: id and property of each.
            values: of properties, by "id.property"; others are as the page holds them.
        """
        name, callback = callback_of(self.app, output, f"{self.name_of(changed[0][0])}.{changed[0][1]}")
        properties = {"url.pathname": self.path, "url.search": self.search} | values
        outputs = [self._fill(*part.rsplit(".", 1), {}) for part in name.strip(".").split("...")]
        body = {
            "output": name,
            "outputs": outputs if name.startswith("..") else outputs[0],
            "inputs": [self._fill(item["id"], item["property"], properties) for item in callback["inputs"]],
            "state": [self._fill(item["id"], item["property"], properties) for item in callback["state"]],
            "changedPropIds": [f"{self.name_of(place)}.{prop}" for place, prop in changed],
        }
        path = self.app.config.requests_pathname_prefix + "_dash-update-component"
        answer = self.app.server.test_client().post(path, json=body)
        if answer.status_code != 200:
            return answer.status_code
        content = json.loads(answer.data)
        return content["response"] | content.get("sideUpdate", {})

    def _fill(self, place: str, prop: str, properties: dict[str, Any]) -> Any:
        if not place.startswith("{"):
            held = next((p for p in self._components(self.page) if p["id"] == place.split("@")[0]), {})
            return {"id": place, "property": prop, "value": properties.get(f"{place}.{prop}", held.get(prop))}
        pattern = json.loads(place)
        filled = []
        for props in self._components(self.page):
            if isinstance(props["id"], dict) and _fits(props["id"], pattern):
                value = properties.get(f"{self.name_of(props['id'])}.{prop}", props.get(prop))
                filled.append({"id": props["id"], "property": prop, "value": value})
        return filled if ["ALL"] in pattern.values() else filled[0]

    def _components(self, part: Any) -> Iterator[dict[str, Any]]:
        if isinstance(part, list):
            for item in part:
                yield from self._components(item)
        elif isinstance(part, dict) and "props" in part:
            if "id" in part["props"]:
                yield part["props"]
            yield from self._components(part["props"].get("children"))

    @staticmethod
    def name_of(place: str | dict[str, str]) -> str:
        """Write an id as Dash does."""
        return place if isinstance(place, str) else json.dumps(place, sort_keys=True, separators=(",", ":"))


def _fits(place: dict[str, str], pattern: dict[str, Any]) -> bool:
    return place.keys() == pattern.keys() and all(v in (["ALL"], place[k]) for k, v in pattern.items())


def text_of(part: Any) -> str:
    """Return all words of a piece of a page, in order."""
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
