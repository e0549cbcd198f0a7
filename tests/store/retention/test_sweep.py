from __future__ import annotations

import msgspec
import pytest
from sqlalchemy import Table, select

from gateway.core.records.audit import ActorKind, AuditAction
from gateway.store.engine.database import Database
from gateway.store.engine.schema import attempts, audit, requests, rollups, writers
from gateway.store.retention.sweep import (
    AuditSweep,
    PruneCounts,
    RequestSweep,
    RollupSweep,
    Sweep,
    WriterSweep,
)
from gateway.store.writing import chain

from ..exported import EPOCH, TIME, attempt, effort, event, request, rollup, store
from ..filled import fill_database

MINUTE_US = 60 * 1_000_000


def column(database: Database, table: Table, name: str) -> list[object]:
    query = select(table.c[name]).order_by(*table.primary_key)
    return [*database.read_now(lambda connection: connection.scalars(query).all())]


def swept(database: Database, sweep: Sweep, limit: int = 3) -> list[PruneCounts]:
    """Return what each step deleted."""
    found = []
    while not sweep.finished:
        found.append(database.write_now(lambda connection: sweep.step(connection, limit)))
    return found


def audit_sweep(cutoff: int) -> AuditSweep:
    return AuditSweep(cutoff, EPOCH + 100, ActorKind.OPERATOR, "somebody")


def test_counts_add_up_and_are_false_if_all_are_none() -> None:
    counts = PruneCounts(requests=1)
    counts.add(PruneCounts(requests=2, audit=3))
    assert counts == PruneCounts(requests=3, audit=3)
    assert counts
    assert not PruneCounts()


def test_requests_go_by_batches_with_their_attempts(database: Database) -> None:
    rows = [request(number, attempts=2) for number in range(10)]
    store(
        database,
        requests_=rows,
        attempts_=[attempt(row["id"], number) for row in rows for number in (1, 2)],
    )
    assert [(each.requests, each.attempts) for each in swept(database, RequestSweep(TIME + 7))] == [
        (3, 6), (3, 6), (1, 2),
    ]  # fmt: skip
    assert column(database, requests, "request_id") == ["req_7", "req_8", "req_9"]
    assert column(database, attempts, "request") == [
        row["id"] for row in rows[7:] for _ in range(2)
    ]
    assert swept(database, RequestSweep(TIME + 7)) == [PruneCounts()]


def test_attempts_without_a_request_go_too(database: Database) -> None:
    store(database, attempts_=[attempt(request(1)["id"]), attempt(request(5)["id"])])
    assert swept(database, RequestSweep(TIME + 5)) == [PruneCounts(attempts=1)]


@pytest.mark.parametrize("limit", [1, 3, 4, 100])
def test_rollups_go_when_their_period_is_over(database: Database, limit: int) -> None:
    start = TIME // MINUTE_US * MINUTE_US
    rows = [
        rollup(start + minute * MINUTE_US, period=60, model=model, status=status)
        for minute in range(3)
        for model in ("a", "b")
        for status in (200, 500)
    ]
    store(database, rollups_=[*rows, rollup(start - MINUTE_US, period=3600)])
    # A microsecond before the second minute is over.
    steps = swept(database, RollupSweep(60, start + 2 * MINUTE_US - 1), limit)
    assert sum(each.rollups for each in steps) == 4
    assert max(each.rollups for each in steps) <= limit
    assert column(database, rollups, "period") == [60] * 8 + [3600]
    steps = swept(database, RollupSweep(60, start + 2 * MINUTE_US), limit)
    assert sum(each.rollups for each in steps) == 4
    assert column(database, rollups, "start")[:4] == [start + 2 * MINUTE_US] * 4


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["requests", "rollups"])
def test_a_batch_costs_what_it_deletes_and_not_what_is_left(
    sqlite_database: Database, kind: str
) -> None:
    end = TIME // (60 * MINUTE_US) * 60 * MINUTE_US
    fill_database(sqlite_database, 4000, end=end, days=4)
    sweep = RequestSweep(end) if kind == "requests" else RollupSweep(60, end)
    efforts: list[int] = []
    while not sweep.finished:
        sqlite_database.write_now(
            lambda connection: efforts.append(
                effort(connection, lambda: sweep.step(connection, 100))
            )
        )
    assert len(efforts) > 20
    assert max(efforts) <= 2 * sorted(efforts)[len(efforts) // 2]


def test_the_audit_log_is_shortened_and_says_so(database: Database) -> None:
    store(database, events=[event(second) for second in range(6)])
    hashes = column(database, audit, "hash")
    steps = swept(database, audit_sweep(TIME + 4_000_000))
    assert steps == [PruneCounts(audit=4)]
    assert column(database, audit, "id") == [5, 6, 7]
    (row,) = database.read_now(
        lambda connection: connection.execute(select(audit).where(audit.c.id == 7)).all()
    )
    assert (row.action, row.target, row.actor_kind, row.actor) == (
        AuditAction.RETENTION, "audit", "operator", "somebody",
    )  # fmt: skip
    assert msgspec.json.decode(row.details) == {
        "first_remaining_id": 5,
        "last_deleted_hash": hashes[3],
        "count": 4,
    }


def test_its_chain_holds_after_every_step(database: Database) -> None:
    store(database, events=[event(second) for second in range(30)])
    sweep = audit_sweep(TIME + 20_000_000)
    while not sweep.finished:
        database.write_now(lambda connection: sweep.step(connection, 2))
        verdict = database.read_now(chain.verify)
        assert verdict.ok, verdict
    assert (verdict.first, verdict.pruned) == (21, 20)
    # Of 8 rows each, and the rest.
    assert verdict.head is not None
    assert verdict.head.id == 33


def test_all_of_the_audit_log_may_be_old(database: Database) -> None:
    store(database, events=[event(second) for second in range(5)])
    assert swept(database, audit_sweep(TIME + 50_000_000)) == [PruneCounts(audit=5)]
    assert column(database, audit, "action") == ["retention"]
    assert database.read_now(chain.verify).ok
    # What follows follows that.
    store(database, events=[event(60)])
    assert database.read_now(chain.verify).ok


def test_nothing_old_in_the_audit_log_is_not_worth_an_entry(database: Database) -> None:
    store(database, events=[event(5)])
    assert swept(database, audit_sweep(TIME + 5_000_000)) == [PruneCounts()]
    assert column(database, audit, "id") == [1]


def test_only_its_beginning_goes_whatever_a_clock_said(database: Database) -> None:
    store(database, events=[event(0), event(50), event(1)])
    assert swept(database, audit_sweep(TIME + 10_000_000)) == [PruneCounts(audit=1)]
    assert column(database, audit, "id") == [2, 3, 4]
    assert database.read_now(chain.verify).ok


def test_writers_long_gone_are_forgotten(database: Database) -> None:
    store(database, writers_=[{"id": name, "batch": 1, "time": TIME + time}
                              for name, time in (("a", 0), ("b", 5), ("c", 6))])  # fmt: skip
    assert swept(database, WriterSweep(TIME + 6)) == [PruneCounts(writers=2)]
    assert column(database, writers, "id") == ["c"]
