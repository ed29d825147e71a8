"""Signing in as a person does it, and the end of a session under an open page."""

from playwright.sync_api import Browser, Page, expect

from support import TOKEN, Trained


def test_signing_in_leads_to_the_page_asked_for(page: Page, closed: str, trained: Trained) -> None:
    url = f"{closed}/ensemble/{trained.id}?measure=vi"
    page.goto(url)
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    page.get_by_label("Access token").fill(TOKEN)
    page.keyboard.press("Enter")
    expect(page).to_have_url(url)
    expect(page.get_by_role("heading", name="Hotspots by VI")).to_be_visible()


def test_a_link_from_another_site_needs_no_signing_in_anew(browser: Browser, closed: str, trained: Trained) -> None:
    page = browser.new_page()  # the other one complains about another site
    page.set_default_timeout(10_000)
    page.goto(closed)
    page.get_by_label("Access token").fill(TOKEN)
    page.keyboard.press("Enter")
    page.get_by_text("Six members on digits").first.wait_for()
    url = f"{closed}/ensemble/{trained.id}?measure=vi"
    elsewhere = "http://localhost/a-message"  # for a browser another site than 127.0.0.1
    page.route(elsewhere, lambda route: route.fulfill(body=f'<a href="{url}">Look</a>', content_type="text/html"))
    page.goto(elsewhere)
    page.get_by_role("link", name="Look").click()
    expect(page.get_by_role("heading", name="Hotspots by VI")).to_be_visible()
    expect(page).to_have_url(url)
    page.close()


def test_a_page_says_when_its_session_has_ended_and_people_end_it(browser: Browser, closed: str) -> None:
    page = browser.new_page()  # not the one that takes complaints: a browser complains about each refused request
    page.set_default_timeout(10_000)
    page.goto(closed)
    page.get_by_label("Access token").fill(TOKEN)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_text("Six members on digits").first.wait_for()
    page.context.clear_cookies()
    page.get_by_text("Six members on digits").first.click()
    expect(page.get_by_role("alert")).to_contain_text("Your session has ended.")
    page.get_by_role("link", name="Sign in again").click()
    expect(page.get_by_label("Access token")).to_be_visible()
    page.get_by_label("Access token").fill(TOKEN)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Similarity of channels")).to_be_visible()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_label("Access token")).to_be_visible()
    page.close()
