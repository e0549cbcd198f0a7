from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any, Final

import pytest
from sqlalchemy import Connection, func, insert, select

from gateway.config.schema import Retention
from gateway.core.records.audit import ActorKind
from gateway.core.records.periods import DAY, HOUR, MINUTE
from gateway.errors import StoreUnavailable
from gateway.store.engine.database import Database
from gateway.store.engine.schema import attempts, audit, requests, rollups, writers
from gateway.store.retention.pruning import Pruning, prune, vacuum
from gateway.store.retention.sweep import PruneCounts
from gateway.store.writing import chain

from ...rounds import rounds
from ..exported import EPOCH, TIME, attempt, event, request, rollup, store
from ..filling import fill

DAY_US: Final = DAY * 1_000_000
FOR_EVER: Final = Retention(requests_days=0, rollups_days=0, audit_days=0)


def pruned(database: Database, retention: Retention, **options: Any) -> PruneCounts:
    """Prune as of ten days after `EPOCH`."""
    pruning = Pruning(retention, EPOCH + 10 * DAY, **options)
    return prune(database, pruning, sleep=lambda _seconds: None)


def count(database: Database, table: Any) -> int:
    found = database.read_now(lambda one: one.scalar(select(func.count()).select_from(table)))
    assert found is not None
    return found


