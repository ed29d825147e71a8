"""The app as a whole: where it is served, what it refuses, what it never loads."""

import ast
import fcntl
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from dash import Dash, dcc, html

import vaefrag as package
from support import Trained
from vaefrag.components.glossary import TERMS, help_mark
from vaefrag.components.graph import CONFIG
from vaefrag.jobs.engine_process import LOCK_FILE, jobs_folder
from vaefrag.main import PAGES, create_app
from vaefrag.pages.page import Page, PageRequest, RenderedPage
from vaefrag.pages.site import Site
from vaefrag.settings import Settings
from vaefrag_core.ensemble_store import EnsembleStore
from vaefrag_core.sweeps import SweepStore
from webpages import Tab, app_of, post_to, text_of


def sources() -> list[Path]:
    return sorted(Path(package.__file__).parent.rglob("*.py"))


LOOKS_AT_EVERYTHING = """
import sys
from pathlib import Path
from webpages import app_of, post_to, text_of
from vaefrag_core.ensemble_store import EnsembleStore

workspace, cache, ensemble_id = sys.argv[1:]
app = app_of(EnsembleStore(Path(workspace)), Path(cache), token="a token made for this test", start_engine=False)
client = app.server.test_client()
assert client.post("/sign-in", data={"token": "a token made for this test"}).status_code == 303
rules = [rule.rule for rule in app.server.url_map.iter_rules() if "/data/" in rule.rule]
assert len(rules) > 4
for rule in ("/", "/healthz", "/_dash-layout", "/_dash-dependencies", *rules):
    client.get(rule.replace("<ensemble_id>", ensemble_id).replace("<measure>", "nmi").replace("<name>", "0.0"))
pages = {"/": "Six members", f"/ensemble/{ensemble_id}": "Similarity", "/jobs": "Jobs", "/new": "New ensemble"}
pages["/atlas/nothing"] = "No such sweep"
for path, word in pages.items():
    shown = post_to(app, "page.children", {"url.pathname": path}, {"url.search": ""}, client=client)
    assert word in text_of(shown["page"]["children"]), path
print([name for name in ("torch", "sklearn", "umap", "numba") if name in sys.modules])
"""


