from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest
import trio
import trio.testing
from sqlalchemy import func, select, update
from structlog.testing import capture_logs

from gateway.config.schema import Retention
from gateway.core.records.periods import DAY
from gateway.store.engine.database import Database
from gateway.store.engine.schema import jobs, requests
from gateway.store.held.jobs import Leadership
from gateway.store.retention.jobs import claim
from gateway.store.retention.sweep import PruneCounts
from gateway.store.retention.task import JOB, LEASE, RetentionTask

from ..exported import EPOCH, request, store

INTERVAL: Final = 3600.0
KEEP: Final = Retention(requests_days=1, interval=INTERVAL)


def task(database: Database | None, **options: Any) -> RetentionTask:
    given: dict[str, Any] = {"now": lambda: EPOCH + 10.0 * DAY, "rng": lambda: 0.5, **options}
    return RetentionTask(database, given.pop("settings", lambda: KEEP), **given)


def left(database: Database) -> int:
    query = select(func.count(requests.c.id))
    return database.read_now(lambda connection: connection.execute(query).scalar_one())


def due(database: Database) -> int | None:
    return database.read_now(
        lambda connection: connection.scalar(select(jobs.c.due).where(jobs.c.name == JOB))
    )


async def test_it_prunes_and_reports(database: Database) -> None:
    store(database, requests_=[request(number) for number in range(5)])
    reports: list[tuple[PruneCounts, bool]] = []
    found = await task(database, report=lambda *each: reports.append(each)).once()
    assert reports == [(PruneCounts(requests=5), True)]
    assert found == INTERVAL
    assert left(database) == 0


async def test_nothing_to_delete_is_nothing_to_report(database: Database) -> None:
    reports: list[PruneCounts] = []
    await task(database, report=lambda counts, _: reports.append(counts)).once()
    assert reports == []


async def test_who_comes_second_waits_until_it_is_due(database: Database) -> None:
    await task(database).once()
    store(database, requests_=[request()])
    assert await task(database, now=lambda: EPOCH + 10.0 * DAY + 600).once() == INTERVAL - 600
    assert left(database) == 1
    await task(database, now=lambda: EPOCH + 10.0 * DAY + INTERVAL).once()
    assert left(database) == 0


async def test_of_two_at_once_one_prunes(database: Database) -> None:
    store(database, requests_=[request(number) for number in range(100)])
    url = (
        database.name
        if database.dialect == "sqlite"
        else database._backend.writer.url.render_as_string(hide_password=False)
    )
    other = Database(url, Path("/"))
    reports: list[int] = []
    waits: list[float] = []

    async def once(of: Database) -> None:
        # Twenty transactions and pauses, so that one is still at it when the other asks.
        each = task(of, batch=5, report=lambda counts, _whole: reports.append(counts.requests))
        waits.append(await each.once())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(once, database)
        nursery.start_soon(once, other)
    other.close()
    assert reports == [100]
    # Should the first one die of it, the second goes on when its lease is over.
    assert sorted(waits) == [LEASE, INTERVAL]


async def test_a_run_that_is_not_lived_to_its_end_goes_on_elsewhere(database: Database) -> None:
    store(database, requests_=[request(number) for number in range(3)])
    now = round((EPOCH + 10.0 * DAY) * 1_000_000)
    every, lease = round(INTERVAL * 1_000_000), round(LEASE * 1_000_000)
    assert database.write_now(lambda each: claim(each, JOB, now, every, lease)) is None
    assert await task(database).once() == LEASE
    assert left(database) == 3
    found = await task(database, now=lambda: EPOCH + 10.0 * DAY + LEASE).once()
    assert (found, left(database)) == (INTERVAL, 0)


async def test_who_does_not_lead_leaves_it_alone_and_begins_when_it_does(
    sqlite_database: Database, autojump_clock: trio.testing.MockClock
) -> None:
    store(sqlite_database, requests_=[request(number) for number in range(3)])
    leadership = Leadership()
    follower = task(sqlite_database, leadership=leadership)
    assert await follower.once() == INTERVAL
    assert left(sqlite_database) == 3
    async with trio.open_nursery() as nursery:
        nursery.start_soon(follower.run)
        await trio.sleep(10)
        assert left(sqlite_database) == 3
        leadership.set({JOB})
        began = trio.current_time()
        while left(sqlite_database):  # noqa: ASYNC110  # what another thread does
            await trio.sleep(0.01)
        assert trio.current_time() - began < 5
        nursery.cancel_scope.cancel()


