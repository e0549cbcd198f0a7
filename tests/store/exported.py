"""Rows to export or to prune, one by one, and an export read back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from sqlalchemy import Connection, insert

from gateway.core.records.audit import ActorKind, AuditAction, AuditEvent, AuditResult
from gateway.core.records.record import WELL
from gateway.store.engine.database import Database
from gateway.store.engine.ids import id_of
from gateway.store.engine.schema import FIRST_EVENT, LATENCY, attempts, requests, rollups, writers
from gateway.store.export.export import Export, export_chunks
from gateway.store.writing import chain

# 2026-05-28T20:26:40Z
EPOCH: Final = 1_780_000_000
TIME: Final = EPOCH * 1_000_000


def request(number: int = 0, /, **changed: Any) -> dict[str, Any]:
    """Return a row of `requests`, `number` microseconds after `TIME`."""
    time = changed.get("time", TIME + number)
    nothing = {column.name: None for column in requests.columns}
    return {
        **nothing,
        "id": id_of(time, 0),
        "request_id": f"req_{number}",
        "time": time,
        "operation": "chat",
        "token": "team",
        "model": "m",
        "provider": "p",
        "stream": True,
        "cached": False,
        "status": 200,
        "end_reason": "complete",
        "failed": changed.get("end_reason", "complete") not in WELL,
        "latency_us": 1_500_000,
        "attempts": 0,
        "events": 0,
        "malformed_events": 0,
        **changed,
    }


def attempt(request: int, number: int = 1, /, **changed: Any) -> dict[str, Any]:
    return {
        "request": request,
        "number": number,
        "provider": "p",
        "model": "x",
        "cause": None,
        "status": 200,
        "error": None,
        "wait_us": 0,
        "duration_us": 1_400_000,
        "first_event_us": 200_000,
        "cost_nano_usd": None,
        **changed,
    }


def rollup(start: int, /, **changed: Any) -> dict[str, Any]:
    """Return a row of `rollups`; `start` is microseconds."""
    return {
        **{column.name: 0 for column in rollups.columns},
        **dict.fromkeys((*LATENCY, *FIRST_EVENT), 0),
        "period": 3600,
        "start": start,
        "model": "m",
        "provider": "p",
        "token": "team",
        "status": 200,
        "requests": 1,
        **changed,
    }


def event(seconds: float = 0.0, /, **changed: Any) -> AuditEvent:
    """Return an event `seconds` after `EPOCH`."""
    given: dict[str, Any] = {
        "time": EPOCH + seconds,
        "action": AuditAction.SIGN_IN,
        "result": AuditResult.OK,
        "actor_kind": ActorKind.ADMIN,
        "actor": "root",
        **changed,
    }
    return AuditEvent(**given)


def store(
    database: Database,
    *,
    requests_: list[dict[str, Any]] | None = None,
    attempts_: list[dict[str, Any]] | None = None,
    rollups_: list[dict[str, Any]] | None = None,
    writers_: list[dict[str, Any]] | None = None,
    events: list[AuditEvent] | None = None,
) -> None:
    """Write rows as they are given, all in one transaction."""

    def work(connection: Connection) -> None:
        for table, rows in (
            (requests, requests_),
            (attempts, attempts_),
            (rollups, rollups_),
            (writers, writers_),
        ):
            if rows:
                connection.execute(insert(table), rows)
        chain.append(connection, events or [])

    database.write_now(work)


def effort(connection: Connection, work: Callable[[], object]) -> int:
    """Return how many thousands of instructions of SQLite's machine `work` takes."""
    driver: Any = connection.connection.driver_connection
    count = 0

    def tick() -> int:
        nonlocal count
        count += 1
        return 0

    driver.set_progress_handler(tick, 1000)
    work()
    driver.set_progress_handler(None, 0)
    return count


def exported(database: Database, export: Export) -> bytes:
    return b"".join(export_chunks(database, export))
