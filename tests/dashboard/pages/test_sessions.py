"""Sessions: newest first, one as a thread with its agents, ids that are markup."""

from __future__ import annotations

import json
import re
import time
from typing import Any
from urllib.parse import quote

import pytest
from sqlalchemy import insert

from gateway.store.engine.ids import id_of
from gateway.store.engine.schema import requests
from tests.store.filling import plain

from ..conftest import Watched
from ..test_application import Site, site

__all__ = ["site"]
NASTY = 'a/b/ "><img src=x onerror=alert(1)>/'


def put(site: Site, rows: list[dict[str, Any]]) -> None:
    """Write requests, one a second, up to now."""
    end = round(time.time()) * 1_000_000
    made = [
        plain(id_of(end - (len(rows) - number) * 1_000_000, 0), **row)
        for number, row in enumerate(rows)
    ]
    site.database.write_now(lambda connection: connection.execute(insert(requests), made))


async def get(site: Site, path: str, cookie: str) -> tuple[int, str]:
    answer = await site.ask(f"/admin/{path}", cookie=cookie)
    return answer.status, answer.body.decode()


async def test_a_session_of_many_requests_is_read_a_page_at_a_time(site: Site) -> None:
    agent = json.dumps({"x-claude-code-agent-id": NASTY}, separators=(",", ":"))
    rows = [
        {"session": NASTY, "user": NASTY, "model": NASTY, "token": NASTY, "input_tokens": 100,
         "cached_tokens": 50, "cost_nano_usd": 10**9, "user_agent": NASTY,
         "metadata": agent if number % 3 == 0 else None, "request_id": f"r{number:03}"}
        for number in range(120)
    ]  # fmt: skip
    put(site, [*rows, {"session": "other"}])
    cookie = await site.cookie("viewer")
    for path in ("sessions", "sessions?by=user", "sessions?model=none", "sessions?range=15m"):
        status, page = await get(site, path, cookie)
        assert status == 200
        assert "<img" not in page
    status, page = await get(site, "sessions", cookie)
    shown = re.findall(r'<tr data-href="/admin/(session[^"]+)"', page)
    assert shown[0].endswith("id=other")
    target = shown[1].replace("&amp;", "&")
    seen: list[str] = []
    while True:
        status, page = await get(site, target, cookie)
        assert status == 200
        assert "<img" not in page
        seen += re.findall(r'<tr data-href="/admin/requests/(r\d+)"', page)
        following = re.search(r'hx-get="/admin/(session[^"]+)"', page)
        if following is None:
            break
        target = following[1].replace("&amp;", "&")
    assert seen == [f"r{number:03}" for number in range(120)]
    name = quote(NASTY, safe="")
    status, page = await get(site, f"session?id={name}", cookie)
    assert "$120.00" in page
    assert "50 % cached" in page
    status, page = await get(site, f"session?id={name}&agent={name}&order=desc", cookie)
    assert re.findall(r'<tr data-href="/admin/requests/(r\d+)"', page)[0] == "r117"
    assert (await get(site, f"session?id={name}&agent=nobody", cookie))[0] == 200
    assert (await get(site, f"session?id={name}&by=user&agent=main", cookie))[0] == 200
    assert (await get(site, "session?id=none", cookie))[0] == 404
    assert (await get(site, "session?id=%00", cookie))[0] == 400


@pytest.mark.slow
def test_from_the_list_to_the_thread_to_a_request(watched: Watched) -> None:
    page = watched.goto("sessions")
    page.locator("tbody tr[data-href]").first.click()
    page.wait_for_selector("text=First to last")
    assert page.locator("img").count() == 0
    assert "<img" in page.locator("h1").inner_text()
    page.locator("tbody tr[data-href]").first.click()
    page.wait_for_selector("text=Attempts")
    page.click("dd a[href*='/admin/session?']")
    page.wait_for_selector("text=First to last")
    page.goto(f"{watched.url}/admin/sessions")
    page.select_option("select[name=range]", "15m")
    page.wait_for_url("**range=15m**")
    page.click(".segments >> text=Users")
    page.wait_for_url("**by=user**")
    assert page.locator("tbody tr[data-href]").count() >= 1
