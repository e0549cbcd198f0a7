"""Every page in a real browser, on data of real requests.

As they are without filters and the like, pages are looked into by `pages/test_init.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser

from gateway.admin.rights import Right
from gateway.dashboard.rendering import _NAV
from gateway.dashboard.routes import ROUTES
from tests.rounds import rounds

from .conftest import FOREIGN, SOUND, Watched, axe_violations, settle
from .live_gateway import LiveGateway

pytestmark = pytest.mark.slow
pytest.importorskip("playwright.sync_api")

PAGES = (
    *("?range=24h", "requests?status=error", "requests?tail=1", "models?text=none"),
    *("usage?model=none", "usage?group_by=team", "audit?verify=1", "audit?text=none-has-this"),
    *("keys?text=none", "keys/team-2", "playground?replay=none-such", "settings/reload"),
    *("models/scripted%2Fother/drain", "in-flight/none/cancel", "in-flight?text=none"),
    *("debug?text=none", "requests?range=nonsense"),
)
# Kilobytes of scripts, styles and fonts together, as they are on disk.
MOST = 300


@pytest.fixture(scope="module")
def one_page(browser: Browser, gateway: LiveGateway, signed_in: Any) -> Iterator[Watched]:
    """A page for all cases: a new one takes as long as what is looked at in it."""
    context = browser.new_context(storage_state=signed_in)
    yield Watched(context.new_page(), gateway.url)
    context.close()


@pytest.mark.parametrize(("number", "path"), [*enumerate(PAGES)], ids=PAGES)
def test_a_page_is_accessible_fits_a_phone_and_runs_nothing_foreign(
    one_page: Watched, number: int, path: str
) -> None:
    # Pages of one kind stand beside each other, and are looked into in either way; each is in
    # both only in a soak, since that is most of what all this takes.
    in_light, in_dark = rounds((number % 2 == 0, number % 2 == 1), (True, True))
    refused = path in ("requests?range=nonsense", "playground?replay=none-such")
    watched = one_page
    watched.problems, watched.foreign = [], []
    watched.page.set_viewport_size({"width": 1440, "height": 900})
    watched.page.emulate_media(color_scheme="light", reduced_motion="reduce")
    page = watched.goto(path)
    settle(page)
    assert page.evaluate(FOREIGN) == SOUND
    assert not in_light or axe_violations(page) == []
    page.set_viewport_size({"width": 390, "height": 844})
    page.emulate_media(color_scheme="dark", reduced_motion="reduce")
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    assert not in_dark or axe_violations(page) == []
    if refused:
        # Chromium says so itself.
        watched.problems = [each for each in watched.problems if "status of 40" not in each]
    assert watched.problems == []
    assert watched.foreign == []


def test_all_pages_together_are_small(watched: Watched) -> None:
    for path in ("", "requests", "usage"):
        page = watched.goto(path)
        page.wait_for_load_state("networkidle" if path == "requests" else "load")
        page.wait_for_timeout(300)
        size = page.evaluate(
            "performance.getEntriesByType('resource').filter(each => /static/.test(each.name))"
            ".reduce((sum, each) => sum + each.decodedBodySize, 0)"
        )
        assert 50_000 < size < MOST * 1000, path


def test_keys_lead_to_pages_and_rows(watched: Watched) -> None:
    page = watched.goto("settings")
    for _, path, _, keys in _NAV:
        page.keyboard.press("g")
        page.keyboard.press(keys[2:])
        page.wait_for_url(f"{watched.url}/admin/{path}")
    page = watched.goto("requests")
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.id") == "text"
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    assert page.locator("dialog[open]").count() == 1
    page.keyboard.press("Escape")
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("k")
    assert page.locator("tr.at").count() == 1
    page.keyboard.press("Enter")
    page.wait_for_url("**/admin/requests/*")


def test_the_theme_is_kept(watched: Watched) -> None:
    page = watched.goto("")
    page.click("[data-set-theme=dark]")
    page = watched.goto("requests")
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"


def test_times_are_the_viewers_with_utc_on_hover(browser: Browser, gateway: LiveGateway) -> None:
    context = browser.new_context(timezone_id="Asia/Kathmandu")
    page = Watched(context.new_page(), gateway.url)
    page.sign_in()
    time = page.goto("requests").locator("tbody time").first
    shown, title = time.inner_text(), time.get_attribute("title") or ""
    context.close()
    assert title.endswith(" UTC")
    # A quarter of an hour that only this zone has: 5 h 45 min before UTC.
    assert (int(shown[14:16]) - int(title[14:16])) % 60 == 45


def test_no_template_renders_what_it_is_given_as_html() -> None:
    from importlib.resources import files

    folder = files("gateway.dashboard") / "templates"
    for name in [*folder.iterdir(), *(folder / "parts").iterdir()]:
        if not name.is_file():
            continue
        text = name.read_text()
        for bad in ("|safe", "| safe", "Markup", "autoescape", "style=", "<style", "javascript:"):
            assert bad not in text, (name, bad)
        assert " on" not in [part[:3] for part in text.split("<") if part.startswith("on")]
        for script in text.split("<script")[1:]:
            assert script.lstrip().startswith("src="), name


def test_every_page_but_the_sign_in_needs_a_right() -> None:
    without = {route.path for route in ROUTES if route.right is Right.ANYONE}
    assert without == {"/admin/sign-in", "/admin/setup"}
