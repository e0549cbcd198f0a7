"""The audit log's chain, on both engines: whole after any append, broken after any change."""

from __future__ import annotations

import subprocess
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, delete, insert, literal_column, select, update

from gateway.core.records.audit import (
    GENESIS,
    ActorKind,
    AuditAction,
    AuditEvent,
    AuditResult,
    AuditRow,
    hash_of,
)
from gateway.store.engine.database import Database
from gateway.store.engine.schema import audit
from gateway.store.writing.chain import (
    ChainFaultKind,
    ChainHead,
    ChainVerdict,
    append,
    head,
    verify,
)

from ...fork_server import popen
from ...rounds import rounds

ROWS: Final = 6
PROCESSES: Final = rounds(4, 8)
EACH: Final = 20

# One database for many examples: each is rolled back.
many = settings(
    max_examples=rounds(20, 300),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def event(number: int = 0, **changes: Any) -> AuditEvent:
    found = AuditEvent(
        time=1_790_000_000.0 + number,
        action=AuditAction.LOG_VIEWED,
        result=AuditResult.OK,
        actor_kind=ActorKind.ADMIN,
        actor="root",
        client_ip="127.0.0.1",
        target="requests",
        details={"number": number},
    )
    return msgspec.structs.replace(found, **changes)


def pruned_up_to(head: ChainHead) -> AuditEvent:
    """Return what retention writes before it deletes the rows up to `head`."""
    details = {"first_remaining_id": head.id + 1, "last_deleted_hash": head.hash, "count": head.id}
    return event(action=AuditAction.RETENTION, actor_kind=ActorKind.SYSTEM, details=details)


def fill(database: Database, count: int = ROWS) -> None:
    events = [event(number) for number in range(count)]
    assert database.write_now(lambda connection: append(connection, events)) == count


def check(database: Database, expect: ChainHead | None = None) -> ChainVerdict:
    return database.read_now(lambda connection: verify(connection, expect_head=expect))


def head_of(database: Database, number: int) -> ChainHead:
    query = select(audit.c.id, audit.c.hash).where(audit.c.id == number)
    return ChainHead(*database.read_now(lambda connection: connection.execute(query).one()))


def disarm(connection: Connection) -> None:
    """Remove the trigger that forbids changes, as someone with access to the database would."""
    table = " ON audit" if connection.dialect.name == "postgresql" else ""
    connection.exec_driver_sql(f"DROP TRIGGER IF EXISTS audit_append_only{table}")


def change(database: Database, number: int, **values: Any) -> None:
    def work(connection: Connection) -> None:
        disarm(connection)
        here = audit.c.id == number
        assert connection.execute(update(audit).where(here).values(**values)).rowcount == 1

    database.write_now(work)


def cut(database: Database, first: int, last: int) -> None:
    statement = delete(audit).where(audit.c.id.between(first, last))
    database.write_now(lambda connection: connection.execute(statement))


def what(verdict: ChainVerdict) -> tuple[int, ChainFaultKind] | None:
    return (verdict.fault.id, verdict.fault.what) if verdict.fault else None


class Undone(Exception):
    pass


@contextmanager
def tampering(
    database: Database,
) -> Iterator[Callable[[Callable[[Connection], ChainVerdict]], ChainVerdict]]:
    """Yield what runs a work in a transaction that is rolled back, and returns its verdict."""

    def run(work: Callable[[Connection], ChainVerdict]) -> ChainVerdict:
        found: list[ChainVerdict] = []

        def undone(connection: Connection) -> None:
            disarm(connection)
            found.append(work(connection))
            raise Undone

        with pytest.raises(Undone):
            database.write_now(undone)
        return found[0]

    yield run
    assert check(database).ok


# Appending...


def test_an_empty_log_is_whole(database: Database) -> None:
    assert check(database) == ChainVerdict(rows=0, first=None, head=None, pruned=0, fault=None)
    assert database.read_now(head) is None
    assert database.write_now(lambda connection: append(connection, [])) == 0


def test_each_row_is_chained_to_the_one_before(database: Database) -> None:
    fill(database, 2)
    fill(database, 1)
    query = select(audit).order_by(audit.c.id)
    rows = database.read_now(lambda connection: connection.execute(query).all())
    assert [row.id for row in rows] == [1, 2, 3]
    assert [row.previous for row in rows] == [GENESIS, rows[0].hash, rows[1].hash]
    verdict = check(database)
    assert verdict.ok
    assert (verdict.rows, verdict.first, verdict.pruned) == (3, 1, 0)
    assert verdict.head == ChainHead(3, rows[2].hash) == database.read_now(head)


def test_a_row_is_hashed_alike_by_both_databases(
    sqlite_database: Database, postgresql_database: Database
) -> None:
    odd = {"z": 1, "a": 1.0, "nul": "\0", "half": "\ud800", "deep": [{"x": None, "b": 2**70}]}
    events = [event(actor="a\0\udfff", details=odd), event(time=1e9 / 3)]
    heads = []
    for database in (sqlite_database, postgresql_database):
        database.write_now(lambda connection: append(connection, events))
        assert check(database).ok
        heads.append(database.read_now(head))
    assert heads[0] == heads[1] is not None


def test_what_is_rolled_back_was_never_in_it(database: Database) -> None:
    fill(database)
    before = database.read_now(head)

    def fail(connection: Connection) -> None:
        append(connection, [event()])
        raise Undone

    with pytest.raises(Undone):
        database.write_now(fail)
    assert database.read_now(head) == before
    fill(database, 1)
    assert check(database, before).ok


APPENDING = """
import sys
from pathlib import Path
from gateway.core.records.audit import ActorKind, AuditAction, AuditEvent, AuditResult
from gateway.store.writing.chain import append
from gateway.store.engine.database import Database

url, folder, name, count = sys.argv[1:]
database = Database(url, Path(folder))
sys.stdin.read()
for number in range(int(count)):
    event = AuditEvent(
        time=1.0, action=AuditAction.SIGN_IN, result=AuditResult.OK, actor_kind=ActorKind.SYSTEM,
        actor=name, details={"number": number},
    )
    database.write_now(lambda connection: append(connection, [event] * 2), 30.0)
database.close()
"""


@pytest.mark.soak
def test_processes_that_append_at_once_make_one_chain(
    request: pytest.FixtureRequest, database: Database, tmp_path: Any
) -> None:
    url = "sqlite:///gateway.db"
    if database.dialect == "postgresql":
        server = request.getfixturevalue("postgres")
        url = server.url(database.name.rpartition("/")[2])
    found = [
        popen.Popen(
            [*popen.SCRIPT, APPENDING, url, str(tmp_path), f"p{number}", str(EACH)],
            stdin=subprocess.PIPE,
        )
        for number in range(PROCESSES)
    ]
    for process in found:
        # All begin at the same time.
        assert process.stdin is not None
        process.stdin.close()
    assert [process.wait(60) for process in found] == [0] * PROCESSES
    verdict = check(database)
    assert verdict.ok, verdict.fault
    assert verdict.rows == 2 * PROCESSES * EACH == verdict.head.id if verdict.head else False
    query = select(audit.c.actor).distinct()
    writers = database.read_now(lambda connection: connection.scalars(query).all())
    assert len(writers) == PROCESSES


# Tampering...

OTHER: Final[dict[str, Callable[[Any], Any]]] = {
    "time": lambda value: value + 1,
    "actor_kind": lambda value: "operator",
    "actor": lambda value: None,
    "client_ip": lambda value: "127.0.0.2",
    "action": lambda value: "sign_in",
    "target": lambda value: "",
    "result": lambda value: "refused",
    "details": lambda value: value.replace(":", ": "),
    "previous": lambda value: GENESIS if value != GENESIS else "f" * 64,
    "hash": lambda value: value.upper() if value.upper() != value else "0" * 64,
}
places = st.integers(1, ROWS)


def test_every_column_has_a_way_to_be_altered() -> None:
    assert {*OTHER} == {column.name for column in audit.columns} - {"id"}


@many
@given(number=places, name=st.sampled_from(sorted(OTHER)))
def test_an_altered_value_is_found(database: Database, number: int, name: str) -> None:
    if check(database).rows == 0:
        fill(database)

    def work(connection: Connection) -> ChainVerdict:
        column, here = audit.c[name], audit.c.id == number
        value = OTHER[name](connection.scalar(select(column).where(here)))
        connection.execute(update(audit).where(here).values({name: value}))
        return verify(connection)

    with tampering(database) as run:
        verdict = run(work)
        assert what(verdict) == (number, ChainFaultKind.ALTERED)
        assert verdict.rows == ROWS  # read to its end all the same


@many
@given(number=places, name=st.sampled_from(sorted({*OTHER} - {"hash"})))
def test_an_altered_row_with_its_hash_made_anew_is_found(
    database: Database, number: int, name: str
) -> None:
    if check(database).rows == 0:
        fill(database)
    noted = check(database).head

    def work(connection: Connection) -> ChainVerdict:
        here = audit.c.id == number
        row = connection.execute(select(audit).where(here)).one()._asdict()
        del row["hash"]
        row[name] = OTHER[name](row[name])
        values = {name: row[name], "hash": hash_of(AuditRow(**row))}
        connection.execute(update(audit).where(here).values(values))
        return verify(connection, expect_head=noted)

    with tampering(database) as run:
        found = run(work)
        if name == "previous":
            assert what(found) == (number, ChainFaultKind.UNLINKED)
        elif number < ROWS:
            assert what(found) == (number + 1, ChainFaultKind.UNLINKED)
        else:
            # The last has no successor: only what was noted of it says so.
            assert what(found) == (number, ChainFaultKind.REPLACED)


@many
@given(first=places, count=st.integers(1, ROWS))
def test_rows_taken_out_are_found(database: Database, first: int, count: int) -> None:
    if check(database).rows == 0:
        fill(database)
    noted = check(database).head
    last = min(first + count - 1, ROWS)

    def work(connection: Connection) -> ChainVerdict:
        connection.execute(delete(audit).where(audit.c.id.between(first, last)))
        return verify(connection, expect_head=noted)

    with tampering(database) as run:
        found = run(work)
        if last == ROWS:
            assert what(found) == (ROWS, ChainFaultKind.TRUNCATED)
        elif first == 1:
            assert what(found) == (last + 1, ChainFaultKind.PRUNED)
        else:
            assert what(found) == (last + 1, ChainFaultKind.GAP)


@many
@given(number=places, to=places)
def test_rows_put_in_or_moved_are_found(database: Database, number: int, to: int) -> None:
    if check(database).rows == 0:
        fill(database)

    def swap(connection: Connection) -> ChainVerdict:
        for old, new in ((number, 100), (to, number), (100, to)):
            connection.execute(update(audit).where(audit.c.id == old).values(id=new))
        return verify(connection)

    def copy(connection: Connection) -> ChainVerdict:
        row = connection.execute(select(audit).where(audit.c.id == number)).one()._asdict()
        connection.execute(insert(audit).values({**row, "id": ROWS + 1}))
        return verify(connection)

    with tampering(database) as run:
        if number != to:
            assert what(run(swap)) == (min(number, to), ChainFaultKind.ALTERED)
        assert what(run(copy)) == (ROWS + 1, ChainFaultKind.ALTERED)


# SQLite keeps any bytes in a text, and any type in any column.
@pytest.mark.parametrize("value", ["CAST(x'ff00' AS TEXT)", "x'00'", "1.5"])
def test_a_text_that_is_none_is_found(sqlite_database: Database, value: str) -> None:
    fill(sqlite_database)
    change(sqlite_database, 3, target=literal_column(value))
    assert what(check(sqlite_database)) == (3, ChainFaultKind.ALTERED)


def test_the_first_fault_is_the_one_that_is_told(database: Database) -> None:
    fill(database)
    change(database, 5, actor="somebody")
    change(database, 3, actor="somebody")
    assert what(check(database)) == (3, ChainFaultKind.ALTERED)
    cut(database, 1, 1)
    assert what(check(database)) == (2, ChainFaultKind.PRUNED)


# The noted head...


def test_a_log_cut_off_at_its_end_looks_whole_but_for_the_noted_head(database: Database) -> None:
    fill(database)
    noted = database.read_now(head)
    assert noted is not None
    assert str(noted) == f"{ROWS}:{noted.hash}"
    cut(database, ROWS - 1, ROWS)
    assert check(database).ok
    assert what(check(database, noted)) == (ROWS, ChainFaultKind.TRUNCATED)
    # Grown again to the same length.
    fill(database, 3)
    assert check(database).ok
    assert what(check(database, noted)) == (ROWS, ChainFaultKind.REPLACED)
    cut(database, 1, ROWS + 1)
    assert what(check(database, noted)) == (ROWS, ChainFaultKind.TRUNCATED)


def test_a_noted_head_stays_true_while_the_log_grows(database: Database) -> None:
    fill(database)
    noted = database.read_now(head)
    fill(database)
    assert check(database, noted).ok


# Retention...


def test_what_retention_took_is_accounted_for(database: Database) -> None:
    fill(database)
    mark = pruned_up_to(head_of(database, 3))
    database.write_now(lambda connection: append(connection, [mark]))
    assert check(database).ok
    # Fewer than was said, as many, and one more.
    cut(database, 1, 2)
    assert what(check(database)) == (3, ChainFaultKind.PRUNED)
    cut(database, 1, 3)
    verdict = check(database)
    assert verdict.ok, verdict.fault
    assert (verdict.rows, verdict.first, verdict.pruned) == (ROWS + 1 - 3, 4, 3)
    cut(database, 1, 4)
    verdict = check(database)
    assert what(verdict) == (5, ChainFaultKind.PRUNED)
    assert verdict.fault is not None
    assert verdict.fault.message.startswith("rows 1 to 4 are missing")


def test_retention_can_go_on_for_ever(database: Database) -> None:
    for _ in range(3):
        fill(database)
        last = database.read_now(head)
        assert last is not None
        mark = pruned_up_to(last)
        database.write_now(lambda connection: append(connection, [mark]))  # noqa: B023
        cut(database, 1, last.id)
        verdict = check(database)
        assert verdict.ok
        assert (verdict.rows, verdict.pruned) == (1, last.id)


@pytest.mark.parametrize(
    "details",
    [
        {},
        {"requests": 5},
        {"first_remaining_id": 3, "last_deleted_hash": "HASH"},
        {"first_remaining_id": 4, "last_deleted_hash": "f" * 64},
        {"first_remaining_id": "4", "last_deleted_hash": "HASH"},
        # More than there was.
        {"first_remaining_id": 4000, "last_deleted_hash": "HASH"},
    ],
)
def test_other_retentions_account_for_nothing(database: Database, details: dict[str, Any]) -> None:
    fill(database)
    if details.get("last_deleted_hash") == "HASH":
        details = {**details, "last_deleted_hash": head_of(database, 3).hash}
    mark = event(action=AuditAction.RETENTION, details=details)
    database.write_now(lambda connection: append(connection, [mark]))
    cut(database, 1, 3)
    assert what(check(database)) == (4, ChainFaultKind.PRUNED)


def test_a_head_that_retention_took_cannot_be_checked_except_the_last(database: Database) -> None:
    fill(database)
    second, third = head_of(database, 2), head_of(database, 3)
    mark = pruned_up_to(third)
    database.write_now(lambda connection: append(connection, [mark]))
    cut(database, 1, 3)
    assert check(database, third).ok
    assert what(check(database, second)) == (2, ChainFaultKind.PRUNED)
    assert what(check(database, ChainHead(3, "f" * 64))) == (3, ChainFaultKind.PRUNED)


# Size...


@pytest.mark.slow
def test_a_long_log_is_verified_in_little_memory(sqlite_database: Database) -> None:
    fill(sqlite_database, 2_500)
    change(sqlite_database, 2_222, actor="somebody")

    def peak() -> int:
        tracemalloc.start()
        assert what(check(sqlite_database)) == (2_222, ChainFaultKind.ALTERED)
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    check(sqlite_database)
    before = peak()
    fill(sqlite_database, 10_000)
    assert peak() < before * 1.2
