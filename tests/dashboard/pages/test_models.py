"""Draining from the page of models, in a browser, with a script and without."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from ..conftest import Watched, axe_violations
from ..live_gateway import LiveGateway

pytestmark = pytest.mark.slow
pytest.importorskip("playwright.sync_api")


def test_a_drain_changes_where_requests_go_at_once(watched: Watched, gateway: LiveGateway) -> None:
    assert gateway.ask("plain") == 200
    page = watched.goto("models?text=plain")
    page.click("a:has-text('Drain')")
    page.fill("dialog#act input[name=reason]", "quota")
    assert axe_violations(page) == []
    page.click("dialog#act button")
    expect(page.locator(".notice.done")).to_contain_text("scripted/other is drained")
    assert gateway.ask("plain") == 503
    assert gateway.ask("demo") == 200
    row = page.locator("tr", has_text="scripted/other")
    expect(row).to_contain_text("drained until")
    expect(row).to_contain_text("by ann: quota")
    assert axe_violations(page) == []
    row.locator("a:has-text('Enable')").click()
    page.click("dialog#act button")
    expect(page.locator(".notice.done")).to_contain_text("takes requests again")
    assert gateway.ask("plain") == 200


def test_without_a_script_the_same(browser: Browser, gateway: LiveGateway, signed_in: Any) -> None:
    context = browser.new_context(storage_state=signed_in, java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{gateway.url}/admin/models?text=plain")
    page.click("a:has-text('Drain')")
    expect(page.locator("h1")).to_contain_text("Drain scripted/other")
    page.click("main button")
    expect(page.locator(".notice.done")).to_contain_text("is drained")
    assert gateway.ask("plain") == 503
    page.locator("tr", has_text="scripted/other").locator("a:has-text('Enable')").click()
    page.click("main button")
    expect(page.locator(".notice.done")).to_contain_text("takes requests again")
    assert gateway.ask("plain") == 200
    context.close()
