"""A key in a browser: made, used with OpenAI's SDK, edited by two, revoked, and refused."""

from __future__ import annotations

import time

import pytest

from ....late import openai
from ...conftest import Watched, axe_violations
from ...live_gateway import LiveGateway

pytestmark = pytest.mark.slow
pytest.importorskip("playwright.sync_api")

# Seconds within which a change holds in every process, and some for a busy machine.
SOON = 15.0
NAME = 'app "><img src=x onerror=alert(3)>/rotate'


def answers(client: openai.OpenAI) -> bool:
    """Say whether a request with the client's key is answered, and not refused."""
    try:
        answer = client.chat.completions.create(
            model="demo", messages=[{"role": "user", "content": "Hello"}]
        )
    except openai.AuthenticationError:
        return False
    return answer.choices[0].message.content is not None


def soon(gateway: LiveGateway, secret: str, *, works: bool) -> bool:
    until = time.monotonic() + SOON
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=secret, max_retries=0) as client:
        while time.monotonic() < until:
            if answers(client) is works:
                return True
            time.sleep(0.2)
    return False


def test_a_key_is_made_used_changed_and_revoked(watched: Watched, gateway: LiveGateway) -> None:
    page = watched.goto("keys")
    page.click("text=New key")
    page.fill("#f-name", NAME)
    page.fill("#f-rpm", "no number")
    page.click("text=Make the key")
    # What is wrong stands at its field, and what was written is still there.
    assert "whole number" in page.locator("#p-rpm").inner_text()
    assert page.input_value("#f-name") == NAME
    page.fill("#f-rpm", "600")
    page.fill("#f-budget_usd", "5")
    page.click("text=Make the key")
    secret = page.locator("#secret").inner_text()
    assert secret.startswith("sk-gw-")
    assert secret in page.locator("#use-curl").inner_text()
    assert secret in page.locator("#use-python").inner_text()
    assert page.locator("img").count() == 0
    assert axe_violations(page) == []
    assert soon(gateway, secret, works=True)

    page.click("text=Usage and cost")
    page.goto(f"{watched.url}/admin/keys?text=app")
    page.locator("tbody tr[data-href]").first.click()
    page.click("text=Edit")
    other = page.context.new_page()
    other.goto(page.url)
    other.fill("#f-rpm", "900")
    other.click("button:has-text('Save')")
    other.wait_for_selector("text=What it may do")
    other.close()
    page.fill("#f-rpm", "700")
    page.click("button:has-text('Save')")
    page.wait_for_selector("text=Nothing was saved")
    assert page.locator("tbody tr").all_inner_texts() == ["Requests a minute\t900\t700"]
    assert axe_violations(page) == []
    page.click("text=Edit what is there now")
    assert page.input_value("#f-rpm") == "900"

    page.click("text=Cancel")
    page.click("text=Disable")
    page.wait_for_selector("text=Enable")
    assert soon(gateway, secret, works=False)
    page.click("text=Enable")
    assert soon(gateway, secret, works=True)
    page.click("text=Revoke…")
    page.click("text=Keep it")
    page.click("text=Revoke…")
    page.click("text=Revoke for good")
    page.wait_for_selector("text=revoked")
    assert page.locator("text=Revoke…").count() == 0
    assert soon(gateway, secret, works=False)
    # Chromium says of itself that the forms were refused.
    watched.problems = [each for each in watched.problems if "status of 4" not in each]


def test_a_team_is_made_and_its_keys_are_listed(watched: Watched) -> None:
    page = watched.goto("teams")
    page.click("main >> text=New team")
    page.fill("#f-name", "search")
    page.fill("#f-budget_usd", "20")
    page.click("text=Make the team")
    page.wait_for_selector("text=No key is of this team")
    page.click(".head >> text=New key in it")
    assert page.input_value("#f-team") == "search"
    page.fill("#f-name", "of-search")
    page.click("text=Make the key")
    page.wait_for_selector("#secret")
    page.goto(f"{watched.url}/admin/teams")
    assert "search" in page.locator("tbody").inner_text()
    page.click("tbody a:has-text('search')")
    assert "of-search" in page.locator("tbody").inner_text()
    page.click("text=Delete…")
    page.click("button:has-text('Delete')")
    page.wait_for_url("**/admin/teams")
    assert "name only" in page.locator("tbody").inner_text()
