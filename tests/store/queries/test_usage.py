from __future__ import annotations

from collections import defaultdict
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, select

from gateway.errors import InvalidRequest
from gateway.store.engine.database import Database
from gateway.store.engine.schema import requests, rollups
from gateway.store.queries import usage as module
from gateway.store.queries.filters import Filter
from gateway.store.queries.request_log import page
from gateway.store.queries.rollup_sums import COUNTS, DIMENSIONS
from gateway.store.queries.stats import summary
from gateway.store.queries.usage import BUCKETS, CostReport, UsageReport, costs, usage
from gateway.store.writing import chain
from gateway.store.writing.batch import Batch
from gateway.store.writing.insert import write_batches
from gateway.store.writing.rollup_rows import RollupModels

from ..filled import fill_database
from ..filling import MODELS, PROVIDERS, TOKENS
from ..recording import record

END: Final = 1_790_002_800_000_000
MINUTE: Final = 60_000_000
NOW: Final = END / 1_000_000
Row = dict[str, Any]


@pytest.fixture
def rows(database: Database) -> list[Row]:
    fill_database(database, 600, end=END, days=3)
    query = select(requests)
    return database.read_now(lambda c: [dict(row._mapping) for row in c.execute(query)])


def ask(database: Database, wanted: Filter, **options: Any) -> UsageReport:
    return database.read_now(lambda connection: usage(connection, wanted, **options))


def counted(row: Row) -> list[int]:
    answered = row["input_tokens"] is not None or row["first_event_us"] is not None
    values = {
        "requests": 1,
        "errors": row["failed"],
        "cached": row["cached"],
        "cost_unknown": answered and row["cost_nano_usd"] is None,
    }
    return [int((values | row).get(name) or 0) if name not in values else int(values[name])
            for name in COUNTS]  # fmt: skip


def expected(
    rows: list[Row], wanted: Filter, group_by: list[str], width: int
) -> dict[tuple[Any, ...], list[int]]:
    found: dict[tuple[Any, ...], list[int]] = defaultdict(lambda: [0] * len(COUNTS))
    for row in rows:
        assert wanted.since is not None
        assert wanted.until is not None
        if not wanted.since <= row["time"] < wanted.until:
            continue
        if any((values := getattr(wanted, name)) and (row[name] or "") not in values
               for name in ("model", "provider", "token")):  # fmt: skip
            continue
        status = str(row["status"])
        if wanted.status and not {status, f"{status[0]}xx"} & {*wanted.status}:
            continue
        time = row["time"] // width * width if width else 0
        key = (time, *("" if row[name] is None else row[name] for name in group_by))
        found[key] = [a + b for a, b in zip(found[key], counted(row), strict=True)]
    return dict(found)


def test_costs_that_are_not_known_are_not_nothing(database: Database) -> None:
    def store(connection: Connection) -> None:
        for model, cost, unknown in (("a", 0, 3), ("b", 6, 1), ("c", 2, 0), ("d", 0, 0)):
            row: Row = {column.name: 0 for column in rollups.columns}
            row |= {"period": 60, "start": END - MINUTE, "model": model, "provider": "p"}
            row |= {"token": "t", "status": 200, "requests": 4}
            row |= {"cost_nano_usd": cost, "cost_unknown": unknown}
            connection.execute(rollups.insert(), [row])

    database.write_now(store)
    minute: dict[str, Any] = {"since": END - MINUTE, "until": END}
    found = database.read_now(lambda c: costs(c, Filter(**minute)))
    assert (found.cost_nano_usd, found.cost_unknown) == (8, 4)
    by_model = {row["model"]: (row["cost_nano_usd"], row["share"]) for row in found.rows}
    assert by_model == {"a": (None, None), "b": (6, 0.75), "c": (2, 0.25), "d": (0, 0.0)}
    assert [row["model"] for row in found.rows][:2] == ["b", "c"]
    only = database.read_now(lambda c: costs(c, Filter(model=("a",), **minute)))
    assert (only.cost_nano_usd, only.cost_unknown) == (None, 3)
    figures = database.read_now(lambda c: summary(c, Filter(**minute)))
    assert (figures.total.cost_nano_usd, figures.total.cost_unknown) == (8, 4)
    shown = {group.name: group.figures.cost_nano_usd for group in figures.models}
    assert shown == {"a": None, "b": 6, "c": 2, "d": 0}


def few(*values: str) -> st.SearchStrategy[tuple[str, ...]]:
    return st.just(()) | st.lists(st.sampled_from(values), max_size=3, unique=True).map(tuple)


