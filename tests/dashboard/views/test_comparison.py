"""What was used beside the period before: by each group, and the same whichever way it is read."""

from __future__ import annotations

import pytest

from gateway.dashboard.views import comparison, periods
from gateway.store.engine.database import Database
from gateway.store.queries import usage
from gateway.store.queries.filters import Filter
from tests.store.filled import fill_database

SECOND = 1_000_000
NOW = 1_790_000_000.0


@pytest.fixture
def filled(sqlite_database: Database) -> Database:
    end = round(NOW) // 3600 * 3600 * SECOND
    fill_database(sqlite_database, 2000, end=end, days=5)
    return sqlite_database


def compared(database: Database, group_by: str, measure: str = "cost") -> comparison.Comparison:
    period = periods.period("7d", NOW)
    return database.read_now(
        lambda connection: comparison.compare(connection, Filter(), period, group_by, measure, NOW)
    )


@pytest.mark.slow
@pytest.mark.parametrize("group_by", ["model", "token", "provider", "status", "team", "user"])
@pytest.mark.parametrize("measure", [*comparison.MEASURES])
def test_rows_totals_and_lines_agree(filled: Database, group_by: str, measure: str) -> None:
    found = compared(filled, group_by, measure)
    column = "cost_nano_usd" if measure == "cost" else measure
    period = periods.period("7d", NOW)
    whole = filled.read_now(
        lambda connection: (
            usage.usage(connection, Filter(since=period.since, until=period.until), now=NOW).rows
        )
    )
    assert found.total[column] == whole[0][column] > 0
    values = [row[column] or 0 for row in found.rows]
    assert values == sorted(values, reverse=True)
    if len(values) < comparison.MOST_ROWS and group_by != "user":
        assert sum(values) == whole[0][column]
    scale = 1e9 if measure == "cost" else 1
    lines = [found.columns[f"s{number}"] for number in range(len(found.names) + 1)]
    assert sum(map(sum, lines)) * scale == pytest.approx(whole[0][column], rel=1e-4)
    for number, row in enumerate(found.rows[: len(found.names)]):
        assert sum(lines[number]) * scale == pytest.approx(row[column] or 0, rel=1e-3)


@pytest.mark.parametrize("group_by", ["model", "provider", "status", "team"])
def test_too_many_groups_for_one_read_give_the_same(
    filled: Database, monkeypatch: pytest.MonkeyPatch, group_by: str
) -> None:
    at_once = compared(filled, group_by)
    monkeypatch.setattr(comparison, "_cells", lambda *_: None)
    assert compared(filled, group_by) == at_once


def test_what_was_before_is_what_changes_are_against(sqlite_database: Database) -> None:
    end = round(NOW) // 3600 * 3600 * SECOND
    fill_database(sqlite_database, 1500, end=end, days=15)
    period = periods.period("7d", NOW)
    before = Filter(since=period.before_since, until=period.before_until)
    for group_by in ("model", "user"):
        found = compared(sqlite_database, group_by, "requests")
        whole = sqlite_database.read_now(
            lambda connection: usage.usage(connection, before, now=NOW).rows
        )
        assert found.before["requests"] == whole[0]["requests"] > 0
        change = found.total["requests"] / whole[0]["requests"] - 1
        assert found.total["change"] == pytest.approx(change)
        # Each day is like the others.
        assert found.rows[0]["change"] == pytest.approx(change, abs=0.2)
