from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, event, insert, select, update

from gateway.core.records.record import EndReason
from gateway.errors import InvalidRequest
from gateway.store.engine.database import Database
from gateway.store.engine.ids import first_id, id_of
from gateway.store.engine.schema import attempts, requests
from gateway.store.queries import index_scan, request_log
from gateway.store.queries.conditions import conditions
from gateway.store.queries.filters import SEARCHED, Filter
from gateway.store.queries.request_log import RequestPage, one, page

from ...rounds import rounds
from ..filled import fill_database
from ..filling import MODELS, NEEDLE, PROVIDERS, RARE_MODEL, RARE_TOKEN, TOKENS, fill, plain

END: Final = 1_790_002_800_000_000
NOW: Final = END / 1_000_000
HOUR: Final = 3_600_000_000
ROWS: Final = rounds(200, 400)

Row = dict[str, Any]


@pytest.fixture
def rows(database: Database) -> list[Row]:
    """Some requests on record, by key; each of them is in the database."""
    fill_database(database, ROWS, end=END, days=2)
    # So that there are equal ones to sort.
    coarse = update(requests).values(latency_us=requests.c.latency_us // 1_000_000)
    database.write_now(lambda connection: connection.execute(coarse))
    return all_rows(database)


def all_rows(database: Database) -> list[Row]:
    query = select(requests).order_by(requests.c.id)
    return database.read_now(lambda c: [dict(row._mapping) for row in c.execute(query)])


def add(database: Database, row: Row) -> None:
    database.write_now(lambda connection: connection.execute(insert(requests), [row]))


def ask(database: Database, wanted: Filter, **options: Any) -> RequestPage:
    return database.read_now(lambda connection: page(connection, wanted, **options))


def ids(found: RequestPage) -> list[int]:
    return [int(row["id"]) for row in found.rows]


def matches(wanted: Filter, row: Row) -> bool:
    """Say in Python what the SQL must say."""

    def of_class(status: int, one: str) -> bool:
        if one == "error":
            return bool(row["failed"])
        return str(status) == one or one == f"{status // 100}xx"

    return (
        (wanted.since is None or row["time"] >= wanted.since)
        and (wanted.until is None or row["time"] < wanted.until)
        and all(
            not (values := getattr(wanted, name)) or row[name] in values
            for name in ("model", "provider", "token", "end_reason", "user", "request_id")
        )
        and (not wanted.status or any(of_class(row["status"], each) for each in wanted.status))
        and wanted.failed in {None, row["failed"]}
        and wanted.stream in {None, row["stream"]}
        and wanted.cached in {None, row["cached"]}
        and any(wanted.text.lower() in (row[name] or "").lower() for name in SEARCHED)
    )


def some(*values: str) -> st.SearchStrategy[tuple[str, ...]]:
    few = st.lists(st.sampled_from(values), min_size=1, max_size=3, unique=True).map(tuple)
    return st.just(()) | few


TIMES = st.none() | st.integers(END - 49 * HOUR, END + HOUR)
FILTERS = st.builds(
    Filter,
    since=TIMES,
    until=TIMES,
    model=some(*MODELS[:4], RARE_MODEL, "absent"),
    provider=some(*PROVIDERS),
    token=some(*TOKENS[:4], RARE_TOKEN, "absent"),
    status=some("200", "429", "4xx", "5xx", "2xx", "error"),
    end_reason=some(EndReason.COMPLETE, EndReason.CLIENT_GONE, EndReason.UPSTREAM_BROKE),
    failed=st.sampled_from([None, None, True, False]),
    stream=st.sampled_from([None, None, True, False]),
    cached=st.sampled_from([None, None, True, False]),
    text=st.sampled_from(["", "", "", "user-00", NEEDLE.upper(), "after all", "%", "nowhere"]),
)
KEYS: dict[str, Callable[[Row], int]] = {
    "time": lambda row: row["id"],
    "latency": lambda row: row["latency_us"],
    "first_event": lambda row: -1 if row["first_event_us"] is None else row["first_event_us"],
    "cost": lambda row: -1 if row["cost_nano_usd"] is None else row["cost_nano_usd"],
    "tokens": lambda row: (row["input_tokens"] or 0) + (row["output_tokens"] or 0),
}


@pytest.mark.slow
@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    wanted=FILTERS,
    sort=st.sampled_from(["time", "time", *KEYS]),
    descending=st.booleans(),
    limit=st.integers(1, 60),
    budget=st.integers(1, 150),
    coming=st.booleans(),
)
def test_all_pages_have_what_matches_once_and_in_order(
    database: Database,
    rows: list[Row],
    wanted: Filter,
    sort: str,
    descending: bool,
    limit: int,
    budget: int,
    coming: bool,
) -> None:
    # What came in with the examples before is in `rows` as well.
    known = {row["id"] for row in rows}
    chosen = [row for row in rows if matches(wanted, row)]
    if sort != "time":
        # These have a window always.
        until = END if wanted.until is None else wanted.until
        since = until - 24 * HOUR if wanted.since is None else wanted.since
        chosen = [row for row in chosen if since <= row["time"] < until]
    key = KEYS[sort]
    expected = sorted(chosen, key=lambda row: (key(row), row["id"]), reverse=descending)
    seen: list[int] = []
    after: str | None = None
    newest = max(rows[-1]["id"], first_id(END))
    for number in range(1000):
        found = ask(database, wanted, sort=sort, descending=descending, limit=limit,
                    budget=budget, after=after, now=NOW)  # fmt: skip
        assert len(found.rows) <= limit
        seen += ids(found)
        if coming and number < 3:
            newest += 1 << 20
            new = plain(newest, model=MODELS[0], latency_us=number)
            add(database, new)
            rows.append(new)
        after = found.next
        if after is None:
            break
    else:
        pytest.fail("no end")
    if sort == "time" and not descending:
        # What came in meanwhile may be at the end.
        seen = [each for each in seen if each in known]
    assert seen == [row["id"] for row in expected]


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(wanted=FILTERS)
def test_a_filter_as_one_condition_chooses_the_same(
    database: Database, rows: list[Row], wanted: Filter
) -> None:
    query = select(requests.c.id).where(conditions(wanted, database.dialect))
    found = database.read_now(lambda c: {row.id for row in c.execute(query)})
    assert found == {row["id"] for row in rows if matches(wanted, row)}