@pytest.mark.slow
@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    ends=st.lists(st.integers(-10, 73 * 60), min_size=2, max_size=2, unique=True).map(sorted),
    wanted=st.builds(
        Filter,
        model=few(*MODELS[:3]),
        provider=few(*PROVIDERS),
        token=few(*TOKENS[:3]),
        status=st.sampled_from([(), ("4xx", "5xx"), ("5xx", "200")]),
    ),
    group_by=st.lists(st.sampled_from(DIMENSIONS), unique=True),
    bucket=st.sampled_from(["none", "minute", "hour", "day"]),
)
def test_any_window_of_full_minutes_is_added_up_exactly(
    database: Database,
    rows: list[Row],
    ends: list[int],
    wanted: Filter,
    group_by: list[str],
    bucket: str,
) -> None:
    since, until = END - ends[1] * MINUTE, END - ends[0] * MINUTE
    fields = {name: getattr(wanted, name) for name in DIMENSIONS}
    window = Filter(since=since, until=until, **fields)
    if bucket == "minute" and ends[1] - ends[0] > module.MAX_TIMES:
        bucket = "hour"
    found = ask(database, window, group_by=group_by, bucket=bucket)
    assert (found.since, found.until) == (since, until)
    by = {
        (row.get("time", 0), *(row[name] for name in group_by)): [row[name] for name in COUNTS]
        for row in found.rows
    }
    assert len(by) == len(found.rows)
    assert by == expected(rows, window, group_by, BUCKETS[bucket] * 1_000_000)


def test_the_last_day_by_model_is_the_default_window(database: Database, rows: list[Row]) -> None:
    found = ask(database, Filter(), group_by=["model"], now=NOW)
    assert (found.since, found.until) == (END - 1440 * MINUTE, END)
    assert sum(row["requests"] for row in found.rows) == 200
    assert set(found.rows[0]) == {"model", *COUNTS}
    assert [row["cost_nano_usd"] for row in found.rows] == sorted(
        (row["cost_nano_usd"] for row in found.rows), reverse=True
    )


def test_nothing_used_is_no_rows(database: Database) -> None:
    assert ask(database, Filter(), now=NOW).rows == []
    assert ask(database, Filter(), bucket="hour", group_by=["token"], now=NOW).rows == []


def test_costs_are_shares_of_the_whole(database: Database, rows: list[Row]) -> None:
    def ask_costs(wanted: Filter) -> CostReport:
        return database.read_now(lambda c: costs(c, wanted, group_by=["provider"], now=NOW))

    found = ask_costs(Filter(since=END - 3 * 1440 * MINUTE))
    assert found.cost_nano_usd == sum(row["cost_nano_usd"] or 0 for row in rows) > 0
    assert sum(row["share"] for row in found.rows) == pytest.approx(1)
    first = found.rows[0]
    assert first["share"] == first["cost_nano_usd"] / found.cost_nano_usd
    # Refused by us, before any provider: these cost nothing.
    assert [row["share"] for row in found.rows if row["provider"] == ""] in ([0.0], [])
    free = ask_costs(Filter(status=("4xx", "5xx")))
    assert free.cost_nano_usd == 0
    assert {row["share"] for row in free.rows} <= {0.0}


@pytest.mark.parametrize(
    ("options", "name", "message"),
    [
        ({"group_by": ["user"]}, "group_by", "group_by must be of model, provider, token, status"),
        ({"bucket": "week"}, "bucket", "bucket must be one of none, minute, hour, day"),
        ({"bucket": "minute", "wanted": Filter(since=0)}, "bucket", "more than 3000 times"),
        ({"wanted": Filter(user=("u",))}, "user", "user is not counted by"),
        ({"wanted": Filter(failed=True)}, "failed", "failed is not counted by"),
        ({"wanted": Filter(status=("4xx", "error"))}, "status", "by status, not by what failed"),
    ],
)
def test_what_cannot_be_told_is_refused(
    database: Database, options: dict[str, Any], name: str, message: str
) -> None:
    asked: dict[str, Any] = {"wanted": Filter(), "now": NOW, **options}
    with pytest.raises(InvalidRequest) as caught:
        ask(database, **asked)
    assert caught.value.param == name
    assert message in caught.value.message


