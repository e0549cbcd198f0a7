"""A person who has never seen it: from the link at the start to the month's cost of a team."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Final

from playwright.sync_api import Browser, Page, expect

from tests.late import openai, pandas

from .conftest import Watched
from .live_gateway import PASSWORD, LiveGateway, live_gateway

# The first route of `weather` fails always. Whichever worker gets a question, one of them has had
# the five failures by then that its breaker opens for.
_QUESTIONS: Final = 14


def walk(browser: Browser, folder: Path, url: str, workers: int) -> None:
    """Do all of it on a new gateway, with its records at `url`."""
    with live_gateway(folder, url, workers, user=False) as gateway:
        context = browser.new_context(viewport={"width": 1440, "height": 900})
        watched = Watched(context.new_page(), gateway.url)
        _sets_up(watched, folder)
        secret = _makes_a_key(watched)
        _calls_a_model(gateway, secret)
        _sees_why_a_provider_was_skipped(watched)
        _drains_one(watched)
        _sees_and_downloads_what_the_team_cost(watched, folder)
        assert (watched.problems, watched.foreign) == ([], [])
        context.close()


def _sets_up(watched: Watched, folder: Path) -> None:
    """Open the link that the start prints, once; it leads to nothing a second time."""
    until = time.monotonic() + 20
    # To what stands behind it: it may have been written in part.
    link = re.compile(r"(http://\S+/admin/setup\?token=[^\s\"]+)(?=[\s\"])")
    while not (found := link.findall(_log(folder))):
        assert time.monotonic() < until, _log(folder)
        time.sleep(0.1)
    # All are good until one is used: a person takes what stands last.
    page = watched.page
    page.goto(found[-1])
    page.fill("input[name=name]", "grace")
    page.fill("input[name=password]", PASSWORD)
    page.click("button:has-text('Make the user')")
    page.wait_for_selector("h1:has-text('Overview')")
    # An overview of nothing says what to do, and where keys are made.
    expect(page.locator("main")).to_contain_text("No requests in this time")


def _log(folder: Path) -> str:
    return re.sub(r"\x1b\[\d*m", "", (folder / "log").read_text())


def _makes_a_key(watched: Watched) -> str:
    page = watched.page
    page.click("nav >> text=Keys & teams")
    page.click("a:has-text('New key')")
    page.fill("#f-name", "first-app")
    page.fill("#f-team", "search")
    page.click("button:has-text('Make the key')")
    page.wait_for_selector("h2:has-text('The key is made')")
    return page.locator("#secret").inner_text()


def _calls_a_model(gateway: LiveGateway, secret: str) -> None:
    client = openai.OpenAI(api_key=secret, base_url=f"{gateway.url}/v1", max_retries=3)
    with client:
        _knows(client)
        for number in range(_QUESTIONS):
            stream = client.chat.completions.create(
                model="weather",
                messages=[{"role": "user", "content": f"How will it be in {number} days?"}],
                stream=True,
            )
            assert [*stream]


def _knows(client: openai.OpenAI) -> None:
    """Wait until the key is taken: all processes know it within two seconds."""
    until = time.monotonic() + 20
    while True:
        try:
            client.models.list()
            return
        except openai.AuthenticationError:
            assert time.monotonic() < until, "the key that was made is not taken"
            time.sleep(0.1)


def _sees_why_a_provider_was_skipped(watched: Watched) -> None:
    page = watched.page
    page.click("nav >> text=Requests")
    rows = page.locator("tbody tr[data-href]")
    expect(rows.first).to_contain_text("first-app")
    rows.first.locator("a").first.click()
    page.wait_for_url(re.compile(r"/admin/requests/req_"))
    expect(page.locator("main")).to_contain_text("scripted/sick")
    _one_was_skipped(page)


def _one_was_skipped(page: Page) -> None:
    """The newest may have gone to a worker that still tries: look on, as a person does."""
    rows = page.locator("tbody tr[data-href]")
    for number in range(1, _QUESTIONS):
        text = page.locator("main").inner_text()
        if "skipped" in text and "breaker" in text:
            return
        page.go_back()
        rows.nth(number).locator("a").first.click()
        page.wait_for_url(re.compile(r"/admin/requests/req_"))
    raise AssertionError("no request says that a provider was skipped, and why")


def _drains_one(watched: Watched) -> None:
    page = watched.page
    page.click("nav >> text=Models")
    page.click("a:has-text('Drain scripted/other')")
    page.click("dialog button.danger, dialog button.primary")
    expect(page.locator("main")).to_contain_text("scripted/other is drained")


def _sees_and_downloads_what_the_team_cost(watched: Watched, folder: Path) -> None:
    page = watched.page
    page.click("nav >> text=Usage & cost")
    page.click("a:has-text('This month')")
    page.click("nav[aria-label='Group by'] >> text=Team")
    row = page.locator("tbody tr", has_text="search").first
    expect(row).to_contain_text("$")
    with page.expect_download() as download:
        page.click("a:has-text('CSV')")
    file = folder / "month.csv"
    download.value.save_as(file)
    table = pandas.read_csv(file)
    of_team = table[table["team"] == "search"]
    assert of_team["requests"].sum() == _QUESTIONS
    assert {*of_team["token"]} == {"first-app"}
    assert of_team["cost_usd"].sum() > 0
    # The same with its types, as a notebook opens it.
    with page.expect_download() as download:
        page.click("a:has-text('Parquet')")
    file = folder / "month.parquet"
    download.value.save_as(file)
    table = pandas.read_parquet(file)
    assert table[table["team"] == "search"]["requests"].sum() == _QUESTIONS
