from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import pytest
import trio
from sqlalchemy import Connection, insert, select, text
from sqlalchemy.event import listen
from sqlalchemy.exc import DBAPIError

from gateway.core.records.audit import AuditEvent
from gateway.errors import StoreUnavailable
from gateway.store.engine import ids
from gateway.store.engine.database import Database
from gateway.store.engine.schema import audit, requests, rollups, writers
from gateway.store.writing import chain
from gateway.store.writing import insert as insertion
from gateway.store.writing.batch import Batch
from gateway.store.writing.insert import Chain, InsertOutcome, write_batches
from gateway.store.writing.rollup_rows import RollupModels, rollup_rows
from gateway.store.writing.rows import request_row

from ..recording import check, check_sums, count, event, record, request_ids


def write(
    database: Database, *batches: Batch, writer: str = "w", append: Chain = chain.append
) -> InsertOutcome:
    return database.write_now(
        lambda connection: write_batches(connection, writer, batches, append, RollupModels())
    )


def batch(number: int, *numbers: int, events: int = 0) -> Batch:
    return Batch(
        number, [record(each) for each in numbers], [event(each) for each in range(events)]
    )


def test_a_batch_is_written_whole(database: Database) -> None:
    assert write(database, batch(1, *range(50), events=3)).written == 53
    check(database, range(50), events=3)


@pytest.mark.parametrize("records", [1, 3, 4, 15, 16, 17, 100, 101])
def test_a_batch_takes_few_statements(database: Database, records: int) -> None:
    """After each, `sqlite3` has the event loop and the writer's thread wait for each other."""
    done: list[str] = []

    def noted(connection: Connection) -> InsertOutcome:
        def note(_c: Any, _cursor: Any, statement: str, rows: Any, _x: Any, many: bool) -> None:
            done.extend([statement] * (len(rows) if many else 1))

        listen(connection, "before_cursor_execute", note)
        made = batch(1, *range(records))
        return write_batches(connection, "w", [made], chain.append, RollupModels())

    assert database.write_now(noted).written == records
    check(database, range(records))
    assert len([each for each in done if "INSERT INTO requests" in each]) <= 6 + records // 16
    assert len([each for each in done if "INSERT INTO attempts" in each]) <= 6 + records // 10


def test_nothing_is_written_twice(database: Database) -> None:
    one, two, three = batch(1, 1, 2, events=1), batch(2, 3), batch(3, 4, 5)
    assert write(database, one).written == 3
    assert write(database, one).written == 0
    # A journal that has been written in part.
    assert write(database, one, two, three).written == 3
    assert write(database, one, two, three).written == 0
    assert write(database, batch(4, 6)).written == 1
    # Lost between, as a torn tail is: the later ones are not held up.
    assert write(database, batch(9, 7)).written == 1
    # Another's numbers are another's.
    assert write(database, batch(1, 8), writer="other").written == 1
    check(database, range(1, 9), events=1)


class Broken(dict[str, str]):
    """Metadata whose reading fails in a way that was not thought of."""

    def __init__(self, error: type[Exception]) -> None:
        super().__init__(a="b")
        self._error = error

    def items(self) -> Any:
        raise self._error("broken")


@pytest.mark.parametrize("error", [KeyError, IndexError, RuntimeError, RecursionError, LookupError])
def test_one_bad_record_holds_up_no_other(database: Database, error: type[Exception]) -> None:
    given = batch(1, *range(20), events=1)
    given.records[7].metadata = Broken(error)
    found = write(database, given)
    assert [each.request_id for each in found.rejected] == [given.records[7].request_id]
    assert error.__name__ in found.rejected[0].reason
    assert found.written == 20
    assert write(database, batch(2, 20)).written == 1
    check(database, [*range(7), *range(8, 21)], events=1)


@pytest.mark.parametrize("error", [KeyError, IndexError])
def test_one_bad_event_holds_up_no_other(database: Database, error: type[Exception]) -> None:
    given = batch(1, 1, events=5)
    bad = given.events[2]

    def append(connection: Connection, events: Sequence[AuditEvent]) -> int:
        if bad in events:
            raise error("broken")
        return chain.append(connection, events)

    found = write(database, given, append=append)
    assert [each.item for each in found.rejected] == [bad]
    check(database, [1], events=4)


