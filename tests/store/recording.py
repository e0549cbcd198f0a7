"""Records to write down, and what must then be in the database."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import trio
from sqlalchemy import Connection, func, select

from gateway.core.records.audit import ActorKind, AuditAction, AuditEvent, AuditResult
from gateway.core.records.record import AttemptRecord, EndReason, Record
from gateway.store.engine.database import Database
from gateway.store.engine.schema import attempts, audit, requests, rollups
from gateway.store.writing import chain
from gateway.store.writing.rollup_rows import RollupModels, rollup_rows
from gateway.store.writing.writer import Writer

EPOCH: Final = 1_790_000_000.0


def record(number: int, **changes: Any) -> Record:
    """Return the record `number`, always the same."""
    rng = random.Random(number)
    failed = rng.random() < 0.1
    given: dict[str, Any] = {
        "request_id": f"req-{number}",
        "time": EPOCH + number * 0.01,
        "token": f"token-{number % 3}",
        "model": f"model-{number % 4}",
        "provider": "acme",
        "stream": number % 2 == 0,
        "status": 502 if failed else 200,
        "end_reason": EndReason.PROVIDERS_FAILED if failed else EndReason.COMPLETE,
        "input_tokens": None if failed else 100 + number,
        "output_tokens": 7,
        "cost_nano_usd": 1000 * number,
        "latency_ms": rng.expovariate(1 / 800),
        "first_event_ms": None if failed else rng.expovariate(1 / 200),
        "attempts": [AttemptRecord(provider="acme", model="m", duration_ms=1.5)] * (1 + failed),
    }
    return Record(**(given | changes))


def event(number: int, **changes: Any) -> AuditEvent:
    given: dict[str, Any] = {
        "time": EPOCH + number,
        "action": AuditAction.LOG_VIEWED,
        "result": AuditResult.OK,
        "actor_kind": ActorKind.ADMIN,
        "actor": f"admin-{number}",
    }
    return AuditEvent(**(given | changes))


def request_ids(database: Database) -> list[str]:
    """Return the ids of all requests, in the order of their keys."""

    def work(connection: Connection) -> list[str]:
        return [
            *connection.execute(select(requests.c.request_id).order_by(requests.c.id)).scalars()
        ]

    return database.read_now(work)


def count(database: Database, table: Any) -> int:
    return database.read_now(
        lambda connection: connection.execute(select(func.count()).select_from(table)).scalar_one()
    )


def check(database: Database, numbers: Collection[int], events: int = 0) -> None:
    """Assert that these records are there, each once, and that all else agrees with them."""
    assert sorted(request_ids(database)) == sorted(f"req-{number}" for number in numbers)
    check_sums(database)
    assert count(database, audit) == events
    verdict = database.read_now(chain.verify)
    assert verdict.ok
    assert verdict.rows == events


def check_sums(database: Database) -> None:
    """Assert that roll-ups and attempts are those of the requests that there are."""

    def work(connection: Connection) -> tuple[list[Any], list[Any], int]:
        rows = [tuple(row) for row in connection.execute(select(requests))]
        sums = [tuple(row) for row in connection.execute(select(rollups))]
        tried = connection.execute(
            select(func.count()).select_from(
                attempts.join(requests, attempts.c.request == requests.c.id)
            )
        ).scalar_one()
        return rows, sums, tried

    rows, sums, tried = database.read_now(work)
    assert sorted(sums) == rollup_rows(rows, RollupModels())
    number = requests.c.keys().index("attempts")
    assert tried == sum(row[number] for row in rows) == count(database, attempts)


def make(database: Database, folder: Path, **changes: Any) -> Writer:
    given: dict[str, Any] = {"max_bytes": 2**30, "max_waiting": 10_000}
    return Writer(database, folder / "journal", **(given | changes))


@asynccontextmanager
async def running(writer: Writer) -> AsyncIterator[Writer]:
    """Run `writer`; at the end it is cancelled, as at the end of the process."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(writer.run)
        yield writer
        nursery.cancel_scope.cancel("the test is over")


async def until(condition: Callable[[], bool], seconds: float = 30) -> None:
    with trio.fail_after(seconds):
        while not condition():  # noqa: ASYNC110  # there is no event for it
            await trio.sleep(0.01)


def journals(folder: Path) -> list[Path]:
    return sorted((folder / "journal").glob("*.journal"))


__all__ = ["check", "check_sums", "count", "event", "journals", "make", "record",
           "request_ids", "running", "until"]  # fmt: skip
