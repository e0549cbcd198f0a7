"""The list of requests in a browser: filters in the address, back, paging, the live tail."""

from __future__ import annotations

import re
from urllib.parse import parse_qs, urlsplit

import pytest

from ..conftest import Watched
from ..live_gateway import LiveGateway

pytestmark = pytest.mark.slow
pytest.importorskip("playwright.sync_api")

_ROWS = "tbody tr[data-href]"


def test_filters_stand_in_the_address_and_back_undoes_them(watched: Watched) -> None:
    page = watched.goto("requests")
    every = page.locator(_ROWS).count()
    page.fill("#text", "overloaded")
    page.wait_for_url("**text=overloaded**")
    page.wait_for_function(f"document.querySelectorAll('{_ROWS}').length < {every}")
    page.fill("#text", "")
    page.select_option("select[name=status]", "4xx")
    page.wait_for_url(re.compile("status=4xx"))
    # Of those that other tests have made there may be more than one.
    refused = "[...document.querySelectorAll('tbody tr[data-href] td:nth-child(2)')]"
    page.wait_for_function(f"{refused}.every((each) => each.textContent.trim().startsWith('4'))")
    count = page.locator(_ROWS).count()
    assert 0 < count < every
    asked = parse_qs(urlsplit(page.url).query)
    assert asked == {"range": ["24h"], "status": ["4xx"]}
    page.reload()
    assert page.locator(_ROWS).count() == count
    # The address changed without a new page, and going back loads one.
    page.evaluate("setTimeout(() => history.back(), 0)")
    page.wait_for_timeout(700)
    page.wait_for_url("**text=overloaded**")
    page.evaluate("setTimeout(() => history.back(), 0)")
    page.wait_for_timeout(700)
    page.wait_for_function(f"document.querySelectorAll('{_ROWS}').length >= {every}")


def test_a_column_sorts_by_its_header(watched: Watched) -> None:
    page = watched.goto("requests?model=demo")
    page.click("th a:has-text('Latency')")
    page.wait_for_url("**sort=latency**")
    assert page.locator("th[aria-sort=descending]").inner_text() == "Latency"
    page.click("th a:has-text('Latency')")
    assert page.locator("th[aria-sort=ascending]").inner_text() == "Latency"


def test_the_live_tail_shows_what_comes_in(watched: Watched, gateway: LiveGateway) -> None:
    page = watched.goto("requests?model=plain")
    page.keyboard.press("l")
    page.wait_for_url("**tail=1**")
    page.wait_for_selector(".live[data-state=live]")
    before = page.locator(_ROWS).count()
    # Of another model, which the filter leaves out, and of this one.
    gateway.ask("demo")
    gateway.ask("plain")
    page.wait_for_selector("tr.fresh")
    page.wait_for_timeout(1500)
    assert page.locator(_ROWS).count() == before + 1


def test_a_hidden_page_is_sent_nothing(watched: Watched) -> None:
    page = watched.goto("")
    page.wait_for_selector(".live[data-state=live]")
    page.evaluate(
        "Object.defineProperty(document, 'hidden', {value: true, configurable: true});"
        "document.dispatchEvent(new Event('visibilitychange'))"
    )
    assert page.locator(".live").get_attribute("data-state") == "paused"
    page.evaluate("delete document.hidden; document.dispatchEvent(new Event('visibilitychange'))")
    page.wait_for_selector(".live[data-state=live]")


def test_what_was_said_is_readable_and_harmless(watched: Watched) -> None:
    # The oldest: other tests may have sent some since.
    page = watched.goto("requests?model=weather")
    page.locator(_ROWS).last.click()
    page.wait_for_selector("text=Attempts")
    steps = page.locator(".timeline li")
    assert "scripted/sick" in steps.nth(0).inner_text()
    assert "answered" in steps.last.inner_text()
    page.click(".tabs a:has-text('Messages')")
    text = page.locator("main").inner_text()
    for said in ("system", "<script>alert(2)</script>", "Reasoning", "Let me look", "weather",
                 '{"city": ', "Image image/png", "tool_calls"):  # fmt: skip
        assert said in text
    page.click(".tabs a:has-text('Events')")
    assert page.locator("tbody tr").count() >= 5
    page.click(".tabs a:has-text('Raw')")
    assert "$GATEWAY_KEY" in page.locator("#curl").inner_text()
    assert page.locator("img").count() == 0
    page.go_back()
    page.go_back()
    page.go_back()
    page.wait_for_selector("text=Attempts")


def test_an_export_is_downloaded(watched: Watched) -> None:
    page = watched.goto("requests?model=demo")
    with page.expect_download() as download:
        page.click("a:has-text('CSV')")
    lines = download.value.path().read_text().splitlines()
    assert lines[0].startswith('"id",')
    assert len(lines) >= 5
