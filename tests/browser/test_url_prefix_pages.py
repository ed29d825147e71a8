"""Pages under a path that a proxy strips, in a browser: signing in, moving between pages, and what scripts fetch."""

import threading
from pathlib import Path
from urllib.parse import urlsplit

from playwright.sync_api import Page, expect
from werkzeug.serving import make_server

from support import TOKEN, Trained
from test_url_prefix import stripping_proxy
from webpages import app_of


def test_behind_a_proxy_that_strips_the_path_people_sign_in_and_look_around(
    page: Page, trained: Trained, tmp_path: Path
) -> None:
    app = app_of(trained.store, tmp_path, token=TOKEN, url_prefix="/lab/")
    server = make_server("127.0.0.1", 0, app.server, threaded=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with stripping_proxy(f"127.0.0.1:{server.server_port}") as site:
        page.goto(f"{site}ensemble/{trained.id}?measure=vi")
        page.get_by_label("Access token").fill(TOKEN)
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", name="Hotspots by VI")).to_be_visible()
        expect(page).to_have_url(f"{site}ensemble/{trained.id}?measure=vi")
        page.get_by_role("link", name="Jobs").click()
        expect(page.get_by_role("heading", name="Jobs")).to_be_visible()
        page.get_by_role("link", name="Ensembles").first.click()
        page.get_by_text(trained.spec.name).first.click()
        expect(page.get_by_role("heading", name="Similarity of channels")).to_be_visible()
        page.wait_for_function("[...document.images].every((image) => image.complete && image.naturalWidth > 0)")
        assert urlsplit(page.url).path == f"/lab/ensemble/{trained.id}"
        page.get_by_role("button", name="Sign out").click()
        expect(page.get_by_label("Access token")).to_be_visible()
        page.goto("about:blank")  # before the server goes, or the page would complain
    server.shutdown()
    server.server_close()
