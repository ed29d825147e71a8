"""/data/…: the pictures and numbers that pages fetch one by one, so that a page itself stays small."""

from collections.abc import Mapping
from typing import NoReturn

import numpy as np
from dash import Dash
from flask import Flask, Response, abort, jsonify, make_response, request

from vaefrag.figures.rasters import palette_png, pyramid, rgba_png, scale_for, sprite, tile
from vaefrag.figures.theme import colour_table
from vaefrag.pages.site import FULL_VIEW_PIXELS, Site
from vaefrag.queries import OpenAnalysis, pair_facts
from vaefrag_core.config import Measure
from vaefrag_core.errors import VaefragError

MOST_PIXELS = 2_000  # of a tile's longer side
MEASURES: Mapping[str, Measure] = {"nmi": "nmi", "vi": "vi"}  # as URLs name them


def register(app: Dash, site: Site) -> None:
    """Serve the pictures.

    Args:
        app: the app.
        site: queries and addresses.
    """
    server: Flask = app.server

    @server.get(f"{site.prefix}data/matrix/<ensemble_id>/<measure>/tile.png")
    def matrix_tile(ensemble_id: str, measure: str) -> Response:
        analysis = _open(site, ensemble_id)
        return _png(_tile(site, analysis, _measure(measure)), analysis)

    @server.get(f"{site.prefix}data/matrix/<ensemble_id>/<measure>/pair.json")
    def matrix_pair(ensemble_id: str, measure: str) -> Response:
        analysis, allowed = _open(site, ensemble_id), _measure(measure)
        order = analysis.order(allowed, _flag("dead"))
        u, v = (int(order[_number(name, 0, len(order) - 1)]) for name in ("i", "j"))
        return jsonify(_pair(analysis, allowed, u, v))

    @server.get(f"{site.prefix}data/traversals/<ensemble_id>/<name>.png")
    def traversal(ensemble_id: str, name: str) -> Response:
        analysis = _open(site, ensemble_id)
        if name not in analysis.index:
            _wrong(f"There is no channel {name[:40]!r} in {ensemble_id}.")
        return _png(_traversal(site, analysis, name), analysis)

    @server.get(f"{site.prefix}data/traversals/<ensemble_id>/base.png")
    def base_images(ensemble_id: str) -> Response:
        analysis = _open(site, ensemble_id)
        return _png(_base_images(site, analysis), analysis)

    @server.get(f"{site.prefix}data/<path:rest>")
    def unknown(rest: str) -> Response:
        _wrong(f"There are no data at {rest[:80]!r}.", status=404)


def _tile(site: Site, analysis: OpenAnalysis, measure: Measure) -> bytes:
    dead = _flag("dead")
    order = analysis.order(measure, dead)
    n = len(order)
    if n == 0:
        _wrong("This ensemble has no live channels to show. Ask for dead=1.")
    r0, c0 = _number("r0", 0, n - 1, 0), _number("c0", 0, n - 1, 0)
    r1, c1 = _number("r1", r0 + 1, n, n), _number("c1", c0 + 1, n, n)
    pixels = _number("px", 16, MOST_PIXELS, FULL_VIEW_PIXELS)
    key = f"{analysis.ensemble_id}/{analysis.version}/{measure}/{int(dead)}"

    def levels() -> list[np.ndarray]:
        return pyramid(analysis.matrix.similarity(measure), order, 0.0, analysis.colour_maximum(measure))

    def picture() -> bytes:
        cells = tile(site.queries.cached(f"pyramid/{key}", levels), (r0, r1), (c0, c1), pixels)
        return palette_png(cells, colour_table(reverse=measure == "vi"))

    return site.queries.cached(f"tile/{key}/{r0}-{r1}/{c0}-{c1}/{pixels}", picture)


def _pair(analysis: OpenAnalysis, measure: Measure, u: int, v: int) -> dict[str, object]:
    """Return what one cell of the matrix stands for, in full precision."""
    facts = pair_facts(analysis.matrix, u, v)
    hotspot = analysis.hotspots[measure].labels
    hotspots = [f"hotspot {hotspot[c]}" if hotspot[c] >= 0 else "no hotspot" for c in (u, v)]
    nmi = "NMI undefined" if np.isnan(facts.nmi) else f"NMI {facts.nmi:.3f}"
    if u == v:
        text = f"{analysis.names[u]} · {facts.bits[0]:.2f} bits · {hotspots[0]}"
    else:
        where = hotspots[0] if hotspots[0] == hotspots[1] else " and ".join(hotspots)
        text = f"{analysis.names[u]} × {analysis.names[v]} · {nmi} · VI {facts.vi_bits:.2f} bits · {where}"
    return {
        "text": text,
        "row": analysis.names[u],
        "column": analysis.names[v],
        "nmi": None if np.isnan(facts.nmi) else facts.nmi,
        "vi_bits": facts.vi_bits,
    }


def _traversal(site: Site, analysis: OpenAnalysis, name: str) -> bytes:
    traversals = analysis.traversals
    if traversals is None:
        _wrong("These posteriors were imported without models: there is nothing to paint with.", status=404)
    channel, flip = analysis.index[name], _flag("flip")
    cell = _number("cell", 8, 256, 48)
    count = traversals.images.shape[1]
    base = _number("base", 0, count - 1) if "base" in request.args else None

    def picture() -> bytes:
        images = np.asarray(traversals.images[channel] if base is None else traversals.images[channel, base : base + 1])
        images = images[:, ::-1] if flip else images
        return rgba_png(sprite(images, scale_for(images.shape[2], cell)))

    key = f"traversal/{analysis.ensemble_id}/{analysis.version}/{name}/{int(flip)}/{cell}/{base}"
    return site.queries.cached(key, picture)


def _base_images(site: Site, analysis: OpenAnalysis) -> bytes:
    try:
        sample = site.queries.posteriors(analysis).images
    except VaefragError as error:
        _wrong(str(error), status=404)
    if analysis.traversals is None or sample is None:
        _wrong("These posteriors were imported without images.", status=404)
    images = sample[analysis.traversals.base]
    if "base" in request.args:
        base = _number("base", 0, len(images) - 1)
        images = images[base : base + 1]
    return rgba_png(sprite(images[:, None], scale_for(images.shape[1], _number("cell", 8, 256, 48))))


def _open(site: Site, ensemble_id: str) -> OpenAnalysis:
    try:
        return site.queries.open(ensemble_id)
    except VaefragError as error:
        _wrong(str(error), status=404)


def _measure(text: str) -> Measure:
    if text not in MEASURES:
        _wrong(f"Expected the measure nmi or vi, got {text[:40]!r}.")
    return MEASURES[text]


def _number(name: str, low: int, high: int, default: int | None = None) -> int:
    """Read a whole number from the query, or refuse the request."""
    text = request.args.get(name, None if default is None else str(default))
    if text is None or not text.isdecimal() or not low <= int(text) <= high:
        got = "nothing" if text is None else repr(text[:40])
        _wrong(f"Expected {name} as a whole number from {low} to {high}, got {got}.")
    return int(text)


def _flag(name: str) -> bool:
    return bool(_number(name, 0, 1, 0))


def _png(content: bytes, analysis: OpenAnalysis) -> Response:
    response = make_response(content)
    response.mimetype = "image/png"
    # What a URL with the version shows never changes, so the browser need not ask again.
    current = request.args.get("v") == analysis.version
    response.headers["Cache-Control"] = "private, max-age=31536000, immutable" if current else "no-store"
    return response


def _wrong(sentence: str, status: int = 400) -> NoReturn:
    abort(make_response(jsonify({"error": sentence}), status))