def test_too_many_rows_are_refused(
    database: Database, rows: list[Row], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_ROWS", 5)
    with pytest.raises(InvalidRequest, match="more than 5 rows"):
        ask(database, Filter(), group_by=["token"], now=NOW)


@pytest.mark.parametrize("ask_for", [usage, costs])
def test_rows_are_counted_when_they_are_added_up(
    database: Database, rows: list[Row], monkeypatch: pytest.MonkeyPatch, ask_for: Any
) -> None:
    # Three days and what is left of a minute, an hour and a day at their edges.
    wanted = Filter(since=END - 3 * 1440 * MINUTE, until=END - 7 * MINUTE)
    models = {row["model"] for row in rows}
    assert len(models) == 13

    def ask_now() -> list[Row]:
        found = database.read_now(lambda c: ask_for(c, wanted, group_by=["model"], now=NOW))
        return list(found.rows)

    monkeypatch.setattr(module, "MAX_ROWS", 13)
    assert {row["model"] for row in ask_now()} == models
    monkeypatch.setattr(module, "MAX_ROWS", 12)
    with pytest.raises(InvalidRequest, match="more than 12 rows"):
        ask_now()


def test_rows_of_the_edges_are_counted_with_their_bucket(
    database: Database, rows: list[Row], monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = Filter(since=END - 2 * 1440 * MINUTE + 7 * MINUTE)

    def ask_now() -> list[Row]:
        return ask(database, wanted, group_by=["provider"], bucket="day", now=NOW).rows

    there = len(ask_now())
    monkeypatch.setattr(module, "MAX_ROWS", there)
    assert len(ask_now()) == there
    monkeypatch.setattr(module, "MAX_ROWS", there - 1)
    with pytest.raises(InvalidRequest, match=f"more than {there - 1} rows"):
        ask_now()


def test_usage_by_team_has_what_no_team_used(database: Database) -> None:
    # From before there were teams: they are in the roll-ups of all only.
    fill_database(database, 200, end=END)
    given: list[tuple[str | None, dict[str, str] | None]] = [
        ("search", {"app": "chat"}),
        ("ads", None),
        (None, None),
        ("search", {"app": "a,b"}),
    ]
    records = [
        record(number, time=NOW - 60 * number, team=team, token=f"t-{number % 3}", labels=labels)
        for number, (team, labels) in enumerate(given * 5)
    ]
    batch = Batch(1, records, [])
    database.write_now(
        lambda connection: write_batches(connection, "w", [batch], chain.append, RollupModels())
    )
    window: dict[str, Any] = {"since": END - 86_400_000_000, "until": END + 60_000_000}
    everything = ask(database, Filter(**window), group_by=["token"], bucket="hour")
    by_team = ask(database, Filter(**window), group_by=["token", "team"], bucket="hour")
    assert {row["team"] for row in by_team.rows} == {"", "search", "ads"}
    for name in ("requests", "input_tokens", "cost_nano_usd", "errors"):
        for row in everything.rows:
            key = row["time"], row["token"]
            found = [each for each in by_team.rows if (each["time"], each["token"]) == key]
            assert sum(each[name] or 0 for each in found) == (row[name] or 0)
    (search,) = ask(database, Filter(**window, team=("search",))).rows
    assert search["requests"] == 10
    assert search["cost_nano_usd"] == sum(
        each.cost_nano_usd or 0 for each in records if each.team == "search"
    )
    figures = database.read_now(
        lambda connection: summary(connection, Filter(**window, team=("ads",)), now=NOW)
    )
    assert figures.total.requests == 5
    assert [each.name for each in figures.teams] == ["ads"]


def test_pages_of_a_team_and_of_a_label(database: Database) -> None:
    labels = [{"app": "chat"}, {"app": "a,b"}, {"app": 'say "app":"chat"'}, None]
    records = [
        record(number, time=NOW - 60 * number, team="t" if number < 3 else None, labels=each)
        for number, each in enumerate(labels)
    ]
    batch = Batch(1, records, [])
    database.write_now(
        lambda connection: write_batches(connection, "w", [batch], chain.append, RollupModels())
    )

    def found(**wanted: Any) -> list[str]:
        rows = database.read_now(lambda connection: page(connection, Filter(**wanted))).rows
        return sorted(row["request_id"] for row in rows)

    assert found(label=("app=chat",)) == ["req-0"]
    assert found(label=("app=a,b", 'app=say "app":"chat"')) == ["req-1", "req-2"]
    assert (
        found(label=("app=Chat",)) == found(label=("app=cha",)) == found(label=("pp=chat",)) == []
    )
    assert found(team=("t",)) == ["req-0", "req-1", "req-2"]


def test_pages_of_what_a_provider_was_not_sent(database: Database) -> None:
    dropped = [["seed", "messages.0.name"], ["seed.x"], ['a["seed"'], []]
    records = [
        record(number, time=NOW - 60 * number, dropped=each) for number, each in enumerate(dropped)
    ]
    batch = Batch(1, records, [])
    database.write_now(
        lambda connection: write_batches(connection, "w", [batch], chain.append, RollupModels())
    )

    def found(*members: str) -> list[str]:
        wanted = Filter(dropped=members)
        rows = database.read_now(lambda connection: page(connection, wanted)).rows
        return sorted(row["request_id"] for row in rows)

    assert found("any") == ["req-0", "req-1", "req-2"]
    assert found("seed") == ["req-0"]
    assert found("messages.0.name", 'a["seed"') == ["req-0", "req-2"]
    assert found("see") == found("name") == []
    rows = database.read_now(lambda connection: page(connection, Filter())).rows
    assert [row["dropped"] for row in rows] == [*dropped[:3], None]
