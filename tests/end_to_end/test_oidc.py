"""Sign-in through a real OpenID Connect provider, by a gateway of two workers."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import urljoin

import httpx
import pytest

from gateway.store.engine.schema import audit, users

from ..http_client import http_client
from ..ports import lasting_port
from .harness import GATEWAY, PATIENCE, Served, spawned
from .provider import until
from .store import Kept, demo

pytestmark = pytest.mark.slow

pytest.importorskip("joserfc")
pytest.importorskip("flask")

Write = Callable[[str], Path]
ANN: Final = {"sub": "ann-1", "preferred_username": "ann", "groups": ["staff", "gateway-ops"]}
BOB: Final = {"sub": "bob-1", "preferred_username": "bob", "groups": ["staff"]}


@pytest.fixture(scope="module")
def issuer() -> Iterator[str]:
    """Run the provider with its people; yield its issuer."""
    port = lasting_port()
    command = [sys.executable, "-m", "oidc_provider_mock", "--port", str(port), "--require-nonce"]
    for person in (ANN, BOB):
        command += ["--user-claims", json.dumps(person)]
    quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, **quiet) as process:  # noqa: S603  # a library of the tests
        try:
            issuer = f"http://127.0.0.1:{port}"
            until = time.monotonic() + PATIENCE
            while not _answers(f"{issuer}/jwks"):
                assert time.monotonic() < until, "the provider does not start"
                time.sleep(0.1)
            yield issuer
        finally:
            process.kill()


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=PATIENCE):  # noqa: S310  # loopback
            return True
    except OSError:
        return False


@asynccontextmanager
async def two_workers(file: Path) -> AsyncIterator[Served]:
    async with spawned((*GATEWAY, "--workers", "2"), file) as served:
        yield served
        served.terminate()
        assert await served.exit_status() == 0
    assert b"Traceback" not in served.said, served.said.decode()


async def come(served: Served, sub: str) -> tuple[httpx.Cookies, httpx.Response]:
    """Sign in as a person at the provider; return the cookies and the last answer of the gateway.

    Each request has a connection of its own, so that either worker may get it.
    """
    cookies = httpx.Cookies()
    base = f"http://127.0.0.1:{served.port}"

    async def get(url: str) -> httpx.Response:
        nonlocal cookies
        async with http_client(cookies=cookies, timeout=PATIENCE) as client:
            answer = await client.get(url)
            cookies = client.cookies
            return answer

    start = await get(f"{base}/admin/api/oidc/start?next=/admin/requests")
    assert start.status_code == 303, start.text
    async with http_client(timeout=PATIENCE) as browser:
        # The person's own browser, at the other site.
        answer = await browser.post(start.headers["location"], data={"sub": sub})
    assert answer.status_code == 302, answer.text
    back = urljoin(base, answer.headers["location"])
    assert back.startswith(f"{base}/admin/api/oidc/callback?")
    last = await get(back)
    return cookies, last


async def page_of(served: Served, answer: httpx.Response) -> str:
    """Return the page that a browser goes to after an answer."""
    async with http_client(timeout=PATIENCE) as client:
        base = f"http://127.0.0.1:{served.port}"
        found = await client.get(urljoin(base, answer.headers["location"]))
    assert found.status_code == 200
    return found.text


async def test_people_of_a_provider(on_record: Kept, write: Write, issuer: str) -> None:
    oidc = (
        f'[admin.oidc]\nissuer = "{issuer}"\nclient_id = "gateway"\n'
        'client_secret = "s3cret"\nroles = { gateway-ops = "operator" }\n'
    )
    async with two_workers(write(demo(store=on_record.store, more=oidc))) as served:
        cookies, answer = await come(served, "ann-1")
        assert (answer.status_code, answer.headers["location"]) == (303, "/admin/requests")
        seen = set()
        for _ in range(8):
            async with http_client(cookies=cookies) as client:
                me = await client.get(f"http://127.0.0.1:{served.port}/admin/api/session")
            seen.add((me.status_code, me.json()["name"], me.json()["role"]))
        assert seen == {(200, "ann", "operator")}
        # The same person again is the same user; one without a role is none.
        _, answer = await come(served, "ann-1")
        assert answer.status_code == 303
        _, answer = await come(served, "bob-1")
        # Whoever comes back without a session is told why by the page, and not by JSON.
        assert answer.status_code == 303
        page = await page_of(served, answer)
        assert "You are known there, but have no role here." in page
    assert [row["name"] for row in on_record.rows(users)] == ["ann"]
    # Each worker writes what happened there, so they come in any order.
    signed_in = [row for row in on_record.rows(audit) if row["action"] == "sign_in"]
    assert Counter((row["actor"], row["result"]) for row in signed_in) == {
        ("ann", "ok"): 2,
        (None, "refused"): 1,
    }
    assert "s3cret" not in served.said.decode() + repr(on_record.rows(audit))


async def test_a_provider_that_is_away(on_sqlite: Kept, write: Write) -> None:
    oidc = (
        f'[admin.oidc]\nissuer = "http://127.0.0.1:{lasting_port()}"\nclient_id = "gateway"\n'
        'roles = { staff = "viewer" }\n'
    )
    # The gateway starts and serves all the same.
    async with two_workers(write(demo(store=on_sqlite.store, more=oidc))) as served:
        async with http_client(timeout=PATIENCE) as client:
            answer = await client.get(f"http://127.0.0.1:{served.port}/admin/api/oidc/start")
        assert answer.status_code == 303
        assert "the provider is away" in await page_of(served, answer)
        await until(lambda: b"cannot be reached" in served.said, "the log", PATIENCE)
