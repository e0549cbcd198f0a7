"""Every page as people see it, kept in build/screenshots: full and empty, light and dark, wide and
narrow (in all combinations with SOAK=1, otherwise what is empty only narrow). Whoever changes how
pages look goes through them.

What a program can see is checked: nothing went wrong, nothing jumps while a page is put together,
nothing is cut off at the right.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import shutil
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Literal

import pytest
from playwright.sync_api import Browser, Page

from ...fork_server import popen
from ...fork_server.popen import ROOT
from ...rounds import SOAK
from ..conftest import Watched
from ..live_gateway import LiveGateway, live_gateway

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
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
_SCHEMES: Final[tuple[Literal["light", "dark"], ...]] = ("light", "dark")
_SIZES: Final = {"wide": (1440, 900), "narrow": (390, 844)}
# The whole of what has moved, as browsers count it: below 0.1 is called good (web.dev/cls).
_MOST_SHIFT: Final = 0.02
_SHIFTS: Final = """() => new Promise((done) => {
  let sum = 0;
  new PerformanceObserver((list) => {
    for (const each of list.getEntries()) if (!each.hadRecentInput) sum += each.value;
  }).observe({ type: "layout-shift", buffered: true });
  setTimeout(() => done(sum), 150);
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


@pytest.fixture(params=["full", "empty"])
def shown(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, LiveGateway]]:
    more = _LONG_NAMES if request.param == "full" else ""
    with live_gateway(tmp_path, more=more) as running:
        if request.param == "full":
            _fill(running)
        yield request.param, running


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


def test_pages_are_kept_as_people_see_them(
    browser: Browser, shown: tuple[str, LiveGateway]
) -> None:
    state, gateway = shown
    folder = FOLDER / state
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    context = browser.new_context(reduced_motion="reduce")
    watched = Watched(context.new_page(), gateway.url)
    page = watched.page
    _look(page, folder, "sign-in", f"{gateway.url}/admin/sign-in")
    watched.sign_in()
    for name, path in PAGES.items():
        _look(page, folder, name, f"{gateway.url}/admin/{path}")
    if state == "full":
        for name, list_ in (("request", "requests?model=weather"), ("session", "sessions")):
            watched.goto(list_)
            target = page.locator("tbody tr a").first.get_attribute("href") or ""
            _look(page, folder, name, f"{gateway.url}{target}")
    watched.problems = [each for each in watched.problems if "status of 404" not in each]
    assert (watched.problems, watched.foreign) == ([], [])
    context.close()
    made = [*folder.glob("*.png")]
    pages = len(PAGES) + (3 if state == "full" else 1)
    full = state == "full"
    assert len(made) == pages * ((4 if full else 2) if SOAK else (2 if full else 1))
    # A page on which nothing is drawn is a few kilobytes.
    assert min(each.stat().st_size for each in made) > 4000


def _look(page: Page, folder: Path, name: str, url: str) -> None:
    for size, (width, height) in _SIZES.items():
        if size == "wide" and folder.name == "empty" and not SOAK:
            continue
        page.set_viewport_size({"width": width, "height": height})
        page.goto(url)
        shift = page.evaluate(_SHIFTS)
        assert shift < _MOST_SHIFT, (name, size, shift)
        assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0, name
        assert page.evaluate(_CUT) == [], (name, size)
        if size == "wide":
            page.set_viewport_size({"width": 1280, "height": 800})
            assert page.evaluate(_TOO_WIDE, "") == [], name
            page.set_viewport_size({"width": width, "height": height})
        else:
            assert page.evaluate(_TOO_WIDE, ":has(> table.list)") == [], name
        # Of each page two of the four will do; in a soak all are kept of what is full.
        every = SOAK and folder.name == "full"
        schemes = _SCHEMES if every else (_SCHEMES[size == "wide"],)
        for scheme in schemes:
            page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
            page.screenshot(path=folder / f"{name}-{scheme}-{size}.png")
