"""The admin API over real sockets, behind Hypercorn's worker: what only both can get wrong."""

from __future__ import annotations

import shutil
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import msgspec
import pytest
import trio
from sqlalchemy import func, select
from starlette.responses import Response
from trio.testing import wait_all_tasks_blocked

from gateway.admin.request import AdminRequest, encoded
from gateway.admin.route import AdminRoute
from gateway.core.records.audit import AuditAction
from gateway.store.engine.database import Database
from gateway.store.engine.schema import requests
from tests.end_to_end.provider import until

from ..http_client import http_client
from ..once import made_once
from ..store.filling import MODELS
from .world import World, fill_requests, served

ROWS = 30_000
HEADERS = {"authorization": "Bearer sk-admin"}


@pytest.fixture(scope="module")
def folder(migrated_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a database whose export is more than all buffers on its way hold."""

    def make(found: Path) -> None:
        shutil.copy(migrated_file, found / "gateway.db")
        database = Database("sqlite:///gateway.db", found)
        fill_requests(database, ROWS)
        database.close()

    return made_once(tmp_path_factory, "loopback", make)


@pytest.fixture
def filled(folder: Path) -> Iterator[Database]:
    """That database, which nothing here writes to."""
    database = Database("sqlite:///gateway.db", folder)
    yield database
    database.close()


def request(target: str) -> bytes:
    head = f"GET /admin/api/{target} HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer sk-admin"
    return f"{head}\r\n\r\n".encode()


async def connected(port: int) -> trio.SocketStream:
    """Return a connection that takes little at a time."""
    found = trio.socket.socket()
    found.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    await found.connect(("127.0.0.1", port))
    return trio.SocketStream(found)


@pytest.mark.slow
async def test_pages_and_files(filled: Database) -> None:
    world = World(filled)
    async with (
        served(world) as port,
        http_client(base_url=f"http://127.0.0.1:{port}/admin/api/", headers=HEADERS) as client,
    ):
        page = await client.get("requests", params={"since": "30h", "limit": "7"})
        assert len(page.json()["rows"]) == 7
        assert (await client.get("requests/none")).status_code == 404
        assert (await client.post("reload", json={"any": "thing"})).json()["reloaded"] is True
        assert (await client.get("status")).json()["in_flight"] == 0
        assert (await client.head("export/requests")).content == b""
        # One connection for all: httpx asks for gzip and undoes it.
        lines = 0
        wanted = {"format": "jsonl", "since": "30h", "model": MODELS[0]}
        async with client.stream("GET", "export/requests", params=wanted) as answer:
            assert answer.headers["content-encoding"] == "gzip"
            assert answer.headers["transfer-encoding"] == "chunked"
            async for piece in answer.aiter_bytes():
                lines += piece.count(b"\n")
        query = select(func.count()).where(requests.c.model == MODELS[0])
        rows = filled.read_now(lambda connection: connection.scalar(query))
        assert lines == rows
        assert lines > 1000
        assert (await client.get("status")).json()["in_flight"] == 0
    (event,) = world.seen(AuditAction.EXPORTED)
    assert event.details["rows"] == rows
    assert "aborted" not in event.details


@pytest.mark.slow
async def test_who_leaves_in_the_middle_leaves_nothing_behind(filled: Database) -> None:
    world = World(filled)
    async with served(world) as port:
        await wait_all_tasks_blocked()
        before = trio.lowlevel.current_statistics().tasks_living
        for number in range(5):
            stream = await connected(port)
            await stream.send_all(request("export/requests?since=30h"))
            assert (await stream.receive_some(1000)).startswith(b"HTTP/1.1 200")
            assert world.lifecycle.in_flight == 1
            await stream.aclose()
            await until(lambda: world.lifecycle.in_flight == 0, "the end of the export", 30.0)
            event = world.seen(AuditAction.EXPORTED)[number]
            assert event.details["aborted"] == "client_gone"
            assert event.details["rows"] < ROWS
        await until(
            lambda: trio.lowlevel.current_statistics().tasks_living <= before,
            "the end of all tasks",
        )


@pytest.mark.slow
async def test_who_reads_slowly_is_read_for_slowly(filled: Database) -> None:
    world = World(filled)
    async with served(world, send_timeout=1.0) as port:
        stream = await connected(port)
        await stream.send_all(request("export/requests?since=30h"))
        # Reads nothing: no more is read from the database than fits on the way, and in the end
        # the connection is taken away.
        await until(lambda: bool(world.seen(AuditAction.EXPORTED)), "the end of the export", 10.0)
        (event,) = world.seen(AuditAction.EXPORTED)
        assert event.details["aborted"] in ("stalled", "client_gone")
        assert 0 < event.details["rows"] < ROWS
        await stream.aclose()
    assert world.lifecycle.in_flight == 0


@pytest.mark.slow
async def test_who_leaves_while_the_database_works_frees_it(
    filled: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    endless = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT max(x) FROM n"
    monkeypatch.setattr(
        "gateway.store.queries.request_log.page",
        lambda connection, *_, **__: connection.exec_driver_sql(endless).scalar(),
    )
    world = World(filled)
    async with served(world) as port:
        # More of them than there are threads to read with.
        for _ in range(12):
            stream = await connected(port)
            await stream.send_all(request("requests"))
            await trio.sleep(0.02)
            await stream.aclose()
        with trio.fail_after(30):
            async with http_client(headers=HEADERS) as client:
                answer = await client.get(f"http://127.0.0.1:{port}/admin/api/stats")
        assert answer.status_code == 200


@pytest.mark.slow
async def test_an_export_that_breaks_is_seen_to_be_broken(filled: Database) -> None:
    world = World(filled)
    async with served(world) as port:
        stream = await connected(port)
        await stream.send_all(request("export/requests?since=30h"))
        data = bytearray(await stream.receive_some(1000))
        world.lifecycle.end_requests()
        with trio.fail_after(10):
            while piece := await stream.receive_some(65536):
                data += piece
        await stream.aclose()
    # Chunked, and without the last chunk.
    assert b"transfer-encoding: chunked" in data.lower()
    assert not data.endswith(b"0\r\n\r\n")
    (event,) = world.seen(AuditAction.EXPORTED)
    assert event.details["aborted"] == "server_shutting_down"


class Greeting(msgspec.Struct):
    name: str


async def greet(request: AdminRequest) -> Response:
    return encoded({"hello": (await request.json(Greeting)).name})


async def fields(request: AdminRequest) -> Response:
    return encoded(await request.form())


async def test_handlers_take_bodies() -> None:
    world = World(
        routes=[
            AdminRoute("POST", "greet", greet, 1000),
            AdminRoute("POST", "fields", fields),
        ]
    )

    async def in_chunks() -> AsyncIterator[bytes]:
        for part in (b'{"na', b'me":"', b'chunks"}'):
            yield part
            await trio.sleep(0.01)

    async with (
        served(world) as port,
        http_client(base_url=f"http://127.0.0.1:{port}/admin/api/", headers=HEADERS) as client,
    ):
        # All on one connection: what one request leaves of its body would be the next one's.
        assert (await client.post("greet", json={"name": "x"})).json() == {"hello": "x"}
        assert (await client.post("greet", content=in_chunks())).json() == {"hello": "chunks"}
        answer = await client.post("fields", data={"a": "1 2", "b": ["ü", ""]})
        assert answer.json() == {"a": ["1 2"], "b": ["ü", ""]}
        answer = await client.post("greet", content=b"{")
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_request")
        answer = await client.post("greet", json={"name": 7})
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, "name")
        answer = await client.post("greet", json={"name": "x" * 1000})
        assert (answer.status_code, answer.json()["error"]["code"]) == (413, "request_too_large")
        assert (await client.post("greet", json={"name": "after"})).json() == {"hello": "after"}


async def test_a_body_that_the_caller_does_not_finish() -> None:
    handled: list[bytes] = []

    async def handle(request: AdminRequest) -> Response:
        handled.append(await request.http.body())
        return encoded({})

    world = World(routes=[AdminRoute("POST", "handle", handle)])
    async with served(world) as port:
        await wait_all_tasks_blocked()
        before = trio.lowlevel.current_statistics().tasks_living
        stream = await connected(port)
        await stream.send_all(
            b"POST /admin/api/handle HTTP/1.1\r\nhost: gateway\r\n"
            b"authorization: Bearer sk-admin\r\ncontent-length: 10\r\n\r\nabc"
        )
        await trio.sleep(0.05)
        await stream.aclose()
        await until(
            lambda: trio.lowlevel.current_statistics().tasks_living <= before,
            "the end of all tasks",
        )
    assert handled == []
