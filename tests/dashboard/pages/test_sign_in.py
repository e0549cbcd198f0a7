"""Signing in and out, in a browser."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from ..conftest import Watched, axe_violations
from ..live_gateway import NAME, PASSWORD, LiveGateway

pytestmark = pytest.mark.slow
pytest.importorskip("playwright.sync_api")


@pytest.fixture
def stranger(browser: Browser, gateway: LiveGateway) -> Iterator[Watched]:
    context = browser.new_context()
    yield Watched(context.new_page(), gateway.url)
    context.close()


def test_a_stranger_comes_back_to_the_page_that_was_asked_for(stranger: Watched) -> None:
    page = stranger.goto("requests?model=demo")
    assert "/admin/sign-in?next=" in page.url
    assert axe_violations(page) == []
    page.fill("input[name=name]", NAME)
    page.fill("input[name=password]", "wrong")
    page.keyboard.press("Enter")
    page.wait_for_selector("[role=alert]")
    assert axe_violations(page) == []
    assert "password is wrong" in page.locator("[role=alert]").inner_text()
    page.fill("input[name=name]", NAME)
    page.fill("input[name=password]", PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url("**/admin/requests?model=demo")
    page.click("[aria-label='Sign out']")
    page.wait_for_url("**/admin/sign-in")
    assert "sign-in" in stranger.goto("").url
    # Another site's address is not gone to.
    page = stranger.goto("sign-in?next=//example.org/")
    page.fill("input[name=name]", NAME)
    page.fill("input[name=password]", PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url(f"{stranger.url}/admin/")