def test_one_row_that_does_not_add_up_holds_up_no_other(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = batch(1, *range(5))
    bad = given.records[3].request_id

    def adding(rows: Sequence[Any], models: RollupModels) -> list[Any]:
        if any(bad in row for row in rows):
            raise KeyError("broken")
        return rollup_rows(rows, models)

    monkeypatch.setattr(insertion, "rollup_rows", adding)
    found = write(database, given)
    assert [each.request_id for each in found.rejected] == [bad]
    assert "not in the roll-ups: KeyError" in found.rejected[0].reason
    assert count(database, requests) == found.written == 5
    assert count(database, rollups) > 0


@pytest.mark.parametrize("error", [OSError, MemoryError, StoreUnavailable])
def test_what_hits_all_rows_is_blamed_on_none(database: Database, error: type[Exception]) -> None:
    def fails(connection: Connection, _: Sequence[AuditEvent]) -> int:
        raise error("not a row's")

    with pytest.raises(error):
        write(database, batch(1, 1, events=1), append=fails)
    assert count(database, requests) == 0


def test_a_transaction_that_failed_leaves_no_mark(database: Database) -> None:
    def fails(connection: Connection, _: Sequence[AuditEvent]) -> int:
        connection.execute(text("SELECT nothing FROM nowhere"))
        raise AssertionError

    given = batch(1, 1, events=1)
    with pytest.raises(DBAPIError):
        database.write_now(lambda c: write_batches(c, "w", [given], fails, RollupModels()))
    assert count(database, requests) == count(database, rollups) == 0
    assert count(database, writers) == 0
    assert write(database, given).written == 2
    check(database, [1], events=1)


def test_a_key_that_is_taken_is_drawn_again(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Another process has written all but one key of this microsecond.
    time = 1_790_000_000_000_000
    free = 700
    other = [
        dict(zip([c.name for c in requests.columns], request_row(record(0), 0), strict=True))
        | {"id": ids.id_of(time, low), "attempts": 0}
        for low in range(ids.SPREAD)
        if low != free
    ]
    database.write_now(lambda c: c.execute(insert(requests), other))
    drawn: list[int] = []

    def low(_bits: int) -> int:
        drawn.append(random.randrange(ids.SPREAD))
        return drawn[-1]

    monkeypatch.setattr("random.getrandbits", low)
    given = Batch(1, [record(n, time=time / 1e6) for n in range(1, 40)], [])
    assert write(database, given).written == 39
    assert len(drawn) > 39
    found = request_ids(database)
    assert {f"req-{number}" for number in range(1, 40)} < set(found)
    times = database.read_now(
        lambda c: [*c.execute(select(requests.c.id).where(requests.c.request_id != "req-0"))]
    )
    assert all(ids.time_of(row.id) - time in range(3) for row in times)


def test_records_of_one_microsecond_all_have_a_key(database: Database) -> None:
    given = [record(number, time=1_790_000_000.0) for number in range(1500)]
    assert write(database, Batch(1, given, [])).written == 1500
    check(database, range(1500))


def test_one_bad_record_does_not_keep_the_others(database: Database) -> None:
    def append(connection: Connection, events: Sequence[AuditEvent]) -> int:
        if any(each.actor == "admin-1" for each in events):
            raise ValueError("no such admin")
        return chain.append(connection, events)

    given = batch(1, *range(20), events=3)
    given.records[7] = record(7, model=5)
    given.records[13] = record(13, attempts=[None])
    outcome = write(database, given, append=append)
    assert outcome.written == 20
    assert [each.request_id for each in outcome.rejected] == ["req-7", "req-13", None]
    assert outcome.rejected[0].reason.startswith("TypeError")
    check(database, set(range(20)) - {7, 13}, events=2)


def test_one_that_the_database_refuses_does_not_keep_the_others(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Nothing that rows.py makes is refused, as far as is known; so a row of another make.
    def row(each: Any, key: int) -> tuple[Any, ...]:
        made = request_row(each, key)
        return (*made[:1], None, *made[2:]) if each.request_id in {"req-3", "req-8"} else made

    monkeypatch.setattr(insertion, "request_row", row)
    outcome = write(database, batch(1, *range(20)))
    assert outcome.written == 18
    assert [each.request_id for each in outcome.rejected] == ["req-3", "req-8"]
    assert "\n" not in outcome.rejected[0].reason
    check(database, set(range(20)) - {3, 8})


def test_a_rollup_that_overflows_does_not_keep_the_requests(postgresql_database: Database) -> None:
    database = postgresql_database
    write(database, batch(1, 1))
    database.write_now(lambda c: c.execute(rollups.update().values(cost_nano_usd=2**63 - 1)))
    again = record(1, request_id="req-2")
    outcome = write(database, Batch(2, [again, record(6)], []))
    assert outcome.written == 2
    assert sorted(request_ids(database)) == ["req-1", "req-2", "req-6"]
    assert len(outcome.rejected) == 3
    assert all(isinstance(each.item, tuple) for each in outcome.rejected)


async def test_writers_on_the_same_rollups_never_lock_each_other_out(
    postgresql_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = postgresql_database
    given = {
        writer: [batch(number, *range(base + number * 30, base + number * 30 + 30), events=1)
                 for number in range(1, 11)]
        for writer, base in (("a", 0), ("b", 1000), ("c", 2000))
    }  # fmt: skip

    def work(writer: str) -> None:
        for each in given[writer]:
            random.Random(each.number).shuffle(each.records)
            write(database, each, writer=writer)

    async with trio.open_nursery() as nursery:
        for writer in given:
            nursery.start_soon(trio.to_thread.run_sync, work, writer)
    assert count(database, requests) == 900
    assert count(database, audit) == 30
    check_sums(database)
