"""A request under way is cancelled from the overview, in a browser."""

from __future__ import annotations

import contextlib
import http.client
import json
import threading
import time
import urllib.request

import pytest
from playwright.sync_api import expect

from ..conftest import Watched, axe_violations
from ..live_gateway import KEY, LiveGateway

pytestmark = pytest.mark.slow
pytest.importorskip("playwright.sync_api")


class Streaming(threading.Thread):
    """A caller of the endless stream, and what it got."""

    def __init__(self, url: str) -> None:
        super().__init__(daemon=True)
        self._url = url
        self.got = b""

    def run(self) -> None:
        body = {"model": "slow", "stream": True, "messages": [{"role": "user", "content": "Go"}]}
        request = urllib.request.Request(  # noqa: S310  # loopback
            f"{self._url}/v1/chat/completions",
            json.dumps(body).encode(),
            {"authorization": f"Bearer {KEY}-2", "content-type": "application/json"},
        )
        with (
            # An answer that was broken off has no proper end.
            contextlib.suppress(http.client.IncompleteRead),
            urllib.request.urlopen(request, timeout=60) as answer,  # noqa: S310
        ):
            while piece := answer.read1(65536):
                self.got += piece


def test_a_stream_is_cancelled_and_ends_at_the_provider(
    watched: Watched, gateway: LiveGateway
) -> None:
    caller = Streaming(gateway.url)
    caller.start()
    page = watched.goto("in-flight?text=none-has-this")
    expect(page.locator("#in-flight")).to_contain_text("Nothing that is under way has that")
    page.fill("#text", "team-2")
    page.keyboard.press("Enter")
    expect(page.locator("#in-flight tbody tr")).to_contain_text("scripted/slow")
    assert axe_violations(page) == []
    page = watched.goto("")
    row = page.locator("#in-flight tbody tr")
    expect(row).to_contain_text("slow", timeout=10_000)
    page.click("#in-flight a:has-text('Cancel')")
    expect(page.locator("dialog#act")).to_contain_text("The provider is let go at once")
    assert axe_violations(page) == []
    assert gateway.provider.streams == 1
    # Leaving it does nothing.
    page.click("dialog#act a:has-text('Leave it')")
    assert page.locator("dialog[open]").count() == 0
    page.click("#in-flight a:has-text('Cancel')")
    page.click("dialog#act button")
    expect(page.locator(".notice.done")).to_contain_text("is cancelled")
    caller.join(10)
    assert not caller.is_alive()
    assert b"cancelled_by_operator" in caller.got
    until = time.monotonic() + 10
    while gateway.provider.streams and time.monotonic() < until:
        time.sleep(0.05)
    assert gateway.provider.streams == 0
    # It is said once.
    page.reload()
    assert page.locator(".notice.done").count() == 0
    page.goto(f"{watched.url}/admin/audit?action=request_cancelled")
    expect(page.locator("tbody tr").first).to_contain_text("ann")
