"""The explorer as a person uses it."""

import re

import pytest
from playwright.sync_api import Page, Response, expect

from support import Trained

CELL = """([row, column]) => {
  const plot = document.querySelector("#similarity .js-plotly-plot"), box = plot.getBoundingClientRect();
  const {xaxis, yaxis} = plot._fullLayout;
  return [box.left + xaxis._offset + xaxis.d2p(column), box.top + yaxis._offset + yaxis.d2p(row)];
}"""
DRAWN = """() => ["#similarity", "#map"].every((id) => {
  const plot = document.querySelector(`${id} .js-plotly-plot`);
  return plot && plot._fullLayout && plot.querySelector(".modebar-btn");
})"""
POINT = """(name) => {
  const plot = document.querySelector("#map .js-plotly-plot"), box = plot.getBoundingClientRect();
  const {xaxis, yaxis} = plot._fullLayout;
  const trace = plot._fullData.find((t) => t.x && t.x.length > 1);
  return [box.left + xaxis._offset + xaxis.d2p(trace.x[0]), box.top + yaxis._offset + yaxis.d2p(trace.y[0])];
}"""


def open_explorer(page: Page, address: str, trained: Trained, search: str = "") -> None:
    page.goto(f"{address}/ensemble/{trained.id}{search}")
    page.wait_for_function(DRAWN)


def click_at(page: Page, script: str, argument: object) -> None:
    x, y = page.evaluate(script, argument)
    page.mouse.move(x, y)
    page.mouse.click(x, y)


def channels_in_order(trained: Trained) -> list[str]:
    analysis = trained.store.analysis(trained.id)
    hotspots = analysis.hotspots["nmi"]
    order = hotspots.order[~hotspots.dead[hotspots.order]]
    return [".".join(str(part) for part in analysis.matrix.channel_names[c]) for c in order]


def test_the_list_leads_to_the_explorer(page: Page, address: str, trained: Trained) -> None:
    page.goto(f"{address}/")
    page.get_by_text("Six members on digits").first.click()
    expect(page).to_have_url(re.compile(f"/ensemble/{trained.id}"))
    expect(page.get_by_role("heading", name="Similarity of channels")).to_be_visible()
    expect(page.get_by_role("heading", name="Hotspots by NMI")).to_be_visible()


def test_a_cell_opens_its_pair_and_the_address_keeps_it(page: Page, address: str, trained: Trained) -> None:
    open_explorer(page, address, trained)
    names = channels_in_order(trained)
    click_at(page, CELL, [1, 4])
    expect(page).to_have_url(re.compile(re.escape(f"pair={names[1]},{names[4]}")))
    details = page.locator("#details")
    pictures = details.locator("img[src*='/data/traversals/']")
    expect(pictures.first).to_be_visible()
    sources = "(images) => images.map((image) => image.src)"
    before = pictures.evaluate_all(sources)
    assert any(names[1] in source for source in before)
    assert any(names[4] in source for source in before)
    page.reload()
    expect(page.locator("#details img[src*='/data/traversals/']").first).to_be_visible()
    expect(details).to_have_text(re.compile(re.escape(names[4])))
    assert pictures.evaluate_all(sources) == before


def test_the_diagonal_opens_a_channel_with_its_traversal_grid(page: Page, address: str, trained: Trained) -> None:
    open_explorer(page, address, trained)
    name = channels_in_order(trained)[2]
    click_at(page, CELL, [2, 2])
    expect(page).to_have_url(re.compile(f"channel={re.escape(name)}$"))
    grid = page.locator(f"#details img[src*='/data/traversals/'][src*='{name}.png']")
    expect(grid).to_be_visible()
    assert grid.evaluate("(image) => image.decode().then(() => image.naturalWidth)") > 100


def test_a_point_of_the_map_is_marked_in_the_matrix(page: Page, address: str, trained: Trained) -> None:
    open_explorer(page, address, trained)
    shapes = "() => document.querySelector('#similarity .js-plotly-plot').layout.shapes.length"
    before = page.evaluate(shapes)
    click_at(page, POINT, "")
    expect(page).to_have_url(re.compile(r"channel=\d+\.\d+"))
    page.wait_for_function(f"(before) => ({shapes})() > before", arg=before)


