"""From the form to the explorer, with a real server, engine and workers, and a server killed on the way."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from support import wait_until
from vaefrag.jobs.engine_process import engine_state
from vaefrag.jobs.job_store import JobStore

Serve = Callable[[], tuple[subprocess.Popen[str], str]]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Give what starts `vaefrag serve` on a workspace of its own; it all ends with the test."""
    servers = []

    def start() -> tuple[subprocess.Popen[str], str]:
        command = [sys.executable, "-m", "vaefrag.cli", "serve", "--workspace", str(tmp_path), "--port", "0"]
        server = subprocess.Popen([*command, "--no-browser", "--json"], stdout=subprocess.PIPE, text=True)
        servers.append(server)
        assert server.stdout is not None
        return server, json.loads(server.stdout.readline())["url"]

    yield start
    for server in servers:
        server.send_signal(signal.SIGINT)
        server.communicate(timeout=10)
    wait_until(lambda: not engine_state(tmp_path).running)


def test_the_form_says_that_it_looks_at_the_images(address: str, page: Page) -> None:
    page.goto(f"{address}/new")
    fill(page, "Members", "0")
    page.route("**/_dash-update-component*", lambda route: None)  # held, until nobody holds it any more
    page.get_by_role("button", name="Train", exact=True).click()
    expect(page.get_by_role("button", name="Looking at the images …")).to_be_disabled()
    page.unroute_all()  # what was held goes on
    expect(page.get_by_text("Expected a value greater than or equal to 1, got 0.")).to_be_visible()
    expect(page.get_by_role("button", name="Train", exact=True)).to_be_enabled()


def fill(page: Page, label: str, value: str) -> None:
    page.get_by_label(label, exact=True).fill(value)
    page.get_by_label(label, exact=True).blur()


def test_an_ensemble_asked_for_by_form_outlives_browser_and_server(serve: Serve, page: Page, tmp_path: Path) -> None:
    server, url = serve()
    page.goto(f"{url}new")
    fill(page, "β", "-1")
    page.get_by_role("button", name="Train", exact=True).click()
    expect(page.get_by_text("Expected a value greater than or equal to 0, got -1.")).to_be_visible()
    fill(page, "Seed", "1.5")
    page.get_by_role("button", name="Train", exact=True).click()
    expect(page.get_by_text("Expected a whole number, got 1.5.")).to_be_visible()
    fill(page, "Seed", "1")
    expect(page.get_by_text("Expected a whole number, got 1.5.")).to_have_count(0)
    expect(page.get_by_text("Expected a value greater than or equal to 0, got -1.")).to_be_visible()
    for label, value in (("β", "0.5"), ("Members", "4"), ("Steps", "4000"), ("Fingerprint sample", "200")):
        fill(page, label, value)
    page.get_by_role("button", name="Train", exact=True).dblclick()
    page.wait_for_url("**/ensemble/**")
    path = page.url.removeprefix(url)
    job_store = JobStore(tmp_path)
    (job_id,) = job_store.job_ids()

    page.locator(".cell").nth(2).click(timeout=30_000)
    expect(page.get_by_role("heading", name="Member 2")).to_be_visible()
    expect(page.locator(".pace")).to_contain_text("steps/s", timeout=60_000)
    page.get_by_role("button", name="Pause").click()
    expect(page.locator(".badge")).to_have_text("paused", timeout=30_000)
    page.goto(f"{url}jobs")
    page.get_by_role("button", name="Resume").click()  # in the list, where it stays under the pointer
    wait_until(lambda: job_store.job(job_id).state == "running")
    page.goto("about:blank")  # whoever asked has gone, and then the server dies
    os.kill(server.pid, signal.SIGKILL)
    server.wait()
    assert engine_state(tmp_path).running

    _, url = serve()
    page.goto(url + path)
    expect(page.get_by_role("heading", name="Similarity of channels")).to_be_visible(timeout=180_000)
    expect(page.locator("#similarity .js-plotly-plot, #similarity.js-plotly-plot")).to_be_visible()
    snapshot = job_store.snapshot(job_id)
    assert snapshot.job.state == "done"
    assert [row.state for row in snapshot.members] == ["done"] * 4
    trainings = [job for job in job_store.jobs() if job.submission.kind == "train"]
    assert len(trainings) == 1  # though the button was clicked twice
