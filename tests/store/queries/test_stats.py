from __future__ import annotations

from typing import Any, Final, cast

import pytest
from sqlalchemy import Connection, delete, insert, select

from gateway.core.records.histogram import BUCKETS, bucket_of, quantile
from gateway.core.records.periods import MINUTE
from gateway.errors import InvalidRequest
from gateway.store.engine.database import Database
from gateway.store.engine.ids import id_of
from gateway.store.engine.schema import attempts, requests, rollups
from gateway.store.queries.filters import Filter
from gateway.store.queries.stats import Quantiles, health, summary

from ..filled import fill_database

END: Final = 1_790_002_800_000_000
HOUR: Final = 3_600_000_000
DAY: Final = 24 * HOUR
NOW: Final = END / 1_000_000
Row = dict[str, Any]


@pytest.fixture
def rows(database: Database) -> list[Row]:
    fill_database(database, 3000, end=END, days=3)
    query = select(requests)
    return database.read_now(lambda c: [dict(row._mapping) for row in c.execute(query)])


def quantiles(durations: list[int]) -> Quantiles:
    counts = [0] * BUCKETS
    for each in durations:
        counts[bucket_of(each)] += 1
    return Quantiles(quantile(counts, 0.5), quantile(counts, 0.95), quantile(counts, 0.99))


@pytest.mark.slow
def test_a_summary_is_what_its_requests_add_up_to(database: Database, rows: list[Row]) -> None:
    for since, until, width in (
        (END - DAY, END, 3600),
        (END - DAY - 7 * 60_000_000, END - 11 * 60_000_000, 3600),
        (END - 2 * HOUR, END, 60),
        (END - 11 * HOUR, END, 300),
        (END - 20 * DAY, END + DAY, 86_400),
        (END - 1000 * DAY, END, 7 * 86_400),
    ):
        _check_summary(database, rows, since, until, width)