def tells_of_nothing(response: Response) -> bool:
    sent = response.request.post_data or ""
    return '"changedPropIds":["map.selectedData"]' in sent and '"points":[]' in sent


def test_what_was_drawn_around_on_the_map_stays_until_it_is_taken_back(
    page: Page, address: str, trained: Trained
) -> None:
    open_explorer(page, address, trained)
    box = page.locator("#map .nsewdrag").first.bounding_box()
    assert box is not None
    left, top, right, bottom = box["x"] + 5, box["y"] + 5, box["x"] + box["width"] - 5, box["y"] + box["height"] - 5
    page.mouse.move(left, top)
    page.mouse.down()
    for corner in ((right, top), (right, bottom), (left, bottom), (left, top + 2)):
        page.mouse.move(*corner, steps=5)
    with page.expect_response(tells_of_nothing) as told:  # once the figure is drawn anew, its outline goes away
        page.mouse.up()
        expect(page).to_have_url(re.compile("channels="))
    assert told.value.json()["response"] == {}  # nothing changes
    expect(page.locator("#details")).not_to_contain_text("Look closer")
    expect(page).to_have_url(re.compile("channels="))
    page.mouse.dblclick(right - 3, bottom - 3)
    expect(page).not_to_have_url(re.compile("channels="))


def test_switches_change_measure_and_map_and_go_back(page: Page, address: str, trained: Trained) -> None:
    open_explorer(page, address, trained)
    page.get_by_role("link", name="VI", exact=True).click()
    expect(page.get_by_role("heading", name="Hotspots by VI")).to_be_visible()
    expect(page).to_have_url(re.compile("measure=vi"))
    page.get_by_role("link", name="UMAP", exact=True).click()
    expect(page).to_have_url(re.compile("measure=vi&map=umap"))
    page.go_back()
    expect(page).to_have_url(re.compile("measure=vi&map=mds"))
    page.go_back()
    expect(page.get_by_role("heading", name="Hotspots by NMI")).to_be_visible()


def test_a_hotspot_shows_several_members_side_by_side(page: Page, address: str, trained: Trained) -> None:
    groups = trained.store.analysis(trained.id).hotspots["nmi"].groups
    open_explorer(page, address, trained)
    page.get_by_role("link", name="Hotspot 0").click()
    expect(page).to_have_url(re.compile("hotspot=0"))
    pictures = page.locator("#details img[src*='/data/traversals/']")
    expect(pictures.nth(min(6, groups[0].n_members) - 1)).to_be_visible()


def test_an_address_that_makes_no_sense_is_answered_with_a_sentence(page: Page, address: str, trained: Trained) -> None:
    open_explorer(page, address, trained, "?measure=cosine&channel=99.9")
    expect(page.get_by_text("The address asks for measure “cosine”")).to_be_visible()


def test_an_unknown_ensemble_is_answered_with_what_to_do(page: Page, address: str) -> None:
    page.goto(f"{address}/ensemble/nowhere")
    expect(page.get_by_text("There is no ensemble 'nowhere'").first).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_follows_the_system_s_colours(page: Page, address: str, trained: Trained, scheme: str) -> None:
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    open_explorer(page, address, trained)
    background = page.evaluate("() => getComputedStyle(document.body).backgroundColor")
    brightness = sum(int(part) for part in re.findall(r"\d+", background)[:3]) / 3
    assert (brightness > 128) == (scheme == "light")


def test_no_plot_offers_to_upload(page: Page, address: str, trained: Trained) -> None:
    open_explorer(page, address, trained)
    page.hover("#map .js-plotly-plot")
    titles = page.locator(".modebar-btn").evaluate_all("(buttons) => buttons.map((b) => b.dataset.title)")
    assert titles
    assert not [title for title in titles if title and re.search("share|cloud|chart studio", title, re.IGNORECASE)]
