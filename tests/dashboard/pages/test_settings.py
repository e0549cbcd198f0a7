"""A reload from the page, in a browser: with a file that is wrong, and with one that is right."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from ..conftest import Watched, axe_violations
from ..live_gateway import LiveGateway

pytestmark = pytest.mark.slow
pytest.importorskip("playwright.sync_api")


def test_a_reload_with_a_wrong_file_says_why_and_keeps_the_old(
    watched: Watched, gateway: LiveGateway
) -> None:
    file = gateway.folder / "config.toml"
    right = file.read_text()
    page = watched.goto("settings")
    try:
        file.write_text(f'{right}\n[[models]]\nname = "<b>new</b>"\nroutes = []\n')
        page.click("a:has-text('Reload')")
        expect(page.locator("dialog#act")).to_contain_text("read again")
        page.click("dialog#act button")
        expect(page.locator(".notice.done.bad")).to_contain_text("The reload failed")
        expect(page.locator(".notice.bad").last).to_contain_text("<b>new</b>")
        assert axe_violations(page) == []
        assert gateway.ask("demo") == 200
        # The check says the same of it, before anybody reloads.
        page.click("a:has-text('Check a file')")
        page.fill("textarea[name=text]", file.read_text())
        page.click("button:has-text('Check and compare')")
        expect(page.locator("#found")).to_contain_text("It would not be taken")
        expect(page.locator("#found")).to_contain_text("<b>new</b>")
        assert axe_violations(page) == []
    finally:
        file.write_text(right)
    page = watched.goto("settings")
    page.click("a:has-text('Reload')")
    page.click("dialog#act button")
    expect(page.locator(".notice.done")).to_contain_text("is reloaded")
    assert page.locator(".notice.bad").count() == 0
    assert gateway.ask("demo") == 200