def _check_summary(database: Database, rows: list[Row], since: int, until: int, width: int) -> None:
    found = database.read_now(lambda c: summary(c, Filter(since=since, until=until), top=4))
    inside = [row for row in rows if since <= row["time"] < until]
    assert (found.since, found.until, found.width) == (since, until, width)
    total = found.total
    assert total.requests == len(inside) > 50
    errors = sum(row["failed"] for row in inside)
    assert (total.errors, total.error_rate) == (errors, errors / len(inside))
    assert total.cost_nano_usd == sum(row["cost_nano_usd"] or 0 for row in inside)
    assert total.latency_us == quantiles([row["latency_us"] for row in inside])
    first_events = [row["first_event_us"] for row in inside if row["first_event_us"] is not None]
    assert total.first_event_us == quantiles(first_events)
    for name, groups in (("model", found.models), ("provider", found.providers),
                         ("token", found.tokens)):  # fmt: skip
        assert len(groups) == 4
        counts = [group.figures.requests for group in groups]
        assert counts == sorted(counts, reverse=True)
        for group in groups:
            mine = [row for row in inside if (row[name] or "") == group.name]
            assert group.figures.requests == len(mine)
            assert group.figures.latency_us == quantiles([row["latency_us"] for row in mine])
        left = {row[name] or "" for row in inside} - {group.name for group in groups}
        assert all(sum((row[name] or "") == each for row in inside) <= counts[-1] for each in left)
    step = width * 1_000_000
    assert [point.time for point in found.series] == sorted(
        {row["time"] // step * step for row in inside}
    )
    assert len(found.series) <= 301
    for point in found.series[:3]:
        mine = [row for row in inside if row["time"] // step * step == point.time]
        assert point.figures.requests == len(mine)
        assert point.figures.output_tokens == sum(row["output_tokens"] or 0 for row in mine)
        assert point.figures.latency_us == quantiles([row["latency_us"] for row in mine])


def test_a_summary_of_what_a_filter_chooses(database: Database, rows: list[Row]) -> None:
    wanted = Filter(model=("model-a",), status=("2xx",))
    found = database.read_now(lambda c: summary(c, wanted, now=NOW))
    mine = [row for row in rows if row["time"] >= END - DAY and row["model"] == "model-a"
            and row["status"] == 200]  # fmt: skip
    assert found.total.requests == len(mine) > 10
    # Of these, streams that broke.
    assert found.total.errors == sum(row["failed"] for row in mine)
    assert [group.name for group in found.models] == ["model-a"]
    with pytest.raises(InvalidRequest, match="user is not counted by"):
        database.read_now(lambda c: summary(c, Filter(user=("u",))))


def test_a_summary_of_nothing(database: Database) -> None:
    found = database.read_now(lambda c: summary(c, Filter(), now=NOW))
    assert found.total.requests == 0
    assert found.total.error_rate == 0
    assert found.total.latency_us == Quantiles(None, None, None)
    assert (found.models, found.tokens, found.series) == ([], [], [])


class Counting:
    """A connection that counts the rows that it was asked for."""

    def __init__(self, connection: Connection) -> None:
        self.rows = 0
        self.dialect = connection.dialect
        self._connection = connection

    def execute(self, statement: Any, parameters: Any = None) -> Any:
        found = self._connection.execute(statement, parameters).freeze()
        self.rows += len(found.data)
        return found()


def test_names_that_callers_invent_are_not_read(database: Database) -> None:
    # Each hour has names of its own, as with a pattern such as `openai/*`.
    plain = dict.fromkeys(rollups.columns.keys(), 0) | {"period": 3600, "status": 200}
    made = [
        plain
        | {"start": END - ago * HOUR, "model": f"openai/{ago}-{number}", "provider": f"p{number}"}
        | {"token": f"t{ago}-{number}", "requests": 1 + (number == ago), "latency_03": 1}
        for ago in range(1, 25)
        for number in range(40)
    ]
    database.write_now(lambda connection: connection.execute(insert(rollups), made))

    def ask(connection: Connection) -> tuple[Any, int]:
        counting = Counting(connection)
        wanted = Filter(since=END - 13 * HOUR, until=END)
        return summary(cast(Connection, counting), wanted, top=5), counting.rows

    found, rows = database.read_now(ask)
    assert found.total.requests == 13 * 41
    assert [point.figures.requests for point in found.series] == [41] * 13
    # Of those that have as many requests, the first by name.
    busiest = sorted(f"openai/{number}-{number}" for number in range(1, 14))
    assert [each.name for each in found.models] == busiest[:5]
    assert [each.name for each in found.providers] == ["p1", "p10", "p11", "p12", "p13"]
    assert [each.figures.requests for each in found.providers] == [14] * 5
    assert found.providers[0].figures.latency_us == quantiles([30_000] * 13)
    # An hour each, twice: whether its sums are condensed, and its point. And of each kind the
    # names, and then their figures.
    assert rows == 2 * 13 + 3 * (5 + 5)


def test_a_summary_of_hours_that_have_lost_their_minutes(
    database: Database, rows: list[Row]
) -> None:
    database.write_now(lambda c: c.execute(delete(rollups).where(rollups.c.period == MINUTE)))
    found = database.read_now(lambda c: summary(c, Filter(since=END - 3 * HOUR, until=END)))
    mine = [row for row in rows if row["time"] >= END - 3 * HOUR]
    assert found.series == []
    assert found.total.requests == len(mine) > 50
    assert found.total.latency_us == quantiles([row["latency_us"] for row in mine])
    assert sum(each.figures.requests for each in found.providers) == len(mine)


def attempt(ago_minutes: float, provider: str, **changes: Any) -> Row:
    key = id_of(END - round(ago_minutes * 60_000_000), 0)
    row = {"request": key, "number": 1, "provider": provider, "model": "m", "cause": None,
           "status": 200, "error": None, "wait_us": 0, "duration_us": 1_000_000,
           "first_event_us": None, "cost_nano_usd": None}  # fmt: skip
    return row | changes


def test_health_counts_failures_by_cause_and_times_what_succeeded(database: Database) -> None:
    made = [
        *(attempt(n / 10, "a", duration_us=n * 100_000, first_event_us=5000) for n in range(1, 41)),
        attempt(1.01, "a", cause="timeout", duration_us=300_000_000),
        attempt(1.02, "a", cause="timeout", duration_us=300_000_000, number=2),
        attempt(1.03, "a", cause="rate_limited"),
        attempt(2.01, "b", cause="connect_failed"),
        attempt(2.02, "b", model="other"),
        attempt(5.01, "c"),
    ]
    database.write_now(lambda connection: connection.execute(insert(attempts), made))
    found = database.read_now(lambda connection: health(connection, minutes=5, now=NOW))
    assert [(each.provider, each.model) for each in found] == [
        ("a", "m"),
        ("b", "m"),
        ("b", "other"),
    ]
    first, second, _ = found
    assert (first.attempts, first.failures) == (43, 3)
    assert first.causes == {"rate_limited": 1, "timeout": 2}
    assert first.duration_us == quantiles([n * 100_000 for n in range(1, 41)])
    assert first.first_event_us == quantiles([5000] * 40)
    assert (second.attempts, second.failures) == (1, 1)
    assert second.duration_us == Quantiles(None, None, None)


@pytest.mark.parametrize("minutes", [0, -1, 361])
def test_health_is_of_the_last_hours(database: Database, minutes: int) -> None:
    with pytest.raises(InvalidRequest, match="minutes must be from 1 to 360"):
        database.read_now(lambda connection: health(connection, minutes=minutes, now=NOW))
