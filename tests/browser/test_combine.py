"""A set built by clicking, read, saved and opened by its address."""

import math
import re

from playwright.sync_api import Page, TimeoutError, expect

from support import Trained
from vaefrag.jobs.job_store import JobStore
from vaefrag_core.channel_sets import SetStore
from vaefrag_core.ensemble_store import EnsembleStore
from vaefrag_core.synthesis.combination import joint_information

POINT = """(k) => {
  const graph = document.querySelector("#pick .js-plotly-plot");
  const { xaxis, yaxis } = graph._fullLayout, trace = graph._fullData[0], box = graph.getBoundingClientRect();
  return [box.left + xaxis._offset + xaxis.d2p(trace.x[k]), box.top + yaxis._offset + yaxis.d2p(trace.y[k]),
    trace.customdata[k][0]];
}"""
DRAWN = "() => document.querySelector('#pick .modebar-btn') !== null"
MARKED = "(n) => (document.querySelector('#pick .js-plotly-plot')?.data[0].selectedpoints || []).length === n"
LISTEN = """() => {
  window.clickedPoint = null;
  document.querySelector("#pick .js-plotly-plot").once("plotly_click", (event) => {
    window.clickedPoint = event.points[0].customdata[0];
  });
}"""


def click_point(page: Page, k: int) -> None:
    """Click on a point of the map until plotly says that it was the one: while it draws anew, it lets clicks pass."""
    for _ in range(10):
        x, y, name = page.evaluate(POINT, k)
        page.mouse.move(x - 40, y - 40)
        page.mouse.move(x, y)
        try:
            page.locator("#pick .hovertext", has_text=name).wait_for(timeout=2_000)
            page.evaluate(LISTEN)
            page.mouse.down()
            page.mouse.up()
            page.wait_for_function("(name) => window.clickedPoint === name", arg=name, timeout=2_000)
        except TimeoutError:
            continue
        return
    raise AssertionError(f"plotly never saw a click on point {k}")


def test_a_set_is_built_by_clicks_saved_and_opened_by_its_address(page: Page, address: str, trained: Trained) -> None:
    posteriors, opened = trained.store.posteriors(trained.id), trained.store.analysis(trained.id)
    index = {f"{m}.{d}": c for c, (m, d) in enumerate(opened.matrix.channel_names)}
    page.goto(f"{address}/")
    page.get_by_role("link", name="Combine").click()
    page.wait_for_function(DRAWN, timeout=30_000)  # plotly itself is loaded with the first plot
    chips = page.locator(".set-chips li")
    chosen = []
    for k in (0, 8):
        click_point(page, k)
        expect(chips).to_have_count(len(chosen) + 1, timeout=15_000)
        chosen.append(re.sub(r"[^\d.]", "", chips.last.inner_text()))
        page.wait_for_function(MARKED, arg=len(chosen))
    # The list may still be that of the set before, and offer what has just been picked.
    further = re.compile(rf"^Add (?!({'|'.join(map(re.escape, chosen))}) )")
    page.locator("#combine-next").get_by_role("button", name=further).first.click(timeout=30_000)
    expect(chips).to_have_count(3, timeout=15_000)
    page.get_by_role("button", name=re.compile("^Take .* out of the set$")).last.press("Enter")
    expect(chips).to_have_count(2, timeout=15_000)
    bits = joint_information(posteriors, [index[name] for name in chosen])
    joint = f"{bits:.2f} of {math.log2(posteriors.n_images):.2f} bits"
    expect(page.locator("#set-facts")).to_contain_text(joint)
    page.get_by_label("Name", exact=True).fill("Two by hand")
    page.get_by_role("button", name="Save").click()
    expect(page).to_have_url(re.compile(r"set=two-by-hand-\w{8}"))
    kept = page.url
    page.goto(f"{address}/jobs")
    page.goto(kept)
    expect(page.locator("#set-facts")).to_contain_text(joint)
    page.get_by_role("button", name="Delete the set Two by hand").click()
    expect(page).to_have_url(re.compile("channels="))
    assert SetStore(trained.store.workspace).ids() == []


def test_a_set_is_fused_and_the_space_opens_by_its_address(working: tuple[str, EnsembleStore], page: Page) -> None:
    address, store = working
    page.goto(f"{address}/combine")
    page.wait_for_function(DRAWN, timeout=30_000)
    chips = page.locator(".set-chips li")
    for count, k in enumerate((0, 8), start=1):
        click_point(page, k)
        expect(chips).to_have_count(count, timeout=15_000)
        page.wait_for_function(MARKED, arg=count)
    for label, value in (("Name of the space", "By hand"), ("Dimension", "1"), ("Steps", "50"), ("Restarts", "1")):
        page.get_by_label(label).fill(value)
    page.get_by_role("button", name="Fuse", exact=True).dblclick()
    page.wait_for_url("**/jobs/**")
    expect(page.get_by_role("heading", name="By hand")).to_be_visible()
    expect(page.locator(".fusing-bits-frame .scatterlayer .trace")).to_have_count(1, timeout=60_000)
    page.get_by_role("link", name="Open the fused space").click(timeout=60_000)
    page.wait_for_url("**/fusion/*")
    kept = page.url
    page.goto("about:blank")
    page.goto(kept)
    expect(page.get_by_role("heading", name="By hand")).to_be_visible()
    expect(page.get_by_text("2 learners fused")).to_be_visible()
    expect(page.locator(".fused-space-frame .scatterlayer .trace").first).to_be_visible()
    assert len(JobStore(store.workspace).job_ids()) == 1  # though the button was clicked twice