def test_the_newest_come_first_in_full(database: Database, rows: list[Row]) -> None:
    found = ask(database, Filter(), limit=3)
    assert ids(found) == [row["id"] for row in rows[:-4:-1]]
    expected = rows[-1]
    expected["id"] = str(expected["id"])
    assert found.rows[0] == expected
    assert found.next is not None
    assert found.scanned_until is None


def test_what_has_just_ended_is_found_however_long_it_took(database: Database) -> None:
    minute = 60_000_000
    came = {
        "still shown": (END - 10 * minute, 10 * minute - 2),
        "quick": (END - 5, 1),
        "long over": (END - 20 * minute, minute),
        "of another model": (END - minute, minute),
    }
    for number, (name, (time, took)) in enumerate(came.items()):
        model = "b" if name.startswith("of") else "a"
        changes = {"latency_us": took, "request_id": name, "model": model}
        add(database, plain(id_of(time, number), **changes))
    found = database.read_now(
        lambda c: request_log.just_ended(c, Filter(model=("a",)), END - 10, limit=50)
    )
    assert [row["request_id"] for row in found] == ["quick", "still shown"]


def test_a_rare_text_is_found_in_the_end_and_each_page_says_how_far_it_looked(
    database: Database, rows: list[Row]
) -> None:
    wanted = Filter(text=NEEDLE)
    budget = 60
    found = ask(database, wanted, limit=9, budget=budget)
    for number in range(1, ROWS // budget + 1):
        assert found.rows == []
        assert found.scanned_until == rows[-number * budget]["time"]
        found = ask(database, wanted, limit=9, budget=budget, after=found.next)
    assert ids(found) == [rows[0]["id"]]
    assert (found.next, found.scanned_until) == (None, None)


@pytest.mark.parametrize(
    ("text", "user_agent", "expected"),
    [
        ("50%", "at 50% off", True),
        ("50%", "at 500 off", False),
        ("a_b", "a_b", True),
        ("a_b", "axb", False),
        ("c:\\d", "C:\\Dir", True),
        ("\\", "none", False),
        ("'; DROP TABLE requests; --", "'; drop table requests; --", True),
        ("é", "CAFé", True),
    ],
)
def test_a_text_stands_for_itself(
    database: Database, text: str, user_agent: str, expected: bool
) -> None:
    row = plain(id_of(END, 0), user_agent=user_agent)
    add(database, row)
    assert bool(ask(database, Filter(text=text)).rows) is expected


def test_one_request_comes_with_its_attempts(database: Database) -> None:
    first, again = id_of(END, 1), id_of(END + 5, 0)
    tries = [
        {"number": 2, "provider": "b", "cause": None, "status": 200},
        {"number": 1, "provider": "a", "cause": "timeout", "status": None},
    ]
    rest = {"request": again, "model": "m", "error": None, "wait_us": 0, "duration_us": 7,
            "first_event_us": None, "cost_nano_usd": 1}  # fmt: skip

    def write(connection: Any) -> None:
        connection.execute(insert(requests), [plain(first, request_id="r", metadata=None)])
        row = plain(again, request_id="r", attempts=2, metadata='{"team":"blue","größe":"1"}')
        connection.execute(insert(requests), [row])
        connection.execute(insert(requests), [plain(again + 1, request_id="other")])
        connection.execute(insert(attempts), [rest | each for each in tries])

    database.write_now(write)
    newer, older = database.read_now(lambda connection: one(connection, "r"))
    assert (newer["id"], older["id"]) == (str(again), str(first))
    assert newer["metadata"] == {"team": "blue", "größe": "1"}
    assert [each["provider"] for each in newer["tried"]] == ["a", "b"]
    assert newer["tried"][0]["cause"] == "timeout"
    assert "request" not in newer["tried"][0]
    assert older["tried"] == []
    assert database.read_now(lambda connection: one(connection, "none")) == []


def test_a_cursor_of_another_query_is_refused(database: Database, rows: list[Row]) -> None:
    wanted = Filter(since=END - HOUR * 40, written=("40h", ""))
    after = ask(database, wanted, limit=2).next
    # The same, a second later: the window is that of the first page.
    later = Filter(since=END - HOUR * 40 + 1_000_000, written=("40h", ""))
    assert ids(ask(database, later, limit=2, after=after)) == [rows[-3]["id"], rows[-4]["id"]]
    others: list[tuple[Filter, dict[str, Any]]] = [
        (Filter(since=END - HOUR * 41, written=("41h", "")), {}),
        (Filter(since=END - HOUR * 40, written=("40h", ""), model=("a",)), {}),
        (wanted, {"descending": False}),
        (wanted, {"sort": "cost"}),
    ]
    for other, options in others:
        with pytest.raises(InvalidRequest, match="That cursor is of another query") as caught:
            ask(database, other, after=after, **options)
        assert caught.value.param == "cursor"


@pytest.mark.parametrize(
    "cursor",
    ["x", "é", "AAAA", "W10", "bnVsbA", "Wzk5OTk5OTk5OTk5OTk5OTk5OTk5OTk5XQ", "=", "A" * 99],
)
def test_what_is_no_cursor_is_refused(database: Database, cursor: str) -> None:
    with pytest.raises(InvalidRequest, match="That cursor is none of ours"):
        ask(database, Filter(), after=cursor)


def test_limits_and_orders_are_checked(
    database: Database, rows: list[Row], monkeypatch: pytest.MonkeyPatch
) -> None:
    for limit in (0, -1, 1001):
        with pytest.raises(InvalidRequest, match="limit must be from 1 to 1000"):
            ask(database, Filter(), limit=limit)
    with pytest.raises(InvalidRequest, match="sort must be one of time, latency, first_event"):
        ask(database, Filter(), sort="id")
    monkeypatch.setattr(request_log, "MAX_SORTED", ROWS // 4)
    with pytest.raises(InvalidRequest, match=f"more than {ROWS // 4} requests to sort") as caught:
        ask(database, Filter(), sort="cost", now=NOW)
    assert caught.value.param == "sort"
    narrow = Filter(since=END - HOUR)
    assert ask(database, narrow, sort="cost", now=NOW).rows


@pytest.mark.slow
@pytest.mark.parametrize(
    ("wanted", "index"),
    [
        (Filter(), "INTEGER PRIMARY KEY"),
        (Filter(stream=True, text="x"), "INTEGER PRIMARY KEY"),
        (Filter(model=("model-a",)), "ix_requests_model_id"),
        (Filter(model=("model-a", "model-b"), status=("2xx",)), "ix_requests_model_id"),
        (Filter(status=("429",)), "ix_requests_failed"),
        (Filter(status=("error",)), "ix_requests_failed"),
        (Filter(failed=True), "ix_requests_failed"),
        (Filter(status=("error", "4xx", "502"), text="x"), "ix_requests_failed"),
        (Filter(status=("error", "200")), "INTEGER PRIMARY KEY"),
        (Filter(failed=False), "INTEGER PRIMARY KEY"),
        (Filter(model=(RARE_MODEL,), status=("error",)), "ix_requests_model_id"),
        (Filter(token=(RARE_TOKEN,), provider=("openai",)), "ix_requests_token_id"),
        (Filter(token=("team-000",), model=(RARE_MODEL,)), "ix_requests_model_id"),
        (Filter(provider=("azure",), text="x"), "ix_requests_provider_id"),
        (Filter(request_id=("r",), user=("u",)), "ix_requests_request_id"),
    ],
)
def test_sqlite_goes_by_the_index_that_is_meant(
    sqlite_database: Database, wanted: Filter, index: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # So that 400 rows are as many as millions are.
    monkeypatch.setattr(index_scan, "_PROBE", 5)
    plans: list[str] = []

    def look(connection: Any) -> None:
        def explain(_: Any, cursor: Any, statement: str, parameters: Any, *__: Any) -> None:
            plan = cursor.connection.execute("EXPLAIN QUERY PLAN " + statement, parameters)
            plans.append("\n".join(row[3] for row in plan))

        event.listen(connection, "before_cursor_execute", explain)
        page(connection, wanted)

    fill_database(sqlite_database, ROWS, end=END, days=2)
    sqlite_database.read_now(look)
    # Nothing is read whole, or by another index than asked for; probes come before.
    assert not [plan for plan in plans if "SCAN requests" in plan]
    assert index in plans[-1]
    found = [part for plan in plans[-1:] for part in plan.split("\n") if "SEARCH requests" in part]
    assert all(index in part or "PRIMARY KEY (rowid=?)" in part for part in found)


@pytest.mark.slow
def test_what_failed_and_what_was_refused_have_one_index(database: Database) -> None:
    explain = "EXPLAIN " if database.dialect == "postgresql" else "EXPLAIN QUERY PLAN "
    conditions = ("failed", "status >= 400", "failed AND status = 200", "failed OR status >= 400")

    def plans(connection: Connection) -> dict[str, str]:
        fill(connection, 4000, end=END, days=2)
        connection.exec_driver_sql("ANALYZE")
        found = {}
        for each in conditions:
            query = f"SELECT id FROM requests WHERE {each} ORDER BY id DESC LIMIT 50"  # noqa: S608
            rows = connection.exec_driver_sql(explain + query)
            found[each] = "\n".join(str(row) for row in rows)
        return found

    for condition, plan in database.write_now(plans).items():
        assert "ix_requests_failed" in plan, condition


def test_postgresql_goes_by_the_index_of_what_failed(postgresql_database: Database) -> None:
    plans: list[str] = []

    def look(connection: Connection) -> None:
        fill(connection, 4000, end=END, days=2)
        connection.exec_driver_sql("ANALYZE")

        def explain(_: Any, cursor: Any, statement: str, parameters: Any, *__: Any) -> None:
            found = cursor.connection.execute("EXPLAIN " + statement, parameters)
            plans.append("\n".join(row[0] for row in found))

        event.listen(connection, "before_cursor_execute", explain)
        for wanted in (
            Filter(failed=True),
            Filter(status=("error",)),
            Filter(status=("429", "5xx")),
        ):
            plans.clear()
            assert page(connection, wanted, limit=20).rows
            assert plans
            assert all("ix_requests_failed" in plan for plan in plans), wanted

    postgresql_database.write_now(look)
