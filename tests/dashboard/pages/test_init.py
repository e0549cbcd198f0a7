"""Every page as people see it, kept in build/screenshots: full and empty, light and dark, wide and
narrow (in all combinations with SOAK=1, otherwise what is empty only narrow). Whoever changes how
pages look goes through them. Two tabs stand beside each other: one settles while the other loads.

What a program can see is checked: nothing went wrong, nothing jumps while a page is put together,
nothing is cut off at the right. What is full is accessible as well, and shows markup as text;
`test_routes.py` has what there is besides: filters, searches, forms.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Literal

import pytest
from playwright.sync_api import Browser, BrowserContext

from ...fork_server import popen
from ...fork_server.popen import ROOT
from ...rounds import SOAK
from ..conftest import FOREIGN, SOUND, Watched, axe_violations, visit
from ..live_gateway import LiveGateway, live_gateway

# How much a page moves while it loads depends on what else the machine does.
pytestmark = [pytest.mark.slow, pytest.mark.measured, pytest.mark.timeout(300)]
pytest.importorskip("playwright.sync_api")


FOLDER: Final = Path(__file__).parents[3] / "build" / "screenshots"
# Names of files, and the pages.
PAGES: Final = {
    "overview": "",
    "requests": "requests",
    "requests-none": "requests?text=nothing-has-this",
    "sessions": "sessions",
    "users": "sessions?by=user",
    "models": "models",
    "drain": "models/demo%2Fdemo/drain",
    "keys": "keys",
    "key": "keys/team",
    "new-key": "new-key",
    "teams": "teams",
    "new-team": "new-team",
    "usage": "usage?period=today",
    "usage-by-key": "usage?period=today&group_by=token",
    "usage-by-user": "usage?group_by=user",
    "audit": "audit",
    "debug": "debug",
    "playground": "playground",
    "in-flight": "in-flight",
    "settings": "settings",
    "check": "settings/check",
    "not-found": "no-such-page",
}
# What is full is looked at in this many tests, none of which takes long.
_PARTS: Final = 4
_SCHEMES: Final[tuple[Literal["light", "dark"], ...]] = ("light", "dark")
_SIZES: Final = {"wide": (1440, 900), "narrow": (390, 844)}
# The whole of what has moved, as browsers count it: below 0.1 is called good (web.dev/cls).
_MOST_SHIFT: Final = 0.02
_SHIFTS: Final = """() => new Promise((done) => {
  let sum = 0;
  new PerformanceObserver((list) => {
    for (const each of list.getEntries()) if (!each.hadRecentInput) sum += each.value;
  }).observe({ type: "layout-shift", buffered: true });
  const since = performance.now() - performance.getEntriesByType("navigation")[0].loadEventEnd;
  setTimeout(() => done(sum), Math.max(20, 150 - since));
})"""
# The lists whose choice does not fit into them: browsers cut it without a word.
_CUT: Final = """() => [...document.querySelectorAll("main select")].filter((list) => {
  if (!list.clientWidth) return false;
  const style = getComputedStyle(list);
  const pen = document.createElement("canvas").getContext("2d");
  pen.font = style.font;
  const room = list.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight);
  return pen.measureText(list.selectedOptions[0].text).width > room + 1;
}).map((list) => list.name)"""
# Names without a place to break them; a page is as wide with them as without.
_LONG_MODEL: Final = "finetuned-" + "qwen3coder480b" * 12
_LONG_KEY: Final = "service-account-" + "abcdefghij" * 12
_LONG_NAMES: Final = f"""
[[models]]
name = "{_LONG_MODEL}"
routes = [{{ provider = "scripted", model = "{_LONG_MODEL}", input_price = 2, output_price = 9 }}]
[[tokens]]
name = "{_LONG_KEY}"
key = "sk-long-key"
team = "{"t" * 80}"
"""
# The tables that do not fit their panels, on a laptop and, if they become lists there, on a phone.
_TOO_WIDE: Final = """(which) => [...document.querySelectorAll(`main .scroll${which}`)]
  .filter((each) => each.scrollWidth > each.clientWidth)
  .map((each) => `${each.scrollWidth} of ${each.clientWidth}: ${each.innerText.slice(0, 80)}`)"""


def _cli(folder: Path, *arguments: str) -> None:
    command = [sys.executable, "-m", "gateway", *arguments, "--config", str(folder / "config.toml")]
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    popen.run(command, check=True, capture_output=True, cwd=folder, env=environ)


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveGateway]:
    with live_gateway(tmp_path_factory.mktemp("full"), more=_LONG_NAMES) as running:
        _fill(running)
        yield running


@pytest.fixture(scope="module")
def tabs_of_full(browser: Browser, full: LiveGateway) -> Iterator[Tabs]:
    context = browser.new_context(reduced_motion="reduce")
    yield Tabs(context, full.url, "full")
    context.close()


def _fill(running: LiveGateway) -> None:
    folder = running.folder
    _cli(folder, "teams", "create", "search", "--rpm", "600", "--budget-usd", "500")
    _cli(folder, "keys", "create", "checkout", "--team", "search", "--budget-usd", "20")
    _cli(folder, "keys", "create", "batch", "--rpm", "60")
    _cli(folder, "keys", "disable", "batch")
    _cli(folder, "deployments", "drain", "scripted/other", "--reason", "quota")
    for number in range(6):
        running.ask("demo", f"question {number}", stream=number % 2 == 0)
        running.ask("weather", stream=True)
    running.ask("nothing-of-that-name")
    assert running.ask(_LONG_MODEL, key="sk-long-key") == 200
    for _ in range(2):
        threading.Thread(target=_stream, args=(running,), daemon=True).start()


def _stream(running: LiveGateway) -> None:
    """Have an answer under way until the gateway ends."""
    with contextlib.suppress(http.client.HTTPException, OSError):
        running.ask("slow", stream=True)


class Tab:
    """A tab of one size: what it shows is looked at once another has loaded as well."""

    def __init__(self, context: BrowserContext, url: str, size: str, kept: Kept) -> None:
        self.watched = Watched(context.new_page(), url)
        self._session = context.new_cdp_session(self.watched.page)
        self._size = size
        self._kept = kept
        self._shown: str | None = None
        self._looked_at = 0
        self._resize(*_SIZES[size])
        self._paint(kept.schemes(size)[0])

    def load(self, name: str, url: str) -> None:
        self.look()
        visit(self.watched.page, url)
        self._shown = name

    def look(self) -> None:
        """Check the page that was loaded, and keep pictures of it."""
        if self._shown is None:
            return
        name, self._shown = self._shown, None
        page = self.watched.page
        shift = page.evaluate(_SHIFTS)
        assert shift < _MOST_SHIFT, (name, self._size, shift)
        assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0, name
        assert page.evaluate(_CUT) == [], (name, self._size)
        assert page.evaluate(FOREIGN) == SOUND, name
        schemes = self._kept.schemes(self._size)
        for scheme in schemes:
            if len(schemes) > 1:
                self._paint(scheme)
            self._kept.keep(f"{name}-{scheme}-{self._size}", self._picture())
        if self._looks_into_it():
            assert axe_violations(page) == [], (name, self._size)
        if self._size == "wide":
            # Charts are drawn anew a moment later only, so not before a picture.
            self._resize(1280, 800)
            assert page.evaluate(_TOO_WIDE, "") == [], name
            self._resize(*_SIZES["wide"])
        else:
            assert page.evaluate(_TOO_WIDE, ":has(> table.list)") == [], name

    def _looks_into_it(self) -> bool:
        """Whether this page is to be in this tab: each is in one, and in both only in a soak."""
        self._looked_at += 1
        here = SOAK or self._looked_at % 2 == (self._size == "wide")
        return self._kept.state == "full" and here

    def _resize(self, width: int, height: int) -> None:
        self.watched.page.set_viewport_size({"width": width, "height": height})

    def _paint(self, scheme: Literal["light", "dark"]) -> None:
        self.watched.page.emulate_media(color_scheme=scheme, reduced_motion="reduce")

    def _picture(self) -> bytes:
        # Playwright's own way compresses better, for twice the processor time.
        wanted = {"format": "png", "optimizeForSpeed": True}
        return base64.b64decode(self._session.send("Page.captureScreenshot", wanted)["data"])


class Kept:
    """Which pictures there are to be, and the folder of them."""

    def __init__(self, state: Literal["full", "empty"]) -> None:
        self.state = state
        self._folder = FOLDER / state
        self._folder.mkdir(parents=True, exist_ok=True)
        for old in self._folder.iterdir():
            if old.stem.rsplit("-", 2)[0] not in (*PAGES, "sign-in", "request", "session"):
                old.unlink(missing_ok=True)
        # Of each page two of the four will do; in a soak all are kept of what is full.
        self._every = SOAK and state == "full"
        self.made: set[str] = set()
        self.sizes = ["wide", "narrow"] if state == "full" or SOAK else ["narrow", "narrow"]

    def schemes(self, size: str) -> tuple[Literal["light", "dark"], ...]:
        return _SCHEMES if self._every else (_SCHEMES[size == "wide"],)

    def keep(self, name: str, picture: bytes) -> None:
        # A page on which nothing is drawn is a few kilobytes.
        assert len(picture) > 4000, name
        (self._folder / f"{name}.png").write_bytes(picture)
        self.made.add(name)


class Tabs:
    """Two tabs: each page is looked at in both or, if they are of one size, in either."""

    def __init__(self, context: BrowserContext, url: str, state: Literal["full", "empty"]) -> None:
        self.url = url
        self._kept = kept = Kept(state)
        self._tabs = [Tab(context, url, size, kept) for size in kept.sizes]
        self._alike = len({*kept.sizes}) == 1
        self._wanted: set[str] = set()

    @property
    def first(self) -> Watched:
        """The tab for whatever is done before pages are looked at."""
        return self._tabs[-1].watched

    def look(self, name: str, url: str) -> None:
        for tab in self._tabs[:1] if self._alike else self._tabs:
            tab.load(name, url)
        for size in {*self._kept.sizes}:
            self._wanted |= {f"{name}-{scheme}-{size}" for scheme in self._kept.schemes(size)}
        if self._alike:
            self._tabs.reverse()

    def done(self) -> None:
        """Look at what is left; nothing went wrong in any tab but that a page was not there."""
        for tab in self._tabs:
            tab.look()
            said, tab.watched.problems = tab.watched.problems, []
            problems = [each for each in said if "status of 404" not in each]
            assert (problems, tab.watched.foreign) == ([], [])
        assert self._kept.made == self._wanted


def _paths(part: int) -> list[tuple[str, str]]:
    names = [*PAGES.items()]
    return names[len(names) * part // _PARTS : len(names) * (part + 1) // _PARTS]


@pytest.mark.parametrize("part", range(_PARTS))
def test_pages_are_kept_as_people_see_them(tabs_of_full: Tabs, part: int) -> None:
    tabs = tabs_of_full
    _come_in(tabs)
    for name, path in _paths(part):
        tabs.look(name, f"{tabs.url}/admin/{path}")
    if part == _PARTS - 1:
        tabs.done()
        for name, list_ in (("request", "requests?model=weather"), ("session", "sessions")):
            page = tabs.first.goto(list_)
            target = page.locator("tbody tr a").first.get_attribute("href") or ""
            tabs.look(name, f"{tabs.url}{target}")
            tabs.done()
    tabs.done()


def test_so_are_those_of_a_gateway_without_requests(browser: Browser, tmp_path: Path) -> None:
    with live_gateway(tmp_path) as running, browser.new_context(reduced_motion="reduce") as context:
        tabs = Tabs(context, running.url, "empty")
        _come_in(tabs)
        for part in range(_PARTS):
            for name, path in _paths(part):
                tabs.look(name, f"{tabs.url}/admin/{path}")
        tabs.done()


def _come_in(tabs: Tabs) -> None:
    """Look at the page for it, and sign in; who has done so stays in."""
    if tabs.first.page.url == "about:blank":
        tabs.look("sign-in", f"{tabs.url}/admin/sign-in")
        tabs.done()
        tabs.first.sign_in()
