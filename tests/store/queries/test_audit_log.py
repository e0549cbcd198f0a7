from __future__ import annotations

import random
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, insert, select

from gateway.core.records.audit import ActorKind, AuditAction, AuditEvent, AuditResult
from gateway.errors import InvalidRequest
from gateway.store.engine.database import Database
from gateway.store.engine.schema import audit
from gateway.store.queries.audit_log import page
from gateway.store.queries.filters import AuditFilter
from gateway.store.queries.request_log import RequestPage
from gateway.store.writing import chain

from ...rounds import rounds

START: Final = 1_790_000_000_000_000
ROWS: Final = rounds(120, 300)
Row = dict[str, Any]


def entry(number: int, time: int, rng: random.Random) -> Row:
    action = rng.choice(
        [AuditAction.SIGN_IN, AuditAction.LOG_VIEWED, AuditAction.LOG_VIEWED, AuditAction.EXPORTED]
    )
    return {
        "id": number,
        "time": time,
        "actor_kind": ActorKind.ADMIN,
        "actor": rng.choice(["ada", "grace", None]),
        "client_ip": "10.0.0.1",
        "action": action,
        "target": f"target {number}",
        "result": rng.choice([AuditResult.OK, AuditResult.REFUSED]),
        "details": f'{{"rows":{number}}}',
        "previous": "",
        "hash": "",
    }


def write(database: Database, rows: list[Row]) -> None:
    database.write_now(lambda connection: connection.execute(insert(audit), rows))


@pytest.fixture
def rows(database: Database) -> list[Row]:
    """Entries in the order of their keys; their times are not quite in it."""
    rng = random.Random(0)
    made = [entry(n, START + n // 3 * 10 + rng.choice([0, 0, 20]), rng) for n in range(1, ROWS + 1)]
    write(database, made)
    return made


def ask(database: Database, wanted: AuditFilter, **options: Any) -> RequestPage:
    return database.read_now(lambda connection: page(connection, wanted, **options))


def matches(wanted: AuditFilter, row: Row) -> bool:
    searched = ("actor", "client_ip", "action", "target", "details")
    return (
        (wanted.since is None or row["time"] >= wanted.since)
        and (wanted.until is None or row["time"] < wanted.until)
        and (not wanted.action or row["action"] in wanted.action)
        and (not wanted.actor or row["actor"] in wanted.actor)
        and (not wanted.result or row["result"] in wanted.result)
        and any(wanted.text.lower() in (row[name] or "").lower() for name in searched)
    )


TIMES = st.none() | st.integers(START, START + ROWS * 4)


@pytest.mark.slow
@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    wanted=st.builds(
        AuditFilter,
        since=TIMES,
        until=TIMES,
        action=st.sampled_from([(), ("sign_in",), ("sign_in", "exported"), ("retention",)]),
        actor=st.sampled_from([(), ("ada",), ("ada", "grace")]),
        result=st.sampled_from([(), ("refused",)]),
        text=st.sampled_from(["", "", "TARGET 1", '"rows":7}', "%"]),
    ),
    limit=st.integers(1, 40),
    budget=st.integers(1, 100),
)
def test_all_pages_have_what_matches_once_and_newest_first(
    database: Database, rows: list[Row], wanted: AuditFilter, limit: int, budget: int
) -> None:
    expected = [row for row in rows if matches(wanted, row)]
    expected.sort(key=lambda row: (row["time"], row["id"]), reverse=True)
    query = select(audit.c.id).order_by(audit.c.id.desc()).limit(1)
    last = database.read_now(lambda connection: connection.execute(query).scalar_one())
    seen: list[int] = []
    after: str | None = None
    for number in range(1, 1000):
        found = ask(database, wanted, after=after, limit=limit, budget=budget)
        assert len(found.rows) <= limit
        seen += [row["id"] for row in found.rows]
        if number < 3 and after:
            # Later than all before: the pages behind have no place for it.
            write(database, [entry(last + number, START + ROWS * 100 + last, random.Random(1))])
        after = found.next
        if after is None:
            break
    else:
        pytest.fail("no end")
    assert [each for each in seen if each <= ROWS] == [row["id"] for row in expected]
    assert len(seen) == len(set(seen))


def test_an_entry_is_shown_in_full(database: Database, rows: list[Row]) -> None:
    newest = max(rows, key=lambda row: (row["time"], row["id"]))
    found = ask(database, AuditFilter(), limit=1)
    assert found.rows == [newest | {"details": {"rows": newest["id"]}}]
    assert found.next is not None


def test_how_far_a_page_looked_is_said(database: Database, rows: list[Row]) -> None:
    found = ask(database, AuditFilter(text="nowhere"), limit=5, budget=50)
    order = sorted(((row["time"], row["id"]) for row in rows), reverse=True)
    assert (found.rows, found.scanned_until) == ([], order[49][0])


def test_cursors_and_limits_are_checked(database: Database, rows: list[Row]) -> None:
    after = ask(database, AuditFilter(), limit=1).next
    with pytest.raises(InvalidRequest, match="That cursor is of another query"):
        ask(database, AuditFilter(actor=("ada",)), after=after)
    with pytest.raises(InvalidRequest, match="limit must be from 1 to 1000"):
        ask(database, AuditFilter(), limit=0)


def test_an_altered_entry_is_shown_as_it_is(sqlite_database: Database) -> None:
    event = AuditEvent(
        time=1.0, action=AuditAction.LOG_VIEWED, result=AuditResult.OK, actor_kind=ActorKind.ADMIN
    )
    sqlite_database.write_now(lambda connection: chain.append(connection, [event]))

    def tamper(connection: Connection) -> None:
        connection.exec_driver_sql("DROP TRIGGER audit_append_only")
        connection.exec_driver_sql("UPDATE audit SET details = 'no json'")

    sqlite_database.write_now(tamper)
    found = sqlite_database.read_now(lambda connection: page(connection, AuditFilter()))
    assert [row["details"] for row in found.rows] == ["no json"]