def test_the_web_process_loads_no_learning_library_whatever_is_looked_at(trained: Trained, tmp_path: Path) -> None:
    command = [sys.executable, "-c", LOOKS_AT_EVERYTHING, str(trained.store.workspace), str(tmp_path), trained.id]
    paths = os.pathsep.join(["tests", *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": paths})
    assert (done.stdout.strip(), done.stderr) == ("[]", "")


def test_every_answer_tells_the_browser_to_stay_at_home(app: Dash) -> None:
    for path in ("/", "/healthz", "/_dash-layout", "/assets/app.css", "/data/matrix/nowhere/nmi/tile.png"):
        headers = app.server.test_client().get(path, buffered=True).headers
        policy = headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "connect-src 'self'" in policy
        assert "unsafe-eval" not in policy
        assert "script-src 'self' 'sha256-" in policy
        assert headers["X-Content-Type-Options"] == "nosniff"


def test_the_page_says_its_language_and_asks_nothing_of_others(app: Dash) -> None:
    page = app.server.test_client().get("/").text
    assert '<html lang="en">' in page
    assert "https://" not in page.replace("https://www.w3.org", "")
    assert "/assets/early.js" in page


def test_health_is_answered(app: Dash) -> None:
    answer = app.server.test_client().get("/healthz")
    assert (answer.status_code, answer.json) == (200, {"status": "degraded", "web": True, "engine": False})
    assert answer.headers["Cache-Control"] == "no-store"


def test_health_tells_whether_an_engine_runs(trained: Trained, tmp_path: Path) -> None:
    store = EnsembleStore(tmp_path / "workspace")
    client = app_of(store, tmp_path).server.test_client()
    with (jobs_folder(store.workspace) / LOCK_FILE).open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)  # as an engine does
        assert client.get("/healthz").json == {"status": "ok", "web": True, "engine": True}
    assert client.get("/healthz").json["engine"] is False


def test_large_requests_are_refused(app: Dash) -> None:
    answer = app.server.test_client().post(
        "/_dash-update-component", data=b"x" * 2**21, content_type="application/json"
    )
    assert answer.status_code == 413


def test_a_prefix_goes_before_everything(trained: Trained, tmp_path: Path) -> None:
    app = app_of(trained.store, tmp_path, url_prefix="/lab/")
    client = app.server.test_client()
    assert client.get("/lab/healthz").json["web"] is True
    assert client.get("/healthz").json["web"] is True  # a proxy may have stripped the prefix
    assert client.get(f"/lab/data/matrix/{trained.id}/nmi/tile.png").status_code == 200
    page = post_to(app, "page.children", {"url.pathname": "/lab/"}, {"url.search": ""})
    assert trained.spec.name in text_of(page["page"]["children"])
    assert f"/lab/ensemble/{trained.id}" in str(page["page"])
    explorer = post_to(app, "page.children", {"url.pathname": f"/lab/ensemble/{trained.id}"}, {"url.search": ""})
    assert f"/lab/data/matrix/{trained.id}/nmi/tile.png" in str(explorer)


def topic_page(site: Site, request: PageRequest) -> RenderedPage:
    return RenderedPage(html.Div(f"All about {request.id}, {request.field('for')}.", id="topic"), "About")


def count_routes(app: Dash, site: Site) -> None:
    app.server.add_url_rule(f"{site.prefix}data/topics", "topics", lambda: "two topics")


@pytest.mark.parametrize("prefix", ["/", "/lab/"])
def test_a_new_page_is_one_module_and_one_line(trained: Trained, tmp_path: Path, prefix: str) -> None:
    """Its path, its drawing, its routes and its place in the bar come from one value."""
    page = Page("about/<topic>", topic_page, (count_routes,))
    listed = Page("about", topic_page, (count_routes,), link="About")  # shares a route, which is registered once
    settings = Settings(workspace=trained.store.workspace, cache_dir=tmp_path, url_prefix=prefix)
    app = create_app(settings, trained.store, [*PAGES, page, listed])

    def opened(path: str, search: str = "") -> dict[str, Any]:
        return post_to(app, "page.children", {"url.pathname": prefix + path}, {"url.search": search})

    shown = opened("about/hot%20spots", "?for=you")
    assert text_of(shown["page"]["children"]) == "All about hot spots, you."
    assert text_of(shown["crumbs"]["children"]) == "About"
    assert shown["title"]["data"] == "About · vaefrag"
    assert app.server.test_client().get(f"{prefix}data/topics").text == "two topics"
    assert text_of(opened("about/")["page"]["children"]) == "All about , ."
    assert opened("about")["crumbs"]["children"] == []  # the bar says where one is
    links = [link.href for link in components(app.layout) if isinstance(link, dcc.Link)]
    assert links == [prefix + path for path in ("", "", "combine", "jobs", "about")]  # the logo leads home
    for path in ("about/a/b", "abou/hotspots", "about/../jobs"):
        assert "is not an address of this site" in text_of(opened(path)["page"]["children"])


def components(part: Any) -> Iterator[Any]:
    if isinstance(part, list):
        for item in part:
            yield from components(item)
    elif hasattr(part, "to_plotly_json"):
        yield part
        yield from components(getattr(part, "children", None))


def test_every_page_says_what_is_missing_where_nothing_is(tmp_path: Path) -> None:
    store = EnsembleStore(tmp_path / "workspace")
    app = app_of(store, tmp_path / "cache")
    for page in PAGES:
        path = "/" + page.path.replace(">", "").replace("<", "no-")
        shown = post_to(app, "page.children", {"url.pathname": path}, {"url.search": "?step=x&from=nobody&learner=-1"})
        words = text_of(shown["page"]["children"])
        assert words
        assert "is not an address of this site" not in words
        if "<" in page.path:
            assert shown["title"]["data"] == "Not found · vaefrag", page.path


def test_a_poll_on_the_way_to_another_page_leaves_that_page_alone(
    kept: EnsembleStore, trained: Trained, tmp_path: Path
) -> None:
    """A browser that has just followed a link may send one more poll of the page it left, with the new address."""
    app, sweep = app_of(kept, tmp_path / "sweep"), SweepStore(kept).sweeps()[0]
    atlas = Tab(app, f"/atlas/{sweep.id}")
    atlas.path = "/jobs"
    assert atlas.fire("atlas-body.children", ("atlas-tick", "n_intervals")) == 204
    assert atlas.fire("atlas-drawn.children", ("atlas-step", "data")) == 204
    ensemble = Tab(app_of(trained.store, tmp_path / "ensemble"), f"/ensemble/{trained.id}")
    ensemble.path = "/jobs"
    assert ensemble.fire("page.children@", ("tick", "n_intervals")) == 204


def test_the_cache_is_closed_to_others(trained: Trained, tmp_path: Path) -> None:
    app_of(trained.store, tmp_path / "cache")
    assert (tmp_path / "cache").stat().st_mode & 0o077 == 0


def test_plots_enter_a_page_through_one_door() -> None:
    """Only the factory knows how to keep plotly from offering an upload."""
    users = [path.name for path in sources() if any(_is_graph(node) for node in ast.walk(ast.parse(path.read_text())))]
    assert users == ["graph.py"]
    assert CONFIG["showSendToCloud"] is False
    assert CONFIG["displaylogo"] is False


def _is_graph(node: ast.AST) -> bool:
    return (isinstance(node, ast.Attribute) and node.attr == "Graph") or (
        isinstance(node, ast.Name) and node.id == "Graph"
    )


@pytest.mark.parametrize("term", list(TERMS))
def test_every_term_is_explained_in_a_sentence(term: str) -> None:
    mark = help_mark(term)
    assert mark.label.endswith(".")
    assert len(mark.label) > 40


def test_every_icon_that_is_used_is_there() -> None:
    folder = Path(__file__).parents[2] / "assets"
    sheet = (folder / "app.css").read_text()
    used = {
        node.args[0].value
        for path in sources()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        and getattr(node.func, "id", "") in ("icon", "notice")
        and isinstance(node.args[0], ast.Constant)
    }
    assert used >= {"alert", "info", "moon", "sun", "wait"}
    for name in used:
        assert (folder / "icons" / f"{name}.svg").is_file()
        assert f".icon-{name} " in sheet