async def test_a_long_run_says_that_it_is_still_at_it(
    sqlite_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.store.retention.task._RENEW", 0.0)
    store(sqlite_database, requests_=[request(number) for number in range(5)])
    seconds = iter(range(1000))
    found = await task(sqlite_database, now=lambda: EPOCH + 10 * DAY + next(seconds)).once()
    assert found == INTERVAL
    first = (EPOCH + 10 * DAY + INTERVAL) * 1_000_000
    assert (due(sqlite_database) or 0) > first


async def test_cancelled_in_the_middle_whole_batches_are_gone(database: Database) -> None:
    store(database, requests_=[request(number) for number in range(500)])
    reports: list[tuple[PruneCounts, bool]] = []
    async with trio.open_nursery() as nursery:
        cut = task(database, batch=10, report=lambda *each: reports.append(each))
        nursery.start_soon(cut.once)
        while left(database) > 480:  # noqa: ASYNC110  # what another thread does
            await trio.sleep(0.005)
        nursery.cancel_scope.cancel()
    # A batch that was under way may or may not have been committed; its thread is gone soon.
    while database._write_threads.busy:  # noqa: ASYNC110  # the same
        await trio.sleep(0.001)
    remaining = left(database)
    assert 0 < remaining < 500
    assert remaining % 10 == 0
    # It says what it has done, as far as that is known.
    ((counts, whole),) = reports
    assert not whole
    assert 0 <= 500 - remaining - counts.requests <= 10
    # A later run goes on where this one stopped.
    database.write_now(lambda connection: connection.execute(update(jobs).values(due=0)))
    await task(database).once()
    assert left(database) == 0


async def test_no_failure_is_the_gateways(sqlite_database: Database) -> None:
    sqlite_database.close()
    reports: list[tuple[PruneCounts, bool]] = []
    with capture_logs() as logs:
        found = await task(sqlite_database, report=lambda *each: reports.append(each)).once()
    assert found == INTERVAL
    assert reports == [(PruneCounts(), False)]
    assert [(each["event"], each["log_level"]) for each in logs] == [
        ("retention failed", "warning"),
        ("retention", "info"),
    ]
    assert "closed" in logs[0]["error"]


async def test_an_error_in_our_own_sql_is_logged_whole(sqlite_database: Database) -> None:
    sqlite_database.write_now(lambda connection: connection.exec_driver_sql("DROP TABLE jobs"))
    with capture_logs() as logs:
        assert await task(sqlite_database).once() == INTERVAL
    assert "no such table" in logs[0]["error"]
    assert logs[0]["exc_info"]


async def test_an_error_of_ours_is_logged_whole(sqlite_database: Database, tmp_path: Path) -> None:
    # Further ahead than either engine has microseconds.
    settings = Retention(requests_days=1, interval=1e13)
    with capture_logs() as logs:
        assert await task(sqlite_database, settings=lambda: settings).once() == 1e13
    assert [each["event"] for each in logs] == ["retention failed", "retention"]
    assert logs[0]["exc_info"]

    def now() -> float:
        raise RuntimeError("a defect")

    with capture_logs() as logs:
        each = task(sqlite_database, captures=tmp_path, now=now)
        assert await each.once() == INTERVAL
    assert [each["event"] for each in logs] == [
        "retention of captures failed", "retention failed", "retention"
    ]  # fmt: skip
    assert logs[0]["exc_info"]
    assert logs[1]["exc_info"]


async def test_a_database_that_is_not_known_yet_is_left_alone(
    sqlite_database: Database, tmp_path: Path
) -> None:
    store(sqlite_database, requests_=[request()])
    old, opened = captured(tmp_path, 3 * DAY), trio.Event()
    each = task(sqlite_database, captures=tmp_path, opened=opened,
                settings=lambda: Retention(requests_days=1, debug_days=2))  # fmt: skip
    # It is soon looked at again.
    assert await each.once() == 60.0
    assert left(sqlite_database) == 1
    assert due(sqlite_database) is None
    assert not old.exists()
    opened.set()
    assert await each.once() == INTERVAL
    assert left(sqlite_database) == 0


def captured(folder: Path, age: float, size: int = 10) -> Path:
    """Make a file of the debug log, as old as so many seconds at the time of `task`."""
    file = folder / "2026-01-01" / f"req_{age:g}.jsonl.gz"
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(b"x" * size)
    os.utime(file, (EPOCH + 10 * DAY - age,) * 2)
    return file


async def test_every_process_prunes_its_own_captures(
    sqlite_database: Database, tmp_path: Path
) -> None:
    await task(sqlite_database).once()
    old, new = captured(tmp_path, 3 * DAY), captured(tmp_path, DAY)
    reports: list[PruneCounts] = []
    settings: Callable[[], Retention] = lambda: Retention(debug_days=2)  # noqa: E731
    for database in (sqlite_database, None):
        captured(tmp_path, 3 * DAY)
        each = task(database, captures=tmp_path, settings=settings,
                    report=lambda counts, _: reports.append(counts))  # fmt: skip
        await each.once()
        assert (old.exists(), new.exists()) == (False, True)
    assert reports == [PruneCounts(captures=1, capture_bytes=10)] * 2


async def test_a_folder_that_cannot_be_read_keeps_nothing_else_from_going(
    sqlite_database: Database, tmp_path: Path
) -> None:
    store(sqlite_database, requests_=[request()])
    (tmp_path / "debug").touch()
    reports: list[tuple[PruneCounts, bool]] = []
    with capture_logs() as logs:
        await task(
            sqlite_database,
            captures=tmp_path / "debug",
            report=lambda *each: reports.append(each),
        ).once()
    assert reports == [(PruneCounts(requests=1), False)]
    assert logs[0]["event"] == "retention of captures failed"
    assert logs[1]["failed"] == ["captures"]


async def test_run_comes_back_after_the_interval_as_it_is_then(
    autojump_clock: trio.testing.MockClock,
) -> None:
    times: list[float] = []
    began = trio.current_time()

    def settings() -> Retention:
        times.append(trio.current_time() - began)
        return Retention(interval=600.0 if len(times) < 4 else 60.0)

    with trio.move_on_after(1500):
        await task(None, settings=settings).run()
    # Half of the first minute, then every ten minutes and a twentieth more; then every one.
    assert times[:5] == pytest.approx([0, 30, 660, 1290, 1353])


async def test_it_ends_when_cancelled_while_it_waits() -> None:
    with trio.move_on_after(0.01) as scope:
        await task(None).run()
    assert scope.cancelled_caught
