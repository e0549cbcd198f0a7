"""Exports: what is sent, and what becomes of one that does not come to its end."""

from __future__ import annotations

import csv
import gzip
import io
import re
import time
from functools import partial

import msgspec
import pyarrow.parquet  # type: ignore[import-untyped]
import pytest
import trio
from sqlalchemy import insert

from gateway.admin.exports import AT_ONCE, accepts_gzip
from gateway.api.requests.served_request import Message
from gateway.core.records.audit import ActorKind, AuditAction, AuditEvent, AuditResult
from gateway.core.records.periods import HOUR
from gateway.errors import SendStalled, StoreUnavailable
from gateway.store.engine.database import Database
from gateway.store.engine.schema import team_rollups
from gateway.store.export.export import Export
from gateway.store.writing.chain import append
from tests.api.asgi import Server, piece

from .world import PEER, World, fill_requests

pytestmark = pytest.mark.slow

ROWS = 3000


@pytest.fixture
def filled(sqlite_database: Database) -> Database:
    """A database with requests, and one entry in the audit log."""
    fill_requests(sqlite_database, ROWS)
    event = AuditEvent(
        time=1.0, action=AuditAction.MIGRATED, result=AuditResult.OK, actor_kind=ActorKind.SYSTEM
    )
    sqlite_database.write_now(lambda connection: append(connection, [event]))
    return sqlite_database


def rows_of(body: bytes, format_: str) -> int:
    if format_ == "parquet":
        return int(pyarrow.parquet.read_table(io.BytesIO(body)).num_rows)
    if format_ == "jsonl":
        return len([msgspec.json.decode(line) for line in body.splitlines()])
    return len(list(csv.reader(io.StringIO(body.decode())))) - 1


class Held(Server):
    """A caller who takes the head and one piece, and then no more for the time being."""

    def __init__(self) -> None:
        super().__init__((0, piece()))
        self.holding = trio.Event()

    async def send(self, message: Message) -> None:
        if len(self.sent) == 2:
            self.holding.set()
            await trio.sleep_forever()
        await super().send(message)


MEDIA = {"csv": b"text/csv", "jsonl": b"application/x-ndjson", "parquet": b"application/vnd.apach"}


@pytest.mark.parametrize("format_", MEDIA)
@pytest.mark.parametrize("encoding", [b"gzip, br", b"identity"])
async def test_all_rows_in_each_format(filled: Database, format_: str, encoding: bytes) -> None:
    world = World(filled)
    target = f"export/requests?format={format_}&since=30h"
    server = await world.call(target, headers={b"accept-encoding": encoding})
    assert server.status == 200
    assert server.complete
    headers = server.headers
    assert headers[b"content-type"].startswith(MEDIA[format_])
    assert headers[b"vary"] == b"Accept-Encoding"
    assert re.fullmatch(
        rb'attachment; filename="requests-[0-9]{8}T[0-9]{6}Z\.%s"' % format_.encode(),
        headers[b"content-disposition"],
    )
    assert b"content-length" not in headers
    zipped = headers.get(b"content-encoding") == b"gzip"
    assert zipped == (encoding != b"identity" and format_ != "parquet")
    body = gzip.decompress(server.body) if zipped else server.body
    assert rows_of(body, format_) == ROWS
    (event,) = world.seen(AuditAction.EXPORTED)
    assert (event.result, event.target, event.actor) == (AuditResult.OK, "requests", "root")
    assert event.client_ip == PEER[0]
    assert event.details == {
        "filters": {"format": format_, "since": "30h"},
        "rows": ROWS,
        "bytes": len(server.body),
    }


@pytest.mark.parametrize(("kind", "query"), [("audit", ""), ("usage", "&period=minute")])
async def test_the_other_kinds(filled: Database, kind: str, query: str) -> None:
    world = World(filled)
    server = await world.call(f"export/{kind}?format=jsonl{query}")
    lines = [msgspec.json.decode(line) for line in server.body.splitlines()]
    if kind == "audit":
        assert [line["action"] for line in lines] == ["migrated"]
    else:
        assert sum(line["requests"] for line in lines) == ROWS
    assert world.seen(AuditAction.EXPORTED)[0].target == kind


async def test_a_head_is_no_export(filled: Database) -> None:
    world = World(filled)
    server = await world.call("export/requests", "HEAD")
    assert server.status == 200
    assert server.body == b""
    assert b"content-disposition" in server.headers
    assert world.seen(AuditAction.EXPORTED) == []


async def test_who_began_it_can_watch_it(filled: Database) -> None:
    word, world = "a1" * 8, World(filled)
    exports = world.api._resources.exports
    held = Held()
    target = f"export/requests?format=jsonl&since=30h&track={word}"
    async with trio.open_nursery() as nursery:
        nursery.start_soon(partial(world.call, target, server=held))
        await held.holding.wait()
        found = exports.progress("root", word)
        assert found is not None
        assert 0 < found.part <= 1
        assert 0 < found.rows <= ROWS
        assert found.ended is None
        assert exports.progress("eve", word) is None
        assert exports.progress("root", "b2" * 8) is None
        nursery.cancel_scope.cancel()
    found = exports.progress("root", word)
    assert found is not None
    assert found.ended == "client_gone"
    await world.call(target)
    found = exports.progress("root", word)
    assert found is not None
    assert (found.part, found.rows, found.ended) == (1.0, ROWS, "done")
    assert "track" not in world.seen(AuditAction.EXPORTED)[-1].details["filters"]
    for wrong in ("short", "a" * 65, "a b" * 4):
        server = await world.call(f"export/requests?track={wrong.replace(' ', '%20')}")
        assert server.status == 400


