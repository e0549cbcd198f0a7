"""The admin API and the dashboard at an address of their own, below another path, or off."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import h11
import httpx
import pytest
import trio

from gateway.dashboard.routes import ROUTES

from ..admin.accounts.people import PASSWORD, new_user
from ..http_client import http_client
from ..ports import lasting_port
from .caller import calling, get
from .harness import GATEWAY, HYPERCORN, PATIENCE, Served, config, spawned, starting
from .provider import serving, until
from .store import ADMIN, ADMINS, Kept, eventually
from .test_processes import slow_stream
from .wire import DONE

pytestmark = pytest.mark.slow

Write = Callable[[str], Path]
STATUS = "/admin/api/status"
_PAGES = re.compile(rb"dashboard: (?:http://127\.0\.0\.1:(\d+))?(/\S*)(?: at (unix:\S+))? ")


def pages(served: Served) -> tuple[str, int, str]:
    """Return where the dashboard is, as the gateway has said: a socket, a port, a path."""
    found = _PAGES.search(served.said)
    assert found, served.said.decode()
    return (found[3] or b"").decode(), int(found[1] or 0), found[2].decode()


@pytest.mark.parametrize("workers", [1, 2])
async def test_an_address_of_its_own(write: Write, on_sqlite: Kept, workers: int) -> None:
    own = '[admin]\nbind = "127.0.0.1:0"\n'
    async with serving(slow_stream(3.0)) as provider:
        text = config(
            provider.port,
            tokens=ADMINS + own,
            store=on_sqlite.store,
            server="drain_delay = 0",
        )
        command = (*GATEWAY, "--workers", str(workers))
        async with spawned(command, write(text)) as served, calling(served.port) as caller:
            _, port, path = pages(served)
            assert (port != served.port, path) == (True, "/admin/")
            # Nothing is there where models are served, and the other way round.
            reply = await get(served.port, STATUS, key=ADMIN)
            assert (reply.status, reply.error["code"]) == (404, "not_found")
            assert (await get(port, "/v1/models")).status == 404
            assert (await get(port, "/health/ready")).status == 404
            assert (await get(port, STATUS)).status == 401
            reply = await get(port, "/")
            assert (reply.status, reply.headers["location"]) == (303, "/admin/")
            assert (await get(port, "/admin")).headers["location"].startswith("/admin/sign-in?")
            link = re.search(r"link=(\S+)", re.sub(r"\x1b\[\d*m", "", served.said.decode()))
            assert link is None or f":{port}/admin/setup?token=" in link[1]
            pids: set[int] = set()

            async def all_answer() -> bool:
                reply = await get(port, STATUS, key=ADMIN)
                assert reply.status == 200
                pids.add(reply.json["pid"])
                return len(pids) == workers

            await eventually(all_answer, "answers of all workers at the own address")
            # While the gateway drains it can still be looked at.
            await caller.ask(stream=True)
            await caller.head()
            await caller.until(b"first")
            served.terminate()

            async def drains() -> bool:
                # The worker that has nothing left to do leaves, and with it what it has accepted.
                with contextlib.suppress(OSError, trio.BrokenResourceError, h11.ProtocolError):
                    phase: str = (await get(port, STATUS, key=ADMIN)).json["phase"]
                    return phase == "draining"
                return False

            await eventually(drains, "a gateway that says that it drains")
            rest, complete = await caller.rest()
            assert (rest.endswith(DONE), complete) == (True, True)
            assert await served.exit_status() == 0
    assert b"Traceback" not in served.said


async def test_a_socket_file(write: Write, tmp_path: Path, on_sqlite: Kept) -> None:
    own = f'[admin]\nbind = "unix:{tmp_path}/a.sock"\n'
    text = config(1, tokens=ADMINS + own, store=on_sqlite.store)
    async with spawned((*GATEWAY, "--workers", "2"), write(text)) as served:
        assert pages(served) == (f"unix:{tmp_path}/a.sock", 0, "/admin/")
        transport = httpx.AsyncHTTPTransport(uds=f"{tmp_path}/a.sock")
        async with http_client(transport=transport, timeout=PATIENCE) as client:
            headers = {"authorization": f"Bearer {ADMIN}"}
            answer = await client.get(f"http://gateway{STATUS}", headers=headers)
            assert answer.status_code == 200
        assert (await get(served.port, STATUS, key=ADMIN)).status == 404


async def test_under_hypercorns_command_line(write: Write) -> None:
    port = lasting_port()
    own = f'[admin]\nbind = "127.0.0.1:{port}"\n'
    async with spawned(HYPERCORN, write(config(1, tokens=ADMINS + own))) as served:

        async def answers() -> bool:
            try:
                return (await get(port, STATUS, key=ADMIN)).status == 200
            except OSError:
                return False

        await eventually(answers, "the own address")
        assert (await get(served.port, STATUS, key=ADMIN)).status == 404


@pytest.mark.parametrize("command", [GATEWAY, (*GATEWAY, "--workers", "2")])
async def test_an_address_that_is_taken_is_said_at_the_start(
    write: Write, command: Sequence[str]
) -> None:
    async with serving(()) as other:
        own = f'[admin]\nbind = "127.0.0.1:{other.port}"\n'
        async with starting(command, write(config(1, tokens=own))) as served:
            assert await served.exit_status() == 1
            await until(lambda: b"the address is in use" in served.said, "a reason", PATIENCE)


async def test_off(write: Write) -> None:
    async with spawned(
        GATEWAY, write(config(1, tokens=f"{ADMINS}[admin]\nenabled = false\n"))
    ) as served:
        for path in ("/admin", "/admin/", STATUS, "/admin/sign-in"):
            assert (await get(served.port, path, key=ADMIN)).status == 404
        assert b"dashboard:" not in served.said


@pytest.mark.parametrize("own", [False, True])
async def test_below_another_path(write: Write, on_sqlite: Kept, own: bool) -> None:
    """Nothing that a browser is told leads to where the pages are by default."""
    bind = 'bind = "127.0.0.1:0"\n' if own else ""
    text = config(1, tokens=f'{ADMINS}[admin]\npath = "/ops/gate"\n{bind}', store=on_sqlite.store)
    async with spawned(GATEWAY, write(text)) as served:
        _, port, path = pages(served)
        assert path == "/ops/gate/"
        new_user(on_sqlite.database, "ann", "admin")
        base = f"http://127.0.0.1:{port}"
        there: set[str] = set()
        async with http_client(base_url=base, timeout=PATIENCE) as client:
            assert (await client.get("/admin/")).status_code == 404
            assert (await client.get(STATUS)).status_code == 404
            assert (await client.get("/ops/gated/")).status_code == 404
            answer = await client.get("/ops/gate/requests?status=error")
            assert answer.headers["location"] == (
                "/ops/gate/sign-in?next=%2Fops%2Fgate%2Frequests%3Fstatus%3Derror"
            )
            answer = await client.post(
                "/ops/gate/sign-in",
                data={"name": "ann", "password": PASSWORD, "next": "/ops/gate/requests"},
                headers={"origin": base},
            )
            assert (answer.status_code, answer.headers["location"]) == (303, "/ops/gate/requests")
            assert "; Path=/ops/gate; " in answer.headers["set-cookie"]
            for route in ROUTES:
                if route.method == "GET" and "{" not in route.path and "/live/" not in route.path:
                    found = await client.get(route.path.replace("/admin", "/ops/gate"))
                    # It wants to be told which session.
                    told = 400 if route.path == "/admin/session" else 200
                    assert found.status_code in (told, 303), route.path
                    kind = found.headers.get("content-type", "")
                    assert "/admin" not in found.text or "html" not in kind, route.path
                    assert "/admin" not in found.headers.get("location", ""), route.path
                    await linked(client, found.text, there)
            answer = await client.post(
                "/ops/gate/api/keys",
                json={"name": "k/1"},
                headers={"authorization": f"Bearer {ADMIN}"},
            )
            assert answer.headers["location"] == "/ops/gate/api/keys/k%2F1"
            described: dict[str, Any] = (await client.get("/ops/gate/api/openapi.json")).json()
            assert all(each.startswith("/ops/gate/api/") for each in described["paths"])


async def linked(client: httpx.AsyncClient, page: str, there: set[str]) -> None:
    """Ask for every file that a page refers to, and that its styles do, but for those `there`."""
    for url in {*re.findall(r'(?:src|href)="([^"]*/static/[^"]*)"', page)} - there:
        there.add(url)
        assert url.startswith("/ops/gate/static/"), url
        found = await client.get(url)
        assert found.status_code == 200, url
        if url.endswith(".css"):
            for inner in re.findall(r'url\("([^"]+)"\)', found.text):
                assert (await client.get(str(found.url.join(inner)))).status_code == 200
