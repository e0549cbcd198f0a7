"""What is on record, by way of the admin API, from both databases."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from sqlalchemy import insert, select
from structlog.testing import capture_logs
from trio.testing import MockClock

from gateway.core.records.audit import ActorKind, AuditAction, AuditEvent, AuditResult
from gateway.core.records.record import WELL
from gateway.store.engine.database import Database
from gateway.store.engine.ids import id_of
from gateway.store.engine.schema import attempts, requests
from gateway.store.writing.chain import append

from .world import PEER, SECOND, World, fill_requests

NOW = time.time()


def put(database: Database, request_id: str, ago: float, **changes: Any) -> int:
    """Write a request, and an attempt of it; return its key."""
    at = round((NOW - ago) * SECOND)
    row: dict[str, Any] = {
        "id": id_of(at, 0),
        "request_id": request_id,
        "time": at,
        "operation": "chat",
        "model": "m",
        "stream": False,
        "cached": False,
        "status": 200,
        "end_reason": "complete",
        "failed": changes.get("end_reason", "complete") not in WELL,
        "latency_us": 1000,
        "attempts": 1,
        "events": 0,
        "malformed_events": 0,
        **changes,
    }
    tried = {
        "request": row["id"],
        "number": 1,
        "provider": "p",
        "model": "real",
        "wait_us": 0,
        "duration_us": 900,
    }
    database.write_now(lambda connection: connection.execute(insert(requests).values(row)))
    database.write_now(lambda connection: connection.execute(insert(attempts).values(tried)))
    return int(row["id"])


async def test_requests_page_by_page(database: Database) -> None:
    for number in range(5):
        put(database, f"req_{number}", 100 - number, status=500 if number % 2 else 200)
    world = World(database)
    found: list[str] = []
    query = "limit=2"
    while query:
        server = await world.call(f"requests?{query}")
        assert server.status == 200
        page = server.json
        assert set(page) == {"rows", "next", "scanned_until"}
        found += [row["request_id"] for row in page["rows"]]
        query = f"limit=2&cursor={quote(page['next'])}" if page["next"] else ""
    assert found == [f"req_{number}" for number in (4, 3, 2, 1, 0)]
    page = (await world.call("requests?status=5xx&order=asc&sort=time&since=1h")).json
    assert [row["request_id"] for row in page["rows"]] == ["req_1", "req_3"]
    # All pages are one look into the log; other filters are another.
    event, other = world.seen(AuditAction.LOG_VIEWED)
    assert (event.target, event.details) == ("requests", {"filters": {"limit": "2"}})
    assert (event.actor, event.client_ip, event.result) == ("root", PEER[0], AuditResult.OK)
    assert other.details["filters"]["status"] == "5xx"


async def test_what_failed_is_told_by_how_it_ended(database: Database) -> None:
    put(database, "refused", 4, status=429, end_reason="rejected")
    put(database, "broken", 3, status=200, end_reason="upstream_broke")
    put(database, "gone", 2, status=499, end_reason="client_gone")
    put(database, "whole", 1)
    world = World(database)
    for query in ("status=error", "failed=true"):
        rows = (await world.call(f"requests?{query}")).json["rows"]
        assert [row["request_id"] for row in rows] == ["broken", "refused"]
        assert [row["failed"] for row in rows] == [True, True]
    rows = (await world.call("requests?failed=false")).json["rows"]
    assert [row["request_id"] for row in rows] == ["whole", "gone"]


@pytest.mark.parametrize("request_id", ["req_1", "a/b c+d@e"])
async def test_one_request_with_its_attempts(sqlite_database: Database, request_id: str) -> None:
    key = put(sqlite_database, request_id, 50, metadata='{"x-a": "b"}')
    world = World(sqlite_database)
    server = await world.call(f"requests/{quote(request_id)}")
    (row,) = server.json["rows"]
    assert row["id"] == str(key)
    assert row["request_id"] == request_id
    assert row["metadata"] == {"x-a": "b"}
    (tried,) = row["tried"]
    assert (tried["number"], tried["provider"], tried["duration_us"]) == (1, "p", 900)
    (event,) = world.seen(AuditAction.LOG_VIEWED)
    assert event.details["request_id"] == request_id
    server = await world.call("requests/req_other")
    assert server.status == 404
    assert "req_other" in server.json["error"]["message"]


async def test_the_audit_log(database: Database) -> None:
    events = [
        AuditEvent(
            time=NOW - 10 + number,
            action=action,
            result=AuditResult.OK,
            actor_kind=ActorKind.SYSTEM,
            details={"number": number},
        )
        for number, action in enumerate(
            [AuditAction.RETENTION, AuditAction.EXPORTED, AuditAction.RETENTION]
        )
    ]
    database.write_now(lambda connection: append(connection, events))
    world = World(database)
    page = (await world.call("audit?limit=2")).json
    assert [row["id"] for row in page["rows"]] == [3, 2]
    assert page["rows"][0]["details"] == {"number": 2}
    page = (await world.call(f"audit?limit=2&cursor={quote(page['next'])}")).json
    assert [row["id"] for row in page["rows"]] == [1]
    page = (await world.call("audit?action=exported")).json
    assert [row["id"] for row in page["rows"]] == [2]
    seen = [
        (event.target, event.details["filters"]) for event in world.seen(AuditAction.LOG_VIEWED)
    ]
    assert seen == [("audit", {"limit": "2"}), ("audit", {"action": "exported"})]


async def test_looking_is_written_down_once_a_minute(
    sqlite_database: Database, mock_clock: MockClock
) -> None:
    world = World(sqlite_database)
    for _ in range(3):
        for path in ("requests", "audit", "stats", "usage", "costs", "health"):
            assert (await world.call(path)).status == 200
        mock_clock.jump(30)
    targets = [event.target for event in world.seen(AuditAction.LOG_VIEWED)]
    assert targets == ["requests", "audit"] * 2


async def test_one_look_does_not_hide_another(sqlite_database: Database) -> None:
    for number in range(3):
        put(sqlite_database, f"req_{number}", 50 + number)
    world = World(sqlite_database)
    for path in (
        *("requests", "requests/req_0", "requests/req_1", "requests/req_0"),
        *("requests?token=a&status=5xx", "requests?status=5xx&token=a", "requests?token=b"),
        *("audit", "audit?actor=root", "requests?token=" + "x" * 500, "requests"),
    ):
        assert (await world.call(path)).status == 200
    seen = world.seen(AuditAction.LOG_VIEWED)
    assert [event.details.get("request_id") for event in seen].count("req_0") == 1
    assert [event.details.get("request_id") for event in seen].count("req_1") == 1
    filters = [event.details["filters"] for event in seen if "filters" in event.details]
    assert filters == [
        *({}, {"token": "a", "status": "5xx"}, {"token": "b"}),
        *({}, {"actor": "root"}, {"token": "x" * 500}),
    ]


@pytest.mark.parametrize(
    "path", ["requests/%00", "requests/a%00b", "debug/%00", "requests/%ed%a0%80"]
)
async def test_an_id_that_none_can_be_is_not_found(
    database: Database, tmp_path: Path, path: str
) -> None:
    world = World(database, captures=tmp_path)
    with capture_logs() as lines:
        server = await world.call(path)
    assert server.status == 404
    assert lines == []


async def test_sums(database: Database) -> None:
    fill_requests(database, 500)
    world = World(database)
    since = "since=30h"
    total = (await world.call(f"usage?{since}")).json["rows"]
    assert len(total) == 1
    assert total[0]["requests"] == 500
    by_model = (await world.call(f"usage?{since}&group_by=model,status&bucket=hour")).json["rows"]
    assert {"time", "model", "status", "requests", "cost_nano_usd"} <= by_model[0].keys()
    assert sum(row["requests"] for row in by_model) == 500
    costs = (await world.call(f"costs?{since}")).json
    assert costs["cost_nano_usd"] == total[0]["cost_nano_usd"]
    assert sum(row["share"] for row in costs["rows"]) == pytest.approx(1)
    assert {"model", "share", "cost_nano_usd"} <= costs["rows"][0].keys()
    figures = (await world.call(f"stats?{since}&top=3")).json
    assert figures["total"]["requests"] == 500
    assert len(figures["models"]) == 3
    assert {"since", "until", "providers", "tokens", "width", "series"} <= figures.keys()


async def test_health(database: Database) -> None:
    put(database, "req_1", 60)
    put(database, "req_2", 7200)
    server = await World(database).call("health?minutes=10")
    (row,) = server.json["rows"]
    assert (row["provider"], row["model"], row["attempts"], row["failures"]) == ("p", "real", 1, 0)


BAD = {
    "requests?limit=0": "limit",
    "requests?limit=x": "limit",
    "requests?limit=1&limit=2": "limit",
    "requests?limit=%C2%B2": "limit",
    "requests?sort=colour": "sort",
    "requests?order=up": "order",
    "requests?cursor=xyz": "cursor",
    "requests?since=yesterday": "since",
    "requests?colour=red": "colour",
    "requests?text=%00": "text",
    "audit?action=nothing": "action",
    "audit?model=m": "model",
    "usage?bucket=year": "bucket",
    "usage?group_by=colour": "group_by",
    "usage?user=somebody": "user",
    "usage?status=error": "status",
    "stats?failed=true": "failed",
    "requests?failed=perhaps": "failed",
    "export/usage?status=error": "status",
    "costs?group_by=colour": "group_by",
    "stats?top=-1": "top",
    "health?minutes=0": "minutes",
    "health?foo=1": "foo",
    "export/requests?format=xml": "format",
    "export/usage?period=year": "period",
    "export/requests?period=hour": "period",
    "export/requests?limit=5": "limit",
}


@pytest.mark.parametrize(("target", "param"), BAD.items())
async def test_a_parameter_that_is_wrong_is_named(
    sqlite_database: Database, target: str, param: str
) -> None:
    world = World(sqlite_database)
    server = await world.call(target)
    assert server.status == 400
    assert server.json["error"]["param"] == param
    assert {event.action for event in world.events} == {AuditAction.SIGN_IN}


async def test_nothing_is_written_by_reading(sqlite_database: Database) -> None:
    put(sqlite_database, "req_1", 5, user="'; DROP TABLE requests; --")
    world = World(sqlite_database)
    for value in ("'; DROP TABLE requests; --", '"', "%", "\\"):
        server = await world.call(f"requests?user={quote(value)}&text={quote(value)}")
        assert server.status == 200
    query = select(requests.c.request_id)
    assert sqlite_database.read_now(lambda connection: connection.scalars(query).all()) == ["req_1"]


async def test_sessions_and_users(sqlite_database: Database) -> None:
    world = World(sqlite_database)
    put(sqlite_database, "a", 30, session="s/1", user="u", cost_nano_usd=5, input_tokens=1)
    put(sqlite_database, "b", 20, session="s/1", user="u", cost_nano_usd=6, input_tokens=1)
    put(sqlite_database, "c", 10, session="t", user="v", model="other")
    found = (await world.call("sessions")).json
    assert [each["id"] for each in found["rows"]] == ["t", "s/1"]
    assert found["rows"][1]["totals"]["cost_nano_usd"] == 11
    first = (await world.call("sessions?limit=1")).json
    second = (await world.call(f"sessions?limit=1&cursor={first['next']}")).json
    assert [each["id"] for each in second["rows"]] == ["s/1"]
    found = (await world.call("sessions?by=user&model=other")).json
    assert [each["id"] for each in found["rows"]] == ["v"]
    found = (await world.call("sessions/s/1")).json
    assert (found["session"]["totals"]["requests"], len(found["agents"])) == (2, 1)
    assert (await world.call("sessions/u?by=user")).json["session"]["id"] == "u"
    for target in ("sessions/none", "sessions/u"):
        assert (await world.call(target)).status == 404
    for target in ("sessions?by=key", "sessions?limit=0", "sessions?cursor=x", "sessions?x=1",
                   "sessions/t?x=1", "usage?group_by=user&bucket=day"):  # fmt: skip
        assert (await world.call(target)).status == 400
    rows = (await world.call("usage?group_by=user")).json["rows"]
    assert [(row["user"], row["cost_nano_usd"]) for row in rows] == [("u", 11), ("v", 0)]
