"""A browser, and a gateway with something to see."""

from __future__ import annotations

import pickle
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from gateway.dashboard.page_process.task import RenderTask
from gateway.dashboard.rendering import Templates
from tests.store.conftest import migrated_file, sqlite_database

from ..compiled_templates import keep_compiled
from .live_gateway import NAME, PASSWORD, LiveGateway, live_gateway

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

__all__ = ["migrated_file", "sqlite_database"]

# The first is the same engine without windows, which takes half of the processor's time.
CHROMIUM = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
# The last five keep Chromium from asking for hosts of its maker's.
FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)


@pytest.fixture(autouse=True)
def _fit_for_another_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a page shows here, the process that makes pages could be given."""
    render = Templates.render_all

    def checked(
        self: Templates, templates: Mapping[str, str], context: Mapping[str, Any]
    ) -> dict[str, bytes]:
        pickle.dumps(RenderTask(templates, context, ""))
        return render(self, templates, context)

    monkeypatch.setattr(Templates, "render_all", checked)


@pytest.fixture(autouse=True, scope="session")
def _compiled_once() -> None:
    keep_compiled()


@pytest.fixture(scope="session")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveGateway]:
    with live_gateway(tmp_path_factory.mktemp("gateway")) as running:
        for number in range(4):
            running.ask("demo", f"question {number}", stream=number % 2 == 0)
        for _ in range(4):
            running.ask("weather", stream=True)
            running.ask("plain")
        running.ask("nothing<b>of that name</b>")
        yield running


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    sync_api = pytest.importorskip("playwright.sync_api")
    path = next((found for name in CHROMIUM if (found := shutil.which(name))), None)
    if path is None:
        pytest.skip("there is no Chromium: scripts/chromium installs it")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=[*FLAGS])
        yield browser
        browser.close()


def visit(page: Page, url: str) -> None:
    """Go there, and again if a network came or went meanwhile: other tests make some."""
    for last in (False, False, True):
        try:
            page.goto(url)
            return
        except Exception as exc:
            if last or "ERR_NETWORK_CHANGED" not in str(exc):
                raise


class Watched:
    """A page, and all that went wrong on it."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.url = url
        self.problems: list[str] = []
        self.foreign: list[str] = []
        page.on("console", self._said)
        page.on("pageerror", lambda error: self.problems.append(str(error)))
        page.on("dialog", self._asked)
        page.on("request", self._requested)

    def goto(self, path: str) -> Page:
        visit(self.page, f"{self.url}/admin/{path}")
        return self.page

    def sign_in(self) -> None:
        page = self.goto("sign-in")
        page.fill("input[name=name]", NAME)
        page.fill("input[name=password]", PASSWORD)
        page.click("text=Sign in >> visible=true")
        page.wait_for_selector("h1:has-text('Overview')")

    def _said(self, message: Any) -> None:
        # The trail of a request is asked for until it is on record.
        if message.type in ("error", "warning") and "/trail/" not in message.location["url"]:
            self.problems.append(message.text)

    def _asked(self, dialog: Any) -> None:
        self.problems.append(f"a dialog: {dialog.message}")
        dialog.dismiss()

    def _requested(self, request: Any) -> None:
        if not request.url.startswith(self.url):
            self.foreign.append(request.url)


@pytest.fixture(scope="session")
def signed_in(browser: Browser, gateway: LiveGateway) -> Any:
    """What the browser keeps of a sign-in."""
    context = browser.new_context()
    Watched(context.new_page(), gateway.url).sign_in()
    kept = context.storage_state()
    context.close()
    return kept


@pytest.fixture
def watched(browser: Browser, gateway: LiveGateway, signed_in: Any) -> Iterator[Watched]:
    """A page of a signed-in person, on which nothing may go wrong."""
    context = browser.new_context(viewport={"width": 1440, "height": 900}, storage_state=signed_in)
    page = Watched(context.new_page(), gateway.url)
    yield page
    context.close()
    assert page.problems == []
    assert page.foreign == []


# How many headlines a page has, and what markup of callers and providers would add if it were no
# text.
FOREIGN = """() => ["h1", "img", "main script"].map(
  (each) => document.querySelectorAll(each).length)"""
SOUND = [1, 0, 0]
_LOADED = """() => {
  const live = document.querySelector(".live[data-url]");
  const isLive = !live || !live.dataset.url || live.dataset.state === "live";
  return document.fonts.status === "loaded" && isLive;
}"""
_DRAWN = """() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"""


def settle(page: Page) -> None:
    """Wait until a page is drawn with its fonts and, if it is live, hears of what is new."""
    page.wait_for_function(_LOADED)
    page.evaluate(_DRAWN)


AXE = Path(__file__).parent / "vendor" / "axe.min.js"


def axe_violations(page: Page) -> list[str]:
    """Return what axe-core finds wrong: run in the page, which its policy lets a test do."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE.read_text())
    # To describe whatever is right as well would take half of the time.
    options = "{ resultTypes: ['violations'] }"
    found = page.evaluate(f"async () => (await axe.run({options})).violations")
    return [
        f"{each['id']}: {node['html'][:200]} {node['failureSummary'][:300]}"
        for each in found
        for node in each["nodes"]
    ]
