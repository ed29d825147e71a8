"""A headless Chromium and a real server; any console error or request to elsewhere fails the test."""

import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright
from werkzeug.serving import make_server

from support import TOKEN, Trained, sixty_digits, sweep_with
from support_jobs import Lab
from vaefrag.main import create_app
from vaefrag.settings import Settings
from vaefrag_core.ensemble_store import EnsembleStore
from vaefrag_core.pipeline import analyze
from vaefrag_core.sweeps import Sweep, SweepStore


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Start Debian's Chromium once."""
    path = shutil.which("chromium")
    assert path, "The browser tests need the program chromium: `make browser` installs it."
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=path, args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        )
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def address(trained: Trained) -> Iterator[str]:
    """Serve the trained ensemble's workspace; gives the address without a slash at its end."""
    with serving(trained.store) as address:
        yield address


@pytest.fixture(scope="session")
def closed(trained: Trained) -> Iterator[str]:
    """Serve the same workspace behind an access token."""
    with serving(trained.store, TOKEN) as address:
        yield address


@pytest.fixture(scope="session")
def atlas(kept: EnsembleStore) -> Iterator[str]:
    """Serve the sweep that was kept over training; gives the address of its atlas."""
    with serving(kept) as address:
        yield f"{address}/atlas/{SweepStore(kept).sweeps()[0].id}"


@pytest.fixture
def swept(trained: Trained, workspace: EnsembleStore) -> Iterator[tuple[str, EnsembleStore, Sweep]]:
    """Serve a workspace with a sweep of two values that nobody has trained yet."""
    sweep = sweep_with(trained, workspace)
    with serving(workspace) as address:
        yield address, workspace, sweep


@pytest.fixture
def working(tmp_path: Path) -> Iterator[tuple[str, EnsembleStore]]:
    """Serve a workspace with sixty digits, and have an engine for it."""
    lab = Lab(tmp_path / "workspace")
    record = lab.store.add(replace(sixty_digits(), images=None), "Sixty digits")  # nothing to teach an encoder with
    analyze(record.id, lab.store)
    lab.engine()
    with serving(lab.store) as address:
        yield address, lab.store
    lab.close()


@contextmanager
def serving(store: EnsembleStore, token: str | None = None) -> Iterator[str]:
    """Serve a workspace while this lasts. It must outlast the pages that look at it: they complain when it goes."""
    app = create_app(Settings(workspace=store.workspace, token=token), store)
    server = make_server("127.0.0.1", 0, app.server, threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """Open a fresh tab of 1280×800 that notes every complaint."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    page = context.new_page()
    page.set_default_timeout(10_000)
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on(
        "request",
        lambda request: (
            None if request.url.startswith(("http://127.0.0.1", "data:", "blob:")) else complaints.append(request.url)
        ),
    )
    yield page
    context.close()
    assert not complaints
