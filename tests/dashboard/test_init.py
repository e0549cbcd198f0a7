"""What people do most, on each store and with several workers: whichever worker they reach."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.rounds import rounds

from ..end_to_end.harness import children
from .conftest import Watched
from .first_five_minutes import walk
from .live_gateway import LiveGateway, live_gateway

pytestmark = pytest.mark.slow
pytest.importorskip("playwright.sync_api")

_ROWS = "tbody tr[data-href]"


def url_of(store: str, request: pytest.FixtureRequest) -> str:
    if store == "sqlite":
        return "sqlite:///gateway.db"
    server: Any = request.getfixturevalue("postgres")
    name = server.new_database()
    request.addfinalizer(lambda: server.drop_database(name))  # of one parameter
    return str(server.url(name))


_FEW = [("sqlite", 1), ("postgresql", 2)]
_ALL = [(store, workers) for store in ("sqlite", "postgresql") for workers in (1, 2)]


@pytest.mark.parametrize(("store", "workers"), rounds(few=_FEW, many=_ALL))
def test_the_first_five_minutes_of_a_person(
    browser: Browser, request: pytest.FixtureRequest, tmp_path: Path, store: str, workers: int
) -> None:
    walk(browser, tmp_path, url_of(store, request), workers)


# Two workers on PostgreSQL are walked through above as well.
@pytest.mark.parametrize(
    ("store", "workers"), rounds(few=[("sqlite", 2)], many=[("sqlite", 2), ("postgresql", 2)])
)
def test_a_person_sees_what_all_workers_do(
    browser: Browser, request: pytest.FixtureRequest, tmp_path: Path, store: str, workers: int
) -> None:
    with live_gateway(tmp_path, url_of(store, request), workers) as gateway:
        for number in range(4):
            assert gateway.ask("demo", f"question {number}", stream=number % 2 == 0) == 200
            assert gateway.ask("weather", stream=True) == 200
        context = browser.new_context(viewport={"width": 1440, "height": 900})
        watched = Watched(context.new_page(), gateway.url)
        watched.sign_in()
        _looks_at_all(watched.page)
        _finds_a_request(watched, gateway)
        _downloads(watched, tmp_path)
        _follows(watched, gateway)
        _loses_a_worker(watched, gateway)
        watched.goto("")
        watched.page.click("[aria-label='Sign out']")
        watched.page.wait_for_url("**/sign-in**")
        watched.goto("requests")
        assert "/sign-in?next=" in watched.page.url
        # The worker that was killed may have been the one that sent the page what is new.
        cut = "net::ERR_INCOMPLETE_CHUNKED_ENCODING"
        problems = [each for each in watched.problems if cut not in each]
        assert (problems, watched.foreign) == ([], [])
        context.close()


def _looks_at_all(page: Page) -> None:
    """Each page has its own answer, from either worker, to the same session."""
    base = page.url.partition("/admin")[0]
    for path in ("", "requests", "models", "usage", "audit", "debug", "settings"):
        answer = page.goto(f"{base}/admin/{path}")
        assert answer is not None
        assert answer.status == 200, path
        assert page.locator("h1").count() == 1
        # By another connection than the browser's, and so perhaps by the other worker.
        again = page.request.get(f"{base}/admin/{path}")
        assert again.status == 200, path
        assert again.text().count("<h1") == 1
    expect(page.locator("h2:has-text('All processes')")).to_have_count(1)
    page.goto(f"{base}/admin/models")
    # The breaker of `sick` may be open in one of them; the page says so whichever is asked.
    expect(page.locator("text=scripted").first).to_be_visible()


def _finds_a_request(watched: Watched, gateway: LiveGateway) -> None:
    page = watched.goto("requests?model=weather")
    page.wait_for_selector(_ROWS)
    page.locator(f"{_ROWS} a").first.click()
    page.wait_for_url(re.compile(r"/admin/requests/req_"))
    expect(page.locator("main")).to_contain_text("scripted")


def _downloads(watched: Watched, folder: Path) -> None:
    page = watched.goto("requests?model=demo")
    with page.expect_download() as download:
        page.click("a:has-text('CSV')")
    # Whichever worker sends it, and whichever is asked how far it is.
    page.wait_for_selector(".toast.progress:has-text('rows')")
    file = folder / "requests.csv"
    download.value.save_as(file)
    import pandas  # type: ignore[import-untyped]  # takes a second

    table = pandas.read_csv(file)
    assert {*table["model"]} == {"demo"}
    assert len(table) >= 4
    assert table["cost_usd"].sum() > 0


def _follows(watched: Watched, gateway: LiveGateway) -> None:
    page = watched.goto("requests?model=plain&tail=1")
    page.wait_for_selector(".live[data-state=live]")
    gateway.ask("plain")
    page.wait_for_selector("tr.fresh")


def _loses_a_worker(watched: Watched, gateway: LiveGateway) -> None:
    """Pages are there all the time, and the overview knows all workers again."""
    victim, _ = children(gateway.pid)
    os.kill(victim, signal.SIGKILL)
    for path in ("", "models", "settings"):
        page = watched.goto(path)
        assert page.locator("h1").count() == 1
    page = watched.goto("")
    # The page is told when the successor answers.
    expect(page.locator("main")).not_to_contain_text("does not say how it is", timeout=20_000)