async def test_who_leaves_ends_it(filled: Database) -> None:
    world = World(filled)
    server = Held()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lambda: world.call("export/requests?since=30h", server=server))
        await server.holding.wait()
        server.disconnect()
    assert not server.complete
    (event,) = world.seen(AuditAction.EXPORTED)
    assert event.result is AuditResult.FAILED
    assert event.details["aborted"] == "client_gone"
    assert event.details["bytes"] == len(server.body) > 0
    assert event.details["rows"] <= ROWS
    assert world.lifecycle.in_flight == 0


async def test_who_reads_nothing_ends_it(filled: Database) -> None:
    world = World(filled)
    with pytest.raises(SendStalled):
        await world.call("export/requests?since=30h", server=Server((0, piece()), stalls=1))
    (event,) = world.seen(AuditAction.EXPORTED)
    assert event.details["aborted"] == "stalled"
    assert world.lifecycle.in_flight == 0


async def test_the_end_of_the_process_ends_it(filled: Database) -> None:
    world = World(filled)
    server = Held()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lambda: world.call("export/requests?since=30h", server=server))
        await server.holding.wait()
        assert world.lifecycle.in_flight == 1
        world.lifecycle.end_requests()
    assert server.status == 200
    assert not server.complete
    (event,) = world.seen(AuditAction.EXPORTED)
    assert event.details["aborted"] == "server_shutting_down"
    # And another one does not begin.
    late = await world.call("export/requests?since=30h")
    assert late.status == 503
    assert late.json["error"]["code"] == "server_shutting_down"


async def test_there_are_only_so_many_at_once(filled: Database) -> None:
    world, target = World(filled), "export/requests?since=30h"
    servers = [Held() for _ in range(AT_ONCE)]
    async with trio.open_nursery() as nursery:
        for server in servers:
            nursery.start_soon(partial(world.call, target, server=server))
        for server in servers:
            await server.holding.wait()
        late = await world.call(target)
        assert late.status == 503
        assert late.json["error"]["code"] == "overloaded"
        assert late.headers[b"retry-after"] == b"10"
        for server in servers:
            server.disconnect()
    assert (await world.call(target)).complete


async def test_a_database_that_goes_away_leaves_it_unfinished(
    filled: Database, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    step, calls = Export.step, 0

    def failing(self: Export, connection: object) -> bytes:
        nonlocal calls
        calls += 1
        if calls > 1:
            raise StoreUnavailable("the database cannot be used: it is gone")
        return step(self, connection)  # type: ignore[arg-type]

    monkeypatch.setattr(Export, "step", failing)
    world = World(filled)
    server = await world.call("export/requests?since=30h")
    assert server.status == 200
    assert not server.complete
    (event,) = world.seen(AuditAction.EXPORTED)
    assert event.details["aborted"] == "store_unavailable"
    assert "it is gone" in capsys.readouterr().out


async def test_a_format_that_is_not_installed(
    filled: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    server = await World(filled).call("export/requests?format=parquet")
    assert server.status == 400
    assert server.json["error"]["param"] == "format"


@pytest.mark.parametrize(
    ("header", "accepted"),
    [
        ("", False),
        ("gzip", True),
        ("GZIP", True),
        ("br, gzip;q=0.5", True),
        ("gzip;q=0", False),
        ("gzip; q=0.000, *", False),
        ("*", True),
        ("*;q=0", False),
        ("identity", False),
        ("x-gzip", True),
        ("gzipped", False),
        (";,=;q", False),
    ],
)
def test_who_takes_gzip(header: str, accepted: bool) -> None:
    assert accepts_gzip(header) is accepted


async def test_usage_by_team_has_a_column_with_it(filled: Database) -> None:
    values: dict[str, object] = {each.name: 0 for each in team_rollups.columns}
    hour = HOUR * 1_000_000
    values |= {"period": HOUR, "start": round(time.time() * 1e6) // hour * hour, "team": "search"}
    values |= {"model": "m", "provider": "p", "token": "k", "status": 200, "requests": 7}
    filled.write_now(lambda connection: connection.execute(insert(team_rollups), [values]))
    world = World(filled)
    for query in ("by=team", "team=search", "by=team&team=search"):
        server = await world.call(f"export/usage?{query}&since=2h")
        (row,) = csv.DictReader(io.StringIO(server.body.decode("utf-8-sig")))
        assert (row["team"], row["token"], row["requests"]) == ("search", "k", "7")
    server = await world.call("export/usage?since=2h")
    assert "team" not in (
        csv.DictReader(io.StringIO(server.body.decode("utf-8-sig"))).fieldnames or ()
    )
    assert (await world.call("export/usage?by=colour")).status == 400
    assert (await world.call("export/requests?by=team")).status == 400


@pytest.mark.parametrize("format_", ["csv", "jsonl", "parquet"])
async def test_pandas_opens_what_is_exported(filled: Database, format_: str) -> None:
    world = World(filled)
    server = await world.call(f"export/requests?format={format_}&since=30h")
    import pandas  # type: ignore[import-untyped]  # takes a second

    readers = {
        "csv": pandas.read_csv,
        "jsonl": partial(pandas.read_json, lines=True),
        "parquet": pandas.read_parquet,
    }
    table = readers[format_](io.BytesIO(server.body))
    assert len(table) == ROWS
    assert {"time", "model", "cost_nano_usd", "latency_us"} <= {*table.columns}
    assert table["latency_us"].sum() > 0
