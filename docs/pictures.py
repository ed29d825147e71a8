"""Takes the pictures of the documentation, of the ensembles of a workspace: `make pictures`.

python docs/pictures.py [--workspace DIR] [--ensemble ID | --sweep ID] [--name explorer]
"""

import argparse
import logging
import shutil
import threading
from pathlib import Path

from playwright.sync_api import sync_playwright
from werkzeug.serving import make_server

from vaefrag.main import create_app
from vaefrag.settings import load_settings
from vaefrag_core.ensemble_store import EnsembleStore

PICTURES = Path(__file__).parent / "pictures"
PLOTS_DRAWN = """(ids, mark) => ids.every((id) => {
  const plot = document.querySelector(`${id} .js-plotly-plot`);
  return plot && plot._fullLayout && plot.querySelector(mark);
})"""
EXPLORER_DRAWN = f"""() => ({PLOTS_DRAWN})(["#similarity", "#map"], ".modebar-btn")
  && document.querySelector("#similarity image") && [...document.images].every((image) => image.complete)"""
ATLAS_DRAWN = f"""() => ({PLOTS_DRAWN})(["#flow", "#sweep-curves"], ".xtick")"""


def main() -> None:
    """Serve the workspace, and take pictures of the explorer with its first hotspot open, or of an atlas."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workspace", default=None, help="folder of the ensembles")
    parser.add_argument("--ensemble", default=None, help="an ensemble; default the newest")
    parser.add_argument("--sweep", default=None, help="a sweep, whose atlas is taken instead")
    parser.add_argument("--name", default="explorer", help="of the pictures")
    arguments = parser.parse_args()
    settings = load_settings(workspace=arguments.workspace)
    store = EnsembleStore(settings.workspace)
    if arguments.sweep:
        path, drawn = f"atlas/{arguments.sweep}", ATLAS_DRAWN
    else:
        path, drawn = f"ensemble/{arguments.ensemble or store.records()[0].id}?hotspot=1", EXPLORER_DRAWN
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    server = make_server("127.0.0.1", 0, create_app(settings, store).server, threaded=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}{settings.url_prefix}{path}"
    PICTURES.mkdir(exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"),
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
        )
        for scheme in ("light", "dark"):
            page = browser.new_context(viewport={"width": 1280, "height": 800}, color_scheme=scheme).new_page()
            page.goto(url)
            page.wait_for_function(drawn)
            page.screenshot(path=PICTURES / f"{arguments.name}-{scheme}.png")
        browser.close()
    server.shutdown()


if __name__ == "__main__":
    main()
