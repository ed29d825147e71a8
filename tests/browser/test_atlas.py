"""The atlas of a sweep over training, as a person goes through it: by mouse, by keys and by address."""

import re

import pytest
from playwright.sync_api import Page, expect

from support import Trained, take_over
from vaefrag_core.ensemble_store import EnsembleStore
from vaefrag_core.pipeline import follow_hotspots
from vaefrag_core.sweeps import Sweep

DRAWN = (
    """() => ["#flow", "#sweep-curves"].every((id) => document.querySelector(`${id} .js-plotly-plot`)?._fullLayout)"""
)
CURVES = (
    """() => document.querySelector("#sweep-curves .js-plotly-plot")._fullData.map((t) => Array.from(t.y).join())"""
)


def test_the_slider_goes_through_training_by_mouse_and_by_keys(page: Page, atlas: str) -> None:
    page.goto(atlas)
    page.wait_for_function(DRAWN)
    when, thumb = page.locator("#atlas-when"), page.get_by_role("slider", name="Step of training")
    expect(when).to_have_text("Step 100, the end")
    at_the_end = page.evaluate(CURVES)

    track, handle = page.locator("#atlas-slider").bounding_box(), thumb.bounding_box()
    assert track is not None
    assert handle is not None
    height = handle["y"] + handle["height"] / 2
    page.mouse.move(handle["x"] + handle["width"] / 2, height)
    page.mouse.down()
    page.mouse.move(track["x"] + track["width"] / 2, height, steps=5)
    page.mouse.up()
    expect(when).to_have_text("Step 32 of 100")
    expect(page).to_have_url(re.compile(r"\?step=32$"))
    with page.expect_request(lambda request: '"atlas-tick"' in (request.post_data or "")) as look:
        page.wait_for_function(f"(before) => ({CURVES})().join() !== before.join()", arg=at_the_end)
    assert '"search","value":"?step=32"' in (look.value.post_data or "")  # so a look keeps the step
    between = page.evaluate(CURVES)

    page.reload()
    page.wait_for_function(DRAWN)
    expect(when).to_have_text("Step 32 of 100")
    assert page.evaluate(CURVES) == between

    thumb.press("ArrowRight")
    expect(when).to_have_text("Step 100, the end")
    page.wait_for_function(f"(before) => ({CURVES})().join() === before.join()", arg=at_the_end)
    expect(page).not_to_have_url(re.compile("step="))


@pytest.mark.parametrize("drawn", [False, True])
def test_a_sweep_without_steps_of_training_is_shown_without_the_slider(
    swept: tuple[str, EnsembleStore, Sweep], page: Page, trained: Trained, drawn: bool
) -> None:
    address, workspace, sweep = swept
    if drawn:
        for ensemble_id in sweep.ensembles:
            take_over(trained, workspace, ensemble_id)
        follow_hotspots(sweep.id, workspace)
    page.goto(address)
    page.get_by_role("link", name=sweep.name).first.click()
    if drawn:
        page.wait_for_function(DRAWN)
        page.get_by_text("A sweep trained with --snapshots 8").wait_for()
    else:
        page.get_by_text("No atlas yet").wait_for()
    with page.expect_response(re.compile("_dash-update-component")):
        pass  # the page has looked whether anything is new
    expect(page.get_by_role("slider")).to_have_count(0)
