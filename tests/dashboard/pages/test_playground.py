"""The playground in a browser: a model is asked through the public API, and answers as text."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trio
from playwright.sync_api import Browser, Page, expect

from ...clients.any_model import AnyModel
from ...clients.world import APIS, models
from ...end_to_end.provider import Asked, serving
from ...end_to_end.wire import Script
from ..conftest import Watched, axe_violations
from ..live_gateway import KEY, LiveGateway, live_gateway
from ..provider import MARKUP

pytestmark = pytest.mark.slow
pytest.importorskip("playwright.sync_api")

OWN = f"{KEY}-2"


def ask(page: Page, model: str, text: str = f"Hello {MARKUP}", key: str = OWN) -> None:
    if key:
        page.fill("#key", key)
    page.fill("#model", model)
    page.fill("#text", text)
    page.click("#send")


@pytest.fixture
def page(watched: Watched) -> Iterator[Page]:
    found = watched.goto("playground")
    yield found
    # Nothing of an answer, an error or a header became an element.
    assert found.locator("main img, main script, main b:text('of that')").count() == 0


def test_an_answer_streams_and_its_trail_is_shown(page: Page) -> None:
    sent: list[str] = []
    page.on("request", lambda request: sent.append(f"{request.method} {request.url}"))
    page.fill("#system", MARKUP)
    ask(page, "demo")
    expect(page.locator("#state")).to_contain_text("whole answer")
    expect(page.locator("#output")).to_contain_text("You asked about this")
    expect(page.locator("#output")).to_contain_text("<script>alert(2)</script>")
    assert "tokens/s" in page.inner_text("#f-speed")
    assert "out" in page.inner_text("#f-tokens")
    expect(page.locator("#heads")).to_contain_text("x-gateway-provider")
    expect(page.locator("#trail")).to_contain_text("demo/demo")
    expect(page.locator("#trail")).to_contain_text("$0.0000")
    assert axe_violations(page) == []
    # The public API, at its own path, and the key in no address.
    assert any(each.startswith("POST") and each.endswith("/v1/chat/completions") for each in sent)
    assert not any(OWN in each for each in sent)


def test_a_provider_that_failed_and_calls_of_tools_are_shown_as_text(page: Page) -> None:
    ask(page, "weather")
    expect(page.locator("#calls")).to_contain_text("<script>alert(2)</script>")
    expect(page.locator("#thought")).to_contain_text("Let me look")
    expect(page.locator("#trail")).to_contain_text("overloaded")
    expect(page.locator("#trail")).to_contain_text("scripted/sick")
    page.uncheck("#stream")
    ask(page, "plain")
    expect(page.locator("#output")).to_contain_text("It is sunny.")
    page.click("text=Messages")
    page.check("#stream")
    ask(page, "plain")
    expect(page.locator("#output")).to_contain_text("It is sunny.")
    expect(page.locator("#state")).to_contain_text("whole answer")
    page.click("text=Responses")
    ask(page, "plain")
    expect(page.locator("#output")).to_contain_text("It is sunny.")


def test_stop_ends_the_stream_at_the_provider(page: Page, gateway: LiveGateway) -> None:
    ask(page, "slow")
    expect(page.locator("#output")).to_contain_text("word3")
    assert gateway.provider.streams == 1
    page.click("#stop")
    expect(page.locator("#state")).to_contain_text("Stopped")
    until = time.monotonic() + 10
    while gateway.provider.streams and time.monotonic() < until:
        page.wait_for_timeout(50)
    assert gateway.provider.streams == 0
    expect(page.locator("#trail")).to_contain_text("the caller left")
    assert page.locator("#send").is_enabled()


def test_refusals_are_explained(watched: Watched, page: Page) -> None:
    ask(page, "demo", key="sk-wrong-key")
    expect(page.locator("#problem")).to_contain_text("incorrect API key")
    expect(page.locator("#state")).to_contain_text("Refused with 401")
    assert axe_violations(page) == []
    ask(page, f"nothing{MARKUP}")
    expect(page.locator("#problem")).to_contain_text("does not exist")
    # Chromium says so itself.
    watched.problems = [each for each in watched.problems if "status of 40" not in each]


def test_an_operator_calls_as_a_key_without_its_secret(page: Page) -> None:
    page.click("text=As a key of the gateway")
    page.select_option("#grant", "team-2")
    ask(page, "demo", key="")
    expect(page.locator("#state")).to_contain_text("whole answer")
    expect(page.locator("#trail")).to_contain_text("team-2")
    page.click("text=The whole request")
    expect(page.locator("main")).to_contain_text("granted_to")
    page.goto(page.url.rpartition("/requests/")[0] + "/audit?action=key_granted")
    expect(page.locator("tbody tr").first).to_contain_text("team-2")


def test_a_captured_request_is_sent_again_and_compared(watched: Watched) -> None:
    page = watched.goto("requests?model=plain")
    page.locator("tbody tr[data-href]").first.click()
    page.click("a:has-text('Replay')")
    assert axe_violations(page) == []
    original = page.inner_text("h2 a")
    assert MARKUP.split("<")[1] in page.input_value("#body")
    page.fill("#key", OWN)
    page.click("#send")
    expect(page.locator("#output")).to_contain_text("It is sunny.")
    expect(page.locator("#trail")).to_contain_text("scripted/other")
    page.click("#trail a:has-text('whole request')")
    # The new request links to the original, and both can be compared.
    expect(page.locator("main")).to_contain_text(f"Repeats {original}")
    with page.expect_navigation():
        page.click("a:has-text('Compare the answers')")
    for _ in range(120):
        # A capture is written within seconds of its end.
        if 'id="diff"' in page.request.get(page.url).text():
            break
        page.wait_for_timeout(250)
    page.reload()
    expect(page.locator("#diff")).to_contain_text("The answers are the same")
    assert axe_violations(page) == []
    page.goto(page.url.partition("&with")[0])
    expect(page.locator("main")).to_contain_text("the original")
    assert axe_violations(page) == []
    page.goto(f"{watched.url}/admin/audit?action=capture_replayed")
    expect(page.locator("tbody tr").first).to_contain_text(original)
    assert page.locator("img").count() == 0


class Unhurried(AnyModel):
    """Takes a while between events: what comes all at once has no speed."""

    def __call__(self, asked: Asked) -> Script:
        return [(0.05, each) for _, each in super().__call__(asked)]


@pytest.fixture(scope="module")
def provider() -> Iterator[int]:
    """The port of a provider that speaks seven APIs, in a loop of its own."""
    ready, ended = threading.Event(), trio.Event()
    running: list[Any] = []

    async def run() -> None:
        async with serving(Unhurried(lambda _: None)) as provider:
            running.extend((trio.lowlevel.current_trio_token(), provider.port))
            ready.set()
            await ended.wait()

    thread = threading.Thread(target=trio.run, args=(run,), daemon=True)
    thread.start()
    assert ready.wait(60)
    yield running[1]
    running[0].run_sync_soon(ended.set)
    thread.join(60)


@pytest.fixture(scope="module")
def kinds(
    browser: Browser, provider: int, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Page]:
    """The playground of a gateway with a model of each kind of provider."""
    folder: Path = tmp_path_factory.mktemp("playground")
    with live_gateway(folder, more=models(provider)) as gateway:
        context = browser.new_context(viewport={"width": 1440, "height": 900})
        watched = Watched(context.new_page(), gateway.url)
        watched.sign_in()
        yield watched.goto("playground")
        context.close()
        assert watched.problems == []
        assert watched.foreign == []


def answered(page: Page, model: str) -> None:
    ask(page, model)
    expect(page.locator("#trail")).to_contain_text(f"{model.removeprefix('to-')}/", timeout=30_000)
    expect(page.locator("#state")).to_contain_text("whole answer")
    expect(page.locator("#output")).to_contain_text("I will look.")


@pytest.mark.parametrize("api", APIS.values())
def test_a_model_of_each_kind_of_provider_answers(kinds: Page, api: str) -> None:
    answered(kinds, f"to-{api}")
    assert "tokens/s" in kinds.inner_text("#f-speed")
    assert "out" in kinds.inner_text("#f-tokens")
    expect(kinds.locator("#heads")).to_contain_text("x-gateway-provider")
    # 19 tokens at a dollar and 10 at two for a million.
    expect(kinds.locator("#trail")).to_contain_text("$0.0000")


@pytest.mark.parametrize("asked", ["Messages", "Responses"])
def test_gemini_is_asked_by_the_other_apis_of_the_playground(kinds: Page, asked: str) -> None:
    kinds.click(f"text={asked}")
    for stream in (True, False):
        kinds.set_checked("#stream", stream)
        answered(kinds, "to-gemini")
    kinds.check("#stream")