def some_of_all(database: Database) -> None:
    """Store one of each kind for each of ten days, the oldest ten days old."""
    days = [number * DAY_US for number in range(10)]
    rows = [request(day, request_id=f"r{day}") for day in days]
    store(
        database,
        requests_=rows,
        attempts_=[attempt(row["id"]) for row in rows],
        rollups_=[
            rollup((TIME + day) // (period * 1_000_000) * period * 1_000_000, period=period)
            for period in (MINUTE, HOUR, DAY)
            for day in days
        ],
        events=[event(day / 1_000_000) for day in days],
        writers_=[{"id": "gone", "batch": 1, "time": TIME - 400 * DAY_US},
                  {"id": "here", "batch": 1, "time": TIME}],
    )  # fmt: skip


def test_each_kind_is_kept_for_its_own_time(database: Database) -> None:
    some_of_all(database)
    retention = Retention(requests_days=3.5, rollups_days=5.9, audit_days=8)
    # Of minutes 7; of hours and of days, which must be over, 5 and 4.
    assert pruned(database, retention, actor_kind=ActorKind.OPERATOR, actor="me") == PruneCounts(
        requests=7, attempts=7, rollups=7 + 5 + 4, audit=2, writers=1
    )
    assert [count(database, each) for each in (requests, attempts, rollups, audit, writers)] == [
        3, 3, 14, 8 + 1, 1,
    ]  # fmt: skip
    assert database.read_now(chain.verify).ok
    assert pruned(database, retention) == PruneCounts()


def test_zero_days_are_for_ever(database: Database) -> None:
    some_of_all(database)
    assert pruned(database, FOR_EVER) == PruneCounts(writers=1)
    assert pruned(database, Retention(requests_days=1e12, rollups_days=1e12, audit_days=1e12)) == (
        PruneCounts()
    )


def test_the_audit_log_is_cut_by_whole_days(database: Database) -> None:
    # 2026-06-07 at 20:26:40: the log begins with the 6th, and not in its evening.
    store(database, events=[event(day * DAY) for day in (8, 8.1, 8.5, 9)])
    assert pruned(database, Retention(audit_days=1)).audit == 2
    assert pruned(database, Retention(audit_days=1)).audit == 0


def test_it_goes_by_small_batches_with_pauses(database: Database) -> None:
    store(database, requests_=[request(number) for number in range(10)])
    pauses: list[float] = []
    told: list[int] = []
    pruning = Pruning(Retention(requests_days=1), EPOCH + 10 * DAY, batch=4)
    total = prune(
        database,
        pruning,
        report=lambda counts: told.append(counts.requests),
        sleep=pauses.append,
    )
    assert total.requests == 10
    assert told[:3] == [4, 8, 10]
    assert min(pauses[:3]) >= 0.03
    # Where nothing was deleted there is no pause.
    assert pauses[-1] == 0
    assert 0 < pruning.longest < 5


def test_batches_shrink_on_a_slow_disk_and_grow_again(sqlite_database: Database) -> None:
    store(sqlite_database, requests_=[request(number) for number in range(3000)])
    clock = [0.0]
    took = 0.0

    def tick() -> float:
        clock[0] += took
        return clock[0]

    pruning = Pruning(Retention(requests_days=1), EPOCH + 10 * DAY, batch=400, clock=tick)
    sizes = []
    for took in [0.2] * 5 + [0.02] * 2 + [0.001] * 5:  # for `tick`
        sizes.append(sqlite_database.write_now(pruning.step).requests)
        assert pruning.pause == pytest.approx(max(took, 0.03))
    assert sizes == [400, 200, 100, 50, 50, 50, 50, 50, 100, 200, 400, 400]


def test_what_a_failed_run_deleted_was_told(sqlite_database: Database) -> None:
    store(sqlite_database, requests_=[request(number) for number in range(10)])
    told: list[int] = []

    def report(counts: PruneCounts) -> None:
        told.append(counts.requests)
        if len(told) == 2:
            sqlite_database.close()

    pruning = Pruning(Retention(requests_days=1), EPOCH + 10 * DAY, batch=3)
    with pytest.raises(StoreUnavailable):
        prune(sqlite_database, pruning, report=report, sleep=lambda _seconds: None)
    assert told == [3, 6]


@pytest.mark.slow
@pytest.mark.measured
def test_a_writer_beside_it_is_not_kept_waiting(database: Database) -> None:
    end = TIME // (HOUR * 1_000_000) * HOUR * 1_000_000
    rows = rounds(6_000, 20_000)
    database.write_now(lambda connection: fill(connection, rows, end=end, days=20), 60)
    url = f"sqlite:///{database.name.removeprefix('sqlite:///')}"
    if database.dialect == "postgresql":
        url = database._backend.writer.url.render_as_string(hide_password=False)
    # As another process would: with a connection of its own, and none of our order of writers.
    beside = Database(url, Path("/"))
    done = threading.Event()
    waited: list[float] = []

    def write() -> None:
        number = 0
        while not done.is_set():
            number += 1
            row = request(20 * DAY_US + number)

            def work(connection: Connection, row: dict[str, Any] = row) -> None:
                connection.execute(insert(requests), [row])

            began = time.monotonic()
            beside.write_now(work)
            waited.append(time.monotonic() - began)
            time.sleep(0.005)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        while len(waited) < 5:
            time.sleep(0.01)
        before = len(waited)
        pruning = Pruning(Retention(requests_days=1, rollups_days=1), EPOCH + 10 * DAY)
        total = prune(database, pruning)
    finally:
        done.set()
        thread.join()
        beside.close()
    assert total.requests >= rows
    during = sorted(waited[before:])
    assert len(during) > 20
    # A batch holds the lock for about 0.03 s. SQLite's busy handler sleeps up to 0.1 s at a time
    # (sqlite3.c, sqliteDefaultBusyCallback), and a busy machine stretches single waits.
    assert during[len(during) * 9 // 10] < 0.15
    assert during[-1] < 1.5
    assert count(database, requests) == len(waited)


def test_vacuum_gives_back_what_is_free(sqlite_database: Database, tmp_path: Path) -> None:
    store(sqlite_database, requests_=[request(n, error="x" * 1000) for n in range(2000)])

    def size() -> int:
        return (tmp_path / "gateway.db").stat().st_size

    pruned(sqlite_database, Retention(requests_days=1))
    sqlite_database.close()
    database = Database("sqlite:///gateway.db", tmp_path)
    full = size()
    vacuum(database)
    database.close()
    assert size() < full / 3


def test_vacuum_waits_for_who_writes(sqlite_database: Database) -> None:
    begun, end = threading.Event(), threading.Event()

    def hold(_connection: Connection) -> None:
        begun.set()
        end.wait()

    thread = threading.Thread(target=sqlite_database.write_now, args=(hold,))
    thread.start()
    begun.wait()
    later = threading.Timer(0.4, end.set)
    later.start()
    beside = Database(f"sqlite:///{sqlite_database.name.removeprefix('sqlite:///')}", Path("/"))
    vacuum(beside)
    assert end.is_set()
    thread.join()
    later.join()
    beside.close()


def test_vacuum_is_for_both(database: Database) -> None:
    vacuum(database)
    store(database, requests_=[request()])
    assert count(database, requests) == 1
